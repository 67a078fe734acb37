//! The last retained message of each topic this shard is the keeper of.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use mqtt_wire::{TopicFilter, TopicName};

use crate::{WallTime, message::Message};

/// A topic's retained message.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) message: Arc<Message>,
    /// Whether it is, or is to be, on disk.
    pub(crate) durable: bool,
}

/// Retained messages by topic, in topic order, so that a filter with a fixed beginning looks only at its part.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    messages: BTreeMap<Arc<str>, Slot>,
}

impl Retained {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn get(&self, topic: &str) -> Option<&Slot> {
        self.messages.get(topic)
    }

    /// Sets or, with an empty payload, removes a topic's message [MQTT-3.3.1-6]. Answers the one that stood there.
    pub(crate) fn set(&mut self, message: &Arc<Message>, durable: bool) -> Option<Slot> {
        if message.payload.is_empty() {
            return self.messages.remove(&message.topic);
        }
        let slot = Slot {
            message: Arc::clone(message),
            durable,
        };
        self.messages.insert(Arc::clone(&message.topic), slot)
    }

    /// Whether a message is what stands on its topic: itself, or nothing if it was sent to remove what stood there.
    pub(crate) fn is_current(&self, message: &Arc<Message>) -> bool {
        match self.messages.get(&message.topic) {
            Some(slot) => Arc::ptr_eq(&slot.message, message),
            None => message.payload.is_empty(),
        }
    }

    /// Puts back what stood on a topic before `failed` was set, unless another came since.
    pub(crate) fn put_back(&mut self, failed: &Arc<Message>, before: Option<Slot>) {
        if !self.is_current(failed) {
            return;
        }
        match before {
            Some(before) => self.messages.insert(Arc::clone(&failed.topic), before),
            None => self.messages.remove(&failed.topic),
        };
    }

    /// The messages a filter matches that have not expired.
    pub(crate) fn matching(&self, filter: &TopicFilter, now: WallTime) -> Vec<Arc<Message>> {
        let live = |slot: &&Slot| slot.message.expires.is_none_or(|at| at > now);
        if !filter.is_wildcard() {
            return self
                .get(filter.as_str())
                .filter(live)
                .map(|slot| Arc::clone(&slot.message))
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
            .map(|(_, slot)| slot)
            .filter(live)
            .map(|slot| Arc::clone(&slot.message))
            .collect()
    }
}
