//! What the broker wants kept: a door to some store, and an in-memory store for tests.

use std::fmt;

use broker_core::{Batch, Shelf, Shelves, Visit};
use mqtt_wire::ReasonCode;

mod memory;

pub use memory::MemoryJournal;

/// Told once what became of a batch. Called on a thread of the store; it never blocks.
pub type Done = Box<dyn FnOnce(Result<(), CommitRefused>) + Send>;

/// Why a batch was not kept. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitRefused {
    /// There is no room. Later batches may fit.
    #[error("there is no room left in the store")]
    Full,
    /// The store failed.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl CommitRefused {
    /// What to tell those whose packets depended on it.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::Full => ReasonCode::QuotaExceeded,
            Self::Failed(_) => ReasonCode::UnspecifiedError,
        }
    }
}

/// Keeps batches and reads them back.
pub trait Journal: fmt::Debug + Send + Sync {
    /// Keeps a batch: all of it or nothing. Returns at once; `done` is told when the batch is as safe as the
    /// journal's durability promises. Batches of one caller are kept and answered in the order of the calls.
    fn commit(&self, batch: Batch, done: Done);

    /// Whether there is room for what makes the store grow. Where there is not, commits that are small or make room still
    /// succeed. Asked in every round of every shard, so it only looks at what others have found out.
    fn has_room(&self) -> bool;

    /// The value of a key, as of the last batch answered.
    ///
    /// # Errors
    /// When the store cannot read it; words for the log.
    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Vec<u8>>, String>;

    /// Visits keys in ascending order from `from` up to but without `to` (to the end, if `None`), until told to stop.
    ///
    /// # Errors
    /// When the store cannot read them; words for the log.
    fn scan(&self, shelf: Shelf, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>)
    -> Result<(), String>;
}

/// A journal as the rules read it.
pub(crate) struct Kept<'a>(pub(crate) &'a dyn Journal);

impl Shelves for Kept<'_> {
    type Error = String;

    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.0.get(shelf, key)
    }

    fn scan(
        &self,
        shelf: Shelf,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        self.0.scan(shelf, from, to, visit)
    }
}
