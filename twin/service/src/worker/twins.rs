//! Twins of a partition: found in memory or in the store, and kept in the round when they change.

use std::sync::Arc;

use store::{ReadError, Store};
use twin_model::{Event, Reach, SyncStatus, Timestamp, Twin, TwinId};

use super::Worker;
use crate::ask::Failure;
use crate::keys::{self, Meta, Spaces};
use crate::{change, metrics, record};

impl Worker {
    /// The twin as it is in memory, which may be ahead of the store by the rounds under way.
    pub(super) fn twin(&mut self, id: &TwinId) -> Result<Arc<Twin>, Failure> {
        if let Some(twin) = self.twins.get(id) {
            return Ok(twin);
        }
        let Some(bytes) = self.shared.store.get(self.shared.spaces.state, &keys::twin(id))? else {
            return Ok(Arc::new(Twin::never(id.clone())));
        };
        let twin = record::to_twin(id.clone(), &bytes).map_err(|damaged| Failure::Damaged {
            id: id.clone(),
            problem: damaged.to_string(),
        })?;
        let twin = Arc::new(as_found(
            twin,
            self.online.contains_key(&id.device),
            self.shared.started,
        ));
        self.twins.put(Arc::clone(&twin), bytes.len(), 0);
        Ok(twin)
    }

    /// Puts a changed twin, its pending entry and everything counted into the round.
    pub(super) fn keep(&mut self, before: &Twin, after: Twin) -> Arc<Twin> {
        let (spaces, key, record) = (
            self.shared.spaces,
            keys::twin(after.id()),
            record::of_twin(&after),
        );
        let batch = &mut self.round.batch;
        batch.put(spaces.state, &key, &record);
        match (status(before), status(&after)) {
            (
                _,
                Some(
                    now @ (SyncStatus::Pending
                    | SyncStatus::Offline
                    | SyncStatus::Rejected
                    | SyncStatus::Stalled),
                ),
            ) => {
                batch.put(spaces.pending, &key, now.as_str().as_bytes());
            }
            (None | Some(SyncStatus::InSync), None | Some(SyncStatus::InSync)) => {}
            (Some(_), None | Some(SyncStatus::InSync)) => batch.delete(spaces.pending, &key),
        }
        let born = i64::from(after.exists()) - i64::from(before.exists());
        if born != 0 {
            self.live += born;
            batch.put(
                spaces.meta,
                &Meta::Live(self.number).key(),
                &record::to_bytes(&self.live),
            );
        }
        let moved = (status(before), status(&after));
        if moved.0 != moved.1 {
            metrics::moved(moved.0, moved.1);
            self.round.moves.push(moved);
        }
        self.round.touched.push(after.id().clone());
        let after = Arc::new(after);
        self.twins.put(Arc::clone(&after), record.len(), self.next_round);
        after
    }

    /// Notes a sync status that changed without a write.
    pub(super) fn settle(&mut self, before: &Twin, reach: Reach) {
        let mut after = before.clone();
        let Some(Event::SyncChanged { to, .. }) = after.settle(self.now, reach) else {
            return;
        };
        self.keep(before, after);
        self.round
            .changes
            .push(change::of_sync(before.id(), to, self.now));
    }
}

/// The number of twins that a partition has added to the sum.
pub(crate) fn live(store: &Store, spaces: Spaces, partition: u16) -> Result<i64, ReadError> {
    let bytes = store.get(spaces.meta, &Meta::Live(partition).key())?;
    Ok(bytes
        .and_then(|bytes| record::from_bytes(&bytes).ok())
        .unwrap_or(0))
}

/// The sync status of a twin that is there.
pub(super) fn status(twin: &Twin) -> Option<SyncStatus> {
    twin.exists().then(|| twin.sync().status)
}

/// A twin as read from its record. What an earlier run of the broker said of a device that was connected then does
/// not hold any more.
pub(crate) fn as_found(mut twin: Twin, is_online: bool, started: Timestamp) -> Twin {
    if !is_online && matches!(twin.sync().status, SyncStatus::Pending | SyncStatus::Stalled) {
        twin.settle(started, Reach::Offline);
    }
    twin
}
