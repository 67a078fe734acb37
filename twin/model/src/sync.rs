//! Sync: how far a device is from what it should be, in the words used everywhere.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Delta, Timestamp};

/// Whether the device and the wish agree, and if not, what is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// Nothing differs.
    #[default]
    InSync,
    /// A delta is out and the device is online.
    Pending,
    /// A delta waits for the device to come back.
    Offline,
    /// The device refused everything that still differs.
    Rejected,
    /// The device is online, but the retries are used up.
    Stalled,
}

impl SyncStatus {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Pending => "pending",
            Self::Offline => "offline",
            Self::Rejected => "rejected",
            Self::Stalled => "stalled",
        }
    }

    /// The status of a twin: whether device and wish agree, and the part of its delta that the device has not refused.
    #[must_use]
    pub(crate) fn of(agrees: bool, open: &Delta, reach: Reach) -> Self {
        match (agrees, open.is_empty(), reach) {
            (true, _, _) => Self::InSync,
            (false, true, _) => Self::Rejected,
            (false, false, Reach::Offline) => Self::Offline,
            (false, false, Reach::Online) => Self::Pending,
            (false, false, Reach::Exhausted) => Self::Stalled,
        }
    }
}

impl fmt::Display for SyncStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the device can be told something now. The caller knows; a twin does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It is not connected.
    Offline,
    /// It is connected.
    Online,
    /// It is connected, and the reconciler has given up until something changes (`Output::Stalled`).
    Exhausted,
}

/// The status and since when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// What holds.
    pub status: SyncStatus,
    /// When it began to hold.
    pub since: Timestamp,
}

impl SyncState {
    /// The state after finding this status: `since` moves only when the status does.
    #[must_use]
    pub(crate) fn becoming(self, status: SyncStatus, now: Timestamp) -> Self {
        if status == self.status {
            self
        } else {
            Self { status, since: now }
        }
    }
}
