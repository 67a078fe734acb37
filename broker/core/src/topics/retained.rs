//! The last retained message of each topic this shard is the keeper of.
//!
//! A message is shown as soon as it comes, and reaches the disk in the batch of whichever shard it came to. So that batches
//! may be written in any order, each message stands on disk under a version that this shard gave it: the highest counts, and
//! those before it are removed when it is settled.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use mqtt_wire::{TopicFilter, TopicName};

use crate::{WallTime, message::Message};

/// Messages of one page.
const PAGE_MESSAGES_MAX: usize = 256;
/// Their bytes; the last may go beyond.
const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Topics that are looked at for one page, so that a filter that matches few of many holds nobody up.
const PAGE_LOOKS_MAX: usize = 4096;

/// Some of the messages that a filter matches.
#[derive(Debug, Default)]
pub(crate) struct RetainedPage {
    pub(crate) messages: VecDeque<Arc<Message>>,
    /// The last topic that was looked at, if there may be more after it.
    pub(crate) looked_up_to: Option<Arc<str>>,
}

impl RetainedPage {
    pub(crate) fn len_bytes(&self) -> usize {
        self.messages.iter().map(|message| message.len_bytes()).sum()
    }
}

/// A message and its version. One with an empty payload says that its topic has none.
#[derive(Debug, Clone)]
struct Version {
    number: u64,
    message: Arc<Message>,
}

/// What came of a message that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is on disk.
    Stored,
    /// It counts, in memory only.
    Volatile,
    /// It was refused.
    Refused,
}

/// Versions of a topic on disk that count no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    Nothing,
    One(u64),
    UpTo(u64),
}

#[derive(Debug, Default)]
struct Slot {
    /// What is shown: the latest that was not refused.
    shown: Option<Version>,
    /// The latest whose fate is known.
    settled: Option<Version>,
    /// The version on disk that counts.
    stored: Option<u64>,
    /// How many have not been settled.
    pending: usize,
}

impl Slot {
    fn message(&self) -> Option<&Arc<Message>> {
        let shown = self.shown.as_ref()?;
        Some(&shown.message).filter(|message| !message.payload.is_empty())
    }

    fn settle(&mut self, version: Version, fate: Fate) -> Stale {
        let number = version.number;
        self.pending = self.pending.saturating_sub(1);
        if fate == Fate::Refused {
            if self.shown.as_ref().is_some_and(|shown| shown.number == number) {
                self.shown.clone_from(&self.settled);
            }
            return Stale::Nothing;
        }
        let is_before = |other: &Option<Version>| other.as_ref().is_none_or(|other| other.number < number);
        if is_before(&self.shown) {
            self.shown = Some(version.clone());
        }
        if is_before(&self.settled) {
            self.settled = Some(version);
        }
        if fate == Fate::Volatile {
            return Stale::Nothing;
        }
        let older = match self.stored {
            Some(stored) if stored > number => Some(number),
            _ => self.stored.replace(number),
        };
        older.map_or(Stale::Nothing, Stale::One)
    }
}

/// Retained messages by topic, in topic order, so that a filter with a fixed beginning looks only at its part.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    slots: BTreeMap<Arc<str>, Slot>,
    last_number: u64,
}

impl Retained {
    /// Messages read back from disk, with their versions, and the highest version on any shard.
    pub(crate) fn recovered(messages: Vec<(u64, Arc<Message>)>, last_number: u64) -> Self {
        let slots = messages.into_iter().map(|(number, message)| {
            let topic = Arc::clone(&message.topic);
            let version = Version { number, message };
            let slot = Slot {
                shown: Some(version.clone()),
                settled: Some(version),
                stored: Some(number),
                pending: 0,
            };
            (topic, slot)
        });
        Self {
            slots: slots.collect(),
            last_number,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Sets or, with an empty payload, removes a topic's message [MQTT-3.3.1-6]. Answers its version, or `None` if there are
    /// as many topics as there may be. It has to be settled.
    pub(crate) fn set(&mut self, message: &Arc<Message>, topics_max: usize) -> Option<u64> {
        if self.slots.len() >= topics_max
            && !message.payload.is_empty()
            && !self.slots.contains_key(&message.topic)
        {
            return None;
        }
        self.last_number += 1;
        let slot = self.slots.entry(Arc::clone(&message.topic)).or_default();
        slot.pending += 1;
        slot.shown = Some(Version {
            number: self.last_number,
            message: Arc::clone(message),
        });
        Some(self.last_number)
    }

    /// Drops messages that have expired. Answers their topics and versions: they are to be removed from disk.
    pub(crate) fn drop_expired(&mut self, now: WallTime) -> Vec<(Arc<str>, u64)> {
        let is_over = |message: &Arc<Message>| message.expires.is_some_and(|expires| expires.is_over(now));
        let over = self.slots.extract_if(.., |_, slot| {
            slot.pending == 0 && slot.message().is_some_and(is_over)
        });
        over.filter_map(|(topic, slot)| slot.stored.map(|stored| (topic, stored)))
            .collect()
    }

    /// Notes what came of a message that was set. Answers what of its topic is to be removed from disk.
    pub(crate) fn settle(&mut self, message: &Arc<Message>, number: u64, fate: Fate) -> Stale {
        let Some(slot) = self.slots.get_mut(&message.topic) else {
            return Stale::Nothing;
        };
        let version = Version {
            number,
            message: Arc::clone(message),
        };
        let stale = slot.settle(version, fate);
        if slot.pending > 0 || slot.message().is_some() {
            return stale;
        }
        // Nothing of the topic is under way any more that a trace of its end would have to be kept for.
        let last = slot.stored.map(|stored| stored.max(number));
        self.slots.remove(&message.topic);
        last.map_or(stale, Stale::UpTo)
    }

    /// The messages a filter matches that have not expired, in topic order, after a topic, as many as a page takes.
    pub(crate) fn page(&self, filter: &TopicFilter, after: Option<&str>, now: WallTime) -> RetainedPage {
        let live = |message: &&Arc<Message>| message.expires.is_none_or(|expires| !expires.is_over(now));
        let mut page = RetainedPage::default();
        if !filter.is_wildcard() {
            let slot = self.slots.get(filter.as_str()).filter(|_| after.is_none());
            page.messages
                .extend(slot.and_then(Slot::message).filter(live).cloned());
            return page;
        }
        let fixed: &str = filter.as_str().split(['+', '#']).next().unwrap_or_default();
        // `a/#` also matches `a`, which sorts before `a/`.
        let stem = fixed.strip_suffix('/').unwrap_or(fixed);
        let from = after.map_or(Bound::Included(stem), Bound::Excluded);
        let candidates = self.slots.range::<str, _>((from, Bound::Unbounded));
        let mut bytes = 0;
        for (looked, (topic, slot)) in candidates
            .take_while(|(topic, _)| topic.starts_with(stem))
            .enumerate()
        {
            if let Some(message) = slot.message().filter(live)
                && TopicName::parse(topic).is_ok_and(|name| filter.matches(name))
            {
                bytes += message.len_bytes();
                page.messages.push_back(Arc::clone(message));
            }
            if looked >= PAGE_LOOKS_MAX || page.messages.len() >= PAGE_MESSAGES_MAX || bytes >= PAGE_BYTES_MAX
            {
                page.looked_up_to = Some(Arc::clone(topic));
                break;
            }
        }
        page
    }
}
