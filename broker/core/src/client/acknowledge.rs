//! Acknowledgements towards a publisher, in the order of what they answer [MQTT-4.6.0-2], [MQTT-4.6.0-3].

use mqtt_wire::{Ack, Packet, PacketId, QoS, ReasonCode, Version};

use super::{Pause, Reply};
use crate::{
    ConnectionId, Output, Outputs, Shard, Shelf,
    hold::{Due, Line, What},
    record,
};

/// An acknowledgement in its turn.
#[derive(Debug)]
pub(crate) struct Owed {
    id: PacketId,
    qos: QoS,
    /// What it will say, once that is known.
    reply: Option<Reply>,
}

impl Shard {
    /// Puts an acknowledgement in its turn; with a reply it may leave as soon as those before it have left.
    pub(crate) fn owe(&mut self, due: Due, reply: Option<Reply>, out: &mut Outputs) {
        let Some(client) = self.client_on(due.line) else {
            return;
        };
        match reply {
            Some(reply) if client.owed.is_empty() => {
                let version = client.version;
                self.send_reply(due.line.connection, version, due.qos, reply, out);
            }
            reply => client.owed.push_back(Owed {
                id: due.id,
                qos: due.qos,
                reply,
            }),
        }
    }

    /// What an acknowledgement says is known now.
    pub(crate) fn settle_owed(&mut self, due: Due, reason: ReasonCode, out: &mut Outputs) {
        if due.qos == QoS::ExactlyOnce && reason.is_error() {
            self.forget_receipt(due);
        }
        let Some(client) = self.client_on(due.line) else {
            return;
        };
        if reason.is_error() && client.version == Version::V311 && reason != ReasonCode::NotAuthorized {
            // It cannot be told, and must not believe that the message is safe.
            self.expel(due.line.connection, reason, out);
            return;
        }
        let waiting = client
            .owed
            .iter_mut()
            .find(|owed| owed.id == due.id && owed.qos == due.qos && owed.reply.is_none());
        if let Some(owed) = waiting {
            owed.reply = Some(Reply { id: due.id, reason });
        }
        loop {
            let Some(client) = self.client_on(due.line) else {
                return;
            };
            let version = client.version;
            let Some(Owed {
                reply: Some(reply),
                qos,
                ..
            }) = client.owed.front()
            else {
                return;
            };
            let (reply, qos) = (*reply, *qos);
            client.owed.pop_front();
            self.send_reply(due.line.connection, version, qos, reply, out);
        }
    }

    /// Sends PUBREC again for a message that came again, unless the first is still owed.
    pub(crate) fn acknowledge_again(&mut self, due: Due, out: &mut Outputs) {
        let Some(client) = self.client_on(due.line) else {
            return;
        };
        if client
            .owed
            .iter()
            .any(|owed| owed.id == due.id && owed.qos == due.qos)
        {
            return;
        }
        self.send(due.line.connection, &Packet::PubRec(Ack::new(due.id)), out);
    }

    fn send_reply(
        &mut self,
        connection: ConnectionId,
        version: Version,
        qos: QoS,
        reply: Reply,
        out: &mut Outputs,
    ) {
        let ack = Ack::with(reply.id, reply.reason);
        let over = qos == QoS::AtLeastOnce || (version == Version::V5 && reply.reason.is_error());
        let packet = if qos == QoS::AtLeastOnce {
            Packet::PubAck(ack)
        } else {
            Packet::PubRec(ack)
        };
        self.send(connection, &packet, out);
        if over {
            self.acknowledged(connection, out);
        }
    }

    /// One message fewer from this client is unacknowledged.
    fn acknowledged(&mut self, connection: ConnectionId, out: &mut Outputs) {
        let limit = self.settings.receive_maximum;
        let Some(client) = self.client_mut(connection) else {
            return;
        };
        client.unacknowledged = client.unacknowledged.saturating_sub(1);
        if client.is_paused(Pause::Unacknowledged)
            && client.unacknowledged < limit
            && client.resume(Pause::Unacknowledged)
        {
            out.duties.push(Output::Read { connection });
        }
    }

    /// PUBREL: the message may be forgotten. PUBCOMP leaves when that is kept, since the id may be used again then.
    pub(crate) fn take_pubrel(&mut self, connection: ConnectionId, ack: &Ack, out: &mut Outputs) {
        let Some(client) = self.client(connection) else {
            return;
        };
        let line = Line {
            connection,
            serial: client.serial,
        };
        let Some(session) = self.sessions.get_mut(client.session) else {
            return;
        };
        let Some(at) = session.receipts.iter().position(|id| *id == ack.packet_id) else {
            // Sent again, after a PUBCOMP that was lost: that is success, not an unknown id.
            self.send(connection, &Packet::PubComp(Ack::new(ack.packet_id)), out);
            return;
        };
        session.receipts.swap_remove(at);
        if session.durable() {
            self.holds.batch.delete(
                Shelf::Receipts,
                &record::packet_key(session.number, ack.packet_id),
            );
            let hold = self.holds.begin(
                1,
                What::Complete {
                    line,
                    id: ack.packet_id,
                },
            );
            self.holds.await_batch(hold);
        } else {
            self.complete(line, ack.packet_id, out);
        }
    }

    pub(crate) fn complete(&mut self, line: Line, id: PacketId, out: &mut Outputs) {
        if self.client_on(line).is_some() {
            self.send(line.connection, &Packet::PubComp(Ack::new(id)), out);
            self.acknowledged(line.connection, out);
        }
    }

    /// A message was refused: its id is free again.
    pub(crate) fn forget_receipt(&mut self, due: Due) {
        let Some(session) = self.client_on(due.line).map(|client| client.session) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(session) {
            session.receipts.retain(|id| *id != due.id);
        }
    }
}
