//! Command: what someone wants done to a twin.

use crate::metadata::Writer;
use crate::section::SectionChange;
use crate::sync::Reach;
use crate::{Condition, Document, Patch, Timestamp};

/// What to do, in the imperative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Merge into desired.
    SetDesired(Patch),
    /// Put this document in the place of desired.
    ReplaceDesired(Document),
    /// Merge into reported, and take note of what the device refuses (`$rejected`).
    Report(Patch),
    /// Change desired and reported at once, with one version.
    Update(Update),
    /// Merge into the tags.
    SetTags(Patch),
    /// Remove the twin; its version stays behind and grows on.
    Remove,
}

/// A change to both sections a device knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// The change to desired.
    pub desired: SectionChange,
    /// The change to reported.
    pub reported: SectionChange,
}

/// What a write does when it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoChange {
    /// The version grows and the named leaves are stamped again, as shadow clients expect.
    #[default]
    BumpVersion,
    /// Version, times and entity tag stay as they are.
    KeepVersion,
}

/// A command and the circumstances under which it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The wall time of its acceptance.
    pub now: Timestamp,
    /// Who wants it.
    pub writer: Writer,
    /// Whether the twin's device is connected, for the sync status.
    pub reach: Reach,
    /// What must hold.
    pub condition: Condition,
    /// What happens when it changes nothing.
    pub no_change: NoChange,
    /// What to do.
    pub command: Command,
}
