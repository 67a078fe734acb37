//! A publisher that keeps its own state over connections, as the protocol asks of it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use broker_core::testing::{ClientRef, Heard, World, clean, persistent};
use mqtt_wire::{Ack, Packet, PacketId, Properties, Property, Publish, QoS, Version, put_property};

use crate::{sent::Sent, tell};

#[derive(Debug)]
struct Outstanding {
    id: PacketId,
    sent: Sent,
    /// Whether PUBREC has come.
    released: bool,
}

/// One publisher. Its session outlives its connections, or ends with each: then it gives up what was not answered.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) name: String,
    tells: bool,
    version: Version,
    pub(crate) is_kept: bool,
    connection: Option<ClientRef>,
    heard: usize,
    open: bool,
    had_session: bool,
    outstanding: VecDeque<Outstanding>,
    next_id: PacketId,
    /// Topics that have an alias on this connection, and how many may have one.
    aliases: Vec<String>,
    aliases_max: usize,
    /// When each message that has an answer got it.
    pub(crate) answered: BTreeMap<usize, Duration>,
    /// The numbers of the messages that were acknowledged.
    pub(crate) acknowledged: Vec<usize>,
    /// The numbers of the messages that were refused.
    pub(crate) refused: Vec<usize>,
}

/// Messages a publisher has unacknowledged at most.
const WINDOW: usize = 12;

impl Publisher {
    pub(crate) fn new(name: &str, version: Version, is_kept: bool, tells: bool) -> Self {
        Self {
            is_kept,
            name: name.to_owned(),
            tells,
            version,
            connection: None,
            heard: 0,
            open: false,
            had_session: false,
            outstanding: VecDeque::new(),
            next_id: PacketId::FIRST,
            aliases: Vec::new(),
            aliases_max: 0,
            answered: BTreeMap::new(),
            acknowledged: Vec::new(),
            refused: Vec::new(),
        }
    }

    pub(crate) fn connect(&mut self, world: &mut World) {
        tell(self.tells, format_args!("{} connects", self.name));
        let connect = if self.is_kept {
            persistent(self.version, &self.name)
        } else {
            self.outstanding.clear();
            self.had_session = false;
            clean(self.version, &self.name)
        };
        let connection = world.begin_connect(connect);
        world.client_mut(connection).acknowledges = false;
        self.connection = Some(connection);
        self.heard = 0;
        self.open = false;
        self.aliases.clear();
    }

    pub(crate) fn drop_connection(&self, world: &mut World) {
        if let Some(connection) = self.connection {
            tell(self.tells, format_args!("{} is lost", self.name));
            world.begin_drop(connection);
        }
    }

    /// Whether it may publish one more message now.
    pub(crate) fn is_ready(&self, world: &World) -> bool {
        self.open && self.is_connected(world) && self.outstanding.len() < WINDOW
    }

    pub(crate) fn is_connected(&self, world: &World) -> bool {
        self.connection
            .is_some_and(|connection| world.client(connection).is_connected())
    }

    /// Whether it can say how long a message is worth anything.
    pub(crate) fn tells_expiry(&self) -> bool {
        self.version == Version::V5
    }

    pub(crate) fn is_done(&self) -> bool {
        self.outstanding.is_empty()
    }

    pub(crate) fn publish(&mut self, world: &mut World, sent: Sent) {
        let id = self.take_id();
        self.outstanding.push_back(Outstanding {
            id,
            sent: sent.clone(),
            released: false,
        });
        self.send(world, id, &sent, false);
        if sent.qos == QoS::AtMostOnce {
            self.outstanding.pop_back();
        }
    }

    fn take_id(&mut self) -> PacketId {
        loop {
            let id = self.next_id;
            self.next_id = id.next();
            if self.outstanding.iter().all(|outstanding| outstanding.id != id) {
                return id;
            }
        }
    }

