//! Cache: the twins a partition used lately, within a bound of bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use twin_model::{Twin, TwinId};

/// What a twin costs beside its documents: the structures around it, roughly.
const OVERHEAD_BYTES: usize = 512;

/// Twins by name, the longest unused ones dropped first. A twin whose latest change is not committed is never
/// dropped, because the store does not have it yet; uncommitted ones may exceed the bound for that long.
#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    bytes: usize,
    clock: u64,
    slots: HashMap<TwinId, Slot>,
    by_use: BTreeMap<u64, TwinId>,
}

#[derive(Debug)]
struct Slot {
    twin: Arc<Twin>,
    bytes: usize,
    used: u64,
    round: u64,
    /// The twin as the last documents message showed it.
    snapshot: Option<Arc<str>>,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            clock: 0,
            slots: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    /// The twin, if it is here.
    pub(crate) fn get(&mut self, id: &TwinId) -> Option<Arc<Twin>> {
        let slot = self.slots.get_mut(id)?;
        self.clock += 1;
        self.by_use.remove(&slot.used);
        slot.used = self.clock;
        self.by_use.insert(self.clock, id.clone());
        Some(Arc::clone(&slot.twin))
    }

    /// Keeps a twin of so many bytes. `round` is the round that commits it; 0 for one that the store has.
    pub(crate) fn put(&mut self, twin: Arc<Twin>, bytes: usize, round: u64) {
        let id = twin.id().clone();
        self.remove(&id);
        self.clock += 1;
        let bytes = bytes.saturating_mul(2).saturating_add(OVERHEAD_BYTES);
        self.bytes += bytes;
        self.by_use.insert(self.clock, id.clone());
        self.slots.insert(
            id,
            Slot {
                twin,
                bytes,
                used: self.clock,
                round,
                snapshot: None,
            },
        );
    }

    /// The twin as it was shown last, if that is known.
    pub(crate) fn snapshot(&self, id: &TwinId) -> Option<Arc<str>> {
        self.slots.get(id)?.snapshot.clone()
    }

    /// Keeps how the twin was shown, until it changes.
    pub(crate) fn put_snapshot(&mut self, id: &TwinId, snapshot: Arc<str>) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.bytes += snapshot.len();
            self.bytes += snapshot.len();
            slot.snapshot = Some(snapshot);
        }
    }

    /// Drops what exceeds the bound and is committed up to this round.
    pub(crate) fn trim(&mut self, committed: u64) {
        if self.bytes <= self.bytes_max {
            return;
        }
        let mut excess = self.bytes - self.bytes_max;
        let mut dropped = Vec::new();
        for id in self.by_use.values() {
            let Some(slot) = self.slots.get(id).filter(|slot| slot.round <= committed) else {
                continue;
            };
            dropped.push(id.clone());
            excess = excess.saturating_sub(slot.bytes);
            if excess == 0 {
                break;
            }
        }
        dropped.iter().for_each(|id| self.remove(id));
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            clock: self.clock,
            ..Self::new(self.bytes_max)
        };
    }

    fn remove(&mut self, id: &TwinId) {
        if let Some(slot) = self.slots.remove(id) {
            self.by_use.remove(&slot.used);
            self.bytes -= slot.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use twin_model::DeviceName;

    use super::*;

    fn twin(name: &str) -> Arc<Twin> {
        Arc::new(Twin::never(TwinId::default_of(
            DeviceName::try_from(name).expect("a name"),
        )))
    }

    fn put(cache: &mut Cache, name: &str, round: u64) {
        cache.put(twin(name), 256, round); // counts as 1024 bytes
    }

    fn has(cache: &Cache, name: &str) -> bool {
        cache.slots.contains_key(twin(name).id())
    }

    #[test]
    fn the_longest_unused_twin_goes_first() {
        let mut cache = Cache::new(2048);
        ["a", "b", "c"].iter().for_each(|name| put(&mut cache, name, 0));
        assert!(cache.get(twin("a").id()).is_some());
        cache.trim(0);
        assert!(has(&cache, "a") && has(&cache, "c") && !has(&cache, "b"));
    }

    #[test]
    fn a_twin_that_the_store_does_not_have_yet_stays() {
        let mut cache = Cache::new(0);
        put(&mut cache, "old", 1);
        put(&mut cache, "new", 2);
        cache.trim(1);
        assert!(has(&cache, "new") && !has(&cache, "old"));
        cache.trim(2);
        assert_eq!((cache.bytes, cache.slots.len(), cache.by_use.len()), (0, 0, 0));
    }

    #[test]
    fn the_same_twin_is_counted_once() {
        let mut cache = Cache::new(4096);
        for _ in 0..100 {
            put(&mut cache, "a", 0);
            cache.put_snapshot(twin("a").id(), "{}".into());
        }
        assert_eq!((cache.bytes, cache.by_use.len()), (1026, 1));
        put(&mut cache, "a", 0);
        assert_eq!(
            cache.snapshot(twin("a").id()),
            None,
            "another twin was never shown"
        );
    }
}
