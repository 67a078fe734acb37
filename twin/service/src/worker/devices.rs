//! Devices: who comes and goes, what the device's own session listens to, and what that means for its twins.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use plugin_api::{ClientId, Departure, Peer, Principal, ReplaceKey, TopicFilter, Version};
use twin_model::{DeviceName, Input, Output, Reach, Timestamp, TwinId};

use super::Worker;
use super::online::{Client, Online};
use super::twins::status;
use crate::presence::Presence;
use crate::{change, keys, metrics, record, topics};

impl Worker {
    pub(super) fn connected(
        &mut self,
        device: &DeviceName,
        client_id: ClientId,
        peer: Peer,
        version: Version,
        at: Timestamp,
    ) {
        let is_first = !self.online.contains_key(device);
        let online = self.online.entry(device.clone()).or_default();
        online.connect(Client::new(client_id.clone(), peer, version));
        if online.session().is_some_and(|session| session.id == client_id) {
            self.new_session(device, at);
        }
        if is_first {
            metrics::online(1.0);
            self.settle_all(device, Reach::Online);
        }
    }

    pub(super) fn departed(
        &mut self,
        device: &DeviceName,
        client_id: &ClientId,
        why: Departure,
        at: Timestamp,
    ) {
        let Some(online) = self.online.get_mut(device) else {
            return;
        };
        let was_session = online.session().is_some_and(|session| session.id == *client_id);
        if !online.disconnect(client_id) {
            return;
        }
        if !online.clients.is_empty() {
            if was_session {
                self.new_session(device, at);
            }
            return;
        }
        self.online.remove(device);
        self.deltas.forget(device);
        self.reconcile(Input::Offline(device.clone()));
        metrics::online(-1.0);
        match self.shared.presences.of(device) {
            Ok(Some(presence)) => self.note_presence(device, presence.departed(at, why)),
            Ok(None) => {}
            Err(error) => tracing::error!(%device, %error, "the presence of a device cannot be read"),
        }
        self.settle_all(device, Reach::Offline);
    }

    pub(super) fn subscribed(&mut self, device: &DeviceName, client_id: &ClientId, filter: TopicFilter) {
        let Some(online) = self.online.get_mut(device) else {
            return;
        };
        let before = online.session().map(|session| session.id.clone());
        let Some(client) = online.clients.iter_mut().find(|client| client.id == *client_id) else {
            return;
        };
        client.remember(filter);
        online.prefer(client_id);
        if online.session().map(|session| &session.id) != before.as_ref() {
            self.new_session(device, self.now);
        }
        for id in self.open_twins(device) {
            self.begin_listening(&id, client_id);
        }
    }

    /// Brings a twin's delta to the device's own session if it hears of it and has not been sent it.
    fn begin_listening(&mut self, id: &TwinId, client_id: &ClientId) {
        let session = self.online.get(&id.device).and_then(Online::session);
        let mut heard = self.heard(id);
        if heard.is_empty() || session.is_none_or(|session| session.id != *client_id) {
            return;
        }
        self.reconcile(Input::Listens {
            twin: id.clone(),
            open: true,
            on_its_way: false,
        });
        heard.retain(|prefix| self.deltas.missed(id, *prefix));
        if !heard.is_empty() && !self.duties.contains(&Output::SendDelta(id.clone())) {
            self.send_delta_by(id, &heard);
        }
        let was_exhausted = self
            .online
            .get_mut(&id.device)
            .is_some_and(|online| online.exhausted.remove(id));
        if was_exhausted && let Ok(twin) = self.twin(id) {
            self.settle(&twin, Reach::Online);
        }
    }

    /// Another session is the device's own, or the same on a new connection: what was sent before is nothing to it.
    fn new_session(&mut self, device: &DeviceName, at: Timestamp) {
        self.deltas.forget(device);
        self.reconcile(Input::Offline(device.clone()));
        let Some(session) = self.online.get(device).and_then(Online::session) else {
            return;
        };
        let presence = Presence {
            connected: true,
            since: at,
            last_seen: at,
            client_id: session.id.as_str().to_owned(),
            address: session.address,
            protocol: session.protocol.into(),
            reason: None,
        };
        self.note_presence(device, presence);
    }

    pub(super) fn settled(&mut self, key: ReplaceKey) {
        if let Some(twin) = self.deltas.settled(key) {
            self.reconcile(Input::Finished(twin));
        }
    }

    /// Whether the device can be told something about this twin.
    pub(super) fn reach(&self, id: &TwinId) -> Reach {
        match self.online.get(&id.device) {
            None => Reach::Offline,
            Some(online) if online.exhausted.contains(id) => Reach::Exhausted,
            Some(_) => Reach::Online,
        }
    }

    /// A write has started the count of retries anew.
    pub(super) fn refresh(&mut self, id: &TwinId) {
        if let Some(online) = self.online.get_mut(&id.device) {
            online.exhausted.remove(id);
        }
    }

    fn settle_all(&mut self, device: &DeviceName, reach: Reach) {
        for id in self.unsettled_twins(device) {
            match self.twin(&id) {
                Ok(twin) if status(&twin).is_some() => self.settle(&twin, reach),
                Ok(_) => {}
                Err(failure) => tracing::error!(%id, %failure, "a twin's sync status cannot be updated"),
            }
        }
    }

    /// The twins of a device that have something to be told.
    fn open_twins(&mut self, device: &DeviceName) -> Vec<TwinId> {
        let mut ids = self.unsettled_twins(device);
        ids.retain(|id| {
            self.twin(id)
                .is_ok_and(|twin| twin.exists() && !twin.open_delta().is_empty())
        });
        ids
    }

    /// The twins of a device that may not be in sync: those the store says, and those of rounds under way.
    fn unsettled_twins(&self, device: &DeviceName) -> Vec<TwinId> {
        let mut ids = BTreeSet::new();
        let span = keys::twins_of(device);
        let (from, to) = keys::span(&span);
        let found = self
            .shared
            .store
            .scan(self.shared.spaces.pending, from, to, &mut |key, _| {
                ids.extend(keys::twin_of(key));
                ControlFlow::Continue(())
            });
        if let Err(error) = found {
            tracing::error!(%device, %error, "the pending deltas of a device cannot be read");
        }
        ids.extend(self.under_way(device));
        ids.into_iter().collect()
    }

    /// The twins of a device with a change that is not committed.
    pub(super) fn under_way<'a>(&'a self, device: &'a DeviceName) -> impl Iterator<Item = TwinId> + 'a {
        let touched = self
            .rounds
            .iter()
            .chain([&self.round])
            .flat_map(|round| &round.touched);
        touched.filter(move |id| id.device == *device).cloned()
    }

    fn note_presence(&mut self, device: &DeviceName, presence: Presence) {
        self.round
            .changes
            .push(change::of_presence(device.as_str(), &presence, self.now));
        self.round.batch.put(
            self.shared.spaces.presence,
            device.as_str().as_bytes(),
            &record::to_bytes(&presence),
        );
        self.round.presences.push(device.clone());
        self.shared.presences.note(device, presence);
    }
}

/// The device a principal is, as twins know it; `None` for one whose name no topic could hold.
pub(super) fn device_of(principal: &Principal, limits: &twin_model::Limits) -> Option<DeviceName> {
    topics::device_name(principal.device.as_deref()?, limits).ok()
}
