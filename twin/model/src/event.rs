//! Event: what a command did to a twin.

use crate::sync::SyncStatus;
use crate::{Delta, Path, Version};

/// What happened, in the past tense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The twin came into being, or came back after it was removed.
    Created,
    /// Desired has other content.
    DesiredChanged {
        /// Where; the root stands for a section that came or went empty.
        changed: Vec<Path>,
    },
    /// The device (or someone for it) reported; the content may be as it was.
    Reported {
        /// Where reported has other content.
        changed: Vec<Path>,
    },
    /// The tags have other content.
    TagsChanged {
        /// Where.
        changed: Vec<Path>,
    },
    /// The device refused a leaf.
    Rejected {
        /// Which one.
        path: Path,
        /// Its reason.
        reason: String,
    },
    /// Device and wish agree again.
    Converged,
    /// Something the device has not refused still differs, and it should be told.
    DeltaPending {
        /// What to tell it.
        delta: Delta,
    },
    /// The twin is gone.
    Removed {
        /// The last version it had; the tombstone is one ahead.
        last: Version,
    },
    /// The sync status is another one.
    SyncChanged {
        /// The status before.
        from: SyncStatus,
        /// The status now.
        to: SyncStatus,
    },
}
