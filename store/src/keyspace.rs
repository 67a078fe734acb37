//! Keyspaces: named, ordered maps of bytes, and the small handle that stands for one.

/// The most keyspaces one store may have; a keyspace's number has to fit into one byte of a record.
pub(crate) const KEYSPACES_MAX: usize = 100;

/// A named, ordered map of bytes. The name is what is stored on disk and must never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// The name on disk.
    pub name: &'static str,
    /// How the keyspace is used, which decides how it is laid out.
    pub tuning: Tuning,
}

/// How a keyspace is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// Mostly read by exact key, often for keys that do not exist.
    Point,
    /// Mostly read in order.
    Scan,
    /// Written at one end and deleted at the other. A range is removed as such, however little is in it: whoever knows of few
    /// keys removes those.
    Queue,
}

/// A keyspace in calls: its index in the list given when the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyspaceId(u8);

impl KeyspaceId {
    /// The keyspace at this index of the list given when the store was opened. A handle that no keyspace of the
    /// store answers to is refused by reads and commits.
    #[must_use]
    pub const fn at(index: u8) -> Self {
        Self(index)
    }

    /// The index in the list given when the store was opened.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn byte(self) -> u8 {
        self.0
    }
}
