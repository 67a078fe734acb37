//! Acknowledgements towards a publisher, in the order of what they answer [MQTT-4.6.0-2], [MQTT-4.6.0-3].

use mqtt_wire::{Ack, Packet, PacketId, QoS, ReasonCode, Version};

use super::{Client, Pause, Reply};
use crate::{
    ConnectionId, Output, Outputs, Shard,
    hold::{Due, Line, What},
};

/// An acknowledgement in its turn.
#[derive(Debug)]
pub(crate) struct Owed {
    id: PacketId,
    qos: QoS,
    /// What it will say, once that is known.
    reply: Option<Reply>,
}

impl Owed {
    fn awaits(&self, due: Due) -> bool {
        self.id == due.id && self.qos == due.qos && self.reply.is_none()
    }
}

impl Client {
    /// Whether it waits for this acknowledgement.
    pub(crate) fn awaits(&self, due: Due) -> bool {
        self.owed.iter().any(|owed| owed.awaits(due))
    }
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

    /// What an acknowledgement says is known now: what came of the message, or why it was refused.
    pub(crate) fn settle_owed(
        &mut self,
        due: Due,
        refused: Option<ReasonCode>,
        outcome: ReasonCode,
        out: &mut Outputs,
    ) {
        let refused = refused.filter(|reason| reason.is_error());
        let line = self.line_now(due);
        let version = line
            .and_then(|line| self.client_on(line))
            .map(|client| client.version);
        let reason = refused.unwrap_or(outcome);
        let over = match version {
            // There is no word for "no": who is refused must not believe that the message is safe, but who may not publish
            // or reaches nobody is answered as always [MQTT-3.3.5-2].
            Some(Version::V311) => refused.is_some_and(|reason| reason != ReasonCode::NotAuthorized),
            Some(Version::V5) => reason.is_error(),
            None => refused.is_some(),
        };
        let due = Due {
            line: line.unwrap_or(due.line),
            ..due
        };
        if due.qos == QoS::ExactlyOnce && !over {
            self.settle_receipt(due);
        }
        let was_kept = due.qos == QoS::ExactlyOnce && over && self.forget_receipt(due);
        match version {
            Some(Version::V311) if over => self.expel(due.line.connection, reason, out),
            Some(Version::V5) if was_kept => {
                // Its id is free for another message once PUBREC says so, and not before the receipt is gone.
                let hold = self.holds.begin(1, What::Decline { due, reason });
                self.holds.await_batch(hold);
            }
            Some(_) => self.reply_to(due, reason, out),
            None => {}
        }
    }

    /// Sends what an acknowledgement says, when its turn comes.
    pub(crate) fn reply_to(&mut self, due: Due, reason: ReasonCode, out: &mut Outputs) {
        let Some(client) = self.client_on(due.line) else {
            return;
        };
        if let Some(owed) = client.owed.iter_mut().find(|owed| owed.awaits(due)) {
            owed.reply = Some(Reply { id: due.id, reason });
        }
        self.send_replies(due.line, out);
    }

    /// The connection that an acknowledgement is owed on now. A `QoS` 2 message may have been sent again on another.
    fn line_now(&mut self, due: Due) -> Option<Line> {
        if self.client_on(due.line).is_some() {
            return Some(due.line);
        }
        let connection = self.sessions.get(due.session)?.connection?;
        let client = self.client(connection).filter(|_| due.qos == QoS::ExactlyOnce)?;
        let serial = client.serial;
        client.awaits(due).then_some(Line { connection, serial })
    }

    /// Sends the acknowledgements whose turn it is.
    fn send_replies(&mut self, line: Line, out: &mut Outputs) {
        while let Some(client) = self.client_on(line) {
            let version = client.version;
            let ready = client.owed.pop_front_if(|owed| owed.reply.is_some());
            let Some(Owed {
                reply: Some(reply),
                qos,
                ..
            }) = ready
            else {
                return;
            };
            self.send_reply(line.connection, version, qos, reply, out);
        }
    }

    fn send_reply(
        &mut self,
        connection: ConnectionId,
        version: Version,
        qos: QoS,
        reply: Reply,
        out: &mut Outputs,
    ) {
        let ack = Ack::with(reply.id, sayable(reply.reason));
        let over = qos == QoS::AtLeastOnce || version == Version::V311 || reply.reason.is_error();
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
        let Some(client) = self
            .clients
            .get_mut(connection.0 as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        let limit = self.settings.entrance(client.entrance).receive_maximum;
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
        let id = client.session;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let known = session
            .receipts
            .iter()
            .position(|receipt| receipt.id == ack.packet_id);
        // An id that is not known was released before, and PUBCOMP was lost: that is success.
        if let Some(at) = known {
            if session.receipts.get(at).is_some_and(|receipt| !receipt.settled) {
                return self.expel(connection, ReasonCode::ProtocolError, out); // There was no PUBREC.
            }
            session.receipts.swap_remove(at);
        }
        if !session.durable() {
            return self.complete(line, ack.packet_id, out);
        }
        self.holds.remove_receipt(id, session.number, ack.packet_id);
        let complete = What::Complete {
            line,
            id: ack.packet_id,
        };
        let hold = self.holds.begin(1, complete);
        self.holds.await_batch(hold);
    }

    pub(crate) fn complete(&mut self, line: Line, id: PacketId, out: &mut Outputs) {
        let Some(client) = self.client_on(line) else {
            return;
        };
        let counts = client.version == Version::V5;
        self.send(line.connection, &Packet::PubComp(Ack::new(id)), out);
        if counts {
            self.acknowledged(line.connection, out);
        }
    }

    /// What a message waited for has happened: its PUBREC may be sent, and sent again.
    pub(crate) fn settle_receipt(&mut self, due: Due) {
        let Some(session) = self.sessions.get_mut(due.session) else {
            return;
        };
        for receipt in session.receipts.iter_mut().filter(|receipt| receipt.id == due.id) {
            receipt.settled = true;
        }
    }

    /// A message was refused: its id is free again. Answers whether there was a receipt that may be on disk.
    pub(crate) fn forget_receipt(&mut self, due: Due) -> bool {
        let Some(session) = self.sessions.get_mut(due.session) else {
            return false;
        };
        let before = session.receipts.len();
        session.receipts.retain(|receipt| receipt.id != due.id);
        if session.receipts.len() == before || !session.durable() {
            return false;
        }
        self.holds.remove_receipt(due.session, session.number, due.id);
        true
    }
}

/// The reason as PUBACK and PUBREC may say it [MQTT-3.4.2-1], [MQTT-3.5.2-1]: a link may have given any.
const fn sayable(reason: ReasonCode) -> ReasonCode {
    use ReasonCode::{
        ImplementationSpecificError, NoMatchingSubscribers, NotAuthorized, PacketIdentifierInUse,
        PayloadFormatInvalid, QuotaExceeded, Success, TopicNameInvalid, UnspecifiedError,
    };
    match reason {
        NoMatchingSubscribers
        | UnspecifiedError
        | NotAuthorized
        | TopicNameInvalid
        | PacketIdentifierInUse
        | QuotaExceeded
        | PayloadFormatInvalid => reason,
        reason if reason.is_error() => ImplementationSpecificError,
        _ => Success,
    }
}
