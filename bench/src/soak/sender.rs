//! A publisher that keeps what is not acknowledged and sends it again when it comes back to its session.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::Result;
use mqtt_wire::{Ack, Packet, PacketId, Properties, Publish, QoS, ReasonCode};

use super::member::{Heard, Keeping, Member};
use super::tally::Tally;
use crate::peer::Outbox;

/// Messages on their way to the broker; its receive maximum is higher.
pub(super) const WINDOW: usize = 40;

/// A message on its way.
#[derive(Debug)]
struct Unacknowledged {
    packet_id: PacketId,
    number: u64,
    topic: String,
    payload: Vec<u8>,
    retain: bool,
    /// PUBREC has come.
    received: bool,
}

/// What happened to messages, told to their owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Sent again with QoS 1.
    Resent(u64),
    /// Nobody can know.
    Unknown(u64),
    /// All that was sent with QoS 0 and has not arrived.
    AllUnknown,
}

/// One publisher.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) member: Member,
    pub(super) qos: QoS,
    next_id: PacketId,
    unacknowledged: VecDeque<Unacknowledged>,
}

impl Sender {
    pub(super) const fn new(member: Member, qos: QoS) -> Self {
        Self {
            member,
            qos,
            next_id: PacketId::FIRST,
            unacknowledged: VecDeque::new(),
        }
    }

    /// Whether one more may be sent now.
    pub(super) fn is_ready(&self) -> bool {
        self.member.is_here() && self.unacknowledged.len() < WINDOW
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Sends a message; the sender is ready.
    pub(super) fn send(&mut self, number: u64, topic: &str, payload: &[u8], retain: bool) -> Result<()> {
        let packet_id = (self.qos > QoS::AtMostOnce).then_some(self.next_id);
        let message = Publish {
            dup: false,
            qos: self.qos,
            retain,
            topic,
            packet_id,
            properties: Properties::EMPTY,
            payload,
        };
        if let Some(outbox) = self.member.outbox() {
            outbox.send(&Packet::Publish(message))?;
        }
        if let Some(packet_id) = packet_id {
            self.next_id = packet_id.next();
            self.unacknowledged.push_back(Unacknowledged {
                packet_id,
                number,
                topic: topic.to_owned(),
                payload: payload.to_vec(),
                retain,
                received: false,
            });
        }
        Ok(())
    }

    /// The connection is about to end, or has ended.
    pub(super) fn depart(&mut self, tell: &mut dyn FnMut(Fate)) {
        if self.qos == QoS::AtMostOnce {
            tell(Fate::AllUnknown);
        }
        if self.member.identity.keeping == Keeping::Clean {
            self.forget(tell);
        }
    }

    fn forget(&mut self, tell: &mut dyn FnMut(Fate)) {
        for message in self.unacknowledged.drain(..) {
            tell(Fate::Unknown(message.number));
        }
    }

    /// Takes acknowledgements, and begins again after a CONNACK.
    pub(super) fn exchange(
        &mut self,
        now: Instant,
        tally: &mut Tally,
        tell: &mut dyn FnMut(Fate),
    ) -> Result<()> {
        let name = self.member.identity.client_id.clone();
        let waiting = &mut self.unacknowledged;
        let mut wrong = Vec::new();
        let heard = self.member.exchange(now, tally, &mut |packet, outbox| {
            if let Err(what) = acknowledge(waiting, &packet, outbox, tell)? {
                wrong.push(what);
            }
            Ok(())
        })?;
        for what in wrong {
            tally.wrong(now, &format!("{name}: {what}"));
        }
        match heard {
            Heard::Nothing => {}
            Heard::Closed => self.depart(tell),
            Heard::Greeted {
                session_present: false,
            } => self.forget(tell),
            Heard::Greeted {
                session_present: true,
            } => self.resend(tell)?,
        }
        Ok(())
    }

    /// All that is not acknowledged, in its order [MQTT-4.4.0-1].
    fn resend(&mut self, tell: &mut dyn FnMut(Fate)) -> Result<()> {
        let Some(outbox) = self.member.outbox() else {
            return Ok(());
        };
        for message in &self.unacknowledged {
            if message.received {
                outbox.send(&Packet::PubRel(Ack::new(message.packet_id)))?;
                continue;
            }
            if self.qos == QoS::AtLeastOnce {
                tell(Fate::Resent(message.number));
            }
            outbox.send(&Packet::Publish(Publish {
                dup: true,
                qos: self.qos,
                retain: message.retain,
                topic: &message.topic,
                packet_id: Some(message.packet_id),
                properties: Properties::EMPTY,
                payload: &message.payload,
            }))?;
        }
        Ok(())
    }
}

/// Takes one acknowledgement; the inner error says what is wrong with it. They come in the order of what they
/// answer [MQTT-4.6.0-2] [MQTT-4.6.0-3].
fn acknowledge(
    waiting: &mut VecDeque<Unacknowledged>,
    packet: &Packet<'_>,
    outbox: &mut Outbox,
    tell: &mut dyn FnMut(Fate),
) -> Result<Result<(), String>> {
    let (ack, received) = match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) => (ack, false),
        Packet::PubComp(ack) => (ack, true),
        other => return Ok(Err(format!("{} came to a publisher", other.name()))),
    };
    let oldest = waiting.iter().position(|message| message.received == received);
    let found = waiting
        .iter()
        .position(|message| message.received == received && message.packet_id == ack.packet_id);
    let Some(index) = found else {
        return Ok(Err(format!("{packet:?} answers nothing")));
    };
    let refused = !matches!(
        ack.reason,
        ReasonCode::Success | ReasonCode::NoMatchingSubscribers
    );
    if matches!(packet, Packet::PubRec(_)) && !refused {
        if let Some(message) = waiting.get_mut(index) {
            message.received = true;
        }
        outbox.send(&Packet::PubRel(Ack::new(ack.packet_id)))?;
    } else if let Some(message) = waiting.remove(index)
        && refused
    {
        tell(Fate::Unknown(message.number));
        return Ok(Err(format!("{packet:?} refuses message {}", message.number)));
    }
    if oldest != found {
        return Ok(Err(format!("{packet:?} does not answer the oldest message")));
    }
    Ok(Ok(()))
}
