//! What every engine promises: each story is told to the one in memory and to RocksDB.

use std::ops::{Bound, ControlFlow, Range};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use store::{Batch, CommitError, Durability, KeyspaceId, ReadError, Store};

use crate::support::{FEED, KEYSPACES, QUEUES, TWINS, entries, folder, get, open, put};

fn with_both(story: impl Fn(Store)) {
    story(Store::memory(&KEYSPACES));
    let folder = folder();
    story(open(folder.path()));
}

fn range(store: &Store, from: Bound<&str>, to: Bound<&str>) -> String {
    let mut keys = String::new();
    let (from, to) = (from.map(str::as_bytes), to.map(str::as_bytes));
    let visit = &mut |key: &[u8], _: &[u8]| {
        keys.push_str(std::str::from_utf8(key).unwrap());
        ControlFlow::Continue(())
    };
    store.scan(TWINS, from, to, visit).unwrap();
    let ascending = keys.clone();
    let mut back = String::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        back.push_str(std::str::from_utf8(key).unwrap());
        ControlFlow::Continue(())
    };
    store.scan_back(TWINS, from, to, visit).unwrap();
    assert_eq!(ascending.chars().rev().collect::<String>(), back);
    ascending
}

#[test]
fn a_keyspace_is_found_by_its_name() {
    with_both(|store| {
        assert_eq!(store.keyspace("twins"), Some(TWINS));
        assert_eq!(store.keyspace("queues"), Some(QUEUES));
        assert_eq!(store.keyspace("default"), None);
    });
}

#[test]
fn a_batch_changes_all_its_keyspaces() {
    with_both(|store| {
        put(&store, TWINS, "old", "1");
        let mut batch = Batch::new();
        batch.put(TWINS, b"lamp", b"on");
        batch.put(FEED, b"0001", b"lamp");
        batch.delete(TWINS, b"old");
        batch.delete(QUEUES, b"never was");
        store.commit_blocking(batch, Durability::Fsync).unwrap();
        assert_eq!(get(&store, TWINS, "lamp"), Some("on".into()));
        assert_eq!(get(&store, FEED, "0001"), Some("lamp".into()));
        assert_eq!(get(&store, TWINS, "old"), None);
    });
}

#[test]
fn the_last_change_of_a_key_in_a_batch_wins() {
    with_both(|store| {
        let mut batch = Batch::new();
        batch.put(TWINS, b"a", b"1");
        batch.delete(TWINS, b"a");
        batch.put(TWINS, b"b", b"1");
        batch.delete_range(TWINS, b"a", b"z");
        batch.put(TWINS, b"c", b"");
        store.commit_blocking(batch, Durability::Os).unwrap();
        assert_eq!(entries(&store, TWINS), [(b"c".to_vec(), Vec::new())]);
    });
}

#[test]
fn ranges_have_the_ends_they_name() {
    with_both(|store| {
        ["a", "b", "c", "d", "e"]
            .iter()
            .for_each(|key| put(&store, TWINS, key, "x"));
        assert_eq!(range(&store, Bound::Unbounded, Bound::Unbounded), "abcde");
        assert_eq!(range(&store, Bound::Included("b"), Bound::Excluded("d")), "bc");
        assert_eq!(range(&store, Bound::Excluded("b"), Bound::Included("d")), "cd");
        assert_eq!(range(&store, Bound::Excluded("bb"), Bound::Unbounded), "cde");
        assert_eq!(range(&store, Bound::Included("d"), Bound::Included("b")), "");
        assert_eq!(range(&store, Bound::Excluded("b"), Bound::Excluded("b")), "");
        assert_eq!(range(&store, Bound::Excluded("e"), Bound::Unbounded), "");
    });
}

