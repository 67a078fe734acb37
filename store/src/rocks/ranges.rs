//! Removing a range key by key where little is in it and nobody knows. The engine keeps each range that is removed in memory until a
//! compaction drops it, even one that held nothing; whoever makes many would fill the memory.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use rocksdb::ReadOptions;

use super::Database;
use crate::batch::Change;
use crate::engine::{Direction, KeyRange, Visit};
use crate::keyspace::KeyspaceId;

/// The most keys that are removed one by one.
const KEYS_MAX: usize = 64;

/// The most bytes of values that are read for their keys.
const VALUES_MAX: usize = 64 << 10;

/// The most removed keys that are passed over on the way.
const REMOVED_MAX: u64 = 256;

/// The keys that a group has put so far: the database does not know them yet.
#[derive(Debug, Default)]
pub(super) struct Fresh<'a>(BTreeSet<(KeyspaceId, &'a [u8])>);

impl<'a> Fresh<'a> {
    pub(super) fn note(&mut self, keyspace: KeyspaceId, change: Change<'a>) {
        if let Change::Put(key, _) = change {
            self.0.insert((keyspace, key));
        }
    }

    fn within(&self, keyspace: KeyspaceId, from: &'a [u8], to: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let keys = self.0.range((keyspace, from)..(keyspace, to));
        keys.map(|(_, key)| *key)
    }
}

/// All keys in a range; `None` if that is more than is worth while, or if they cannot be read.
pub(super) fn few_keys(
    database: &Database,
    fresh: &Fresh<'_>,
    keyspace: KeyspaceId,
    from: &[u8],
    to: &[u8],
) -> Option<BTreeSet<Vec<u8>>> {
    let put = fresh.within(keyspace, from, to).take(KEYS_MAX + 1);
    let mut keys: BTreeSet<Vec<u8>> = put.map(<[u8]>::to_vec).collect();
    let mut values = 0;
    let range = KeyRange {
        from: Bound::Included(from),
        to: Bound::Excluded(to),
    };
    let mut options = ReadOptions::default();
    options.set_max_skippable_internal_keys(REMOVED_MAX);
    let visit: Visit<'_> = &mut |key, value| {
        keys.insert(key.to_vec());
        values += value.len();
        if keys.len() > KEYS_MAX || values > VALUES_MAX {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let read = database.walk(keyspace, range, Direction::Ascending, visit, options);
    (read.is_ok() && keys.len() <= KEYS_MAX && values <= VALUES_MAX).then_some(keys)
}

#[cfg(test)]
mod tests {
    use super::super::Rocks;
    use super::*;
    use crate::batch::{Batch, Records};
    use crate::engine::Engine;
    use crate::keyspace::{Keyspace, Tuning};
    use crate::options::Options;
    use crate::rocks::wal::GROUP_HEADER;

    const FIRST: KeyspaceId = KeyspaceId::at(0);
    const SECOND: KeyspaceId = KeyspaceId::at(1);
    const QUEUE: KeyspaceId = KeyspaceId::at(2);
    const KEYSPACES: [Keyspace; 3] = [
        Keyspace {
            name: "first",
            tuning: Tuning::Point,
        },
        Keyspace {
            name: "second",
            tuning: Tuning::Scan,
        },
        Keyspace {
            name: "queue",
            tuning: Tuning::Queue,
        },
    ];

    fn put(keyspace: KeyspaceId, keys: std::ops::Range<u16>, value: &[u8]) -> Batch {
        let mut batch = Batch::new();
        for key in keys {
            batch.put(keyspace, &key.to_be_bytes(), value);
        }
        batch
    }

    fn remove(keyspace: KeyspaceId, keys: std::ops::Range<u16>) -> Batch {
        let mut batch = Batch::new();
        batch.delete_range(keyspace, &keys.start.to_be_bytes(), &keys.end.to_be_bytes());
        batch
    }

    /// How many keys and how many ranges the engine is told to remove for a group, which is written then.
    fn removals(engine: &Rocks, group: &[&Batch]) -> (usize, usize) {
        let encoded = engine.database.encode(group);
        let (header, changes) = encoded.split_at(GROUP_HEADER);
        let changes: Vec<_> = Records::new(changes).map(|record| record.change).collect();
        let count = header.last_chunk().copied().map(u32::from_le_bytes);
        assert_eq!(count, u32::try_from(changes.len()).ok());
        engine.write(group, false).expect("written");
        let count = |wanted: fn(&Change<'_>) -> bool| changes.iter().filter(|change| wanted(change)).count();
        (
            count(|change| matches!(change, Change::Delete(_))),
            count(|change| matches!(change, Change::DeleteRange(..))),
        )
    }

    #[test]
    fn what_is_removed_as_a_range_is_only_what_has_much_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Rocks::open(folder.path(), &Options::default(), &KEYSPACES).expect("opened");
        let told = |group: &[&Batch]| removals(&engine, group);
        let few = KEYS_MAX as u16;
        assert_eq!(told(&[&remove(FIRST, 0..100)]), (0, 0), "nothing was in it");

        told(&[&put(FIRST, 0..few, b"x"), &put(SECOND, 0..few, b"x")]);
        assert_eq!(told(&[&remove(FIRST, 0..100)]), (KEYS_MAX, 0));
        assert_eq!(told(&[&remove(FIRST, 0..100)]), (0, 0), "nothing is left in it");
        told(&[&put(FIRST, 0..few + 1, b"x")]);
        assert_eq!(told(&[&remove(FIRST, 0..100)]), (0, 1), "one key more");

        let half = few / 2;
        told(&[&put(FIRST, 0..half, b"x")]);
        let (group, range) = (put(FIRST, half - 1..few, b"x"), remove(FIRST, 0..100));
        assert_eq!(told(&[&group, &range]), (KEYS_MAX, 0), "with those of the group");
        assert_eq!(told(&[&range, &group]), (0, 0), "those behind it are not meant");
        told(&[&put(FIRST, 0..half, b"x")]);
        let (group, range) = (put(FIRST, half..few + 1, b"x"), remove(FIRST, 0..100));
        assert_eq!(
            told(&[&group, &range]),
            (0, 1),
            "too many with those of the group"
        );

        told(&[&put(QUEUE, 0..few, b"x")]);
        assert_eq!(
            told(&[&remove(QUEUE, 0..100)]),
            (0, 1),
            "nobody looks into a queue"
        );

        told(&[&put(FIRST, 0..2, &[7; VALUES_MAX / 2 + 1])]);
        assert_eq!(told(&[&remove(FIRST, 0..100)]), (0, 1), "much to read");
        let gone = 3 * REMOVED_MAX as u16;
        for key in 0..gone {
            told(&[&put(SECOND, key..key + 1, b"x")]);
            let mut batch = Batch::new();
            batch.delete(SECOND, &key.to_be_bytes());
            told(&[&batch]);
        }
        assert_eq!(told(&[&remove(SECOND, 0..gone)]), (0, 1), "much to pass over");
        assert_eq!(
            told(&[&remove(SECOND, 0..gone)]),
            (0, 0),
            "a removed range is passed at once"
        );
    }
}
