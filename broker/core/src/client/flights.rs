//! Messages under way to a client: recorded, sent, sent again after a resume, acknowledged.

use mqtt_wire::{Ack, ClientId, Packet, PacketId, QoS, ReasonCode, Version};

use crate::{
    ConnectionId, Outputs, Shard, Shelf,
    hold::What,
    output::Told,
    record::{self, Outgoing},
    session::{SessionId, Stage},
};

impl Shard {
    /// Goes on with a message once this round's batch, which holds its record, is kept.
    pub(super) fn await_outgoing_record(&mut self, id: SessionId, packet_id: PacketId, stage: Stage) {
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
        let connection = session.connection;
        let flight = session.inflight.get_mut(packet_id);
        let Some(flight) = flight.filter(|flight| flight.stage == stage) else {
            return;
        };
        if stage == Stage::AwaitRecord {
            return session.inflight.recorded(packet_id);
        }
        flight.stage = Stage::Released;
        // While CONNACK has not left, what is due is sent after it.
        if let Some(connection) = connection
            && self.client(connection).is_some_and(|client| client.open)
        {
            self.send(connection, &Packet::PubRel(Ack::new(packet_id)), out);
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
    pub(super) fn finish_flight(
        &mut self,
        id: SessionId,
        packet_id: PacketId,
        qos: QoS,
        out: &mut Outputs,
    ) -> bool {
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
        self.done(flight.share, out);
        self.settled(client_id, flight.replace, out);
        true
    }

    /// Tells links that a client is done with a replaceable message.
    pub(super) fn settled(&self, client_id: Option<ClientId>, replace: Option<u64>, out: &mut Outputs) {
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
                flight.unsent = false;
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

    /// What the last connection of a session did not acknowledge is due again, with the same packet ids [MQTT-4.4.0-1].
    pub(crate) fn resume_flights(&mut self, id: SessionId, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(connection) = session.connection else {
            return;
        };
        for packet_id in session.inflight.resume() {
            self.send(connection, &Packet::PubRel(Ack::new(packet_id)), out);
        }
    }

    /// Sends what is under way and not yet sent on this connection, as far as the client's window has room: it may be smaller
    /// than that of the last connection [MQTT-3.3.4-9].
    pub(crate) fn send_flights(&mut self, id: SessionId, out: &mut Outputs) {
        while let Some(session) = self.sessions.get_mut(id)
            && let Some(connection) = session.connection
            && let Some(client) = self.clients.get(connection.0 as usize).and_then(Option::as_ref)
            && client.open
            && let Some(flight) = session.inflight.next_unsent(client.receive_maximum)
        {
            flight.unsent = false;
            let taken = flight.take_from_group();
            let (packet_id, dup, waiting) = (flight.id, flight.dup, flight.waiting.clone());
            let sent = flight.message.clone().is_some_and(|message| {
                self.send_message(connection, &message, &waiting, dup, Some(packet_id), out)
            });
            if let Some((share, fate)) = taken {
                self.answer_share(share, fate, out);
            }
            if !sent {
                self.finish_flight(id, packet_id, waiting.qos, out);
            }
        }
    }
}
