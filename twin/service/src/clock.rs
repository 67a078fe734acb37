//! The clock of the service: the only place where twins meet the time of the machine.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use plugin_api::Pending;
use twin_model::Timestamp;

/// Gives wall time for people and steady time for deadlines, and waits. Stories bring their own.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The wall time, shown to users. It may jump.
    fn wall(&self) -> Timestamp;

    /// Time since the service started. It never goes back.
    fn elapsed(&self) -> Duration;

    /// Completes when [`Clock::elapsed`] has reached this much.
    fn reach(&self, elapsed: Duration) -> Pending<'_, ()>;
}

/// The machine's clock. It must be used within a tokio runtime.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        timestamp(SystemTime::now())
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn reach(&self, elapsed: Duration) -> Pending<'_, ()> {
        Box::pin(tokio::time::sleep_until((self.started + elapsed).into()))
    }
}

/// A wall time as twins know it; times before 1970 become 1970.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let millis = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
