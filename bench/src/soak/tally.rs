//! What has happened in all, and what should not have.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::compare::say;

use super::flow::Verdict;

/// Faults that are told one by one; beyond that they are counted only.
const TOLD_MAX: u64 = 50;

/// Everything that is counted as it happens. Losses are known to the flows.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
    /// Allowed repetitions.
    pub(crate) redelivered: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    /// Whatever else the broker should not have done.
    pub(crate) wrong: u64,
    pub(crate) connects: u64,
    pub(crate) takeovers: u64,
    pub(crate) drops: u64,
    pub(crate) stalls: u64,
    pub(crate) ended_sessions: u64,
    pub(crate) wills: u64,
    pub(crate) retained: u64,
    pub(crate) subscriptions: u64,
}

/// Counts, and tells faults as they happen.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    begun: Instant,
    told: u64,
}

impl Tally {
    pub(crate) fn new(begun: Instant) -> Self {
        Self {
            counts: Counts::default(),
            begun,
            told: 0,
        }
    }

    /// A message has arrived where one is expected.
    pub(crate) fn arrival(&mut self, verdict: Verdict, now: Instant, what: impl FnOnce() -> String) {
        match verdict {
            Verdict::InOrder => self.counts.arrived += 1,
            Verdict::Redelivered => self.counts.redelivered += 1,
            Verdict::Repeated => {
                self.counts.repeated += 1;
                self.tell(now, &format!("repeated: {}", what()));
            }
            Verdict::Reordered => {
                self.counts.reordered += 1;
                self.tell(now, &format!("reordered: {}", what()));
            }
            Verdict::Unsent => self.wrong(now, &format!("never sent: {}", what())),
        }
    }

    /// The broker did something else that it should not have.
    pub(crate) fn wrong(&mut self, now: Instant, what: &str) {
        self.counts.wrong += 1;
        self.tell(now, what);
    }

    pub(crate) fn tell(&mut self, now: Instant, what: &str) {
        self.told += 1;
        if self.told <= TOLD_MAX {
            let seconds = now.saturating_duration_since(self.begun);
            say(&format!("{:9.3} s  {what}", seconds.as_secs_f64()));
        }
        if self.told == TOLD_MAX {
            say("further faults are counted and not told");
        }
    }

    /// Whole minutes and the rest since the beginning.
    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }
}
