//! The store: a handle to read from, commit to, and share between threads.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use crate::batch::Batch;
use crate::committer::{Committer, Durability};
use crate::engine::{Direction, Engine, EngineMemory, KeyRange, View, Visit};
use crate::error::{CommitError, OpenError, ReadError};
use crate::keyspace::{Keyspace, KeyspaceId};
use crate::memory::Memory;
use crate::options::Options;
use crate::quarantine::SetAside;
use crate::rocks::Rocks;
use crate::room::{Condition, Refusals};

/// A handle to an open store; clones share it. The last one to go closes it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<dyn Engine>,
    committer: Committer,
    names: Vec<&'static str>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.committer.close();
    }
}

/// A store that was opened, and what could not be read of it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What is in quarantine: set aside now, or earlier and still there. Empty when all is well.
    pub set_aside: Vec<SetAside>,
}

impl Store {
    /// Opens the store in this folder, which is made if it does not exist. Damage does not keep it from opening: what
    /// cannot be read is set aside and named.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, options: &Options, keyspaces: &[Keyspace]) -> Result<Opened, OpenError> {
        let engine: Arc<dyn Engine> = Arc::new(Rocks::open(path, options, keyspaces)?);
        let set_aside = engine.set_aside();
        let store = Self::over(engine, options, keyspaces).map_err(OpenError::io(path))?;
        Ok(Opened { store, set_aside })
    }

    /// A store that forgets everything when it is closed.
    ///
    /// # Panics
    /// If the system has no thread to give.
    #[must_use]
    pub fn memory(keyspaces: &[Keyspace]) -> Self {
        let engine = Arc::new(Memory::new(keyspaces));
        Self::over(engine, &Options::default(), keyspaces).expect("a thread for the store")
    }

    fn over(engine: Arc<dyn Engine>, options: &Options, keyspaces: &[Keyspace]) -> io::Result<Self> {
        let committer = Committer::start(Arc::clone(&engine), options.clone())?;
        let names = keyspaces.iter().map(|keyspace| keyspace.name).collect();
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                committer,
                names,
            }),
        })
    }

    /// The handle of a keyspace.
    #[must_use]
    pub fn keyspace(&self, name: &str) -> Option<KeyspaceId> {
        let index = self.shared.names.iter().position(|known| *known == name)?;
        u8::try_from(index).ok().map(KeyspaceId::at)
    }

    /// The value of a key, as of the last batch that was answered or later.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn get(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.shared.engine.read(keyspace, key)
    }

    /// Calls `visit` with each key and value of a range in ascending order, until it breaks. All of them are as of
    /// the moment of the call.
    ///
    /// # Errors
    /// See [`ReadError`]; what was visited before the error is sound.
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        self.shared
            .engine
            .walk(keyspace, KeyRange { from, to }, Direction::Ascending, visit)
    }

    /// As [`Self::scan`], in descending order.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn scan_back(
        &self,
        keyspace: KeyspaceId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        self.shared
            .engine
            .walk(keyspace, KeyRange { from, to }, Direction::Descending, visit)
    }

    /// The content of all keyspaces as it is now, unmoved by later commits.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            view: self.shared.engine.freeze(),
        }
    }

    /// Hands a batch to the store thread and returns at once. `done` is called on the store thread, in the order of
    /// submission, when the batch is as safe as asked; it should be quick, because the next group waits for it.
    /// `Overloaded`, `Closed` and `UnknownKeyspace` are answered at once, on this thread.
    ///
    /// An empty batch is a barrier: it is answered when everything before it is as safe as asked.
    pub fn commit(
        &self,
        batch: Batch,
        durability: Durability,
        done: impl FnOnce(Result<(), CommitError>) + Send + 'static,
    ) {
        match batch.highest() {
            Some(keyspace) if keyspace.index() >= self.shared.names.len() => {
                done(Err(CommitError::UnknownKeyspace(keyspace.index())));
            }
            _ => self.shared.committer.submit(batch, durability, Box::new(done)),
        }
    }

    /// Commits and waits. For start-up and tests; must not be called from a `done`.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit_blocking(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.commit(batch, durability, move |result| {
            // Nobody listens only if the waiting thread is gone.
            drop(answer.send(result));
        });
        answered.recv().unwrap_or(Err(CommitError::Closed))
    }

    /// Bytes of batches taken and not yet answered. Callers slow down long before `backlog_bytes_max`.
    #[must_use]
    pub fn backlog_bytes(&self) -> usize {
        self.shared.committer.backlog_bytes()
    }

    /// Whether there is room for what makes the store grow. Not refused by [`Self::commit`]: whoever adds asks before, so
    /// that what is small or makes room can share a batch with nothing that has to be refused. At most a second old.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.committer.room().is_enough()
    }

    /// As [`Self::has_room`], for one thing that is to be added. A refusal is counted.
    ///
    /// # Errors
    /// [`CommitError::Full`] if there is no room.
    pub fn admit(&self) -> Result<(), CommitError> {
        if self.has_room() {
            return Ok(());
        }
        self.shared.committer.room().count_refused(&CommitError::Full);
        Err(CommitError::Full)
    }

    /// Whether the store can be written to.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.shared.committer.room().condition()
    }

    /// Bytes free on the disk; `None` if that is not known, or if there is no disk. At most a second old.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.shared.committer.room().free_bytes()
    }

    /// Memory that the engine holds; `None` for a store that is memory as a whole.
    #[must_use]
    pub fn engine_memory(&self) -> Option<EngineMemory> {
        self.shared.engine.memory()
    }

    /// What was refused since the store was opened.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.shared.committer.room().refusals()
    }

    /// What is in quarantine, and what was found damaged since the store was opened.
    #[must_use]
    pub fn set_aside(&self) -> Vec<SetAside> {
        self.shared.engine.set_aside()
    }

    /// Writes and syncs what waits, and refuses what comes later. The folder is free for another store once the last
    /// clone of this one is gone.
    pub fn close(self) {
        self.shared.committer.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("keyspaces", &self.shared.names)
            .finish_non_exhaustive()
    }
}

/// The content of a store at one moment.
pub struct Snapshot<'a> {
    view: Box<dyn View + 'a>,
}

impl Snapshot<'_> {
    /// As [`Store::get`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn get(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.view.read(keyspace, key)
    }

    /// As [`Store::scan`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        self.view
            .walk(keyspace, KeyRange { from, to }, Direction::Ascending, visit)
    }
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
