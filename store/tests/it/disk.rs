//! A disk that is full, and one that fails.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use store::{Batch, CommitError, Condition, Durability, Options, Store};

use crate::support::{Dice, KEYSPACES, TWINS, entries, folder, get, open, options, put};

/// A file system of a known small size. Unmounts at its end.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(path: &'a Path, mib: u32) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(path);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        // Past what the harness keeps to itself of a test that passes.
        io::stderr()
            .write_all(b"NOT TOLD: mounting a small file system needs root\n")
            .unwrap();
        None
    }

    fn grow(&self, mib: u32) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={mib}m")]).arg(self.0);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().unwrap();
    }
}

fn commit(store: &Store, number: u32, durability: Durability) -> Result<(), CommitError> {
    let mut dice = Dice::seeded(u64::from(number));
    let incompressible: Vec<u8> = (0..10_000).map(|_| dice.below(256) as u8).collect();
    let mut batch = Batch::new();
    batch.put(TWINS, &number.to_be_bytes(), &incompressible);
    store.commit_blocking(batch, durability)
}

/// What is written to tables runs out of room.
#[test]
fn a_full_disk_refuses_commits_until_there_is_room() {
    fill_the_disk_and_make_room(12, &options(), Durability::Fsync);
}

/// The log runs out of room, and what is in it is due to be synced while the disk is full.
#[test]
fn a_full_disk_refuses_commits_that_are_synced_later_until_there_is_room() {
    let options = Options {
        write_buffer_bytes: 64 << 20,
        ..options()
    };
    fill_the_disk_and_make_room(12, &options, Durability::Os);
}

/// Mounting needs root; without it the story is not told.
fn fill_the_disk_and_make_room(mib: u32, options: &Options, durability: Durability) {
    let folder = folder();
    let Some(small) = Small::mount(folder.path(), mib) else {
        return;
    };
    let data = folder.path().join("data");
    let store = Store::open(&data, options, &KEYSPACES).unwrap().store;
    put(&store, TWINS, "before", "x");
    let refused = (0..10_000).find_map(|number| {
        commit(&store, number, durability)
            .err()
            .map(|error| (number, error))
    });
    let (number, error) = refused.unwrap();
    assert_eq!(error, CommitError::Full);
    let still_full = Instant::now();
    while still_full.elapsed() < options.sync_interval * 2 {
        assert_eq!(commit(&store, number, durability), Err(CommitError::Full));
    }
    assert_eq!(store.condition(), Condition::NoRoom);
    assert_eq!(store.admit(), Err(CommitError::Full));
    assert!(store.refusals().no_room > 2);
    assert_eq!(get(&store, TWINS, "before"), Some("x".into()));
    assert_eq!(entries(&store, TWINS).len(), number as usize + 1);
    small.grow(64);
    let deadline = Instant::now() + Duration::from_secs(30);
    let started = Instant::now();
    while let Err(error) = commit(&store, number, durability) {
        assert_eq!(error, CommitError::Full);
        assert!(Instant::now() < deadline, "still full");
        thread::yield_now();
    }
    println!("commits work again {:?} after there was room", started.elapsed());
    drop(store);
    assert_eq!(entries(&open(&data), TWINS).len(), number as usize + 2);
}

/// What adds is told in time, and is told by itself, without another write, when there is room: below the reserve, and after
/// the disk was full.
#[test]
fn whether_there_is_room_is_told_before_the_disk_is_full_and_after() {
    let folder = folder();
    let Some(small) = Small::mount(folder.path(), 24) else {
        return;
    };
    let options = Options {
        reserve_bytes: 8 << 20,
        ..options()
    };
    let data = folder.path().join("data");
    let store = Store::open(&data, &options, &KEYSPACES).unwrap().store;
    assert!(store.has_room() && store.free_bytes().is_some_and(|free| free <= 24 << 20));
    let admitted = (0..10_000).take_while(|_| store.admit().is_ok());
    for number in admitted {
        assert_eq!(commit(&store, number, Durability::Fsync), Ok(()), "{number}");
    }
    assert_eq!(store.condition(), Condition::NoRoom);
    assert_eq!(
        commit(&store, 10_000, Durability::Fsync),
        Ok(()),
        "the reserve is there to be used"
    );
    small.grow(64);
    await_condition(&store, &Condition::Well);
    small.grow(20);
    let full = (10_001..20_000).find_map(|number| commit(&store, number, Durability::Fsync).err());
    assert_eq!(full, Some(CommitError::Full));
    small.grow(256);
    await_condition(&store, &Condition::Well);
    assert_eq!(store.admit(), Ok(()));
    assert_eq!(commit(&store, 20_000, Durability::Fsync), Ok(()));
    store.close();
    // What was written to find out whether there is room is no damage.
    let store = open(&data);
    assert!(store.get(TWINS, &20_000_u32.to_be_bytes()).unwrap().is_some());
    store.close();
}

fn await_condition(store: &Store, wanted: &Condition) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.condition() != *wanted {
        assert!(Instant::now() < deadline, "still {:?}", store.condition());
        thread::yield_now();
    }
}

const FAILING: &str = "STORE_FAILING_FOLDER";

/// Not a story of its own: runs where no file may grow beyond a limit, which to the store is a disk that fails.
#[test]
fn the_process_with_the_failing_disk() {
    let Ok(folder) = env::var(FAILING) else { return };
    let store = open(Path::new(&folder));
    put(&store, TWINS, "before", "x");
    let (number, error) = (0..1_000)
        .find_map(|number| {
            commit(&store, number, Durability::Fsync)
                .err()
                .map(|error| (number, error))
        })
        .unwrap();
    assert!(matches!(error, CommitError::Failed(_)), "{error}");
    for other in [number, number + 1] {
        assert_eq!(commit(&store, other, Durability::Fsync), Err(error.clone()));
    }
    assert!(matches!(store.condition(), Condition::Failed(_)));
    assert!(store.refusals().failed >= 3);
    assert_eq!(get(&store, TWINS, "before"), Some("x".into()));
    assert_eq!(entries(&store, TWINS).len(), number as usize + 1);
    assert_eq!(store.get(TWINS, &number.to_be_bytes()), Ok(None));
    println!("failed at {number}");
}

#[test]
fn a_failed_write_ends_writing_until_the_restart_and_reads_go_on() {
    let folder = folder();
    drop(open(folder.path()));
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" --exact disk::the_process_with_the_failing_disk --nocapture"])
        .arg(env::current_exe().unwrap())
        .env(FAILING, folder.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&limited.stdout);
    assert!(
        limited.status.success(),
        "{output} {}",
        String::from_utf8_lossy(&limited.stderr)
    );
    let (_, number) = output.split_once("failed at ").unwrap();
    let number: u32 = number.lines().next().unwrap().parse().unwrap();
    let store = open(folder.path());
    assert!((0..number).all(|number| store.get(TWINS, &number.to_be_bytes()).unwrap().is_some()));
    assert_eq!(commit(&store, number, Durability::Fsync), Ok(()));
}
