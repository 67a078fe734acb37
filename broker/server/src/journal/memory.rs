//! A journal that keeps everything in memory: for tests, and for brokers that may forget.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::ControlFlow,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use broker_core::{Batch, Op, Shelf, Visit};

use super::{CommitRefused, Done, Journal};

/// Batches that may wait for the thread of a [`MemoryJournal`]; callers are refused beyond.
const WAITING_MAX: usize = 65_536;

/// Answers from a thread of its own, in order, as a store on disk does. Clones share what is kept, so that a second
/// broker can recover what a first one left.
#[derive(Debug, Clone)]
pub struct MemoryJournal {
    shelves: Arc<Mutex<Kept>>,
    queue: Arc<Queue>,
}

type Kept = BTreeMap<(Shelf, Vec<u8>), Vec<u8>>;

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    commits: VecDeque<(Batch, Done)>,
    closed: bool,
    held: bool,
}

impl MemoryJournal {
    /// An empty journal.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn start() -> std::io::Result<Self> {
        let journal = Self {
            shelves: Arc::default(),
            queue: Arc::default(),
        };
        let (shelves, queue) = (Arc::clone(&journal.shelves), Arc::clone(&journal.queue));
        thread::Builder::new().name("journal".into()).spawn(move || {
            while let Some((batch, done)) = queue.next() {
                apply(&mut lock(&shelves), &batch);
                done(Ok(()));
            }
        })?;
        Ok(journal)
    }

    /// Keeps nothing more until [`MemoryJournal::resume`]: batches wait. For tests of what must wait with them.
    pub fn hold(&self) {
        lock(&self.queue.waiting).held = true;
    }

    /// Goes on after [`MemoryJournal::hold`].
    pub fn resume(&self) {
        lock(&self.queue.waiting).held = false;
        self.queue.changed.notify_all();
    }

    /// Stops the thread once nothing waits. Later commits are refused.
    pub fn close(&self) {
        lock(&self.queue.waiting).closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn next(&self) -> Option<(Batch, Done)> {
        let mut waiting = lock(&self.waiting);
        loop {
            if !waiting.held
                && let Some(commit) = waiting.commits.pop_front()
            {
                return Some(commit);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &lock(&self.waiting).commits.len())
            .finish()
    }
}

impl Journal for MemoryJournal {
    fn has_room(&self) -> bool {
        true
    }

    fn commit(&self, batch: Batch, done: Done) {
        let refused = {
            let mut waiting = lock(&self.queue.waiting);
            if waiting.closed {
                CommitRefused::Failed("the journal is closed".into())
            } else if waiting.commits.len() >= WAITING_MAX {
                CommitRefused::Full
            } else {
                waiting.commits.push_back((batch, done));
                self.queue.changed.notify_one();
                return;
            }
        };
        done(Err(refused));
    }

    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(lock(&self.shelves).get(&(shelf, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        shelf: Shelf,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        // A copy, so that `visit` may read as well.
        let found: Vec<_> = lock(&self.shelves)
            .range((shelf, from.to_vec())..)
            .take_while(|((on, key), _)| *on == shelf && to.is_none_or(|to| key.as_slice() < to))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in &found {
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn apply(shelves: &mut Kept, batch: &Batch) {
    for op in batch.ops() {
        match op {
            Op::Put { shelf, key, value } => {
                shelves.insert((shelf, key.to_vec()), value.to_vec());
            }
            Op::Delete { shelf, key } => {
                shelves.remove(&(shelf, key.to_vec()));
            }
            Op::DeleteRange { shelf, from, to } => {
                shelves.retain(|(on, key), _| *on != shelf || key.as_slice() < from || key.as_slice() >= to);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
