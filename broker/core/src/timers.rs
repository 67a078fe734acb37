//! The closed list of deadlines, and the table that answers "when next?".

use std::collections::BTreeSet;

use crate::{ConnectionId, Moment, session::SessionId};

/// Something that is due at a moment. What it was set for may be gone by then: whoever handles it checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Look whether a client was silent for too long.
    KeepAlive { connection: ConnectionId, serial: u64 },
    /// A client may be read again that had published too much.
    Allowance { connection: ConnectionId, serial: u64 },
    /// The same where memory was short.
    Overload { connection: ConnectionId, serial: u64 },
    /// A session ends, unless its client has come back.
    SessionExpiry { session: SessionId },
    /// A will is published, unless its client has come back.
    Will { session: SessionId },
    /// A link has had its time to answer.
    LinkDeadline { number: u64 },
    /// What the store refused is done again.
    Retry,
}

/// All deadlines of a shard.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Moment, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Moment, timer: Timer) {
        self.due.insert((at, timer));
    }

    /// Takes back what was set for this moment.
    pub(crate) fn unset(&mut self, at: Moment, timer: Timer) {
        self.due.remove(&(at, timer));
    }

    #[cfg(feature = "testing")]
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes out one that is due.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, timer)| timer)
    }
}
