//! Deltas: what was sent to the sessions of connected devices, under which keys, and what is still on its way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use plugin_api::ReplaceKey;
use twin_model::{DeviceName, Moment, TwinId, TwinName};

use crate::topics::Prefix;

/// The partition is in the upper bits of a key, so that word of a key finds its way back.
const NUMBER_BITS: u32 = 48;

/// The partition that gave a key.
pub(crate) const fn partition_of(key: ReplaceKey) -> u64 {
    key.0 >> NUMBER_BITS
}

/// Keys and flights of one partition. It holds one entry for each twin whose delta was sent to a connected device
/// since that device connected.
#[derive(Debug)]
pub(super) struct Deltas {
    partition: u16,
    given: u64,
    sent: BTreeMap<TwinId, Sent>,
    by_key: HashMap<ReplaceKey, (TwinId, Prefix)>,
    flights: BTreeSet<(Moment, TwinId)>,
    /// Word of a message that the broker had to drop may never come; after so long it is not waited for.
    flight_max: Duration,
}

#[derive(Debug, Default)]
struct Sent {
    keys: BTreeMap<Prefix, ReplaceKey>,
    flying: BTreeSet<Prefix>,
    until: Option<Moment>,
}

impl Deltas {
    pub(super) fn new(partition: u16, flight_max: Duration) -> Self {
        Self {
            partition,
            given: 0,
            sent: BTreeMap::new(),
            by_key: HashMap::new(),
            flights: BTreeSet::new(),
            flight_max,
        }
    }

    /// The key of a twin's deltas under a prefix: the same until the device leaves.
    pub(super) fn key(&mut self, twin: &TwinId, prefix: Prefix) -> ReplaceKey {
        let sent = self.sent.entry(twin.clone()).or_default();
        *sent.keys.entry(prefix).or_insert_with(|| {
            self.given += 1;
            let key = ReplaceKey(u64::from(self.partition) << NUMBER_BITS | self.given);
            self.by_key.insert(key, (twin.clone(), prefix));
            key
        })
    }

    /// Whether the twin's delta was sent to the device, but not under this prefix.
    pub(super) fn missed(&self, twin: &TwinId, prefix: Prefix) -> bool {
        self.sent
            .get(twin)
            .is_some_and(|sent| !sent.keys.is_empty() && !sent.keys.contains_key(&prefix))
    }

    /// Whether nothing was sent under this prefix yet.
    pub(super) fn is_new(&self, twin: &TwinId, prefix: Prefix) -> bool {
        self.sent
            .get(twin)
            .is_none_or(|sent| !sent.keys.contains_key(&prefix))
    }

    /// Notes that a delta is on its way.
    pub(super) fn fly(&mut self, twin: &TwinId, prefix: Prefix, now: Moment) {
        let sent = self.sent.entry(twin.clone()).or_default();
        sent.flying.insert(prefix);
        if let Some(until) = sent.until.replace(now + self.flight_max) {
            self.flights.remove(&(until, twin.clone()));
        }
        self.flights.insert((now + self.flight_max, twin.clone()));
    }

    /// Notes that a message arrived. Answers its twin when nothing else of it is on its way.
    pub(super) fn settled(&mut self, key: ReplaceKey) -> Option<TwinId> {
        let (twin, prefix) = self.by_key.get(&key)?.clone();
        let sent = self.sent.get_mut(&twin)?;
        if !sent.flying.remove(&prefix) || !sent.flying.is_empty() {
            return None;
        }
        if let Some(until) = sent.until.take() {
            self.flights.remove(&(until, twin.clone()));
        }
        Some(twin)
    }

    /// Takes a twin whose flight has taken too long.
    pub(super) fn overdue(&mut self, now: Moment) -> Option<TwinId> {
        if self.flights.first()?.0 > now {
            return None;
        }
        let (_, twin) = self.flights.pop_first()?;
        if let Some(sent) = self.sent.get_mut(&twin) {
            sent.flying.clear();
            sent.until = None;
        }
        Some(twin)
    }

    /// When `overdue` will have something.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.flights.first().map(|(until, _)| *until)
    }

    /// Forgets a device that left, or whose session is another one now.
    pub(super) fn forget(&mut self, device: &DeviceName) {
        let first = TwinId {
            device: device.clone(),
            name: TwinName::default_twin(),
        };
        let theirs = self
            .sent
            .range(first..)
            .map(|(twin, _)| twin)
            .take_while(|twin| twin.device == *device);
        for twin in theirs.cloned().collect::<Vec<_>>() {
            let Some(sent) = self.sent.remove(&twin) else {
                continue;
            };
            sent.keys.values().for_each(|key| drop(self.by_key.remove(key)));
            if let Some(until) = sent.until {
                self.flights.remove(&(until, twin));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twin(device: &str) -> TwinId {
        TwinId::default_of(DeviceName::try_from(device).expect("a name"))
    }

    fn second(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[test]
    fn a_key_stays_the_same_and_names_its_partition() {
        let mut deltas = Deltas::new(7, Duration::from_secs(60));
        let key = deltas.key(&twin("a"), Prefix::Aws);
        assert_eq!(deltas.key(&twin("a"), Prefix::Aws), key);
        assert_ne!(deltas.key(&twin("a"), Prefix::Me), key);
        assert_eq!(partition_of(key), 7);
    }

    #[test]
    fn a_twin_has_arrived_when_it_arrived_under_every_prefix() {
        let mut deltas = Deltas::new(0, Duration::from_secs(60));
        let keys = [Prefix::Aws, Prefix::Native].map(|prefix| {
            deltas.fly(&twin("a"), prefix, second(0));
            deltas.key(&twin("a"), prefix)
        });
        assert_eq!(deltas.settled(keys[0]), None);
        assert_eq!(deltas.settled(keys[0]), None, "word that comes twice counts once");
        assert_eq!(deltas.settled(keys[1]), Some(twin("a")));
        assert_eq!(deltas.next_deadline(), None);
    }

    #[test]
    fn what_never_arrives_is_not_waited_for_forever() {
        let mut deltas = Deltas::new(0, Duration::from_secs(60));
        deltas.fly(&twin("a"), Prefix::Aws, second(0));
        deltas.fly(&twin("a"), Prefix::Aws, second(10));
        assert_eq!(deltas.overdue(second(60)), None);
        assert_eq!(deltas.overdue(second(70)), Some(twin("a")));
        assert_eq!(deltas.overdue(second(700)), None);
    }

    #[test]
    fn a_device_that_left_leaves_nothing() {
        let mut deltas = Deltas::new(0, Duration::from_secs(60));
        for device in ["a", "ab", "b"] {
            deltas.key(&twin(device), Prefix::Aws);
            deltas.fly(&twin(device), Prefix::Aws, second(0));
        }
        deltas.forget(&twin("a").device);
        assert_eq!(
            (deltas.sent.len(), deltas.by_key.len(), deltas.flights.len()),
            (2, 2, 2)
        );
    }
}
