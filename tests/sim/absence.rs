//! When a client left, as far as that can be told, and what was over since.

use std::time::Duration;

/// A client has been away since some moment between these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absence {
    /// `None` if it may seem to be any time ago.
    earliest: Option<Duration>,
    latest: Duration,
}

impl Absence {
    pub(crate) const fn since(now: Duration) -> Self {
        Self::between(now, now)
    }

    pub(crate) const fn between(earliest: Duration, latest: Duration) -> Self {
        Self {
            earliest: Some(earliest),
            latest,
        }
    }

    /// The process was killed: it may not have kept yet that the client had left, and then the client leaves now. If the
    /// clock has jumped, what was kept may seem to be long ago.
    pub(crate) fn outlasts_a_crash(&mut self, now: Duration, jumped: bool) {
        self.latest = now;
        if jumped {
            self.earliest = None;
        }
    }

    /// Whether it has lasted this long; `None` if that cannot be told.
    pub(crate) fn has_lasted(&self, time: Duration, now: Duration) -> Option<bool> {
        if now >= self.latest.saturating_add(time) {
            return Some(true);
        }
        let surely_not = time == Duration::MAX || self.earliest.is_some_and(|since| now < since + time);
        surely_not.then_some(false)
    }

    /// When it may have lasted this long at the earliest.
    pub(crate) fn end(&self, time: Duration) -> Duration {
        self.earliest
            .map_or(Duration::ZERO, |since| since.saturating_add(time))
    }
}
