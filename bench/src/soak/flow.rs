//! The checker: the messages of one publisher towards one subscriber, and what their QoS allows to happen to them.

use std::collections::{BTreeMap, BTreeSet};

use mqtt_wire::QoS;

/// Arrived numbers that are remembered, to tell on which connection a message came first.
const REMEMBERED_MAX: usize = 4096;

/// Skipped numbers that are remembered, to tell a late message from a repeated one.
/// A lost one that is forgotten stays counted as lost.
const SKIPPED_MAX: usize = 65_536;

/// What an arrival means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// For the first time, after all that were sent before it and arrived.
    InOrder,
    /// Once more, as the QoS allows.
    Redelivered,
    /// Once more although the QoS does not allow it.
    Repeated,
    /// For the first time, after one that was sent later.
    Reordered,
    /// It was never sent.
    Unsent,
}

/// Numbers sent, arrived, owed and excused.
#[derive(Debug)]
pub(crate) struct Flow {
    /// The lower of what publisher and subscriber ask for.
    qos: QoS,
    /// The number of the next message to be sent.
    next: u64,
    /// One above the highest number that arrived.
    expected: u64,
    /// Of those from `expected` on, which may be missing.
    excused: BTreeSet<u64>,
    /// Below `expected` and not arrived; true where owed.
    skipped: BTreeMap<u64, bool>,
    /// Owed ones that `skipped` has no room for any more.
    lost_for_good: u64,
    forgiven: u64,
    /// On which connection of the subscriber each message came first.
    arrived: BTreeMap<u64, u32>,
    /// How often the publisher has sent a message again with QoS 1.
    resent: BTreeMap<u64, u32>,
}

impl Flow {
    pub(crate) const fn new(qos: QoS) -> Self {
        Self {
            qos,
            next: 0,
            expected: 0,
            excused: BTreeSet::new(),
            skipped: BTreeMap::new(),
            lost_for_good: 0,
            forgiven: 0,
            arrived: BTreeMap::new(),
            resent: BTreeMap::new(),
        }
    }

    pub(crate) const fn qos(&self) -> QoS {
        self.qos
    }

    /// The number that the next message will have.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether this message or a later one has arrived.
    pub(crate) const fn has_seen(&self, number: u64) -> bool {
        number < self.expected
    }

    /// A message leaves the publisher; answers its number. `owed` says whether the subscriber has to get it.
    pub(crate) fn send(&mut self, owed: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        if !owed {
            self.excused.insert(number);
        }
        number
    }

    /// The publisher sends a message again under a QoS that lets the broker take it for another one.
    pub(crate) fn resend(&mut self, number: u64) {
        *self.resent.entry(number).or_default() += 1;
        while self.resent.len() > REMEMBERED_MAX {
            self.resent.pop_first();
        }
    }

    /// Nobody can know whether this message reached the broker or a subscription.
    pub(crate) fn excuse(&mut self, number: u64) {
        if number >= self.expected && number < self.next {
            self.excused.insert(number);
        } else if let Some(owed) = self.skipped.get_mut(&number) {
            self.forgiven += u64::from(*owed);
            *owed = false;
        }
    }

    /// Whatever is on its way may be missing.
    pub(crate) fn excuse_all(&mut self) {
        self.excused.extend(self.expected..self.next);
    }

    /// A message arrives; `connection` counts the subscriber's connections.
    pub(crate) fn arrive(&mut self, number: u64, dup: bool, connection: u32) -> Verdict {
        if number >= self.next {
            return Verdict::Unsent;
        }
        if number >= self.expected {
            self.skip_until(number);
            self.expected = number + 1;
            self.excused.remove(&number);
            self.remember(number, connection);
            return Verdict::InOrder;
        }
        if let Some(owed) = self.skipped.remove(&number) {
            self.forgiven -= u64::from(!owed);
            self.remember(number, connection);
            return Verdict::Reordered;
        }
        if self.may_repeat(number, dup, connection) {
            Verdict::Redelivered
        } else {
            Verdict::Repeated
        }
    }

    /// What is below `end` and has not arrived is overtaken.
    fn skip_until(&mut self, end: u64) {
        for missing in self.expected..end {
            let owed = !self.excused.contains(&missing);
            self.forgiven += u64::from(!owed);
            self.skipped.insert(missing, owed);
        }
        while self.skipped.len() > SKIPPED_MAX {
            let forgotten = self.skipped.pop_first();
            self.lost_for_good += u64::from(forgotten.is_some_and(|(_, owed)| owed));
        }
        self.expected = end;
        self.excused = self.excused.split_off(&end);
    }

    fn remember(&mut self, number: u64, connection: u32) {
        self.arrived.insert(number, connection);
        while self.arrived.len() > REMEMBERED_MAX {
            self.arrived.pop_first();
        }
    }

    /// QoS 1 may repeat with DUP on a later connection; and what the publisher has repeated may come once more.
    fn may_repeat(&mut self, number: u64, dup: bool, connection: u32) -> bool {
        let Some(first) = self.arrived.get(&number) else {
            return false;
        };
        if self.qos == QoS::AtLeastOnce && dup && *first != connection {
            return true;
        }
        let Some(times) = self.resent.get_mut(&number) else {
            return false;
        };
        *times -= 1;
        if *times == 0 {
            self.resent.remove(&number);
        }
        true
    }

    /// Owed messages that a later one has overtaken.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_for_good + self.skipped.values().filter(|owed| **owed).count() as u64
    }

    /// Which they are, as far as they are remembered.
    pub(crate) fn lost_numbers(&self) -> impl Iterator<Item = u64> {
        self.skipped
            .iter()
            .filter(|(_, owed)| **owed)
            .map(|(number, _)| *number)
    }

    /// Owed messages of which nothing is known yet.
    pub(crate) fn awaited(&self) -> u64 {
        self.next - self.expected - self.excused.len() as u64
    }

    /// Messages that did not arrive and did not have to.
    pub(crate) const fn forgiven(&self) -> u64 {
        self.forgiven
    }

    /// Nothing more comes: what is awaited is lost.
    pub(crate) fn settle(&mut self) {
        self.skip_until(self.next);
    }
}

#[cfg(test)]
mod tests;
