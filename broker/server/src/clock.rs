//! The only clock of the broker: moments for the rules, wall time for what outlives the process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker_core::{Moment, WallTime};

/// Counts from the start of the process. The same for all shards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Moment {
        Moment::START + self.start.elapsed()
    }

    pub(crate) fn uptime(self) -> Duration {
        self.start.elapsed()
    }

    /// When a moment is, for a timer.
    pub(crate) fn instant(self, moment: Moment) -> tokio::time::Instant {
        // Moments are whole milliseconds rounded down: one more, so that a timer never fires before its moment.
        let after = Duration::from_millis(moment.as_millis().saturating_add(1));
        let far = Duration::from_secs(30 * 24 * 3600);
        tokio::time::Instant::from_std(self.start + after.min(self.start.elapsed() + far))
    }

    pub(crate) fn wall() -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
