//! Retry: how long to wait before a device is told again, and how often.

use std::time::Duration;

/// The bounds of retrying; each is a setting of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait after the first send.
    pub first: Duration,
    /// By what each further wait is longer than the one before.
    pub factor: u32,
    /// The longest wait, before jitter.
    pub cap: Duration,
    /// How many sends there are, the first included, before the twin is stalled.
    pub attempts_max: u32,
    /// A device that begins to listen again so soon after it was told is not told twice: resuming a session and
    /// subscribing again are one arrival.
    pub resubscribe_grace: Duration,
    /// How many sends of all twins together may leave within `burst_every`.
    pub burst_max: u32,
    /// The window of `burst_max`.
    pub burst_every: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            factor: 2,
            cap: Duration::from_secs(600),
            attempts_max: 10,
            resubscribe_grace: Duration::from_secs(1),
            burst_max: 100,
            burst_every: Duration::from_millis(100),
        }
    }
}

impl RetryPolicy {
    /// The wait after the `count`th send: never shorter than the backoff, at most a fifth longer.
    pub(super) fn delay_after(&self, count: u32, jitter: &mut Jitter) -> Duration {
        let growth = self.factor.saturating_pow(count.saturating_sub(1));
        let delay = self.first.saturating_mul(growth).min(self.cap);
        let fifth = u64::try_from(delay.as_millis() / 5).unwrap_or(u64::MAX);
        delay + Duration::from_millis(jitter.up_to(fifth))
    }
}

/// A small random source (splitmix64), so that retries of many devices do not fall together.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `max`, `max` included.
    fn up_to(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        max.checked_add(1).map_or(mixed, |span| mixed % span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_stay_within_a_fifth() {
        let policy = RetryPolicy::default();
        let mut jitter = Jitter::seeded(7);
        for (count, expected) in [
            (1, 10),
            (2, 20),
            (3, 40),
            (6, 320),
            (7, 600),
            (10, 600),
            (u32::MAX, 600),
        ] {
            let delay = policy.delay_after(count, &mut jitter);
            let expected = Duration::from_secs(expected);
            assert!(
                delay >= expected && delay <= expected + expected / 5,
                "{count}: {delay:?}"
            );
        }
    }

    #[test]
    fn jitter_uses_its_whole_range_and_nothing_else() {
        let mut jitter = Jitter::seeded(3);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| jitter.up_to(4)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(jitter.up_to(0), 0);
    }
}
