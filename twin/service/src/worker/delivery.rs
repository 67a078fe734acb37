//! Delivery: what is sent about a twin, to whom, and the deltas that are sent again.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{LinkPublish, To};
use twin_model::{Delta, DeviceName, Input, Reach, Twin, TwinId};

use super::Worker;
use super::online::Online;
use super::round::{Outcome, message};
use crate::documents::{self, Stub};
use crate::metrics;
use crate::topics::{self, Prefix, Tail};

impl Worker {
    /// The messages that carry a delta after a write: to apps under both prefixes, to the device's own session under
    /// those it listens to, as long as it is connected.
    pub(super) fn delta_messages(&mut self, twin: &Twin, delta: &Delta, stub: &Stub) -> Vec<LinkPublish> {
        let payload = documents::delta(twin, delta, stub);
        let mut messages = self.messages_to_apps(twin.id(), Tail::Delta, &payload);
        let heard = self.heard(twin.id());
        if !heard.is_empty() {
            metrics::delta("first");
            self.reconcile(Input::Listens {
                twin: twin.id().clone(),
                open: true,
                on_its_way: true,
            });
            messages.extend(self.messages_to_device(twin.id(), &heard, &payload));
        }
        messages
    }

    /// By which prefixes the device's own session hears of a twin's delta.
    pub(super) fn heard(&self, id: &TwinId) -> Vec<Prefix> {
        let session = self.online.get(&id.device).and_then(Online::session);
        let hears =
            |prefix: &Prefix| session.is_some_and(|session| session.listens(id, *prefix, Tail::Delta));
        Prefix::ALL.into_iter().filter(hears).collect()
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

    /// Messages that carry a delta to the device's own session by these prefixes; it takes the latest one only.
    fn messages_to_device(&mut self, id: &TwinId, heard: &[Prefix], payload: &Bytes) -> Vec<LinkPublish> {
        let session = self.online.get(&id.device).and_then(Online::session);
        let Some(session) = session
            .map(|client| client.id.clone())
            .filter(|_| !heard.is_empty())
        else {
            return Vec::new();
        };
        let now = self.moment();
        self.reconcile(Input::InFlight(id.clone()));
        let send = |&prefix: &Prefix| {
            self.deltas.fly(id, prefix, now);
            let topic = topics::topic(prefix, id, Tail::Delta).into();
            let replace = Some(self.deltas.key(id, prefix));
            LinkPublish {
                replace,
                ..message(topic, payload.clone(), To::Only(session.clone()))
            }
        };
        heard.iter().map(send).collect()
    }

    /// The messages that show a twin before and after a write.
    pub(super) fn documents_messages(&self, after: &Twin, payload: &Bytes) -> Vec<LinkPublish> {
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
        let heard = self.heard(id);
        self.send_delta_by(id, &heard);
    }

    pub(super) fn send_delta_by(&mut self, id: &TwinId, prefixes: &[Prefix]) {
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
}

pub(super) fn arc(device: &DeviceName) -> Arc<str> {
    device.as_str().into()
}
