//! Reading every block of every table, so that damage is found before somebody needs what is damaged.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rocksdb::{DB, Error, ReadOptions};

use super::Database;

/// True if the tables are small enough to be read before the store opens.
pub(super) fn is_small(db: &DB, bytes_max: u64) -> bool {
    let Ok(files) = db.live_files() else { return false };
    files.iter().map(|file| file.size as u64).sum::<u64>() <= bytes_max
}

/// Reads these keyspaces to their end, or until `go_on` is false.
pub(super) fn all(db: &DB, names: &[String], go_on: &dyn Fn() -> bool) -> Result<(), Error> {
    names.iter().try_for_each(|name| one(db, name, go_on))
}

fn one(db: &DB, name: &str, go_on: &dyn Fn() -> bool) -> Result<(), Error> {
    let Some(family) = db.cf_handle(name) else {
        return Ok(());
    };
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options.set_readahead_size(256 << 10);
    skip_nothing(&mut options);
    let mut entries = db.raw_iterator_cf_opt(family, options);
    entries.seek_to_first();
    while entries.valid() && go_on() {
        entries.next();
    }
    entries.status()
}

/// Otherwise blocks whose keys are all deleted by a range would be jumped over.
#[expect(
    deprecated,
    reason = "deprecated as a means to be faster, which is not what it is for here"
)]
fn skip_nothing(options: &mut ReadOptions) {
    options.set_ignore_range_deletions(true);
}

/// A thread that verifies a large store after it was opened.
pub(super) struct Verifier {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Verifier {
    pub(super) fn start(database: &Arc<Database>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (database, stopped) = (Arc::clone(database), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("store-verify".into())
            .spawn(move || {
                for space in &database.spaces {
                    let go_on = || !stopped.load(Ordering::Relaxed);
                    if let Err(error) = one(&database.db, space.name, &go_on) {
                        database.note_damage(space.name, &error);
                    }
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by the panic hook.
            drop(thread.join());
        }
    }
}
