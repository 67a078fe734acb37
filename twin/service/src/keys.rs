//! Keys: where everything stands in the store, and why keys sort the way they do.
//!
//! | keyspace | key | value | why |
//! | --- | --- | --- | --- |
//! | `twin.state` | device, 0, twin | [`record`](crate::record) of a twin | a device's twins stand together, the default twin first; a list of devices is one walk |
//! | `twin.presence` | device | presence record | small and often written; apart from documents, so that neither rewrites the other |
//! | `twin.pending` | device, 0, twin | the sync status | one entry for each twin whose device has something to be told, however often it changed: what a device is sent on return is one short walk |
//! | `twin.feed` | sequence number, big-endian | a [`change`](crate::change) | in commit order; readers walk forward, retention cuts the front off |
//! | `twin.meta` | a word | see [`Meta`] | what is there once |
//!
//! Names hold no byte 0 (`twin_model` allows letters, digits and `: _ . -`), so a separator of 0 makes the order of
//! keys the order of (device, twin), and no device's keys lie between another's.

use std::ops::Bound;

use store::{Keyspace, KeyspaceId, Store, Tuning};
use twin_model::{DeviceName, TwinId, TwinName};

const STATE: Keyspace = Keyspace {
    name: "twin.state",
    tuning: Tuning::Point,
};
const PRESENCE: Keyspace = Keyspace {
    name: "twin.presence",
    tuning: Tuning::Point,
};
const PENDING: Keyspace = Keyspace {
    name: "twin.pending",
    tuning: Tuning::Scan,
};
const FEED: Keyspace = Keyspace {
    name: "twin.feed",
    tuning: Tuning::Queue,
};
const META: Keyspace = Keyspace {
    name: "twin.meta",
    tuning: Tuning::Point,
};

/// The keyspaces of the twins, for the list a store is opened with.
#[must_use]
pub fn keyspaces() -> Vec<Keyspace> {
    vec![STATE, PRESENCE, PENDING, FEED, META]
}

/// Handles of the keyspaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spaces {
    pub(crate) state: KeyspaceId,
    pub(crate) presence: KeyspaceId,
    pub(crate) pending: KeyspaceId,
    pub(crate) feed: KeyspaceId,
    pub(crate) meta: KeyspaceId,
}

impl Spaces {
    /// The handles, or the name of a keyspace that the store was opened without.
    pub(crate) fn of(store: &Store) -> Result<Self, &'static str> {
        let id = |keyspace: Keyspace| store.keyspace(keyspace.name).ok_or(keyspace.name);
        Ok(Self {
            state: id(STATE)?,
            presence: id(PRESENCE)?,
            pending: id(PENDING)?,
            feed: id(FEED)?,
            meta: id(META)?,
        })
    }
}

/// What is there once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meta {
    /// The identity of this broker in stamps: eight bytes, big-endian, made at the first start.
    Node,
    /// The last stamp a partition gave.
    Mark(u16),
    /// How many twins a partition has made, less those it removed. Only the sum over all partitions means something.
    Live(u16),
}

impl Meta {
    const MARKS: &'static [u8] = b"mark/";
    const LIVES: &'static [u8] = b"live/";

    /// The keys of all partitions' marks, also of partitions that are no more.
    pub(crate) fn marks() -> (Vec<u8>, Vec<u8>) {
        (Self::MARKS.to_vec(), b"mark0".to_vec()) // '0' follows '/'
    }

    /// The keys of all partitions' counts.
    pub(crate) fn lives() -> (Vec<u8>, Vec<u8>) {
        (Self::LIVES.to_vec(), b"live0".to_vec())
    }

    pub(crate) fn key(self) -> Vec<u8> {
        match self {
            Self::Node => b"node".to_vec(),
            Self::Mark(partition) => [Self::MARKS, partition.to_string().as_bytes()].concat(),
            Self::Live(partition) => [Self::LIVES, partition.to_string().as_bytes()].concat(),
        }
    }
}

/// The key of a twin, in `twin.state` and `twin.pending`.
pub(crate) fn twin(id: &TwinId) -> Vec<u8> {
    [id.device.as_str().as_bytes(), &[0], id.name.as_str().as_bytes()].concat()
}

/// The twin of a key; `None` if no twin has it.
pub(crate) fn twin_of(key: &[u8]) -> Option<TwinId> {
    let (device, name) = std::str::from_utf8(key).ok()?.split_once('\0')?;
    Some(TwinId {
        device: DeviceName::try_from(device).ok()?,
        name: TwinName::try_from(name).ok()?,
    })
}

/// The keys of all twins of a device.
pub(crate) fn twins_of(device: &DeviceName) -> (Vec<u8>, Vec<u8>) {
    let device = device.as_str().as_bytes();
    ([device, &[0]].concat(), [device, &[1]].concat())
}

/// The bounds of a walk from `from` up to and without `to`.
pub(crate) fn span((from, to): &(Vec<u8>, Vec<u8>)) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(from), Bound::Excluded(to))
}

/// The key of a change.
pub(crate) const fn change(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

/// The sequence number of a change's key.
pub(crate) fn sequence_of(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(device: &str, name: &str) -> TwinId {
        TwinId {
            device: DeviceName::try_from(device).expect("a name"),
            name: TwinName::try_from(name).expect("a name"),
        }
    }

    #[test]
    fn keys_read_back_and_sort_as_their_twins_do() {
        let ids = [
            id("a", ""),
            id("a", "b"),
            id("a", "c"),
            id("a-", ""),
            id("a.b", "x"),
            id("ab", "a"),
        ];
        let keys: Vec<_> = ids.iter().map(twin).collect();
        assert!(keys.is_sorted());
        assert!(ids.is_sorted());
        for (id, key) in ids.iter().zip(&keys) {
            assert_eq!(twin_of(key).as_ref(), Some(id));
            let (from, to) = twins_of(&id.device);
            let inside = keys.iter().filter(|key| **key >= from && **key < to).count();
            assert_eq!(
                inside,
                ids.iter().filter(|other| other.device == id.device).count(),
                "{id}"
            );
        }
    }

    #[test]
    fn changes_sort_by_their_number() {
        assert!(change(255) < change(256));
        assert_eq!(sequence_of(&change(77)), Some(77));
        assert_eq!(sequence_of(b"short"), None);
    }

    #[test]
    fn bytes_that_are_no_key_are_no_twin() {
        for key in [&b""[..], b"device", b"\0", b"\xff\0", b"a/b\0"] {
            assert_eq!(twin_of(key), None, "{key:?}");
        }
    }
}
