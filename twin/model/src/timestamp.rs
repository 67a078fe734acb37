//! Timestamp: wall time handed in by the caller, shown to users.

use serde::{Deserialize, Serialize};

/// Wall time in milliseconds since 1970-01-01 UTC. It is for people to read; a `Stamp` is what orders writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A wall time from its milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970-01-01 UTC, as shadow documents show them.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }
}
