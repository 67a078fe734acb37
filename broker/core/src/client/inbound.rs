//! Publishes from a client: checks, receipts, and handing them to whom they concern.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use mqtt_wire::{PacketId, Publish, QoS, ReasonCode, Version};

use super::{LastTopic, Pause, Reply};
use crate::{
    ConnectionId, Expiry, Judge, Output, Outputs, Overload, Shard,
    hold::{Due, Line},
    mail::Keep,
    message::Message,
    output::Question,
    session::Receipt,
    shard::distribute::Way,
    timers::Timer,
    topics::Route,
};

/// A message on its way through one round: borrowed from where it was read, and made to last only if it has to.
#[derive(Debug)]
pub(crate) struct Publication<'a> {
    pub(crate) topic: &'a Arc<str>,
    pub(crate) payload: &'a [u8],
    pub(crate) properties: &'a [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expires: Option<Expiry>,
    /// As in [`Message`].
    pub(crate) publisher: u32,
    pub(crate) shared: Option<Arc<Message>>,
}

impl<'a> Publication<'a> {
    /// A message that lasts already.
    pub(crate) fn of(message: &'a Arc<Message>) -> Self {
        Self {
            topic: &message.topic,
            payload: &message.payload,
            properties: &message.properties,
            qos: message.qos,
            retain: message.retain,
            expires: message.expires,
            publisher: message.publisher,
            shared: Some(Arc::clone(message)),
        }
    }

    /// The message in a form that lasts. The first call copies it.
    pub(crate) fn share(&mut self) -> Arc<Message> {
        let shared = self.shared.get_or_insert_with(|| {
            Arc::new(Message {
                topic: Arc::clone(self.topic),
                payload: Bytes::copy_from_slice(self.payload),
                properties: Bytes::copy_from_slice(self.properties),
                qos: self.qos,
                retain: self.retain,
                expires: self.expires,
                publisher: self.publisher,
            })
        });
        Arc::clone(shared)
    }
}

impl Shard {
    /// A PUBLISH has come.
    pub(crate) fn take_publish(
        &mut self,
        connection: ConnectionId,
        publish: &Publish<'_>,
        judge: &dyn Judge,
        out: &mut Outputs,
    ) {
        self.counters.messages_received += 1;
        self.counters.payload_bytes_received += publish.payload.len() as u64;
        self.use_allowance(connection, publish);
        if let Some(last) = self.last_topic(connection, publish) {
            let (topic, route) = (Arc::clone(&last.topic), Arc::clone(&last.route));
            self.accept_publish(connection, publish, &topic, &route, out);
            return;
        }
        if let Err(reason) = self.check_publish(connection, publish) {
            self.expel(connection, reason, out);
            return;
        }
        let topic = match self.topic_of(connection, publish) {
            Ok(topic) => topic,
            Err(reason) => return self.expel(connection, reason, out),
        };
        let verdict = self
            .remembered_verdict(connection, &topic, publish.qos, publish.retain)
            .or_else(|| judge.may_publish(&topic, publish.qos, publish.retain));
        match verdict {
            Some(allowed) => self.judged_publish(connection, publish, &topic, allowed, out),
            None => self.ask_publish(connection, publish, topic, out),
        }
    }

    /// A client that publishes more than it may is read no further for a while.
    fn use_allowance(&mut self, connection: ConnectionId, publish: &Publish<'_>) {
        let now = self.now;
        let is_slowed = self.overload >= Overload::Slowing && publish.qos > QoS::AtMostOnce;
        let Some(client) = self.client_mut(connection) else {
            return;
        };
        if client.allowance.is_none() && !is_slowed {
            return;
        }
        let serial = client.serial;
        let allowance = client.allowance.get_or_insert_default();
        let bytes = publish.topic.len() + publish.properties.as_bytes().len() + publish.payload.len();
        let wait = allowance.take(bytes, now);
        let overload = is_slowed
            .then(|| allowance.take_in_overload(bytes, now))
            .flatten();
        if let Some(wait) = wait {
            client.pause(Pause::Allowance);
            self.counters.slowed_publishers += 1;
            self.timers
                .set(now + wait, Timer::Allowance { connection, serial });
        }
        if let Some(wait) = overload
            && let Some(client) = self.client_mut(connection)
        {
            client.pause(Pause::Overload);
            self.counters.slowed_by_overload += 1;
            self.timers
                .set(now + wait, Timer::Overload { connection, serial });
        }
    }

    /// A client has waited for long enough. Should memory have been short before and be so again, it has waited for less:
    /// its next message makes it wait anew.
    pub(crate) fn read_on(&mut self, line: Line, why: Pause, out: &mut Outputs) {
        let connection = line.connection;
        if self.client_on(line).is_some_and(|client| client.resume(why)) {
            out.duties.push(Output::Read { connection });
        }
    }

