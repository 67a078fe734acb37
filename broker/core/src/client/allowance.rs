//! What a client may publish in a second, where that is limited: what it sends beyond is read more slowly.

use std::{num::NonZeroU32, time::Duration};

use crate::{Entrance, Moment};

const SECOND_NANOS: u64 = 1_000_000_000;
/// How far a client may run ahead, and so how much it may send at once after a silence.
const BURST: Duration = Duration::from_secs(1);

/// A client's messages and bytes against its limits.
#[derive(Debug)]
pub(crate) struct Allowance {
    messages: Option<Limit>,
    bytes: Option<Limit>,
}

/// One limit: each use moves the moment up to which it is used up by its share of a second.
#[derive(Debug)]
struct Limit {
    per_second: NonZeroU32,
    used_until_nanos: u64,
}

impl Limit {
    fn of(per_second: Option<NonZeroU32>, now: Moment) -> Option<Self> {
        per_second.map(|per_second| Self {
            per_second,
            used_until_nanos: nanos(now),
        })
    }

    /// How far ahead the client is then.
    fn take(&mut self, count: u64, now: Moment) -> Duration {
        let now = nanos(now);
        let share = count.saturating_mul(SECOND_NANOS) / u64::from(self.per_second.get());
        self.used_until_nanos = self.used_until_nanos.max(now).saturating_add(share);
        Duration::from_nanos(self.used_until_nanos - now)
    }
}

impl Allowance {
    /// `None` if nothing is limited.
    pub(crate) fn of(entrance: &Entrance, now: Moment) -> Option<Self> {
        let messages = Limit::of(entrance.messages_per_second_max, now);
        let bytes = Limit::of(entrance.bytes_per_second_max, now);
        (messages.is_some() || bytes.is_some()).then_some(Self { messages, bytes })
    }

    /// Takes a message of so many bytes. If the client has run too far ahead, how long it has to wait: until half of that is
    /// caught up, so that it is not stopped again by its next message.
    pub(crate) fn take(&mut self, bytes: usize, now: Moment) -> Option<Duration> {
        let messages = self.messages.as_mut().map(|limit| limit.take(1, now));
        let bytes = self.bytes.as_mut().map(|limit| limit.take(bytes as u64, now));
        let ahead = messages.max(bytes)?;
        (ahead > BURST).then(|| ahead - BURST / 2)
    }
}

const fn nanos(moment: Moment) -> u64 {
    moment.as_millis().saturating_mul(1_000_000)
}
