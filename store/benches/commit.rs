//! What a commit costs, beside bare RocksDB writing the same bytes on the same disk in the same run.
//!
//! `cargo bench --profile release -p store`, or with `-- SECONDS` for longer rounds. Figures of different runs are
//! not compared: the cost of a sync varies by tens of times between disks and moments.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement may panic, and prints its result"
)]

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use rocksdb::{DB, WriteBatch, WriteOptions};
use store::{Batch, Durability, Keyspace, KeyspaceId, Options, Store, Tuning};
use tempfile::TempDir;

const WRITERS: usize = 64;
const ROUNDS: usize = 5;
const VALUE: [u8; 100] = [7; 100];
const NAMES: [&str; 10] = [
    "sessions",
    "subscriptions",
    "queues",
    "bodies",
    "retained",
    "twins",
    "feed",
    "pending",
    "tags",
    "marks",
];
const KEYSPACES: [Keyspace; 10] = {
    let mut keyspaces = [Keyspace {
        name: "",
        tuning: Tuning::Point,
    }; 10];
    let mut index = 0;
    #[expect(
        clippy::indexing_slicing,
        reason = "evaluated by the compiler, which refuses an index out of bounds"
    )]
    while index < keyspaces.len() {
        keyspaces[index].name = NAMES[index];
        index += 1;
    }
    keyspaces
};

fn main() {
    let seconds = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1);
    let round = Duration::from_secs(seconds);
    opening();
    let contests: [(&str, &dyn Fn() -> f64); 10] = [
        ("store, Fsync, 1 writer", &|| one_writer(round, Durability::Fsync)),
        ("bare RocksDB, sync, 1 writer", &|| bare(round, true, 1)),
        ("store, Fsync, 64 in flight", &|| {
            in_flight(round, Durability::Fsync)
        }),
        ("bare RocksDB, sync, groups of 64", &|| bare(round, true, WRITERS)),
        ("store, Fsync, 64 writers", &|| {
            many_writers(round, Durability::Fsync)
        }),
        ("bare RocksDB, sync, 64 writers", &|| bare_writers(round, true)),
        ("store, Os, 64 in flight", &|| in_flight(round, Durability::Os)),
        ("bare RocksDB, no sync, groups of 64", &|| {
            bare(round, false, WRITERS)
        }),
        ("store, Os, 64 writers", &|| many_writers(round, Durability::Os)),
        ("bare RocksDB, no sync, 64 writers", &|| {
            bare_writers(round, false)
        }),
    ];
    let mut rates = vec![Vec::new(); contests.len()];
    for _ in 0..ROUNDS {
        rates
            .iter_mut()
            .zip(&contests)
            .for_each(|(rates, (_, contest))| rates.push(contest()));
    }
    for ((name, _), mut rates) in contests.iter().zip(rates) {
        rates.sort_by(f64::total_cmp);
        let shown: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        println!(
            "{name:<38} median {:>7.0} commits/s of {}",
            rates.get(ROUNDS / 2).unwrap(),
            shown.join(" ")
        );
    }
}

fn store(folder: &TempDir) -> Store {
    Store::open(folder.path(), &Options::default(), &KEYSPACES)
        .unwrap()
        .store
}

/// One message and one queue entry, as a publish to one persistent session makes them.
fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(KeyspaceId::at(2), &number.to_be_bytes(), &VALUE);
    batch.put(
        KeyspaceId::at(0),
        &(number % 100).to_be_bytes(),
        &number.to_be_bytes(),
    );
    batch
}

fn rate(commits: u64, started: Instant) -> f64 {
    commits as f64 / started.elapsed().as_secs_f64()
}

fn opening() {
    let folder = tempfile::tempdir().unwrap();
    let time = |what: &str| {
        let started = Instant::now();
        let store = store(&folder);
        println!("open {what}: {:?}", started.elapsed());
        store
    };
    let store = time("an empty folder with 10 keyspaces");
    println!("memory with the store open: {} KiB", resident_kib());
    drop(store);
    let store = time("the same again");
    for number in 0..100_000 {
        store.commit(batch(number), Durability::Os, |result| result.unwrap());
    }
    drop(store);
    drop(time("with 100,000 commits in the log"));
    drop(time("the same in tables"));
    let size: u64 = fs::read_dir(folder.path().join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "memory after that: {} KiB, folder {} KiB",
        resident_kib(),
        size / 1024
    );
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn one_writer(round: Duration, durability: Durability) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let (started, mut commits) = (Instant::now(), 0);
    while started.elapsed() < round {
        store.commit_blocking(batch(commits), durability).unwrap();
        commits += 1;
    }
    rate(commits, started)
}

/// One thread that always has as many commits under way: what a shard does.
fn in_flight(round: Duration, durability: Durability) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let (done, answered) = sync_channel(WRITERS);
    (0..WRITERS).for_each(|_| done.send(()).unwrap());
    let (started, mut commits) = (Instant::now(), 0);
    while started.elapsed() < round {
        answered.recv().unwrap();
        let done = done.clone();
        store.commit(batch(commits), durability, move |result| {
            result.unwrap();
            done.try_send(()).unwrap();
        });
        commits += 1;
    }
    store.commit_blocking(Batch::new(), durability).unwrap();
    rate(commits, started)
}

fn many_writers(round: Duration, durability: Durability) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    in_threads(round, |number| {
        store.commit_blocking(batch(number), durability).unwrap()
    })
}

fn in_threads(round: Duration, write: impl Fn(u64) + Sync) -> f64 {
    let (total, start) = (AtomicU64::new(0), Barrier::new(WRITERS));
    let started = Instant::now();
    thread::scope(|scope| {
        for writer in 0..WRITERS as u64 {
            let (total, start, write) = (&total, &start, &write);
            scope.spawn(move || {
                start.wait();
                let mut commits = 0;
                while started.elapsed() < round {
                    write(writer << 40 | commits);
                    commits += 1;
                }
                total.fetch_add(commits, Ordering::Relaxed);
            });
        }
    });
    rate(total.load(Ordering::Relaxed), started)
}

fn bare_db(path: &Path) -> DB {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    DB::open_cf(&options, path, NAMES).unwrap()
}

fn add(db: &DB, batch: &mut WriteBatch, number: u64) {
    batch.put_cf(db.cf_handle("queues").unwrap(), number.to_be_bytes(), VALUE);
    batch.put_cf(
        db.cf_handle("sessions").unwrap(),
        (number % 100).to_be_bytes(),
        number.to_be_bytes(),
    );
}

/// RocksDB alone, writing groups of this size: nothing to gather, nobody to answer.
fn bare(round: Duration, sync: bool, group: usize) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let db = bare_db(folder.path());
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    let (started, mut commits) = (Instant::now(), 0);
    while started.elapsed() < round {
        let mut batch = WriteBatch::default();
        for _ in 0..group {
            add(&db, &mut batch, commits);
            commits += 1;
        }
        db.write_opt(batch, &options).unwrap();
    }
    rate(commits, started)
}

/// RocksDB with its own way of joining the writes of many threads.
fn bare_writers(round: Duration, sync: bool) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let db = bare_db(folder.path());
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    in_threads(round, |number| {
        let mut batch = WriteBatch::default();
        add(&db, &mut batch, number);
        db.write_opt(batch, &options).unwrap();
    })
}
