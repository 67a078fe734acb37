//! Any history of batches, reads and restarts gives the same on both engines.

use std::ops::{Bound, ControlFlow};

use proptest::collection::vec;
use proptest::prelude::*;
use store::{Batch, Durability, KeyspaceId, Store};

use crate::support::{ALL, Entries, KEYSPACES, entries, folder, open};

#[derive(Clone, Debug)]
enum Change {
    Put(u8, Vec<u8>, Vec<u8>),
    Delete(u8, Vec<u8>),
    DeleteRange(u8, Vec<u8>, Vec<u8>),
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>, Durability),
    Scan(u8, Bound<Vec<u8>>, Bound<Vec<u8>>),
    Restart,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(1), Just(b'a'), Just(0xff)], 0..4)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded)
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..3_u8, key(), vec(any::<u8>(), 0..20)).prop_map(|(map, key, value)| Change::Put(map, key, value)),
        1 => (0..3_u8, key()).prop_map(|(map, key)| Change::Delete(map, key)),
        1 => (0..3_u8, key(), key()).prop_map(|(map, from, to)| Change::DeleteRange(map, from, to)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let durability = prop_oneof![
        Just(Durability::Fsync),
        Just(Durability::Os),
        Just(Durability::Memory)
    ];
    prop_oneof![
        8 => (vec(change(), 0..12), durability).prop_map(|(changes, durability)| Step::Commit(changes, durability)),
        4 => (0..3_u8, bound(), bound()).prop_map(|(map, from, to)| Step::Scan(map, from, to)),
        1 => Just(Step::Restart),
    ]
}

fn batch(changes: &[Change]) -> Batch {
    let mut whole = Batch::new();
    for change in changes {
        let mut batch = Batch::new();
        match change {
            Change::Put(map, key, value) => batch.put(KeyspaceId::at(*map), key, value),
            Change::Delete(map, key) => batch.delete(KeyspaceId::at(*map), key),
            Change::DeleteRange(map, from, to) => batch.delete_range(KeyspaceId::at(*map), from, to),
        }
        whole.append(batch);
    }
    whole
}

fn scan(store: &Store, map: u8, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> Entries {
    let (from, to) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let collect = |entries: &mut Entries, key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    store
        .scan(KeyspaceId::at(map), from, to, &mut |key, value| {
            collect(&mut there, key, value)
        })
        .unwrap();
    store
        .scan_back(KeyspaceId::at(map), from, to, &mut |key, value| {
            collect(&mut back, key, value)
        })
        .unwrap();
    back.reverse();
    assert_eq!(there, back);
    there
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_agree(steps in vec(step(), 1..40)) {
        let folder = folder();
        let (mut rocks, memory) = (open(folder.path()), Store::memory(&KEYSPACES));
        for step in steps {
            match step {
                Step::Commit(changes, durability) => {
                    for store in [&rocks, &memory] {
                        store.commit_blocking(batch(&changes), durability).unwrap();
                    }
                }
                Step::Scan(map, from, to) => {
                    prop_assert_eq!(scan(&rocks, map, &from, &to), scan(&memory, map, &from, &to));
                }
                Step::Restart => {
                    drop(rocks);
                    rocks = open(folder.path());
                }
            }
        }
        for keyspace in ALL {
            prop_assert_eq!(entries(&rocks, keyspace), entries(&memory, keyspace));
        }
    }
}
