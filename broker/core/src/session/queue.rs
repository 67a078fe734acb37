//! Messages that wait for a session's client, in the order they are to be sent.
//!
//! Messages of a durable session stand on disk under growing sequence numbers. Only the first of them are in memory too;
//! what follows is read back when its turn comes. A message that is not on disk (`QoS` 0, replaceable, or of a session that
//! ends with its connection) has no sequence number and is always in memory.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use mqtt_wire::QoS;

use crate::{Expiry, group::Share, hold::HoldId, message::Message, recall::Page, record::Waiting};

/// One waiting message that is in memory.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where it stands on disk, if it does.
    pub(crate) seq: Option<u64>,
    pub(crate) waiting: Waiting,
    pub(crate) message: Arc<Message>,
    /// What has to happen before it may be sent.
    pub(crate) hold: Option<HoldId>,
    /// If set, a later message of this key takes its place.
    pub(crate) replace: Option<u64>,
    /// Whether it may have been sent before the broker was restarted.
    pub(crate) dup: bool,
    /// If it belongs to a shared subscription's group, which it goes back to when the client leaves before it is sent.
    pub(crate) share: Option<Box<Share>>,
}

impl Entry {
    /// Whether something has to be kept on disk before it may be sent: its packet id, or that it is its group's no longer.
    pub(crate) fn needs_record(&self) -> bool {
        let stands = self.seq.is_some() || self.share.as_ref().is_some_and(|share| share.seq.is_some());
        self.waiting.qos == QoS::ExactlyOnce && stands
    }
}

/// How many messages pile up before a session's cursor before they are removed from disk together.
const TRIM_AFTER: u64 = 512;
/// How many bytes of them.
const TRIM_AFTER_BYTES: u32 = 256 * 1024;

/// A session's waiting messages.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    loaded: VecDeque<Entry>,
    loaded_bytes: u64,
    /// The sequence number the next message on disk gets.
    next_seq: u64,
    /// Messages on disk from this number on are not in memory.
    unloaded_from: Option<u64>,
    /// Those of them that may not be read yet, with what has to happen before; in order.
    held: VecDeque<(u64, HoldId)>,
    /// Messages among them that were given a packet id before the restart: they are under way, or were since delivered.
    taken: Vec<u64>,
    /// Messages on disk before this number may have been sent before the restart.
    resent_before: u64,
    /// Messages on disk before this number are from before the restart.
    recovered_before: u64,
    recalling: bool,
    /// Bytes of messages sent since the last removal, as far as they are counted.
    untrimmed_bytes: u32,
    /// Everything on disk before this number was removed.
    trimmed: u64,
    messages: u64,
    bytes: u64,
}

impl Queue {
    /// The queue of a recovered session: all on disk, from `cursor` on.
    pub(crate) fn recovered(
        cursor: u64,
        first: u64,
        next: u64,
        messages: u64,
        bytes: u64,
        taken: Vec<u64>,
        sent_before: u64,
    ) -> Self {
        Self {
            taken,
            next_seq: next,
            recovered_before: next,
            trimmed: cursor,
            unloaded_from: (messages > 0).then_some(first),
            resent_before: sent_before,
            messages,
            bytes,
            ..Self::default()
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.loaded.is_empty() && self.unloaded_from.is_none()
    }

    /// How many bytes of it are in memory.
    #[cfg(feature = "testing")]
    pub(crate) const fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes
    }

    /// How many messages wait.
    pub(crate) const fn len(&self) -> u64 {
        self.messages
    }

    /// Their bytes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where messages stand on disk that are not this queue's to let go of: they may not be read yet, or were given a packet
    /// id before the restart.
    pub(crate) fn others_seqs(&self) -> impl Iterator<Item = u64> {
        let held = self.held.iter().map(|(seq, _)| *seq);
        held.chain(self.taken.iter().copied())
    }

    /// Messages on disk before this number may have been sent before the restart.
    pub(crate) const fn resent_before(&self) -> u64 {
        self.resent_before
    }

    /// Whether a page was asked for and has not come.
    pub(crate) const fn is_recalling(&self) -> bool {
        self.recalling
    }

