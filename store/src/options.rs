//! What the caller decides about a store: sizes, times and bounds, each with a default that suits a gateway.

use std::time::Duration;

/// The choices of one store. Sizes are bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of batches that may wait for the store thread; a batch beyond it is refused with
    /// [`CommitError::Overloaded`](crate::CommitError::Overloaded). More than 1 GiB counts as 1 GiB.
    pub backlog_bytes_max: usize,
    /// The most bytes written as one group. A larger single batch is a group of its own.
    pub group_bytes_max: usize,
    /// The longest a waiting batch may be held back so that others can join its group. Only used while several
    /// callers are at it; a single writer never waits.
    pub commit_latency_max: Duration,
    /// The longest a batch committed with [`Durability::Os`](crate::Durability::Os) stays unsynced.
    pub sync_interval: Duration,
    /// Memory for writes that are not yet in a table file, all keyspaces together.
    pub write_buffer_bytes: usize,
    /// Memory for blocks of table files that were read.
    pub block_cache_bytes: usize,
    /// Size of the write-ahead log at which the keyspaces that hold it back are written out.
    pub wal_bytes_max: u64,
    /// Table files kept open at the same time.
    pub open_files_max: i32,
    /// Disk space that is kept for what is small or makes room. [`Store::has_room`](crate::Store::has_room) says no while
    /// less is free; the store refuses nothing by itself before the disk is full.
    pub reserve_bytes: u64,
    /// Table files up to this size in total are read and verified before the store opens; larger stores are
    /// verified by a thread after opening, with the same reporting.
    pub verify_at_open_bytes_max: u64,
    /// Calls `done` before the sync, which breaks every promise. Exists so that a test which looks for early
    /// acknowledgements can prove that it would find one.
    #[doc(hidden)]
    pub acknowledge_before_sync: bool,
}

impl Options {
    /// The bound that holds: below what the engine can take as one record.
    pub(crate) fn backlog_bound(&self) -> usize {
        self.backlog_bytes_max.min(1 << 30)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backlog_bytes_max: 64 << 20,
            group_bytes_max: 2 << 20,
            commit_latency_max: Duration::from_millis(1),
            sync_interval: Duration::from_secs(1),
            write_buffer_bytes: 16 << 20,
            block_cache_bytes: 16 << 20,
            wal_bytes_max: 32 << 20,
            open_files_max: 256,
            reserve_bytes: 128 << 20,
            verify_at_open_bytes_max: 128 << 20,
            acknowledge_before_sync: false,
        }
    }
}
