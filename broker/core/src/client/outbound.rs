//! Publishes to a client: quality of service, packet ids, the send window, and sending again after a resume.

use std::sync::Arc;

use mqtt_wire::{
    Ack, ClientId, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode, Version, put_property,
};

use super::Publication;
use crate::{
    ConnectionId, Outbox, Outputs, Shard, Shelf, WallTime,
    hold::What,
    output::Told,
    record::{self, Outgoing, Waiting},
    session::{Entry, Flight, SessionId, Stage},
    topics::Target,
};

impl Shard {
    /// Delivers a message that nothing has to wait for to one session. `None`: it does not concern it; otherwise whether
    /// there was room.
    pub(crate) fn deliver(
        &mut self,
        target: &Target,
        publication: &mut Publication<'_>,
        replace: Option<u64>,
        out: &mut Outputs,
    ) -> Option<bool> {
        let qos = publication.qos.min(target.qos);
        let retain = publication.retain && target.retain_as_published;
        let session = self.sessions.get_mut(target.session)?;
        let connection = session.connection?;
        let client = self.clients.get_mut(connection.0 as usize)?.as_mut()?;
        let unsent = out.outbox(connection).map_or(0, Outbox::len);
        if qos == QoS::AtMostOnce && unsent > self.settings.unsent_bytes_max {
            self.counters.dropped_slow_reader += 1;
            return Some(false);
        }
        let window = usize::from(client.receive_maximum);
        let has_turn = client.open && session.queue.is_empty() && !session.inflight.awaits_record();
        let has_room =
            qos == QoS::AtMostOnce || (session.inflight.len() < window && unsent <= Outbox::HIGH_WATER);
        if !has_turn || !has_room {
            return Some(self.queue(target, publication, qos, retain, replace));
        }
        let id = (qos > QoS::AtMostOnce).then(|| session.inflight.take_id());
        let sending = Sending {
            qos,
            retain,
            dup: false,
            id,
            subscription_ids: &target.subscription_ids,
        };
        let sent = write_publish(
            publication,
            &sending,
            client.version,
            client.packet_bytes_max,
            self.wall,
            connection,
            out,
        );
        if sent {
            self.counters.messages_sent += 1;
        } else {
            self.counters.dropped_too_large += 1;
        }
        if !sent || id.is_none() {
            let client_id = replace.map(|_| session.client_id.clone());
            self.settled(client_id, replace, out);
            return Some(true);
        }
        if let Some(id) = id {
            let keeps = session.durable();
            let subscription_ids = target.subscription_ids.clone();
            session.inflight.push(Flight {
                id,
                stage: Stage::Published,
                seq: None,
                waiting: Waiting {
                    qos,
                    retain,
                    subscription_ids,
                    body: None,
                },
                message: keeps.then(|| publication.share()),
                replace,
                dup: false,
                again: false,
            });
        }
        Some(true)
    }

    /// Queues a message that is not kept on disk. Whether there was room.
    fn queue(
        &mut self,
        target: &Target,
        publication: &mut Publication<'_>,
        qos: QoS,
        retain: bool,
        replace: Option<u64>,
    ) -> bool {
        let message = publication.share();
        let Some(session) = self.sessions.get_mut(target.session) else {
            return false;
        };
        let waiting = Waiting {
            qos,
            retain,
            subscription_ids: target.subscription_ids.clone(),
            body: None,
        };
        let mut entry = Entry {
            seq: None,
            waiting,
            message,
            hold: None,
            replace,
            dup: false,
        };
        if replace.is_some() {
            match session.queue.replace(entry) {
                None => return true,
                Some(back) => entry = back,
            }
        }
        if session.queue.is_full(
            &entry.message,
            self.settings.queue_messages_max,
            self.settings.queue_bytes_max,
        ) {
            self.counters.dropped_queue_full += 1;
            return false;
        }
        session.queue.push(entry, 0);
        true
    }

    /// Sends what waits for a session, as far as its client's window and outbox have room and nothing is held.
    pub(crate) fn pump(&mut self, id: SessionId, out: &mut Outputs) {
        self.send_again(id, out);
        while let Some(entry) = self.next_to_send(id, out) {
            self.send_entry(id, entry, out);
        }
        self.recall(id, out);
    }

