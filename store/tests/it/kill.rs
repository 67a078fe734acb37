//! `kill -9` at any moment: everything acknowledged is there, and every batch is whole or absent.
//!
//! The test runs itself as a second process, which commits and says on its output what was acknowledged.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use store::{Batch, Durability, SetAside, Store};

use crate::support::{ALL, Dice, FEED, copy, files, folder, get, open, open_damaged};

const FOLDER: &str = "STORE_KILL_FOLDER";
const FIRST: &str = "STORE_KILL_FIRST";
const WRITERS: u64 = 4;

/// Not a story: what the second process does. Without its folder it has nothing to do.
#[test]
fn the_process_that_is_killed() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let first: u64 = env::var(FIRST).unwrap().parse().unwrap();
    let (store, _) = open_damaged(Path::new(&folder));
    println!("open");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || commit_for_ever(store, first, writer));
        }
    });
}

fn commit_for_ever(store: &Store, first: u64, writer: u64) {
    for number in first.. {
        let name = format!("{writer}-{number:08}");
        let mut batch = Batch::new();
        for keyspace in ALL {
            batch.put(
                keyspace,
                name.as_bytes(),
                &vec![b'x'; (number % 50 * 40) as usize],
            );
        }
        batch.put(FEED, format!("last-{writer}").as_bytes(), name.as_bytes());
        let durability = if writer.is_multiple_of(2) {
            Durability::Fsync
        } else {
            Durability::Os
        };
        store.commit_blocking(batch, durability).unwrap();
        let mut output = std::io::stdout().lock();
        writeln!(output, "acknowledged {name}").unwrap();
        output.flush().unwrap();
    }
}

fn start(folder: &Path, first: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::the_process_that_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the process after it acknowledged this many batches; what it said until then.
fn run_and_kill(folder: &Path, first: u64, acknowledged_min: usize) -> Vec<String> {
    let mut child = start(folder, first);
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let mut acknowledged = Vec::new();
    let mut killed = false;
    for line in lines {
        acknowledged.extend(line.strip_prefix("acknowledged ").map(str::to_owned));
        if acknowledged.len() >= acknowledged_min && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    // The last line may have been cut by the kill.
    acknowledged.retain(|name| name.len() == "0-00000000".len());
    assert!(acknowledged.len() >= acknowledged_min);
    acknowledged
}

fn is_whole(store: &Store, name: &str) -> bool {
    let found = ALL.map(|keyspace| get(store, keyspace, name).is_some());
    assert!(
        found == [true; 3] || found == [false; 3],
        "{name} is there in parts: {found:?}"
    );
    found == [true; 3]
}

#[test]
fn what_was_acknowledged_survives_kill_and_batches_are_whole() {
    let folder = folder();
    let mut dice = Dice::seeded(3);
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..20 {
        let wanted = 1 + dice.below(150);
        acknowledged.extend(run_and_kill(folder.path(), round * 1_000_000, wanted));
        let store = open(folder.path());
        for name in &acknowledged {
            assert!(is_whole(&store, name), "{name} was acknowledged and is not there");
        }
        for writer in 0..WRITERS {
            let Some(last) = get(&store, FEED, &format!("last-{writer}")) else {
                continue;
            };
            assert!(is_whole(&store, &last));
            let (writer, number) = last.split_once('-').unwrap();
            assert!(!is_whole(
                &store,
                &format!("{writer}-{:08}", number.parse::<u64>().unwrap() + 1)
            ));
        }
    }
    println!("20 kills, {} acknowledged batches, none lost", acknowledged.len());
}

/// Starts the process and kills it after this time; true if that was before it said that it is open.
fn kill_while_opening(folder: &Path, after: Duration) -> bool {
    // Should it come to write anything, then under names of its own.
    let mut child = start(folder, 50_000_000);
    let output = child.stdout.take().unwrap();
    let (tx, rx) = mpsc::sync_channel(1);
    let reader = thread::spawn(move || {
        let opened = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .any(|line| line.ends_with("open"));
        // Nobody listens any more once the process was killed.
        tx.send(opened).unwrap_or_default();
    });
    let early = rx.recv_timeout(after).is_err();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(rx);
    reader.join().unwrap();
    early
}

/// Kills openings of copies of a folder at moments spread over the time an opening takes, and twice in a row; each
/// time the next opening has to come to the same as one that was not killed. Returns the number of kills.
fn kills_change_nothing(folder: &Path, check: impl Fn(&Store, &[SetAside])) -> usize {
    let again = || {
        let again = crate::support::folder();
        copy(folder, again.path()).unwrap();
        again
    };
    let whole = again();
    let mut step = Duration::from_millis(1);
    while kill_while_opening(whole.path(), step) {
        step *= 2;
    }
    let mut kills = 0;
    for part in 1..=24 {
        let copy = again();
        kills += usize::from(kill_while_opening(copy.path(), step * part / 24));
        kills += usize::from(kill_while_opening(copy.path(), step * (part * 7 % 24) / 24));
        let (store, set_aside) = open_damaged(copy.path());
        check(&store, &set_aside);
    }
    kills
}

#[test]
fn a_kill_during_the_first_start_costs_nothing() {
    let folder = folder();
    let kills = kills_change_nothing(folder.path(), |_, set_aside| assert_eq!(set_aside, []));
    println!("{kills} kills during the first start");
}

#[test]
fn a_kill_during_recovery_costs_nothing() {
    let folder = folder();
    let acknowledged = run_and_kill(folder.path(), 1, 200);
    let kills = kills_change_nothing(folder.path(), |store, set_aside| {
        assert_eq!(set_aside, []);
        assert!(acknowledged.iter().all(|name| is_whole(store, name)));
    });
    println!("{kills} kills during recovery");
}

/// The same with a damaged table and with a damaged manifest, so that the kills hit the repair.
#[test]
fn a_kill_during_repair_costs_nothing_more() {
    for (start, end) in [("", ".sst"), ("MANIFEST", "")] {
        let folder = folder();
        let mut acknowledged = run_and_kill(folder.path(), 1, 300);
        drop(open(folder.path()));
        acknowledged.extend(run_and_kill(folder.path(), 1_000_000, 100));
        let path = files(folder.path(), start, end).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
        let there = |store: &Store| {
            let whole =
                |name: &&String| ALL.map(|keyspace| get(store, keyspace, name).is_some()) == [true; 3];
            acknowledged.iter().filter(whole).cloned().collect::<Vec<_>>()
        };
        let undisturbed = crate::support::folder();
        copy(folder.path(), undisturbed.path()).unwrap();
        let expected = there(&open_damaged(undisturbed.path()).0);
        assert!(expected.len() >= 100);
        if start == "MANIFEST" {
            assert_eq!(expected, acknowledged);
        }
        let kills = kills_change_nothing(folder.path(), |store, set_aside| {
            assert!(!set_aside.is_empty());
            assert_eq!(there(store), expected);
        });
        println!("{kills} kills during the repair of {}", path.display());
    }
}
