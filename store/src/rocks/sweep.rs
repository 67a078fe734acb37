//! Giving back what was deleted and still takes room, for when nothing is added that would make the engine do it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rocksdb::CompactOptions;

use super::{Database, Space};
use crate::keyspace::Tuning;

/// The least time between two sweeps.
const REST_MIN: Duration = Duration::from_secs(10);

/// How many times as long as a sweep takes the engine is left alone afterwards.
const REST_TIMES: u32 = 9;

/// Sweeps on a thread of its own, one at a time.
pub(super) struct Sweeper {
    database: Arc<Database>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// Answers when the next may begin.
    thread: Option<JoinHandle<Instant>>,
    rests_until: Option<Instant>,
}

impl Sweeper {
    pub(super) fn new(database: &Arc<Database>) -> Self {
        Self {
            database: Arc::clone(database),
            last: Mutex::default(),
        }
    }

    /// Begins to sweep and returns at once. False if it is too early for that, or if there is no thread to be had.
    pub(super) fn begin(&self) -> bool {
        let mut last = self.last();
        if last.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return false;
        }
        if let Some(thread) = last.thread.take() {
            // A panic of the thread was printed by the panic hook.
            last.rests_until = thread.join().ok();
        }
        if last.rests_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        let database = Arc::clone(&self.database);
        last.thread = thread::Builder::new()
            .name("store-sweep".into())
            .spawn(move || sweep(&database))
            .ok();
        last.thread.is_some()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(thread) = self.last().thread.take() {
            if !thread.is_finished() {
                self.database.db.cancel_all_background_work(false);
            }
            drop(thread.join());
        }
    }
}

/// Writes everything to tables, which lets go of the log, and compacts what is written at one end and deleted at the other.
/// Elsewhere little is deleted.
fn sweep(database: &Database) -> Instant {
    let began = Instant::now();
    for space in &database.spaces {
        flush(database, space);
    }
    let mut beside_others = CompactOptions::default();
    beside_others.set_exclusive_manual_compaction(false);
    for space in &database.spaces {
        if let (Tuning::Queue, Some(family)) = (space.tuning, database.db.cf_handle(space.name)) {
            database
                .db
                .compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &beside_others);
        }
    }
    Instant::now() + REST_MIN.max(began.elapsed() * REST_TIMES)
}

fn flush(database: &Database, space: &Space) {
    let flushed = database
        .db
        .cf_handle(space.name)
        .map_or(Ok(()), |family| database.db.flush_cf(family));
    if let Err(error) = flushed {
        // Whatever else it is, the next write meets it too.
        database.note_damage(space.name, &error);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::super::Rocks;
    use crate::batch::Batch;
    use crate::engine::{Direction, Engine, KeyRange, View};
    use crate::keyspace::{Keyspace, KeyspaceId, Tuning};
    use crate::options::Options;

    const QUEUES: KeyspaceId = KeyspaceId::at(0);
    const KEYSPACES: [Keyspace; 1] = [Keyspace {
        name: "queues",
        tuning: Tuning::Queue,
    }];

    fn keys(engine: &Rocks) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let everything = KeyRange {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
        };
        let visit: &mut dyn FnMut(&[u8], &[u8]) -> _ = &mut |key, _| {
            keys.push(key.to_vec());
            std::ops::ControlFlow::Continue(())
        };
        engine
            .walk(QUEUES, everything, Direction::Ascending, visit)
            .expect("read");
        keys
    }

    /// At any moment of a sweep the store may be closed, and what is kept is kept.
    #[test]
    fn a_sweep_that_is_cut_short_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        for round in 0..5_u8 {
            let engine = Rocks::open(folder.path(), &Options::default(), &KEYSPACES).expect("opened");
            assert_eq!(engine.set_aside(), []);
            let mut batch = Batch::new();
            for number in 0..2_000_u32 {
                let key = [&[round][..], &number.to_be_bytes()].concat();
                batch.put(QUEUES, &key, &[round; 1_000]);
            }
            batch.delete_range(QUEUES, &[0], &[round, 0, 0, 4]);
            engine.write(&[&batch], true).expect("written");
            assert!(engine.sweep(), "the first sweep begins at once");
            assert!(!engine.sweep(), "one is under way, or has just ended");
            drop(engine);
            let engine = Rocks::open(folder.path(), &Options::default(), &KEYSPACES).expect("opened");
            let keys = keys(&engine);
            assert_eq!(keys.len(), 2_000 - 0x400);
            assert!(keys.iter().all(|key| key.first() == Some(&round)));
        }
    }
}
