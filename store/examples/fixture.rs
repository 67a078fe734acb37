//! Writes the folder that `tests/it/folder.rs` reads as the first format: tables, a log, and deletions in both.
//!
//! Run once per format, as `cargo run -p store --example fixture -- store/tests/fixtures/v1`, and never again: what
//! a released version wrote is what the test is about.

use std::error::Error;
use std::path::PathBuf;

use store::{Batch, Durability, Keyspace, KeyspaceId, Options, Store, Tuning};

const KEYSPACES: [Keyspace; 3] = [
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

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name the folder to write")?);
    // Opening writes what is in the log out to tables, so the first half ends in tables and the second in the log.
    for numbers in [0..15_u32, 15..25] {
        let store = Store::open(&folder, &Options::default(), &KEYSPACES)?.store;
        for keyspace in (0..3).map(KeyspaceId::at) {
            let mut batch = Batch::new();
            for number in numbers.clone() {
                let value = format!("value of {number} in {}", keyspace.index());
                batch.put(keyspace, format!("key-{number:04}").as_bytes(), value.as_bytes());
            }
            store.commit_blocking(batch, Durability::Fsync)?;
        }
    }
    let store = Store::open(&folder, &Options::default(), &KEYSPACES)?.store;
    for keyspace in (0..3).map(KeyspaceId::at) {
        let mut batch = Batch::new();
        batch.delete(keyspace, b"key-0000");
        batch.delete_range(keyspace, b"key-0001", b"key-0005");
        store.commit_blocking(batch, Durability::Fsync)?;
    }
    Ok(())
}
