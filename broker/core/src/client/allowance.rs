//! What a client may publish in a second, where that is limited: what it sends beyond is read more slowly.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    Entrance, Moment,
    rate::{BURST, Rate},
};

/// What one client may publish above `QoS` 0 in a second while memory is short: enough for a device that reports, and a
/// thousand such clients bring 10,000 messages.
const OVERLOAD_MESSAGES: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// The bytes of it.
const OVERLOAD_BYTES: NonZeroU32 = NonZeroU32::new(256 * 1024).unwrap();

/// A client's messages and bytes against its limits.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// By the settings.
    always: Rates,
    /// While memory is short, for messages above `QoS` 0.
    overload: Rates,
}

#[derive(Debug, Default)]
struct Rates {
    messages: Option<Rate>,
    bytes: Option<Rate>,
}

impl Rates {
    fn take(&mut self, bytes: usize, now: Moment) -> Option<Duration> {
        let messages = self.messages.as_mut().map(|rate| rate.take(1, now));
        let bytes = self.bytes.as_mut().map(|rate| rate.take(bytes as u64, now));
        let ahead = messages.max(bytes)?;
        (ahead > BURST).then(|| ahead - BURST / 2)
    }

    const fn are_none(&self) -> bool {
        self.messages.is_none() && self.bytes.is_none()
    }
}

impl Allowance {
    /// `None` if nothing is limited.
    pub(crate) fn of(entrance: &Entrance, now: Moment) -> Option<Self> {
        let rate = |per_second: Option<NonZeroU32>| per_second.map(|per_second| Rate::new(per_second, now));
        let always = Rates {
            messages: rate(entrance.messages_per_second_max),
            bytes: rate(entrance.bytes_per_second_max),
        };
        let overload = Rates::default();
        (!always.are_none()).then_some(Self { always, overload })
    }

    /// Takes a message of so many bytes. If the client has run too far ahead, how long it has to wait: until half of that is
    /// caught up, so that it is not stopped again by its next message.
    pub(crate) fn take(&mut self, bytes: usize, now: Moment) -> Option<Duration> {
        self.always.take(bytes, now)
    }

    /// The same for what holds while memory is short.
    pub(crate) fn take_in_overload(&mut self, bytes: usize, now: Moment) -> Option<Duration> {
        let Rates {
            messages,
            bytes: volume,
        } = &mut self.overload;
        messages.get_or_insert_with(|| Rate::new(OVERLOAD_MESSAGES, now));
        volume.get_or_insert_with(|| Rate::new(OVERLOAD_BYTES, now));
        self.overload.take(bytes, now)
    }

    /// Memory is short no longer. Whether nothing is limited any more.
    pub(crate) fn end_overload(&mut self) -> bool {
        self.overload = Rates::default();
        self.always.are_none()
    }
}