    /// Takes the next message out of the queue, if it may be sent now.
    fn next_to_send(&mut self, id: SessionId, out: &Outputs) -> Option<Entry> {
        let session = self.sessions.get_mut(id)?;
        let connection = session.connection?;
        let client = self.clients.get(connection.0 as usize)?.as_ref()?;
        if !client.open
            || out
                .outbox(connection)
                .is_some_and(|outbox| outbox.len() > Outbox::HIGH_WATER)
        {
            return None;
        }
        let entry = session.queue.front()?;
        let needs_record = entry.waiting.qos == QoS::ExactlyOnce && entry.seq.is_some();
        if !needs_record && session.inflight.awaits_record() {
            return None;
        }
        if entry.waiting.qos > QoS::AtMostOnce
            && session.inflight.len() >= usize::from(client.receive_maximum)
        {
            return None;
        }
        session.queue.pop()
    }

    fn send_entry(&mut self, id: SessionId, entry: Entry, out: &mut Outputs) {
        let wall = self.wall;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(connection) = session.connection else {
            return;
        };
        if entry.message.expires.is_some_and(|at| at <= wall) {
            self.counters.dropped_expired += 1;
            self.consumed(id, entry.seq, entry.waiting.body, out);
            return;
        }
        if entry.waiting.qos == QoS::AtMostOnce {
            let client_id = entry.replace.map(|_| session.client_id.clone());
            self.send_message(connection, &entry.message, &entry.waiting, false, None, out);
            self.settled(client_id, entry.replace, out);
            return;
        }
        let packet_id = session.inflight.take_id();
        let needs_record = entry.waiting.qos == QoS::ExactlyOnce && entry.seq.is_some();
        let flight = Flight {
            id: packet_id,
            stage: if needs_record {
                Stage::AwaitRecord
            } else {
                Stage::Published
            },
            seq: entry.seq,
            waiting: entry.waiting.clone(),
            message: Some(Arc::clone(&entry.message)),
            replace: entry.replace,
            dup: entry.dup,
            again: false,
        };
        session.inflight.push(flight);
        if let (true, Some(seq)) = (needs_record, entry.seq) {
            let key = record::packet_key(session.number, packet_id);
            self.holds.touch(id);
            self.holds.batch.put(
                Shelf::Inflight,
                &key,
                &record::write_outgoing(Outgoing::Published(seq)),
            );
            self.await_outgoing_record(id, packet_id, Stage::AwaitRecord);
            return;
        }
        if !self.send_message(
            connection,
            &entry.message,
            &entry.waiting,
            entry.dup,
            Some(packet_id),
            out,
        ) {
            self.finish_flight(id, packet_id, entry.waiting.qos, out);
        }
    }

    /// Goes on with a message once this round's batch, which holds its record, is kept.
    fn await_outgoing_record(&mut self, id: SessionId, packet_id: PacketId, stage: Stage) {
        let hold = *self.outgoing_awaited.entry(id).or_insert_with(|| {
            let (session, steps) = (id, Vec::new());
            let hold = self.holds.begin(1, What::Outgoing { session, steps });
            self.holds.await_batch(hold);
            hold.number
        });
        if let Some(What::Outgoing { steps, .. }) = self.holds.what_mut(hold) {
            steps.push((packet_id, stage));
        }
    }

    /// Packet ids and releases that were not on disk are now: what depends on them is sent, in order.
    pub(crate) fn outgoing_recorded(
        &mut self,
        id: SessionId,
        steps: &[(PacketId, Stage)],
        out: &mut Outputs,
    ) {
        for (packet_id, stage) in steps {
            self.go_on_with_flight(id, *packet_id, *stage, out);
        }
        self.pump(id, out);
    }

    fn go_on_with_flight(&mut self, id: SessionId, packet_id: PacketId, stage: Stage, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if stage == Stage::AwaitRecord && session.inflight.is_behind_refused(packet_id) {
            return; // It goes with the retry of the one before it, so that it does not overtake it.
        }
        let is_open = |connection: &ConnectionId| {
            let client = self.clients.get(connection.0 as usize);
            client.is_some_and(|client| client.as_ref().is_some_and(|client| client.open))
        };
        // While CONNACK has not left, what is due is sent after it.
        let connection = session.connection.filter(is_open);
        let Some(flight) = session
            .inflight
            .get_mut(packet_id)
            .filter(|flight| flight.stage == stage)
        else {
            return;
        };
        if stage == Stage::AwaitReleaseRecord {
            flight.stage = Stage::Released;
            if let Some(connection) = connection {
                self.send(connection, &Packet::PubRel(Ack::new(packet_id)), out);
            }
            return;
        }
        flight.stage = Stage::Published;
        let (message, waiting, dup) = (flight.message.clone(), flight.waiting.clone(), flight.dup);
        if let (Some(connection), Some(message)) = (connection, message)
            && !self.send_message(connection, &message, &waiting, dup, Some(packet_id), out)
        {
            self.finish_flight(id, packet_id, QoS::ExactlyOnce, out);
        }
    }

