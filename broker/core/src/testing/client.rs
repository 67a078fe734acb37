//! The other side of a connection in a `World`: hears bytes, keeps the messages, and acknowledges unless told not to.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use mqtt_wire::{Ack, Packet, PacketId, Publish, QoS, ReasonCode, Version};

use crate::ConnectionId;

/// Names a client of a `World`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientRef(pub(super) usize);

/// A message that a client received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The topic name.
    pub topic: String,
    /// The application message.
    pub payload: Vec<u8>,
    /// As it was sent.
    pub qos: QoS,
    /// Whether RETAIN was set.
    pub retain: bool,
    /// Whether DUP was set.
    pub dup: bool,
    /// Its packet id.
    pub id: Option<PacketId>,
    /// The raw property block.
    pub properties: Vec<u8>,
    /// When it came, as [`World::age`](super::World::age) tells.
    pub at: Duration,
}

/// Something a client heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A PUBLISH.
    Message(Received),
    /// Any other packet.
    Packet(Packet<'static>),
    /// The connection was closed by the broker.
    Closed,
}

/// A client's side of one connection.
#[derive(Debug)]
pub struct Client {
    /// The protocol version it speaks.
    pub version: Version,
    /// Everything it heard, in order.
    pub heard: Vec<Heard>,
    /// Whether it reads its socket.
    pub reads: bool,
    /// Whether it acknowledges messages by itself.
    pub acknowledges: bool,
    pub(super) name: String,
    pub(super) place: Option<(usize, ConnectionId)>,
    pub(super) unread: Vec<u8>,
    bytes: Vec<u8>,
    aliases: BTreeMap<u16, String>,
    replies: VecDeque<Packet<'static>>,
    next_id: PacketId,
}

impl Client {
    pub(super) const fn new(version: Version, name: String, home: usize, connection: ConnectionId) -> Self {
        Self {
            version,
            heard: Vec::new(),
            reads: true,
            acknowledges: true,
            name,
            place: Some((home, connection)),
            unread: Vec::new(),
            bytes: Vec::new(),
            aliases: BTreeMap::new(),
            replies: VecDeque::new(),
            next_id: PacketId::FIRST,
        }
    }

    /// The next packet id for a packet of its own.
    pub fn take_id(&mut self) -> PacketId {
        let id = self.next_id;
        self.next_id = id.next();
        id
    }

    /// The reasons of the last SUBACK or UNSUBACK it received.
    #[must_use]
    pub fn granted(&self) -> Vec<ReasonCode> {
        let acks = self.packets().filter_map(|packet| match packet {
            Packet::SubAck(ack) => Some(ack.reasons.clone()),
            Packet::UnsubAck(ack) => Some(ack.reasons.clone()),
            _ => None,
        });
        acks.last().unwrap_or_default()
    }

