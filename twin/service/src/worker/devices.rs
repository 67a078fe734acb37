//! Devices: who is connected, what the device's own session listens to, and the deltas sent to it.
//!
//! A device is usually one client. If several clients are the same device, the last one that subscribed to a delta is
//! the device's own session (or the last one that connected, as long as none listens); the others receive deltas as
//! apps do.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{ClientId, Departure, LinkPublish, Principal, ReplaceKey, To, TopicFilter, Version};
use twin_model::{Delta, DeviceName, Input, Output, Reach, Timestamp, Twin, TwinId};

use super::round::{Outcome, message};
use super::{Worker, status};
use crate::documents::{self, Stub};
use crate::presence::Presence;
use crate::topics::{self, Prefix, Tail};
use crate::{change, keys, metrics, record};

/// How many filters of one session are remembered; a session with more counts as listening to everything.
const FILTERS_MAX: usize = 64;

/// A device with at least one connected client.
#[derive(Debug, Default)]
pub(super) struct Online {
    /// The last one is the device's own session.
    clients: Vec<Client>,
    /// Twins for which the retries are used up.
    exhausted: BTreeSet<TwinId>,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    /// A new connection may be told before the end of the one it replaces.
    connections: usize,
    filters: Vec<TopicFilter>,
    hears_deltas: bool,
    address: String,
    protocol: &'static str,
}

impl Client {
    fn new(id: ClientId, peer: SocketAddr, version: Version) -> Self {
        let protocol = match version {
            Version::V311 => "mqtt 3.1.1",
            Version::V5 => "mqtt 5.0",
        };
        Self {
            id,
            connections: 0,
            filters: Vec::new(),
            hears_deltas: false,
            address: peer.to_string(),
            protocol,
        }
    }

    fn remember(&mut self, filter: TopicFilter) {
        let overlaps =
            |topics: &&str| TopicFilter::parse(topics).is_ok_and(|topics| topics.overlaps(&filter));
        self.hears_deltas |= topics::DELTAS.iter().any(overlaps);
        if !self.filters.contains(&filter) && self.filters.len() < FILTERS_MAX {
            self.filters.push(filter);
        }
    }

    fn listens(&self, twin: &TwinId, prefix: Prefix, tail: Tail) -> bool {
        if self.filters.len() >= FILTERS_MAX {
            return true;
        }
        let topic = TopicFilter::parse(&topics::topic(prefix, twin, tail));
        topic.is_ok_and(|topic| self.filters.iter().any(|filter| filter.contains(&topic)))
    }
}

impl Online {
    fn session(&self) -> Option<&Client> {
        self.clients.last()
    }

    /// Takes one more connection of a client, which starts with no subscription.
    fn connect(&mut self, client: Client) {
        let mut connections = 1;
        if let Some(at) = self.clients.iter().position(|known| known.id == client.id) {
            connections += self.clients.remove(at).connections;
        }
        self.clients.push(Client {
            connections,
            ..client
        });
        self.clients.sort_by_key(|client| client.hears_deltas); // stable: the last of those that listen, else the last
    }

    /// Makes a client that listens the device's own session.
    fn prefer(&mut self, id: &ClientId) {
        if let Some(at) = self
            .clients
            .iter()
            .position(|client| client.id == *id && client.hears_deltas)
        {
            let client = self.clients.remove(at);
            self.clients.push(client);
        }
    }

    /// Takes one connection less. Answers whether the client has none any more.
    fn disconnect(&mut self, id: &ClientId) -> bool {
        let Some(at) = self.clients.iter().position(|client| client.id == *id) else {
            return false;
        };
        let left = self.clients.get_mut(at).map_or(0, |client| {
            client.connections -= 1;
            client.connections
        });
        if left == 0 {
            self.clients.remove(at);
        }
        left == 0
    }
}

