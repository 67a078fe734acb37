//! The last retained message of each topic this shard is the keeper of.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use mqtt_wire::{TopicFilter, TopicName};

use crate::{WallTime, message::Message};

/// Retained messages by topic, in topic order, so that a filter with a fixed beginning looks only at its part.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    messages: BTreeMap<Arc<str>, Arc<Message>>,
}

impl Retained {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn get(&self, topic: &str) -> Option<&Arc<Message>> {
        self.messages.get(topic)
    }

    /// Sets or, with an empty payload, removes a topic's message [MQTT-3.3.1-6]. Answers the one that stood there.
    pub(crate) fn set(&mut self, message: &Arc<Message>) -> Option<Arc<Message>> {
        if message.payload.is_empty() {
            self.messages.remove(&message.topic)
        } else {
            self.messages
                .insert(Arc::clone(&message.topic), Arc::clone(message))
        }
    }

    /// Puts back what stood on a topic before `failed` was set, unless another came since.
    pub(crate) fn put_back(&mut self, failed: &Arc<Message>, before: Option<Arc<Message>>) {
        let unchanged = match self.messages.get(&failed.topic) {
            Some(now) => Arc::ptr_eq(now, failed),
            None => failed.payload.is_empty(),
        };
        if !unchanged {
            return;
        }
        match before {
            Some(before) => self.messages.insert(Arc::clone(&failed.topic), before),
            None => self.messages.remove(&failed.topic),
        };
    }

    /// The messages a filter matches that have not expired.
    pub(crate) fn matching(&self, filter: &TopicFilter, now: WallTime) -> Vec<Arc<Message>> {
        let live = |message: &&Arc<Message>| message.expires.is_none_or(|at| at > now);
        if !filter.is_wildcard() {
            return self
                .get(filter.as_str())
                .filter(live)
                .cloned()
                .into_iter()
                .collect();
        }
        let fixed: &str = filter.as_str().split(['+', '#']).next().unwrap_or_default();
        // `a/#` also matches `a`, which sorts before `a/`.
        let from = fixed.strip_suffix('/').unwrap_or(fixed);
        self.messages
            .range::<str, _>((Bound::Included(from), Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(from))
            .filter(|(topic, _)| TopicName::parse(topic).is_ok_and(|name| filter.matches(name)))
            .map(|(_, message)| message)
            .filter(live)
            .cloned()
            .collect()
    }
}
