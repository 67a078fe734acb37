//! What a data folder has to be, and what is kept in it from one start to the next.

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use store::{Batch, CommitError, Durability, Keyspace, KeyspaceId, OpenError, Options, Store, Tuning};

use crate::support::{ALL, FEED, KEYSPACES, TWINS, copy, entries, folder, get, open, put};

fn refused(path: &Path, keyspaces: &[Keyspace]) -> OpenError {
    Store::open(path, &Options::default(), keyspaces).unwrap_err()
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let folder = folder();
    for round in 0..5 {
        let store = open(folder.path());
        put(&store, TWINS, &format!("twin {round}"), "x");
        for earlier in 0..=round {
            assert_eq!(get(&store, TWINS, &format!("twin {earlier}")), Some("x".into()));
        }
    }
}

#[test]
fn a_folder_in_use_is_refused_in_one_line() {
    let folder = folder();
    let store = open(folder.path());
    let error = refused(folder.path(), &KEYSPACES);
    assert!(matches!(&error, OpenError::Locked { path } if path == folder.path()));
    assert!(!error.to_string().contains('\n'));
    drop(store);
    open(folder.path());
}

#[test]
fn a_later_format_is_refused_and_left_alone() {
    let folder = folder();
    let written = "twinmq store format 2\ncrc c525059c\n";
    fs::write(folder.path().join("FORMAT"), written).unwrap();
    let error = refused(folder.path(), &KEYSPACES);
    assert!(
        matches!(
            error,
            OpenError::NewerFormat {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fs::read_to_string(folder.path().join("FORMAT")).unwrap(), written);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn something_else_is_no_data_folder() {
    let folder = folder();
    let file = folder.path().join("a file");
    fs::write(&file, "x").unwrap();
    for path in [folder.path(), file.as_path()] {
        let error = refused(path, &KEYSPACES);
        assert!(matches!(error, OpenError::NotADataFolder { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn keyspaces_without_a_proper_name_are_refused() {
    let folder = folder();
    let named = |name| Keyspace {
        name,
        tuning: Tuning::Point,
    };
    for wrong in [
        vec![named("default")],
        vec![named("")],
        vec![named("a"), named("a")],
        vec![named("a\nb")],
    ] {
        assert!(matches!(refused(folder.path(), &wrong), OpenError::Keyspaces(_)));
    }
}

/// A version with more keyspaces, or in another order, or with fewer, finds its own under their names.
#[test]
fn keyspaces_are_found_by_name_whatever_the_list() {
    let folder = folder();
    put(&open(folder.path()), FEED, "a", "1");
    let [twins, feed, _] = KEYSPACES;
    let added = Keyspace {
        name: "added",
        tuning: Tuning::Point,
    };
    let options = Options::default();
    let opened = Store::open(folder.path(), &options, &[added, feed, twins]).unwrap();
    assert_eq!(get(&opened.store, KeyspaceId::at(1), "a"), Some("1".into()));
    put(&opened.store, KeyspaceId::at(0), "b", "2");
    put(&opened.store, KeyspaceId::at(2), "c", "3");
    drop(opened);
    let store = open(folder.path());
    assert_eq!(
        (get(&store, TWINS, "c"), get(&store, FEED, "a")),
        (Some("3".into()), Some("1".into()))
    );
}

#[test]
fn too_much_waiting_is_refused_at_once_and_the_rest_is_kept() {
    let folder = folder();
    let options = Options {
        backlog_bytes_max: 100_000,
        ..Options::default()
    };
    let store = Store::open(folder.path(), &options, &KEYSPACES).unwrap().store;
    let (hold, held) = mpsc::sync_channel::<()>(1);
    store.commit(Batch::new(), Durability::Os, move |_| held.recv().unwrap());
    let (tx, rx) = mpsc::sync_channel(1000);
    for number in 0..200_u8 {
        let mut batch = Batch::new();
        batch.put(TWINS, &[number], &[0; 1000]);
        let tx = tx.clone();
        store.commit(batch, Durability::Os, move |result| {
            tx.send((number, result)).unwrap()
        });
    }
    drop(tx);
    assert!(store.backlog_bytes() <= 100_000);
    hold.send(()).unwrap();
    let answers: Vec<_> = rx.iter().collect();
    assert_eq!(answers.len(), 200);
    let kept = answers.iter().filter(|(_, result)| result.is_ok()).count();
    assert!((50..100).contains(&kept), "{kept} kept");
    assert!(
        answers
            .iter()
            .all(|(_, result)| matches!(result, Ok(()) | Err(CommitError::Overloaded)))
    );
    assert_eq!(entries(&store, TWINS).len(), kept);
}

#[test]
fn a_batch_of_any_size_below_the_bound_is_one_group() {
    let folder = folder();
    let store = open(folder.path());
    let mut batch = Batch::new();
    for number in 0..20_000_u32 {
        batch.put(TWINS, &number.to_be_bytes(), &[7; 500]);
    }
    store.commit_blocking(batch, Durability::Fsync).unwrap();
    drop(store);
    assert_eq!(entries(&open(folder.path()), TWINS).len(), 20_000);
}

/// The folder under `fixtures/v1` was written by the first version of the format; see `examples/fixture.rs`.
#[test]
fn the_first_format_is_still_read() {
    let folder = folder();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    copy(&fixture, folder.path()).unwrap();
    let store = open(folder.path());
    for keyspace in ALL {
        let entries = entries(&store, keyspace);
        assert_eq!(entries.len(), 20, "{keyspace:?}");
        for (number, (key, value)) in (5_u32..).zip(entries) {
            assert_eq!(key, format!("key-{number:04}").into_bytes());
            assert_eq!(
                value,
                format!("value of {number} in {}", keyspace.index()).into_bytes()
            );
        }
    }
}

#[test]
fn memory_of_what_was_written_lately_is_told() {
    let folder = folder();
    let store = open(folder.path());
    let buffers = |store: &Store| store.engine_memory().unwrap().write_buffers;
    let before = buffers(&store);
    put(&store, TWINS, "lamp", &"x".repeat(1 << 20));
    assert!(buffers(&store) >= before + (1 << 20));
    assert_eq!(Store::memory(&KEYSPACES).engine_memory(), None);
}
