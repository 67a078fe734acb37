//! What the stories share: keyspaces, a folder with a store, and numbers from a seed.

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use store::{Batch, Durability, Keyspace, KeyspaceId, OpenError, Options, SetAside, Store, Tuning};
use tempfile::TempDir;

pub(crate) const KEYSPACES: [Keyspace; 3] = [
    Keyspace {
        name: "twins",
        tuning: Tuning::Point,
    },
    Keyspace {
        name: "feed",
        tuning: Tuning::Scan,
    },
    Keyspace {
        name: "queues",
        tuning: Tuning::Queue,
    },
];
pub(crate) const TWINS: KeyspaceId = KeyspaceId::at(0);
pub(crate) const FEED: KeyspaceId = KeyspaceId::at(1);
pub(crate) const QUEUES: KeyspaceId = KeyspaceId::at(2);
pub(crate) const ALL: [KeyspaceId; 3] = [TWINS, FEED, QUEUES];

pub(crate) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Small buffers, so that a small history makes several tables.
pub(crate) fn options() -> Options {
    Options {
        write_buffer_bytes: 4 << 20,
        ..Options::default()
    }
}

/// Opens a store that has to be whole.
pub(crate) fn open(path: &Path) -> Store {
    let (store, set_aside) = open_damaged(path);
    assert_eq!(set_aside, []);
    store
}

/// Opens a store that may be damaged.
pub(crate) fn open_damaged(path: &Path) -> (Store, Vec<SetAside>) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open(path, &options(), &KEYSPACES) {
            // A child process that another test is starting right now holds this process's lock until it executes.
            Err(OpenError::Locked { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            opened => {
                let opened = opened.unwrap();
                return (opened.store, opened.set_aside);
            }
        }
    }
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn put(store: &Store, keyspace: KeyspaceId, key: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(keyspace, key.as_bytes(), value.as_bytes());
    store.commit_blocking(batch, Durability::Os).unwrap();
}

pub(crate) fn get(store: &Store, keyspace: KeyspaceId, key: &str) -> Option<String> {
    store
        .get(keyspace, key.as_bytes())
        .unwrap()
        .map(|value| String::from_utf8(value).unwrap())
}

/// Everything in a keyspace.
pub(crate) fn entries(store: &Store, keyspace: KeyspaceId) -> Entries {
    let mut entries = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    store
        .scan(keyspace, Bound::Unbounded, Bound::Unbounded, visit)
        .unwrap();
    entries
}

/// Small numbers that are the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Files in the engine's folder whose name starts and ends so, in order.
pub(crate) fn files(data: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut found: Vec<PathBuf> = fs::read_dir(data.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.retain(|path| name(path).starts_with(start) && name(path).ends_with(end));
    found.sort();
    found
}