    /// PUBACK or PUBCOMP [MQTT-4.3.2-1], [MQTT-4.3.3-1].
    pub(crate) fn take_final_ack(
        &mut self,
        connection: ConnectionId,
        ack: &Ack,
        qos: QoS,
        out: &mut Outputs,
    ) {
        let Some(id) = self.client(connection).map(|client| client.session) else {
            return;
        };
        if self.finish_flight(id, ack.packet_id, qos, out) {
            self.pump(id, out);
        }
    }

    /// A message is delivered for good. Whether there was one.
    fn finish_flight(&mut self, id: SessionId, packet_id: PacketId, qos: QoS, out: &mut Outputs) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let Some(flight) = session.inflight.finish(packet_id, qos) else {
            return false;
        };
        if qos == QoS::ExactlyOnce && session.durable() {
            self.holds.touch(id);
            self.holds
                .batch
                .delete(Shelf::Inflight, &record::packet_key(session.number, packet_id));
        }
        let client_id = flight.replace.map(|_| session.client_id.clone());
        self.consumed(id, flight.seq, flight.waiting.body, out);
        self.settled(client_id, flight.replace, out);
        true
    }

    /// Tells links that a client is done with a replaceable message.
    fn settled(&self, client_id: Option<ClientId>, replace: Option<u64>, out: &mut Outputs) {
        if let (Some(client_id), Some(key)) = (client_id, replace) {
            self.tell_all(&Told::Settled { client_id, key }, out);
        }
    }

    /// PUBREC: the message is the client's; what remains is to let it forget the id [MQTT-4.3.3-4].
    pub(crate) fn take_pubrec(&mut self, connection: ConnectionId, ack: &Ack, out: &mut Outputs) {
        let Some(client) = self.client(connection) else {
            return;
        };
        let (id, version) = (client.session, client.version);
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let durable = session.durable();
        let known = session
            .inflight
            .get_mut(ack.packet_id)
            .filter(|flight| flight.waiting.qos == QoS::ExactlyOnce);
        let Some(flight) = known else {
            let reason = match version {
                Version::V5 => ReasonCode::PacketIdentifierNotFound,
                Version::V311 => ReasonCode::Success,
            };
            self.send(connection, &Packet::PubRel(Ack::with(ack.packet_id, reason)), out);
            return;
        };
        match flight.stage {
            Stage::AwaitRecord | Stage::AwaitReleaseRecord => {}
            Stage::Released => self.send(connection, &Packet::PubRel(Ack::new(ack.packet_id)), out),
            Stage::Published if ack.reason.is_error() => {
                self.finish_flight(id, ack.packet_id, QoS::ExactlyOnce, out);
                self.pump(id, out);
            }
            Stage::Published => {
                let (seq, body) = (flight.seq.take(), flight.waiting.body.take());
                flight.message = None;
                flight.again = false;
                flight.stage = if durable {
                    Stage::AwaitReleaseRecord
                } else {
                    Stage::Released
                };
                if let Some(seq) = seq {
                    let key = record::queue_key(session.number, seq);
                    self.holds.remove(Shelf::Queue, &key);
                }
                let key = record::packet_key(session.number, ack.packet_id);
                self.consumed(id, seq, body, out);
                if durable {
                    let released = record::write_outgoing(Outgoing::Released);
                    self.holds.touch(id);
                    self.holds.batch.put(Shelf::Inflight, &key, &released);
                    self.await_outgoing_record(id, ack.packet_id, Stage::AwaitReleaseRecord);
                } else {
                    self.send(connection, &Packet::PubRel(Ack::new(ack.packet_id)), out);
                }
            }
        }
    }

    /// A message on disk is needed no longer by this session.
    pub(crate) fn consumed(&mut self, id: SessionId, seq: Option<u64>, body: Option<u64>, out: &mut Outputs) {
        if let Some(seq) = seq
            && let Some(session) = self.sessions.get_mut(id)
        {
            if seq > session.cursor() {
                // One before it is still needed, so that the cursor does not pass it.
                let key = record::queue_key(session.number, seq);
                self.holds.remove(Shelf::Queue, &key);
            } else if !session.cursor_moved {
                session.cursor_moved = true;
                self.cursors_moved.push(id);
            }
        }
        if let Some(body) = body {
            self.release_body(body, out);
        }
    }

    /// What the last connection of a session did not acknowledge is due again, with the same packet ids [MQTT-4.4.0-1].
    pub(crate) fn resume_flights(&mut self, id: SessionId, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(connection) = session.connection else {
            return;
        };
        let mut released = Vec::new();
        for flight in session.inflight.iter_mut() {
            match flight.stage {
                Stage::Published => (flight.dup, flight.again) = (true, true),
                Stage::Released => released.push(flight.id),
                Stage::AwaitRecord | Stage::AwaitReleaseRecord => {}
            }
        }
        for packet_id in released {
            self.send(connection, &Packet::PubRel(Ack::new(packet_id)), out);
        }
    }

    /// Sends again what is due again, as far as the client's window has room: it may be smaller than that of the last
    /// connection [MQTT-3.3.4-9].
    fn send_again(&mut self, id: SessionId, out: &mut Outputs) {
        while let Some(session) = self.sessions.get_mut(id)
            && let Some(connection) = session.connection
            && let Some(client) = self.clients.get(connection.0 as usize).and_then(Option::as_ref)
            && client.open
            && let Some(flight) = session.inflight.next_again(client.receive_maximum)
        {
            flight.again = false;
            let (packet_id, qos) = (flight.id, flight.waiting.qos);
            let (waiting, message) = (flight.waiting.clone(), flight.message.clone());
            let sent = message.is_some_and(|message| {
                self.send_message(connection, &message, &waiting, true, Some(packet_id), out)
            });
            if !sent {
                self.finish_flight(id, packet_id, qos, out);
            }
        }
    }

    fn send_message(
        &mut self,
        connection: ConnectionId,
        message: &Arc<crate::message::Message>,
        waiting: &Waiting,
        dup: bool,
        id: Option<PacketId>,
        out: &mut Outputs,
    ) -> bool {
        let Some(client) = self.client(connection) else {
            return true;
        };
        let sending = Sending {
            qos: waiting.qos,
            retain: waiting.retain,
            dup,
            id,
            subscription_ids: &waiting.subscription_ids,
        };
        let publication = Publication::of(message);
        let sent = write_publish(
            &publication,
            &sending,
            client.version,
            client.packet_bytes_max,
            self.wall,
            connection,
            out,
        );
        if sent {
            self.counters.messages_sent += 1;
        } else {
            self.counters.dropped_too_large += 1;
        }
        sent
    }
}

