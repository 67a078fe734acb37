//! What a client may publish in a second, where that is limited: what it sends beyond is read more slowly.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    Entrance, Moment,
    rate::{BURST, Rate},
};

/// A client's messages and bytes against its limits.
#[derive(Debug)]
pub(crate) struct Allowance {
    messages: Option<Rate>,
    bytes: Option<Rate>,
}

impl Allowance {
    /// `None` if nothing is limited.
    pub(crate) fn of(entrance: &Entrance, now: Moment) -> Option<Self> {
        let rate = |per_second: Option<NonZeroU32>| per_second.map(|per_second| Rate::new(per_second, now));
        let messages = rate(entrance.messages_per_second_max);
        let bytes = rate(entrance.bytes_per_second_max);
        (messages.is_some() || bytes.is_some()).then_some(Self { messages, bytes })
    }

    /// Takes a message of so many bytes. If the client has run too far ahead, how long it has to wait: until half of that is
    /// caught up, so that it is not stopped again by its next message.
    pub(crate) fn take(&mut self, bytes: usize, now: Moment) -> Option<Duration> {
        let messages = self.messages.as_mut().map(|rate| rate.take(1, now));
        let bytes = self.bytes.as_mut().map(|rate| rate.take(bytes as u64, now));
        let ahead = messages.max(bytes)?;
        (ahead > BURST).then(|| ahead - BURST / 2)
    }
}
