//! Rate: so many a second, after a burst of as many.

use std::{num::NonZeroU32, time::Duration};

use crate::Moment;

const SECOND_NANOS: u64 = 1_000_000_000;
/// How far ahead a rate may be used up, and so how much there may be at once after a silence.
pub(crate) const BURST: Duration = Duration::from_secs(1);

/// A rate in use: each use moves the moment up to which it is used up by its share of a second.
#[derive(Debug)]
pub struct Rate {
    per_second: NonZeroU32,
    used_until_nanos: u64,
}

impl Rate {
    /// One of which nothing is used.
    #[must_use]
    pub const fn new(per_second: NonZeroU32, now: Moment) -> Self {
        Self {
            per_second,
            used_until_nanos: nanos(now),
        }
    }

    /// Uses it so many times. How far ahead it is used up then.
    pub fn take(&mut self, count: u64, now: Moment) -> Duration {
        let now = nanos(now);
        self.used_until_nanos = self.used_until_nanos.max(now).saturating_add(self.share(count));
        Duration::from_nanos(self.used_until_nanos - now)
    }

    /// How long one more has to wait to be within the burst, if it has to.
    #[must_use]
    pub fn wait(&self, now: Moment) -> Option<Duration> {
        let used = self.used_until_nanos.saturating_sub(nanos(now));
        let ahead = Duration::from_nanos(used.saturating_add(self.share(1)));
        ahead.checked_sub(BURST).filter(|wait| !wait.is_zero())
    }

    fn share(&self, count: u64) -> u64 {
        count.saturating_mul(SECOND_NANOS) / u64::from(self.per_second.get())
    }
}

const fn nanos(moment: Moment) -> u64 {
    moment.as_millis().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `count` uses comes, in milliseconds, of those who come all at once and wait as they are told.
    fn uses(rate: &mut Rate, start_millis: u64, count: usize) -> Vec<u64> {
        let mut now = Moment::from_millis(start_millis);
        (0..count)
            .map(|_| {
                let wait = rate.wait(now).unwrap_or_default();
                // Whole milliseconds, rounded up as a timer does.
                now = now + Duration::from_millis(wait.as_nanos().div_ceil(1_000_000) as u64);
                assert_eq!(rate.wait(now), None);
                rate.take(1, now);
                now.as_millis()
            })
            .collect()
    }

    #[test]
    fn after_a_burst_each_waits_for_its_share_of_a_second() {
        let of = |per_second| Rate::new(NonZeroU32::new(per_second).expect("a number"), Moment::START);
        assert_eq!(uses(&mut of(1), 0, 4), [0, 1000, 2000, 3000]);
        let mut rate = of(4);
        assert_eq!(uses(&mut rate, 0, 6), [0, 0, 0, 0, 250, 500]);
        // It recovers, and to no more than a burst.
        assert_eq!(
            uses(&mut rate, 60_000, 5),
            [60_000, 60_000, 60_000, 60_000, 60_250]
        );
    }

    #[test]
    fn no_number_is_too_large_for_it() {
        let mut rate = Rate::new(NonZeroU32::MIN, Moment::START);
        rate.take(u64::MAX, Moment::START);
        rate.take(u64::MAX, Moment::START);
        assert!(rate.wait(Moment::START).is_some());
        let mut rate = Rate::new(NonZeroU32::MAX, Moment::START);
        rate.take(1, Moment::from_millis(u64::MAX));
        assert_eq!(rate.wait(Moment::from_millis(u64::MAX)), None);
    }
}