    fn send(&mut self, world: &mut World, id: PacketId, sent: &Sent, dup: bool) {
        let Some(connection) = self.connection else { return };
        let payload = sent.payload();
        let mut block = Vec::new();
        if let Some(secs) = sent.expiry_secs.filter(|_| self.version == Version::V5) {
            put_property(&mut block, &Property::MessageExpiryInterval(secs)).unwrap();
        }
        let topic = self.put_topic(&mut block, &sent.topic);
        tell(
            self.tells,
            format_args!("    {} sends {sent:?} as {id}, again: {dup}", self.name),
        );
        let publish = Publish {
            dup,
            qos: sent.qos,
            retain: sent.retain,
            topic,
            packet_id: (sent.qos > QoS::AtMostOnce).then_some(id),
            properties: Properties::parse_publish(&block).unwrap(),
            payload: payload.as_bytes(),
        };
        world.begin_send(connection, &Packet::Publish(publish));
    }

    /// How it names the topic: with an alias from the second time on, as far as there are any.
    fn put_topic<'a>(&mut self, block: &mut Vec<u8>, topic: &'a str) -> &'a str {
        let known = self.aliases.iter().position(|known| known == topic);
        if known.is_none() && self.aliases.len() < self.aliases_max {
            self.aliases.push(topic.to_owned());
        }
        let alias = known.or_else(|| self.aliases.iter().position(|set| set == topic));
        if let Some(at) = alias {
            put_property(block, &Property::TopicAlias(at as u16 + 1)).unwrap();
        }
        if known.is_some() { "" } else { topic }
    }

    /// Takes in the next thing it heard, if there is one.
    pub(crate) fn hear(&mut self, world: &mut World) -> bool {
        let Some(connection) = self.connection else {
            return false;
        };
        let Some(heard) = world.client(connection).heard.get(self.heard).cloned() else {
            return false;
        };
        self.heard += 1;
        tell(self.tells, format_args!("    {} hears {heard:?}", self.name));
        match heard {
            Heard::Packet(Packet::ConnAck(connack)) => {
                self.aliases_max = connack.topic_alias_maximum.map_or(0, usize::from);
                self.resume(world, connack.session_present);
            }
            Heard::Packet(Packet::PubAck(ack)) => self.finish(&ack, QoS::AtLeastOnce, world.age()),
            Heard::Packet(Packet::PubRec(ack)) if ack.reason.is_error() => {
                self.finish(&ack, QoS::ExactlyOnce, world.age());
            }
            Heard::Packet(Packet::PubRec(ack)) => self.release(world, ack.packet_id),
            Heard::Packet(Packet::PubComp(ack)) => {
                self.outstanding
                    .retain(|outstanding| outstanding.id != ack.packet_id);
            }
            Heard::Packet(_) | Heard::Message(_) => {}
            Heard::Closed => self.open = false,
        }
        true
    }

    fn resume(&mut self, world: &mut World, present: bool) {
        assert!(
            present || !self.had_session,
            "the session of {} is gone",
            self.name
        );
        self.had_session = true;
        self.open = true;
        let again: Vec<_> = self
            .outstanding
            .iter()
            .map(|outstanding| (outstanding.id, outstanding.sent.clone(), outstanding.released))
            .collect();
        for (id, sent, released) in again {
            if released {
                self.send_pubrel(world, id);
            } else {
                self.send(world, id, &sent, true);
            }
        }
    }

    fn finish(&mut self, ack: &Ack, qos: QoS, now: Duration) {
        let is_it =
            |outstanding: &Outstanding| outstanding.id == ack.packet_id && outstanding.sent.qos == qos;
        let Some(at) = self.outstanding.iter().position(is_it) else {
            return;
        };
        let Some(outstanding) = self.outstanding.remove(at) else {
            return;
        };
        self.answered.insert(outstanding.sent.number, now);
        if ack.reason.is_error() {
            self.refused.push(outstanding.sent.number);
        } else {
            self.acknowledged.push(outstanding.sent.number);
        }
    }

    fn release(&mut self, world: &mut World, id: PacketId) {
        let mut known = self
            .outstanding
            .iter_mut()
            .filter(|outstanding| outstanding.id == id);
        if let Some(outstanding) = known.next()
            && !outstanding.released
        {
            outstanding.released = true;
            self.answered.insert(outstanding.sent.number, world.age());
            self.acknowledged.push(outstanding.sent.number);
        }
        self.send_pubrel(world, id);
    }

    fn send_pubrel(&self, world: &mut World, id: PacketId) {
        if let Some(connection) = self.connection {
            world.begin_send(connection, &Packet::PubRel(Ack::new(id)));
        }
    }
}