/// How a message is sent to one receiver.
struct Sending<'a> {
    qos: QoS,
    retain: bool,
    dup: bool,
    id: Option<PacketId>,
    subscription_ids: &'a [u32],
}

/// Writes a PUBLISH into a connection's outbox. Not done if it is larger than the client takes [MQTT-3.1.2-24].
fn write_publish(
    publication: &Publication<'_>,
    sending: &Sending<'_>,
    version: Version,
    bytes_max: u32,
    wall: WallTime,
    connection: ConnectionId,
    out: &mut Outputs,
) -> bool {
    let mut block = Vec::new();
    let properties = match version {
        Version::V311 => Properties::EMPTY,
        Version::V5 => outgoing_properties(publication, sending, wall, &mut block),
    };
    let publish = Publish {
        dup: sending.dup,
        qos: sending.qos,
        retain: sending.retain,
        topic: publication.topic,
        packet_id: sending.id,
        properties,
        payload: publication.payload,
    };
    if bytes_max < u32::MAX && publish.encoded_len(version) > bytes_max as usize {
        return false;
    }
    out.append(connection, |bytes| publish.encode(version, bytes).is_ok())
}

/// The forwarded properties, with what is left of the expiry and the identifiers of the matching subscriptions.
fn outgoing_properties<'a>(
    publication: &Publication<'a>,
    sending: &Sending<'_>,
    wall: WallTime,
    block: &'a mut Vec<u8>,
) -> Properties<'a> {
    if publication.expires.is_none() && sending.subscription_ids.is_empty() {
        return Properties::parse_publish(publication.properties).unwrap_or(Properties::EMPTY);
    }
    let before = (|| {
        if let Some(expires) = publication.expires {
            let left = u32::try_from(expires.since(wall).as_secs()).unwrap_or(u32::MAX);
            put_property(block, &Property::MessageExpiryInterval(left))?;
        }
        for id in sending.subscription_ids {
            put_property(block, &Property::SubscriptionIdentifier(*id))?;
        }
        Ok::<(), mqtt_wire::EncodeError>(())
    })();
    debug_assert!(before.is_ok(), "both kinds of value were read from a packet");
    block.extend_from_slice(publication.properties);
    Properties::parse_publish(block).unwrap_or(Properties::EMPTY)
}