#[test]
fn a_visitor_that_breaks_sees_no_more() {
    with_both(|store| {
        ["a", "b", "c"]
            .iter()
            .for_each(|key| put(&store, TWINS, key, "x"));
        let mut seen = 0;
        let visit = &mut |_: &[u8], _: &[u8]| {
            seen += 1;
            if seen == 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        store
            .scan(TWINS, Bound::Unbounded, Bound::Unbounded, visit)
            .unwrap();
        assert_eq!(seen, 2);
    });
}

#[test]
fn a_visitor_may_read_and_commit() {
    with_both(|store| {
        put(&store, TWINS, "a", "1");
        let visit = &mut |_: &[u8], _: &[u8]| {
            put(&store, TWINS, "b", "2");
            assert_eq!(get(&store, TWINS, "b"), Some("2".into()));
            ControlFlow::Continue(())
        };
        store
            .scan(TWINS, Bound::Unbounded, Bound::Unbounded, visit)
            .unwrap();
    });
}

#[test]
fn delete_range_ends_before_its_end() {
    with_both(|store| {
        ["a", "b", "c", "d"]
            .iter()
            .for_each(|key| put(&store, TWINS, key, "x"));
        let mut batch = Batch::new();
        batch.delete_range(TWINS, b"b", b"d");
        store.commit_blocking(batch, Durability::Os).unwrap();
        assert_eq!(range(&store, Bound::Unbounded, Bound::Unbounded), "ad");
    });
}

/// Half of the keys are there already, half come with the batch that removes them; some come again behind.
#[test]
fn a_range_takes_all_that_came_before_it_however_much_that_is() {
    with_both(|store| {
        for count in [0, 1, 2, 63, 64, 65, 66, 1_000_u32] {
            let key = |number: u32| [b"m", &number.to_be_bytes()[..]].concat();
            let put = |batch: &mut Batch, numbers: Range<u32>| {
                numbers.for_each(|number| batch.put(TWINS, &key(number), &count.to_be_bytes()));
            };
            let mut batch = Batch::new();
            put(&mut batch, 0..count / 2);
            batch.put(TWINS, b"l", b"before");
            batch.put(TWINS, b"n", b"behind");
            batch.put(FEED, b"m", b"elsewhere");
            store.commit_blocking(batch, Durability::Os).unwrap();
            let mut batch = Batch::new();
            put(&mut batch, count / 2..count);
            batch.delete_range(TWINS, b"m", b"n");
            put(&mut batch, 0..count / 10);
            store.commit_blocking(batch, Durability::Os).unwrap();
            let again = count as usize / 10;
            assert_eq!(entries(&store, TWINS).len(), again + 2, "of {count}");
            assert_eq!(get(&store, FEED, "m"), Some("elsewhere".into()));
            let mut batch = Batch::new();
            batch.delete_range(TWINS, b"m", b"n");
            store.commit_blocking(batch, Durability::Fsync).unwrap();
            assert_eq!(range(&store, Bound::Unbounded, Bound::Unbounded), "ln");
        }
    });
}

#[test]
fn a_snapshot_does_not_move() {
    with_both(|store| {
        put(&store, TWINS, "a", "1");
        let snapshot = store.snapshot();
        put(&store, TWINS, "a", "2");
        put(&store, FEED, "b", "2");
        assert_eq!(snapshot.get(TWINS, b"a").unwrap(), Some(b"1".to_vec()));
        let mut seen = 0;
        let visit = &mut |_: &[u8], _: &[u8]| {
            seen += 1;
            ControlFlow::Continue(())
        };
        snapshot
            .scan(FEED, Bound::Unbounded, Bound::Unbounded, visit)
            .unwrap();
        assert_eq!(seen, 0);
        assert_eq!(get(&store, TWINS, "a"), Some("2".into()));
    });
}

#[test]
fn answers_come_in_the_order_of_submission() {
    with_both(|store| {
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..500_u32 {
            let mut batch = Batch::new();
            batch.put(FEED, &number.to_be_bytes(), b"x");
            let durability = match number % 7 {
                0 => Durability::Fsync,
                1 | 2 => Durability::Memory,
                _ => Durability::Os,
            };
            let order = Arc::clone(&order);
            store.commit(batch, durability, move |result| {
                order.lock().unwrap().push((number, result.is_ok()))
            });
        }
        store.commit_blocking(Batch::new(), Durability::Os).unwrap();
        let expected: Vec<_> = (0..500).map(|number| (number, true)).collect();
        assert_eq!(*order.lock().unwrap(), expected);
    });
}

#[test]
fn a_batch_is_readable_when_it_is_answered() {
    with_both(|store| {
        let (tx, rx) = mpsc::sync_channel(1000);
        for number in 0..100_u32 {
            let (reader, tx) = (store.clone(), tx.clone());
            let mut batch = Batch::new();
            batch.put(FEED, &number.to_be_bytes(), b"x");
            store.commit(batch, Durability::Os, move |result| {
                let found = reader.get(FEED, &number.to_be_bytes());
                tx.send(result.is_ok() && found == Ok(Some(b"x".to_vec())))
                    .unwrap();
            });
        }
        assert!(rx.iter().take(100).all(|seen| seen));
    });
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    with_both(|store| {
        thread::scope(|scope| {
            for writer in 0..8_u8 {
                let store = store.clone();
                scope.spawn(move || {
                    for number in 0..100_u8 {
                        let mut batch = Batch::new();
                        batch.put(TWINS, &[writer, number], &[number]);
                        batch.put(FEED, &[number, writer], &[]);
                        store.commit_blocking(batch, Durability::Os).unwrap();
                    }
                });
            }
        });
        assert_eq!(entries(&store, TWINS).len(), 800);
        assert_eq!(entries(&store, FEED).len(), 800);
        assert_eq!(store.backlog_bytes(), 0);
    });
}

#[test]
fn a_done_may_commit_and_may_drop_the_last_handle() {
    with_both(|store| {
        let (tx, rx) = mpsc::sync_channel(1000);
        let last = store.clone();
        store.commit(Batch::new(), Durability::Os, move |_| {
            let mut batch = Batch::new();
            batch.put(TWINS, b"from", b"within");
            let again = last.clone();
            last.commit(batch, Durability::Fsync, move |result| {
                drop(again);
                tx.send(result).unwrap();
            });
        });
        drop(store);
        assert_eq!(rx.recv().unwrap(), Ok(()));
    });
}

#[test]
fn a_done_that_panics_keeps_nobody_from_an_answer() {
    with_both(|store| {
        store.commit(Batch::new(), Durability::Os, |_| {
            panic!("a test's panic, which is expected")
        });
        assert_eq!(store.commit_blocking(Batch::new(), Durability::Os), Ok(()));
    });
}

#[test]
fn a_keyspace_that_does_not_exist_is_refused() {
    with_both(|store| {
        let nowhere = KeyspaceId::at(9);
        let mut batch = Batch::new();
        batch.put(TWINS, b"a", b"1");
        batch.put(nowhere, b"a", b"1");
        assert_eq!(
            store.commit_blocking(batch, Durability::Os),
            Err(CommitError::UnknownKeyspace(9))
        );
        assert_eq!(store.get(nowhere, b"a"), Err(ReadError::UnknownKeyspace(9)));
        assert_eq!(get(&store, TWINS, "a"), None);
    });
}

#[test]
fn a_closed_store_refuses_commits_and_keeps_what_it_took() {
    with_both(|store| {
        let (tx, rx) = mpsc::sync_channel(1000);
        for number in 0..50_u8 {
            let tx = tx.clone();
            let mut batch = Batch::new();
            batch.put(TWINS, &[number], b"x");
            store.commit(batch, Durability::Memory, move |result| tx.send(result).unwrap());
        }
        let reader = store.clone();
        store.close();
        assert_eq!(rx.try_iter().filter(Result::is_ok).count(), 50);
        assert_eq!(entries(&reader, TWINS).len(), 50);
        assert_eq!(
            reader.commit_blocking(Batch::new(), Durability::Os),
            Err(CommitError::Closed)
        );
    });
}
