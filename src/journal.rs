//! The broker's journal in the store: shelves become keyspaces, so that neither crate knows the other.

use std::ops::{Bound, ControlFlow};

use broker::{CommitRefused, Done, Journal, Op, Shelf, Visit};
use store::{CommitError, Durability, Keyspace, KeyspaceId, Store, Tuning};

/// A keyspace for each shelf, in the order of their numbers.
#[must_use]
pub(crate) fn keyspaces() -> Vec<Keyspace> {
    let tuning = |shelf| match shelf {
        // Written at one end, deleted at the other.
        Shelf::Queue | Shelf::Bodies => Tuning::Queue,
        // Read by key, overwritten or deleted soon.
        Shelf::Inflight | Shelf::Receipts | Shelf::Cursors => Tuning::Point,
        // Read in order when the process starts.
        Shelf::Sessions | Shelf::Subscriptions | Shelf::Retained => Tuning::Scan,
    };
    Shelf::ALL
        .map(|shelf| Keyspace {
            name: shelf.name(),
            tuning: tuning(shelf),
        })
        .to_vec()
}

/// The store as the broker sees it. The shelves' keyspaces stand first in the store, each at its shelf's number.
#[derive(Debug)]
pub(crate) struct StoreJournal {
    pub(crate) store: Store,
    pub(crate) durability: Durability,
}

const fn keyspace(shelf: Shelf) -> KeyspaceId {
    KeyspaceId::at(shelf as u8)
}

impl Journal for StoreJournal {
    fn commit(&self, batch: broker::Batch, done: Done) {
        let mut kept = store::Batch::new();
        for op in batch.ops() {
            match op {
                Op::Put { shelf, key, value } => kept.put(keyspace(shelf), key, value),
                Op::Delete { shelf, key } => kept.delete(keyspace(shelf), key),
                Op::DeleteRange { shelf, from, to } => kept.delete_range(keyspace(shelf), from, to),
            }
        }
        self.store.commit(kept, self.durability, move |result| {
            done(result.map_err(|error| match error {
                CommitError::Full | CommitError::Overloaded => CommitRefused::Full,
                other => CommitRefused::Failed(other.to_string()),
            }));
        });
    }

    fn has_room(&self) -> bool {
        self.store.has_room()
    }

    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.store
            .get(keyspace(shelf), key)
            .map_err(|error| error.to_string())
    }

    fn scan(
        &self,
        shelf: Shelf,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut each = |key: &[u8], value: &[u8]| -> ControlFlow<()> { visit(key, value) };
        self.store
            .scan(keyspace(shelf), Bound::Included(from), to, &mut each)
            .map_err(|error| error.to_string())
    }
}
