//! The schedule of a fixed rate: which message is due, and how often the generator did not keep up.

use std::time::{Duration, Instant};

/// A message sent this long after its time is late.
const LATE: Duration = Duration::from_millis(1);

/// So many messages per second, evenly.
#[derive(Debug)]
pub(crate) struct Beat {
    begun: Instant,
    per_second: u32,
    next: u64,
    late: u64,
    left_out: u64,
    last_was_late: bool,
}

impl Beat {
    pub(crate) const fn new(begun: Instant, per_second: u32) -> Self {
        Self {
            begun,
            per_second,
            next: 0,
            late: 0,
            left_out: 0,
            last_was_late: false,
        }
    }

    /// Begins anew and forgets what was late.
    pub(crate) const fn restart(&mut self, begun: Instant) {
        *self = Self::new(begun, self.per_second);
    }

    /// The number of the next message, if its time has come.
    pub(crate) fn next_before(&mut self, now: Instant) -> Option<u64> {
        let due = u128::from(self.next) * 1_000_000_000 / u128::from(self.per_second.max(1));
        let behind = now
            .duration_since(self.begun)
            .checked_sub(Duration::from_nanos(due as u64))?;
        self.last_was_late = behind > LATE;
        self.late += u64::from(self.last_was_late);
        self.next += 1;
        Some(self.next - 1)
    }

    /// The last message could not be sent: too many are on their way.
    pub(crate) const fn note_left_out(&mut self) {
        self.left_out += 1;
        if !self.last_was_late {
            self.late += 1;
        }
    }

    /// Share of the messages that were left out.
    pub(crate) fn left_out_share(&self) -> f64 {
        self.left_out as f64 / self.next.max(1) as f64
    }

    /// Share of the messages that were late or left out.
    pub(crate) fn late_share(&self) -> f64 {
        self.late as f64 / self.next.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_one_by_one() {
        let begun = Instant::now();
        let mut beat = Beat::new(begun, 10_000);
        assert_eq!(beat.next_before(begun), Some(0));
        assert_eq!(beat.next_before(begun + Duration::from_micros(99)), None);
        assert_eq!(beat.next_before(begun + Duration::from_micros(100)), Some(1));
        assert_eq!(beat.next_before(begun + Duration::from_micros(100)), None);
        assert_eq!(beat.late_share(), 0.0);
        beat.note_left_out();
        assert_eq!(beat.late_share(), 0.5);
        assert_eq!(beat.left_out_share(), 0.5);
    }

    #[test]
    fn a_generator_that_slept_catches_up_and_is_called_late() {
        let begun = Instant::now();
        let mut beat = Beat::new(begun, 1_000);
        let woken = begun + Duration::from_millis(3);
        let caught_up: Vec<u64> = std::iter::from_fn(|| beat.next_before(woken)).collect();
        assert_eq!(caught_up, [0, 1, 2, 3]);
        assert_eq!(beat.late_share(), 0.5, "two of four were over a millisecond late");
        assert_eq!(beat.left_out_share(), 0.0);
    }
}