    /// A PUBLISH whose topic the gate has judged.
    pub(crate) fn judged_publish(
        &mut self,
        connection: ConnectionId,
        publish: &Publish<'_>,
        topic: &Arc<str>,
        allowed: bool,
        out: &mut Outputs,
    ) {
        if !allowed {
            self.counters.denied += 1;
            self.decline_publish(connection, publish, ReasonCode::NotAuthorized, out);
            return;
        }
        let route = self.topics.route(topic);
        let (epoch, policy) = (self.topics.epoch(), self.policy);
        let mount = self.mount_of(connection);
        let name_starts = mount.map_or(0, |mount| mount.name_starts(topic));
        if let Some(client) = self.client_mut(connection) {
            let last = LastTopic {
                topic: Arc::clone(topic),
                name_starts,
                qos: publish.qos,
                retain: publish.retain,
                policy,
                epoch,
                route: Arc::clone(&route),
            };
            match &mut client.last_topic {
                Some(place) => **place = last,
                place => *place = Some(Box::new(last)),
            }
        }
        self.accept_publish(connection, publish, topic, &route, out);
    }

    /// What is remembered of the topic, if it is the same as last time and nothing has changed since.
    fn last_topic(&self, connection: ConnectionId, publish: &Publish<'_>) -> Option<&LastTopic> {
        let last = self.client(connection)?.last_topic.as_deref()?;
        let same = last.topic.get(last.name_starts..) == Some(publish.topic)
            && last.qos == publish.qos
            && last.retain == publish.retain
            && last.epoch == self.topics.epoch()
            && last.policy == self.policy
            && (publish.properties.is_empty() || publish.properties.topic_alias().is_none());
        same.then_some(last)
    }

    fn check_publish(&self, connection: ConnectionId, publish: &Publish<'_>) -> Result<(), ReasonCode> {
        let entrance = self.entrance_of(connection).ok_or(ReasonCode::UnspecifiedError)?;
        if publish.qos > entrance.qos_max {
            return Err(ReasonCode::QoSNotSupported);
        }
        if publish.retain && !entrance.retain_available {
            return Err(ReasonCode::RetainNotSupported);
        }
        Ok(())
    }

    /// The topic name a PUBLISH is about, by itself or by its alias [MQTT-3.3.2-8].
    fn topic_of(&mut self, connection: ConnectionId, publish: &Publish<'_>) -> Result<Arc<str>, ReasonCode> {
        let entrance = self.entrance_of(connection).ok_or(ReasonCode::UnspecifiedError)?;
        let alias = publish.properties.topic_alias();
        if alias.is_some_and(|alias| alias > entrance.topic_alias_max) {
            return Err(ReasonCode::TopicAliasInvalid);
        }
        if publish.topic.is_empty() {
            let aliases = self
                .client(connection)
                .and_then(|client| client.aliases.as_deref());
            let topic = alias.and_then(|alias| aliases?.topic(alias).cloned());
            return topic.ok_or(ReasonCode::ProtocolError);
        }
        let topic: Arc<str> = match &entrance.mount_point {
            None => publish.topic.into(),
            Some(mount) => mount.below(publish.topic),
        };
        if !self.settings.takes_topic(&topic) {
            return Err(ReasonCode::TopicNameInvalid);
        }
        if let (Some(alias), Some(client)) = (alias, self.client_mut(connection)) {
            let aliases = client.aliases.get_or_insert_default();
            aliases.set(alias, Arc::clone(&topic));
        }
        Ok(topic)
    }

    /// Takes an allowed PUBLISH: does what its quality of service asks for, and sends it on its way.
    fn accept_publish(
        &mut self,
        connection: ConnectionId,
        publish: &Publish<'_>,
        topic: &Arc<str>,
        route: &Route,
        out: &mut Outputs,
    ) {
        let Some(session) = self.client(connection).map(|client| client.session) else {
            return;
        };
        let due = match publish.packet_id {
            None => None,
            Some(id) => match self.receive(connection, id, publish.qos, out) {
                Some(due) => Some(due),
                None => return,
            },
        };
        let properties = if publish.properties.is_empty() {
            Some(Cow::Borrowed(&[][..]))
        } else {
            self.forwarded_properties(connection, publish)
        };
        let property_bytes_max = self.settings.property_bytes_max;
        let properties = properties.filter(|properties| properties.len() <= property_bytes_max);
        let retained_too_large = publish.retain && publish.payload.len() > self.settings.retained_bytes_max;
        let Some(properties) = properties.filter(|_| !retained_too_large) else {
            self.answer_publish(due, ReasonCode::QuotaExceeded, out);
            return;
        };
        let mut publication = Publication {
            topic,
            payload: publish.payload,
            properties: &properties,
            qos: publish.qos,
            retain: publish.retain,
            expires: self.expiry_of(publish),
            publisher: self.publisher(session),
            shared: None,
        };
        let keep = Keep::asked(publish.retain, topic);
        let way = Way {
            from: Some(session),
            due,
            keep,
            ..Way::along(route)
        };
        self.send_on_its_way(&mut publication, way, out);
    }

