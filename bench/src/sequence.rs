//! Checks that each publisher's messages arrive once and in order.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use serde::Serialize;

/// Skipped numbers that one receiver remembers per publisher, to tell a late message from a repeated one.
/// Beyond that a late message counts as lost and repeated: wrong either way.
const SKIPPED_MAX: usize = 65_536;

/// What went wrong with messages, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    /// Never arrived.
    pub(crate) lost: u64,
    /// Arrived again although the QoS does not allow it.
    pub(crate) repeated: u64,
    /// Arrived again with DUP set at QoS 1, which is allowed.
    pub(crate) redelivered: u64,
    /// Arrived after a message that was sent later.
    pub(crate) reordered: u64,
    /// PUBACK, PUBREC or PUBCOMP that does not answer the oldest waiting packet [MQTT-4.6.0-2].
    pub(crate) answers_out_of_order: u64,
    /// Packets that the broker never answered: PUBLISH or PUBREL of publishers, PUBREC of receivers.
    pub(crate) unanswered: u64,
}

impl Faults {
    /// True when nothing happened that the QoS forbids.
    pub(crate) const fn none(&self) -> bool {
        self.lost + self.repeated + self.reordered + self.answers_out_of_order + self.unanswered == 0
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.redelivered += other.redelivered;
        self.reordered += other.reordered;
        self.answers_out_of_order += other.answers_out_of_order;
        self.unanswered += other.unanswered;
    }
}

/// How a message arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The one that was expected.
    Expected,
    /// A later one; this many before it are missing.
    Ahead { skipped: u64 },
    /// One that was missing.
    Late,
    /// One that had arrived before.
    Again,
}

/// The numbers of one publisher as one receiver sees them.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    next: u64,
    skipped: BTreeSet<u64>,
    skipped_total: u64,
}

impl Sequence {
    /// Takes the number of a message that arrived.
    #[inline]
    pub(crate) fn take(&mut self, number: u64) -> Arrival {
        if number == self.next {
            self.next += 1;
            return Arrival::Expected;
        }
        self.take_unexpected(number)
    }

    #[cold]
    fn take_unexpected(&mut self, number: u64) -> Arrival {
        if number > self.next {
            let skipped = number - self.next;
            let room = SKIPPED_MAX - self.skipped.len().min(SKIPPED_MAX);
            self.skipped.extend((self.next..number).take(room));
            self.skipped_total += skipped;
            self.next = number + 1;
            return Arrival::Ahead { skipped };
        }
        if self.skipped.remove(&number) {
            self.skipped_total -= 1;
            return Arrival::Late;
        }
        Arrival::Again
    }

    /// Messages of the first `sent` that did not arrive.
    pub(crate) const fn missing(&self, sent: u64) -> u64 {
        self.skipped_total + sent.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(numbers: &[u64]) -> (Vec<Arrival>, Sequence) {
        let mut sequence = Sequence::default();
        let arrivals = numbers.iter().map(|&number| sequence.take(number)).collect();
        (arrivals, sequence)
    }

    #[test]
    fn an_undisturbed_sequence_has_no_faults() {
        let (arrivals, sequence) = take(&[0, 1, 2, 3]);
        assert!(arrivals.iter().all(|arrival| *arrival == Arrival::Expected));
        assert_eq!(sequence.missing(4), 0);
    }

    #[test]
    fn a_lost_message_is_found() {
        let (arrivals, sequence) = take(&[0, 2, 3]);
        assert_eq!(
            arrivals,
            [
                Arrival::Expected,
                Arrival::Ahead { skipped: 1 },
                Arrival::Expected
            ]
        );
        assert_eq!(sequence.missing(4), 1);
    }

    #[test]
    fn a_message_lost_at_the_end_is_found() {
        let (_, sequence) = take(&[0, 1]);
        assert_eq!(sequence.missing(4), 2);
    }

    #[test]
    fn a_repeated_message_is_found() {
        let (arrivals, sequence) = take(&[0, 1, 1, 2, 0]);
        assert_eq!(
            arrivals,
            [
                Arrival::Expected,
                Arrival::Expected,
                Arrival::Again,
                Arrival::Expected,
                Arrival::Again
            ]
        );
        assert_eq!(sequence.missing(3), 0);
    }

    #[test]
    fn a_reordered_message_is_found_and_not_lost() {
        let (arrivals, sequence) = take(&[0, 2, 1, 3]);
        assert_eq!(
            arrivals,
            [
                Arrival::Expected,
                Arrival::Ahead { skipped: 1 },
                Arrival::Late,
                Arrival::Expected
            ]
        );
        assert_eq!(sequence.missing(4), 0);
    }

    #[test]
    fn a_late_message_that_comes_twice_is_repeated() {
        let (arrivals, _) = take(&[1, 0, 0]);
        assert_eq!(
            arrivals,
            [Arrival::Ahead { skipped: 1 }, Arrival::Late, Arrival::Again]
        );
    }

    #[test]
    fn a_gap_wider_than_the_memory_is_counted_whole() {
        let gap = 1_000_000;
        let (arrivals, sequence) = take(&[gap]);
        assert_eq!(arrivals, [Arrival::Ahead { skipped: gap }]);
        assert_eq!(sequence.missing(gap + 1), gap);
        assert_eq!(sequence.skipped.len(), SKIPPED_MAX);
    }

    #[test]
    fn each_fault_alone_spoils_the_count() {
        assert!(
            Faults {
                redelivered: 1,
                ..Faults::default()
            }
            .none()
        );
        for faults in [
            Faults {
                lost: 1,
                ..Faults::default()
            },
            Faults {
                repeated: 1,
                ..Faults::default()
            },
            Faults {
                reordered: 1,
                ..Faults::default()
            },
            Faults {
                answers_out_of_order: 1,
                ..Faults::default()
            },
            Faults {
                unanswered: 1,
                ..Faults::default()
            },
        ] {
            assert!(!faults.none(), "{faults:?}");
        }
    }
}