    /// The shared bodies that messages in memory refer to.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = u64> {
        self.loaded.iter().filter_map(|entry| entry.waiting.body)
    }

    /// The first sequence number from which on messages are on disk and not in memory.
    pub(crate) const fn unloaded_from(&self) -> Option<u64> {
        self.unloaded_from
    }

    /// Whether one more message of this size would be too many.
    pub(crate) fn is_full(&self, message: &Message, messages_max: u64, bytes_max: u64) -> bool {
        self.messages >= messages_max || self.bytes + message.len_bytes() as u64 > bytes_max
    }

    /// The lowest sequence number that is still waiting.
    pub(crate) fn first_seq(&self) -> u64 {
        let loaded = self.loaded.iter().find_map(|entry| entry.seq);
        loaded.or(self.unloaded_from).unwrap_or(self.next_seq)
    }

    /// Gives out the next sequence number on disk.
    pub(crate) const fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// The sequence numbers under which something may stand on disk.
    pub(crate) const fn on_disk(&self) -> Range<u64> {
        self.trimmed..self.next_seq
    }

    /// What is before `cursor` is needed no longer. Answers what to remove of it from disk, when that is worth while.
    pub(crate) fn trim(&mut self, cursor: u64) -> Option<Range<u64>> {
        let from = self.trimmed;
        if cursor == from || (cursor < from + TRIM_AFTER && self.untrimmed_bytes < TRIM_AFTER_BYTES) {
            return None;
        }
        self.trimmed = cursor;
        self.untrimmed_bytes = 0;
        Some(from..cursor)
    }

    /// Appends a message. One that stands on disk is not kept in memory beyond `memory_bytes`, or behind one that is not.
    pub(crate) fn push(&mut self, entry: Entry, memory_bytes: u64) {
        let bytes = entry.message.len_bytes() as u64;
        self.messages += 1;
        self.bytes += bytes;
        if let Some(seq) = entry.seq
            && (self.unloaded_from.is_some() || self.loaded_bytes + bytes > memory_bytes)
        {
            self.unloaded_from.get_or_insert(seq);
            if let Some(hold) = entry.hold {
                self.held.push_back((seq, hold));
            }
            return;
        }
        self.loaded_bytes += bytes;
        self.loaded.push_back(entry);
    }

    /// Puts a message in the place of the waiting one with the same key. Gives it back if there is none.
    pub(crate) fn replace(&mut self, entry: Entry) -> Option<Entry> {
        let Some(old) = self
            .loaded
            .iter_mut()
            .find(|old| old.replace.is_some() && old.replace == entry.replace)
        else {
            return Some(entry);
        };
        let (was, is) = (old.message.len_bytes() as u64, entry.message.len_bytes() as u64);
        self.bytes = self.bytes + is - was;
        self.loaded_bytes = self.loaded_bytes + is - was;
        *old = entry;
        None
    }

    /// The message whose turn it is, if it may be sent.
    pub(crate) fn front(&self) -> Option<&Entry> {
        self.loaded.front().filter(|entry| entry.hold.is_none())
    }

    /// Takes the first message out.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = self.loaded.pop_front()?;
        self.forget_size(&entry.message);
        if entry.seq.is_some() {
            let bytes = u32::try_from(entry.message.len_bytes()).unwrap_or(u32::MAX);
            self.untrimmed_bytes = self.untrimmed_bytes.saturating_add(bytes);
        }
        self.loaded_bytes -= entry.message.len_bytes() as u64;
        if self.loaded.is_empty() && self.loaded.capacity() > 64 {
            self.loaded = VecDeque::new();
        }
        Some(entry)
    }

    /// Whether some messages may not be sent yet.
    pub(crate) fn has_held(&self) -> bool {
        !self.held.is_empty() || self.loaded.iter().any(|entry| entry.hold.is_some())
    }

    /// What `hold` waited for has happened: its message may be sent.
    pub(crate) fn release(&mut self, hold: HoldId, body: Option<u64>) {
        self.held.retain(|(_, held)| *held != hold);
        for entry in self.loaded.iter_mut().filter(|entry| entry.hold == Some(hold)) {
            entry.hold = None;
            entry.waiting.body = body.filter(|_| entry.seq.is_some());
        }
    }

    /// What `hold` waited for will not happen: its message goes.
    pub(crate) fn abandon(&mut self, hold: HoldId, message: &Message) {
        if let Some(at) = self.held.iter().position(|(_, held)| *held == hold) {
            self.held.remove(at);
            self.forget_size(message);
        }
        if let Some(at) = self.loaded.iter().position(|entry| entry.hold == Some(hold)) {
            self.loaded.remove(at);
            self.forget_size(message);
            self.loaded_bytes -= message.len_bytes() as u64;
        }
    }

    /// Which messages have to be read back now: from the first number up to but without the second.
    pub(crate) fn wants_recall(&mut self) -> Option<(u64, u64)> {
        let from = self.unloaded_from?;
        let to = self.held.front().map_or(self.next_seq, |(seq, _)| *seq);
        if self.recalling || !self.loaded.is_empty() || from >= to {
            return None;
        }
        self.recalling = true;
        Some((from, to))
    }

    /// Takes in what was read back. What is from before the restart expires as `recovered` says.
    pub(crate) fn recalled(&mut self, page: Page, recovered: impl Fn(Expiry) -> Expiry) {
        self.recalling = false;
        for (seq, waiting, mut message) in page.entries {
            if self.taken.contains(&seq) {
                continue;
            }
            if let Some(expires) = message.expires.filter(|_| seq < self.recovered_before) {
                Arc::make_mut(&mut message).expires = Some(recovered(expires));
            }
            self.loaded_bytes += message.len_bytes() as u64;
            let dup = seq < self.resent_before;
            self.loaded.push_back(Entry {
                seq: Some(seq),
                waiting,
                message,
                hold: None,
                replace: None,
                dup,
                share: None,
            });
        }
        let rest = page.next.unwrap_or(page.to);
        self.unloaded_from = (rest < self.next_seq).then_some(rest);
        // Should the client leave, everything from the first waiting message on is read again.
        let first = self.first_seq();
        self.taken.retain(|seq| *seq >= first);
        if self.unloaded_from.is_none() {
            // Sizes were estimates where messages could not be read: now all is in memory and exact.
            self.messages = self.loaded.len() as u64;
            self.bytes = self.loaded_bytes;
        }
    }

    /// The reading back failed: it may be tried again.
    pub(crate) const fn recall_failed(&mut self) {
        self.recalling = false;
    }

    /// Gives out a sequence number for a message that stands on disk from now on, and is under way at once.
    pub(crate) fn take_seq_under_way(&mut self) -> u64 {
        let seq = self.take_seq();
        // It is not to be read back with what waits before it.
        if !self.is_empty() {
            let first = self.first_seq();
            self.taken.retain(|taken| *taken >= first);
            self.taken.push(seq);
        }
        seq
    }

    /// Takes out the messages that belong to groups, in order.
    pub(crate) fn take_shares(&mut self) -> Vec<Share> {
        let mut shares = Vec::new();
        let (mut messages, mut bytes) = (0, 0);
        self.loaded.retain(|entry| {
            let Some(share) = entry.share.as_deref() else {
                return true;
            };
            shares.push(*share);
            messages += 1;
            bytes += entry.message.len_bytes() as u64;
            false
        });
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.loaded_bytes -= bytes;
        shares
    }

    /// The client is gone: what is on disk leaves memory, what is not is dropped.
    pub(crate) fn unload(&mut self) {
        for entry in std::mem::take(&mut self.loaded) {
            let Some(seq) = entry.seq else {
                self.forget_size(&entry.message);
                continue;
            };
            self.unloaded_from = Some(self.unloaded_from.map_or(seq, |from| from.min(seq)));
            if let Some(hold) = entry.hold {
                let at = self.held.partition_point(|(held, _)| *held < seq);
                self.held.insert(at, (seq, hold));
            }
        }
        self.loaded_bytes = 0;
    }

    fn forget_size(&mut self, message: &Message) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(message.len_bytes() as u64);
    }
}