    /// The properties that go out with a message. `None` if its response topic is too long below the mount point.
    fn forwarded_properties<'a>(
        &self,
        connection: ConnectionId,
        publish: &Publish<'a>,
    ) -> Option<Cow<'a, [u8]>> {
        let properties = publish.properties.forwardable();
        match self.mount_of(connection) {
            None => Some(properties),
            Some(mount) => mount.below_properties(properties),
        }
    }

    /// Notes a message above `QoS` 0. `None` if there is nothing more to do with it.
    fn receive(
        &mut self,
        connection: ConnectionId,
        id: PacketId,
        qos: QoS,
        out: &mut Outputs,
    ) -> Option<Due> {
        let limit = self.entrance_of(connection)?.receive_maximum;
        let client = self.client_mut(connection)?;
        let session = client.session;
        let due = Due {
            line: Line {
                connection,
                serial: client.serial,
            },
            session,
            id,
            qos,
        };
        let receipts = &self.sessions.get(session)?.receipts;
        let known = receipts.iter().find(|receipt| receipt.id == id);
        let known = known.filter(|_| qos == QoS::ExactlyOnce).copied();
        let client = self.client_mut(connection)?;
        if known.is_some() && client.awaits(due) {
            return None;
        }
        if client.unacknowledged >= limit && client.version == Version::V5 {
            self.expel(connection, ReasonCode::ReceiveMaximumExceeded, out);
            return None;
        }
        client.unacknowledged = client.unacknowledged.saturating_add(1);
        if client.unacknowledged >= limit && client.version == Version::V311 {
            client.pause(Pause::Unacknowledged);
        }
        if let Some(receipt) = known {
            // Sent again: it was taken before, so only its PUBREC may have been lost [MQTT-4.3.3-10].
            let reason = ReasonCode::Success;
            self.owe(due, receipt.settled.then_some(Reply { id, reason }), out);
            return None;
        }
        if qos == QoS::ExactlyOnce {
            let settled = false;
            self.sessions
                .get_mut(session)?
                .receipts
                .push(Receipt { id, settled });
        }
        Some(due)
    }

    /// Answers a PUBLISH that will not be sent on.
    pub(crate) fn decline_publish(
        &mut self,
        connection: ConnectionId,
        publish: &Publish<'_>,
        reason: ReasonCode,
        out: &mut Outputs,
    ) {
        let Some(id) = publish.packet_id else { return };
        if let Some(due) = self.receive(connection, id, publish.qos, out) {
            self.answer_publish(Some(due), reason, out);
        }
    }

    /// Acknowledges a message at once, or after those before it. MQTT 3.1.1 has no word for "no" [MQTT-3.3.5-2].
    pub(crate) fn answer_publish(&mut self, due: Option<Due>, reason: ReasonCode, out: &mut Outputs) {
        let Some(due) = due else { return };
        if due.qos == QoS::ExactlyOnce {
            let version = self.client(due.line.connection).map(|client| client.version);
            if reason.is_error() && version == Some(Version::V5) {
                // A PUBREC with an error ends the exchange: no PUBREL follows [MQTT-4.3.3-9].
                self.forget_receipt(due);
            } else {
                self.settle_receipt(due);
            }
        }
        self.owe(due, Some(Reply { id: due.id, reason }), out);
    }

    fn expiry_of(&self, publish: &Publish<'_>) -> Option<Expiry> {
        if publish.properties.is_empty() {
            return None;
        }
        let secs = publish.properties.message_expiry_secs()?;
        Some(Expiry::after(self.steady, secs))
    }

    /// Reads a client no further while the store is behind.
    pub(crate) fn slow_down(&mut self, connection: ConnectionId) {
        if self.holds.unanswered_bytes() <= self.settings.store_bytes_max {
            return;
        }
        if let Some(client) = self.client_mut(connection)
            && !client.is_paused(Pause::Store)
        {
            client.pause(Pause::Store);
            self.slowed_by_store.push(connection);
        }
    }

    fn ask_publish(
        &mut self,
        connection: ConnectionId,
        publish: &Publish<'_>,
        topic: Arc<str>,
        out: &mut Outputs,
    ) {
        let question = Question::Publish {
            topic: Arc::clone(&topic),
            qos: publish.qos,
            retain: publish.retain,
        };
        self.ask_about_publish(connection, publish, topic, question, out);
    }
}
