//! What an engine has to offer: reading, and writing a group of batches. Memory and RocksDB are the two.

use std::ops::{Bound, ControlFlow};

use crate::batch::Batch;
use crate::error::{CommitError, ReadError};
use crate::keyspace::KeyspaceId;
use crate::quarantine::SetAside;

/// A range of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRange<'a> {
    pub(crate) from: Bound<&'a [u8]>,
    pub(crate) to: Bound<&'a [u8]>,
}

impl KeyRange<'_> {
    /// True if no key can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        match (self.from, self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
            | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        }
    }
}

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// Called with each key and value of a range until it breaks.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Memory that an engine holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineMemory {
    /// What was written lately and is not yet in a table.
    pub write_buffers: u64,
    /// Blocks of tables, their indexes and filters among them.
    pub block_cache: u64,
    /// What open tables need besides.
    pub tables: u64,
}

/// Something that can be read: an engine as it is now, or as it was.
pub(crate) trait View {
    fn read(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    fn walk(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange<'_>,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), ReadError>;
}

/// An engine. Writes come from one thread at a time, reads from any.
pub(crate) trait Engine: View + Send + Sync {
    /// Writes these batches in order, all or nothing; with `sync` they are on the disk when this returns.
    fn write(&self, group: &[&Batch], sync: bool) -> Result<(), CommitError>;

    /// Brings everything written so far to the disk.
    fn sync(&self) -> Result<(), CommitError>;

    /// The content as it is now, unmoved by later writes.
    fn freeze(&self) -> Box<dyn View + '_>;

    /// Bytes that may still be written to the disk; `None` if that is not known, or if there is no disk.
    fn free_bytes(&self) -> Option<u64>;

    /// What of the process's memory is the engine's; `None` if it does not know.
    fn memory(&self) -> Option<EngineMemory>;

    /// Begins to give back what was deleted and still takes room, and returns at once. False if it is too early for
    /// that.
    fn sweep(&self) -> bool;

    /// What was found damaged so far.
    fn set_aside(&self) -> Vec<SetAside>;
}
