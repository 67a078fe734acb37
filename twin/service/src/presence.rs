//! Presence: which devices are connected, since when, from where; and what the last word was of those that are not.

use std::borrow::Cow;

use dashmap::DashMap;
use plugin_api::{ClientId, Departure, Peer};
use serde::{Deserialize, Serialize};
use store::{ReadError, Store};
use twin_model::{DeviceName, Timestamp};

use crate::keys::Spaces;
use crate::record;

/// What is known of a device's connection. Shown to users, and kept as a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Presence {
    pub(crate) connected: bool,
    /// Since when it is connected or not.
    pub(crate) since: Timestamp,
    /// When it was last heard of: it connected, used its twin, or left.
    pub(crate) last_seen: Timestamp,
    pub(crate) client_id: String,
    #[serde(with = "address")]
    pub(crate) address: Peer,
    pub(crate) protocol: Cow<'static, str>,
    /// Why it left, when it is not connected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) reason: Option<Cow<'static, str>>,
}

/// A peer as its text.
mod address {
    use plugin_api::Peer;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(peer: &Peer, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(peer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Peer, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl Presence {
    /// The same device after its client left.
    pub(crate) fn departed(self, at: Timestamp, why: Departure) -> Self {
        Self {
            connected: false,
            since: at,
            last_seen: at,
            reason: Some(why.as_str().into()),
            ..self
        }
    }

    /// What an old record means: whoever was connected when the broker ended is not any more.
    fn after_restart(self, started: Timestamp) -> Self {
        if !self.connected {
            return self;
        }
        Self {
            connected: false,
            since: started,
            reason: Some(Departure::Lost.as_str().into()),
            ..self
        }
    }
}

/// The presence of all devices: live ones in memory, the others in the store. Each device is written by one
/// partition; anyone may read.
#[derive(Debug)]
pub(crate) struct Presences {
    live: DashMap<DeviceName, Presence>,
    store: Store,
    spaces: Spaces,
    started: Timestamp,
}

impl Presences {
    pub(crate) fn new(store: Store, spaces: Spaces, started: Timestamp) -> Self {
        Self {
            live: DashMap::new(),
            store,
            spaces,
            started,
        }
    }

    /// What is known of a device; `None` if it was never seen. Reads the store when the device is not connected.
    pub(crate) fn of(&self, device: &DeviceName) -> Result<Option<Presence>, ReadError> {
        if let Some(live) = self.live.get(device) {
            return Ok(Some(live.clone()));
        }
        let Some(bytes) = self.store.get(self.spaces.presence, device.as_str().as_bytes())? else {
            return Ok(None);
        };
        Ok(self.read(device, &bytes))
    }

    fn read(&self, device: &DeviceName, bytes: &[u8]) -> Option<Presence> {
        match record::from_bytes::<Presence>(bytes) {
            Ok(presence) => Some(presence.after_restart(self.started)),
            Err(damaged) => {
                tracing::warn!(%device, %damaged, "the presence record cannot be read; the device counts as never seen");
                None
            }
        }
    }

    /// Notes what is true now, until `settled` says that the store has it.
    pub(crate) fn note(&self, device: &DeviceName, presence: Presence) {
        self.live.insert(device.clone(), presence);
    }

    /// Notes that a connected device was heard of.
    pub(crate) fn heard(&self, device: &DeviceName, at: Timestamp) {
        if let Some(mut live) = self.live.get_mut(device) {
            live.last_seen = at;
        }
    }

    /// Forgets a device that is gone and whose record is in the store.
    pub(crate) fn settled(&self, device: &DeviceName) {
        self.live.remove_if(device, |_, presence| !presence.connected);
    }

    /// The client whose session is the device's own: the last one that was the device, or else the one that would be
    /// if the client id is the device's name, as is usual.
    pub(crate) fn session_of(&self, device: &DeviceName) -> Option<ClientId> {
        let known = self.of(device).ok().flatten();
        let client_id = known
            .as_ref()
            .map_or(device.as_str(), |presence| &presence.client_id);
        ClientId::parse(client_id).ok()
    }
}