    /// Whether the connection is up, as far as the client knows.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.place.is_some()
    }

    /// The messages it received, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Received> {
        self.heard.iter().filter_map(|heard| match heard {
            Heard::Message(message) => Some(message),
            Heard::Packet(_) | Heard::Closed => None,
        })
    }

    /// The payloads it received, in order, as text.
    #[must_use]
    pub fn payloads(&self) -> Vec<String> {
        self.messages()
            .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
            .collect()
    }

    /// The packets it received besides messages, in order.
    pub fn packets(&self) -> impl Iterator<Item = &Packet<'static>> {
        self.heard.iter().filter_map(|heard| match heard {
            Heard::Packet(packet) => Some(packet),
            Heard::Message(_) | Heard::Closed => None,
        })
    }

    /// The reason of the CONNACK it received, and whether a session was present.
    #[must_use]
    pub fn connack(&self) -> Option<(ReasonCode, bool)> {
        self.packets().find_map(|packet| match packet {
            Packet::ConnAck(connack) => Some((connack.reason, connack.session_present)),
            _ => None,
        })
    }

    /// The reason of the DISCONNECT it received.
    #[must_use]
    pub fn disconnected(&self) -> Option<ReasonCode> {
        self.packets().find_map(|packet| match packet {
            Packet::Disconnect(disconnect) => Some(disconnect.reason),
            _ => None,
        })
    }

    /// The ids it got a PUBACK, PUBREC or PUBCOMP for, with the packet's name and reason.
    pub fn acks(&self) -> impl Iterator<Item = (&'static str, u16, ReasonCode)> {
        self.packets().filter_map(|packet| match packet {
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => {
                Some((packet.name(), ack.packet_id.get(), ack.reason))
            }
            _ => None,
        })
    }

    pub(super) const fn cut(&mut self) -> Option<(usize, ConnectionId)> {
        self.place.take()
    }

    pub(super) fn closed(&mut self) {
        self.place = None;
        self.heard.push(Heard::Closed);
    }

    pub(super) fn has_reply(&self) -> bool {
        self.place.is_some() && !self.replies.is_empty()
    }

    pub(super) fn take_reply(&mut self) -> Option<Vec<u8>> {
        let reply = self.replies.pop_front()?;
        let mut bytes = Vec::new();
        reply.encode(self.version, &mut bytes).ok()?;
        Some(bytes)
    }

    pub(super) fn hear(&mut self, bytes: &[u8], at: Duration) {
        self.bytes.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.bytes);
        let mut used = 0;
        loop {
            match mqtt_wire::decode_from_server(bytes.get(used..).unwrap_or_default(), self.version, u32::MAX)
            {
                Ok(Some((packet, len))) => {
                    used += len;
                    self.take(packet, at);
                }
                Ok(None) => break,
                Err(error) => unreachable!("the broker sent what is no packet: {error}"),
            }
        }
        self.bytes = bytes.get(used..).unwrap_or_default().to_vec();
    }

    /// The topic name of a message, by itself or by the alias that was set before.
    fn topic_of(&mut self, publish: &Publish<'_>) -> String {
        if let Some(alias) = publish.properties.topic_alias() {
            if !publish.topic.is_empty() {
                self.aliases.insert(alias, publish.topic.to_owned());
            }
            let Some(topic) = self.aliases.get(&alias) else {
                unreachable!("the broker used alias {alias}, which stands for nothing")
            };
            return topic.clone();
        }
        publish.topic.to_owned()
    }

    fn take(&mut self, packet: Packet<'_>, at: Duration) {
        match packet {
            Packet::Publish(publish) => {
                let topic = self.topic_of(&publish);
                self.heard.push(Heard::Message(Received {
                    topic,
                    payload: publish.payload.to_vec(),
                    qos: publish.qos,
                    retain: publish.retain,
                    dup: publish.dup,
                    id: publish.packet_id,
                    properties: publish.properties.as_bytes().to_vec(),
                    at,
                }));
                match (publish.packet_id, publish.qos) {
                    (Some(id), QoS::AtLeastOnce) => self.reply(Packet::PubAck(Ack::new(id))),
                    (Some(id), _) => self.reply(Packet::PubRec(Ack::new(id))),
                    (None, _) => {}
                }
            }
            Packet::PubRel(ack) => {
                self.reply(Packet::PubComp(Ack::new(ack.packet_id)));
                self.heard.push(Heard::Packet(Packet::PubRel(ack)));
            }
            Packet::PubRec(ack) => {
                if !ack.reason.is_error() {
                    self.reply(Packet::PubRel(Ack::new(ack.packet_id)));
                }
                self.heard.push(Heard::Packet(Packet::PubRec(ack)));
            }
            Packet::PubAck(ack) => self.heard.push(Heard::Packet(Packet::PubAck(ack))),
            Packet::PubComp(ack) => self.heard.push(Heard::Packet(Packet::PubComp(ack))),
            Packet::ConnAck(connack) => self.heard.push(Heard::Packet(Packet::ConnAck(connack))),
            Packet::SubAck(suback) => self.heard.push(Heard::Packet(Packet::SubAck(suback))),
            Packet::UnsubAck(unsuback) => self.heard.push(Heard::Packet(Packet::UnsubAck(unsuback))),
            Packet::PingResp => self.heard.push(Heard::Packet(Packet::PingResp)),
            Packet::Disconnect(disconnect) => self.heard.push(Heard::Packet(Packet::Disconnect(disconnect))),
            Packet::Auth(auth) => self.heard.push(Heard::Packet(Packet::Auth(auth))),
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq => {
                unreachable!("only clients send these")
            }
        }
    }

    fn reply(&mut self, packet: Packet<'static>) {
        if self.acknowledges {
            self.replies.push_back(packet);
        }
    }
}