impl Worker {
    pub(super) fn connected(
        &mut self,
        device: &DeviceName,
        client_id: ClientId,
        peer: SocketAddr,
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
        let Some(session) = self.online.get(&id.device).and_then(Online::session) else {
            return;
        };
        let mut heard = Prefix::ALL.to_vec();
        heard.retain(|prefix| session.id == *client_id && session.listens(id, *prefix, Tail::Delta));
        if heard.is_empty() {
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
            address: session.address.clone(),
            protocol: session.protocol.to_owned(),
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

    /// The messages that carry a delta after a write: to apps under both prefixes, to the device's own session under
    /// those it listens to, as long as it is connected.
    pub(super) fn delta_messages(&mut self, twin: &Twin, delta: &Delta, stub: &Stub) -> Vec<LinkPublish> {
        let payload = documents::delta(twin, delta, stub);
        let mut messages = self.messages_to_apps(twin.id(), Tail::Delta, &payload);
        if Prefix::ALL
            .into_iter()
            .any(|prefix| self.listens(twin.id(), prefix))
        {
            metrics::delta("first");
            self.reconcile(Input::Listens {
                twin: twin.id().clone(),
                open: true,
                on_its_way: true,
            });
            messages.extend(self.messages_to_device(twin.id(), &Prefix::ALL, &payload));
        }
        messages
    }

    /// Messages for everybody but the device's own session: under both prefixes.
    fn messages_to_apps(&self, id: &TwinId, tail: Tail, payload: &Bytes) -> Vec<LinkPublish> {
        let session = match self.online.get(&id.device).and_then(Online::session) {
            Some(session) => Some(session.id.clone()),
            None => self.shared.presences.session_of(&id.device),
        };
        let to = session.map_or(To::Everyone, To::Except);
        let by = |prefix| {
            message(
                topics::topic(prefix, id, tail).into(),
                payload.clone(),
                to.clone(),
            )
        };
        [Prefix::Aws, Prefix::Native].map(by).into()
    }

    /// Messages that carry a delta to the device's own session, which takes the latest one only.
    fn messages_to_device(&mut self, id: &TwinId, prefixes: &[Prefix], payload: &Bytes) -> Vec<LinkPublish> {
        let Some(session) = self
            .online
            .get(&id.device)
            .and_then(Online::session)
            .map(|client| client.id.clone())
        else {
            return Vec::new();
        };
        let heard: Vec<Prefix> = prefixes
            .iter()
            .copied()
            .filter(|prefix| self.listens(id, *prefix))
            .collect();
        if heard.is_empty() {
            return Vec::new();
        }
        let now = self.moment();
        self.reconcile(Input::InFlight(id.clone()));
        let send = |prefix: Prefix| {
            self.deltas.fly(id, prefix, now);
            let topic = topics::topic(prefix, id, Tail::Delta).into();
            let replace = Some(self.deltas.key(id, prefix));
            LinkPublish {
                replace,
                ..message(topic, payload.clone(), To::Only(session.clone()))
            }
        };
        heard.into_iter().map(send).collect()
    }

    /// The messages that show a twin before and after a write.
    pub(super) fn documents_messages(&self, before: &Twin, after: &Twin, stub: &Stub) -> Vec<LinkPublish> {
        let payload = documents::documents(before, after, stub);
        let by = |prefix, to| {
            message(
                topics::topic(prefix, after.id(), Tail::Documents).into(),
                payload.clone(),
                to,
            )
        };
        let mut messages = vec![by(Prefix::Aws, To::Everyone), by(Prefix::Native, To::Everyone)];
        let clients = self
            .online
            .get(&after.id().device)
            .map(|online| &online.clients)
            .into_iter()
            .flatten();
        let listeners = clients.filter(|client| client.listens(after.id(), Prefix::Me, Tail::Documents));
        messages.extend(listeners.map(|client| by(Prefix::Me, To::Only(client.id.clone()))));
        messages
    }

    /// Sends the delta to the device again, or for the first time since it began to listen.
    pub(super) fn send_delta(&mut self, id: &TwinId) {
        self.send_delta_by(id, &Prefix::ALL);
    }

    fn send_delta_by(&mut self, id: &TwinId, prefixes: &[Prefix]) {
        let twin = match self.twin(id) {
            Ok(twin) => twin,
            Err(failure) => return tracing::error!(%id, %failure, "a delta cannot be sent"),
        };
        let delta = twin.open_delta();
        if delta.is_empty() {
            return self.reconcile(Input::Changed {
                twin: id.clone(),
                open: false,
            });
        }
        let kind = if prefixes.iter().all(|prefix| self.deltas.is_new(id, *prefix)) {
            "first"
        } else {
            "again"
        };
        let stub = Stub {
            at: self.now,
            client_token: None,
        };
        let payload = documents::delta(&twin, &delta, &stub);
        let messages = self.messages_to_device(id, prefixes, &payload);
        if !messages.is_empty() {
            metrics::delta(kind);
            self.round.outcomes.push(Outcome {
                device: arc(&id.device),
                messages,
                asker: None,
                reply: None,
            });
        }
    }

    /// Gives up on a twin until something changes.
    pub(super) fn stalled(&mut self, id: &TwinId) {
        let Some(online) = self.online.get_mut(&id.device) else {
            return;
        };
        online.exhausted.insert(id.clone());
        metrics::delta("stalled");
        match self.twin(id) {
            Ok(twin) => self.settle(&twin, Reach::Exhausted),
            Err(failure) => tracing::error!(%id, %failure, "a twin cannot be marked as stalled"),
        }
    }

    fn listens(&self, id: &TwinId, prefix: Prefix) -> bool {
        let session = self.online.get(&id.device).and_then(Online::session);
        session.is_some_and(|session| session.listens(id, prefix, Tail::Delta))
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
        let under_way = self
            .rounds
            .iter()
            .chain([&self.round])
            .flat_map(|round| &round.touched);
        ids.extend(under_way.filter(|id| id.device == *device).cloned());
        ids.into_iter().collect()
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

pub(super) fn arc(device: &DeviceName) -> Arc<str> {
    device.as_str().into()
}
