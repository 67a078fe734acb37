//! The reference engine: sorted maps in memory. What it does is what an engine has to do.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock};

use crate::batch::{Batch, Change, Record, Records};
use crate::engine::{Direction, Engine, EngineMemory, KeyRange, View, Visit};
use crate::error::{CommitError, ReadError};
use crate::keyspace::{Keyspace, KeyspaceId};
use crate::quarantine::SetAside;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// All keyspaces; a snapshot shares the maps until they change.
#[derive(Clone)]
struct Maps(Vec<Arc<Map>>);

pub(crate) struct Memory {
    maps: RwLock<Maps>,
}

impl Memory {
    pub(crate) fn new(keyspaces: &[Keyspace]) -> Self {
        Self {
            maps: RwLock::new(Maps(keyspaces.iter().map(|_| Arc::default()).collect())),
        }
    }

    /// A view without the lock, so that a visitor may read the store while writers go on.
    fn maps(&self) -> Maps {
        self.maps.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl View for Memory {
    fn read(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.maps
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .read(keyspace, key)
    }

    fn walk(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange<'_>,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        self.maps().walk(keyspace, range, direction, visit)
    }
}

impl Engine for Memory {
    fn write(&self, group: &[&Batch], _sync: bool) -> Result<(), CommitError> {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        for record in group.iter().flat_map(|batch| Records::new(batch.as_records())) {
            maps.apply(record);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), CommitError> {
        Ok(())
    }

    fn freeze(&self) -> Box<dyn View + '_> {
        Box::new(self.maps())
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }

    fn memory(&self) -> Option<EngineMemory> {
        None
    }

    fn sweep(&self) -> bool {
        true
    }

    fn set_aside(&self) -> Vec<SetAside> {
        Vec::new()
    }
}

impl Maps {
    fn map(&self, keyspace: KeyspaceId) -> Result<&Map, ReadError> {
        self.0
            .get(keyspace.index())
            .map(Arc::as_ref)
            .ok_or(ReadError::UnknownKeyspace(keyspace.index()))
    }

    fn apply(&mut self, record: Record<'_>) {
        let Some(map) = self.0.get_mut(record.map as usize).map(Arc::make_mut) else {
            return;
        };
        match record.change {
            Change::Put(key, value) => {
                map.insert(key.to_vec(), value.to_vec());
            }
            Change::Delete(key) => {
                map.remove(key);
            }
            Change::DeleteRange(from, to) => {
                let range = (Bound::Included(from), Bound::Excluded(to));
                let keys: Vec<_> = map.range::<[u8], _>(range).map(|(key, _)| key.clone()).collect();
                for key in keys {
                    map.remove(&key);
                }
            }
        }
    }
}

impl View for Maps {
    fn read(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.map(keyspace)?.get(key).cloned())
    }

    fn walk(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange<'_>,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        let map = self.map(keyspace)?;
        if range.is_empty() {
            return Ok(());
        }
        let mut entries = map.range::<[u8], _>((range.from, range.to));
        let mut next = || match direction {
            Direction::Ascending => entries.next(),
            Direction::Descending => entries.next_back(),
        };
        while let Some((key, value)) = next() {
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
