//! A subscriber that keeps its own state over connections: what it applied, and which ids are not released.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    time::Duration,
};

use broker_core::testing::{ClientRef, Heard, Received, World, clean, filter, persistent};
use mqtt_wire::{Ack, Connect, Packet, PacketId, Properties, QoS, RetainHandling, Subscription, Version};

use crate::{absence::Absence, sent::number_in, tell};

/// A message that was applied, in the order of application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) number: usize,
    pub(crate) qos: QoS,
    /// When it came, and whether it may have come before.
    pub(crate) at: Duration,
    pub(crate) dup: bool,
    /// How long it is worth anything from then on, in seconds.
    pub(crate) expiry_secs: Option<u32>,
}

/// One subscriber. Its session outlives its connections, or ends with each.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) name: String,
    tells: bool,
    version: Version,
    pub(crate) is_kept: bool,
    /// How many unacknowledged messages it takes; 0 for as many as the broker sends.
    window: u16,
    /// How many aliases it takes.
    aliases_max: u16,
    /// How long its session outlasts its connection, if not for ever.
    life: Option<Duration>,
    /// Since when it is away, if it was known to be there.
    absence: Option<Absence>,
    /// Whether it must have lost its session by the time it came; `None` if that cannot be told.
    is_forgotten: Option<bool>,
    /// Ids of messages that came on this connection and were not completely acknowledged.
    under_way: BTreeSet<PacketId>,
    /// Its filters with the levels it asks for.
    filters: Vec<(String, QoS)>,
    connection: Option<ClientRef>,
    /// When it last came.
    came: Duration,
    heard: usize,
    open: bool,
    had_session: bool,
    awaited_subacks: usize,
    /// Messages from this number on are owed to it: those published after its SUBACKs.
    pub(crate) owed_from: Option<usize>,
    /// Ids of messages at QoS 2 that were applied and not released, with the messages' numbers.
    unreleased: BTreeMap<PacketId, usize>,
    pub(crate) applied: Vec<Applied>,
}

impl Subscriber {
    pub(crate) fn new(
        name: &str,
        version: Version,
        is_kept: bool,
        filters: &[(&str, QoS)],
        tells: bool,
    ) -> Self {
        Self {
            name: name.to_owned(),
            tells,
            version,
            is_kept,
            window: 0,
            aliases_max: 0,
            life: None,
            absence: None,
            is_forgotten: Some(false),
            under_way: BTreeSet::new(),
            filters: filters
                .iter()
                .map(|(text, qos)| ((*text).to_owned(), *qos))
                .collect(),
            connection: None,
            came: Duration::ZERO,
            heard: 0,
            open: false,
            had_session: false,
            awaited_subacks: 0,
            owed_from: None,
            unreleased: BTreeMap::new(),
            applied: Vec::new(),
        }
    }

    /// Its session lasts this long after its connection, and no longer.
    pub(crate) fn with_life(self, life: Option<Duration>) -> Self {
        let life = life.filter(|_| self.is_kept && self.version == Version::V5);
        Self { life, ..self }
    }

    pub(crate) fn connect(&mut self, world: &mut World, window: u16, aliases_max: u16) {
        if !self.is_kept {
            self.forget();
            return self.connect_as(world, clean(self.version, &self.name));
        }
        let is_new = self.version == Version::V5;
        self.window = if is_new { window } else { 0 };
        self.aliases_max = if is_new { aliases_max } else { 0 };
        let mut connect = Connect {
            receive_maximum: NonZeroU16::new(self.window),
            topic_alias_maximum: self.aliases_max,
            ..persistent(self.version, &self.name)
        };
        if let Some(life) = self.life {
            let now = world.age();
            let is_known = self
                .connection
                .is_none_or(|connection| world.client(connection).connack().is_some());
            if !is_known {
                // The session may have ended unnoticed, and another begun.
                connect.clean_start = true;
                self.forget();
            }
            if !self.is_connected(world) && self.connection.is_some() {
                self.absence.get_or_insert(Absence::between(self.came, now));
            }
            let absence = self.absence.take();
            self.is_forgotten = absence.map_or(Some(false), |absence| absence.has_lasted(life, now));
            connect.session_expiry_secs = u32::try_from(life.as_secs()).ok();
        }
        self.connect_as(world, connect);
    }

    /// Ends its session and begins another.
    pub(crate) fn start_anew(&mut self, world: &mut World) {
        self.connect_as(
            world,
            Connect {
                clean_start: true,
                ..persistent(Version::V5, &self.name)
            },
        );
        self.version = Version::V5;
        self.is_kept = true;
        self.window = 0;
        self.aliases_max = 0;
        self.life = None;
        self.is_forgotten = Some(false);
        self.forget();
    }

    fn forget(&mut self) {
        self.had_session = false;
        self.owed_from = None;
        self.unreleased.clear();
        self.applied.clear();
    }

    /// Ends its session for good.
    pub(crate) fn end(&mut self, world: &mut World) {
        self.connect_as(world, clean(Version::V5, &self.name));
    }

    fn connect_as(&mut self, world: &mut World, connect: Connect) {
        tell(
            self.tells,
            format_args!("{} connects, clean: {}", self.name, connect.clean_start),
        );
        let connection = world.begin_connect(connect);
        world.client_mut(connection).acknowledges = false;
        self.connection = Some(connection);
        self.came = world.age();
        self.heard = 0;
        self.under_way.clear();
        self.open = false;
        self.awaited_subacks = 0;
    }

    pub(crate) fn drop_connection(&mut self, world: &mut World) {
        if let Some(connection) = self.connection.filter(|_| self.is_connected(world)) {
            tell(self.tells, format_args!("{} is lost", self.name));
            world.begin_drop(connection);
            self.absence = Some(Absence::since(world.age()));
        }
    }

    /// The process is about to be killed.
    pub(crate) fn meet_crash(&mut self, world: &World, jumped: bool) {
        let now = world.age();
        let is_connected = self.is_connected(world);
        match &mut self.absence {
            Some(absence) => absence.outlasts_a_crash(now, jumped),
            None if is_connected => self.absence = Some(Absence::since(now)),
            // The broker sent it away, some time after it came.
            None => self.absence = Some(Absence::between(self.came, now)),
        }
    }

    pub(crate) fn is_open(&self, world: &World) -> bool {
        self.open && self.is_connected(world)
    }

    pub(crate) fn is_connected(&self, world: &World) -> bool {
        self.connection
            .is_some_and(|connection| world.client(connection).is_connected())
    }

    pub(crate) fn subscribe(&mut self, world: &mut World) {
        let Some(connection) = self.connection else { return };
        tell(
            self.tells,
            format_args!("{} subscribes to {:?}", self.name, self.filters),
        );
        self.awaited_subacks += self.filters.len();
        for (text, qos) in self.filters.clone() {
            let subscription = Subscription {
                retain_handling: RetainHandling::DoNotSend,
                ..Subscription::new(filter(&text), qos)
            };
            world.begin_subscribe(connection, None, subscription);
        }
    }

    /// Unsubscribes from its first filter. Nothing is owed to it until it subscribes again.
    pub(crate) fn unsubscribe(&mut self, world: &mut World) {
        let (Some(connection), Some((text, _))) = (self.connection, self.filters.first()) else {
            return;
        };
        if self.awaited_subacks > 0 {
            return; // A SUBACK under way would be taken for one of a later subscription.
        }
        tell(self.tells, format_args!("{} unsubscribes from {text}", self.name));
        self.owed_from = None;
        world.begin_unsubscribe(connection, text);
    }

    /// The highest level it asked for on a topic.
    pub(crate) fn level_on(&self, topic: &str) -> Option<QoS> {
        let topic = mqtt_wire::TopicName::parse(topic).ok()?;
        let matching = self
            .filters
            .iter()
            .filter(|(text, _)| filter(text).matches(topic));
        matching.map(|(_, qos)| *qos).max()
    }

    /// Takes in the next thing it heard, if there is one, and answers it unless the answer is to be lost.
    pub(crate) fn hear(&mut self, world: &mut World, next_number: usize, answers: bool) -> bool {
        let Some(connection) = self.connection else {
            return false;
        };
        let Some(heard) = world.client(connection).heard.get(self.heard).cloned() else {
            return false;
        };
        self.heard += 1;
        tell(
            self.tells,
            format_args!("    {} hears {heard:?}, answers: {answers}", self.name),
        );
        let answer = match heard {
            Heard::Packet(Packet::ConnAck(connack)) => {
                let present = connack.session_present;
                if let Some(forgotten) = self.is_forgotten.filter(|_| self.had_session) {
                    assert_eq!(
                        present, !forgotten,
                        "whether the session of {} is present",
                        self.name
                    );
                }
                if !present {
                    self.forget();
                }
                if self.is_forgotten.is_none() {
                    // It may have been over for a while, and come back with a crash.
                    self.owed_from = None;
                }
                self.open = true;
                self.had_session = true;
                None
            }
            Heard::Packet(Packet::SubAck(suback)) => {
                assert!(suback.reasons.iter().all(|reason| !reason.is_error()));
                self.awaited_subacks -= 1;
                if self.awaited_subacks == 0 {
                    self.owed_from.get_or_insert(next_number);
                }
                None
            }
            Heard::Packet(Packet::PubRel(ack)) => {
                self.under_way.insert(ack.packet_id);
                self.unreleased.remove(&ack.packet_id);
                Some(Packet::PubComp(Ack::new(ack.packet_id)))
            }
            Heard::Message(message) => self.take(&message),
            Heard::Packet(_) => None,
            Heard::Closed => {
                self.open = false;
                None
            }
        };
        // One whose session ends with its connection answers always: what it does not answer would not come again.
        if let Some(answer) = answer.filter(|_| answers || !self.is_kept) {
            if let Packet::PubAck(ack) | Packet::PubComp(ack) = &answer {
                self.under_way.remove(&ack.packet_id);
            }
            world.begin_send(connection, &answer);
        }
        true
    }

    fn take(&mut self, message: &Received) -> Option<Packet<'static>> {
        let number = number_in(&message.payload, &message.topic);
        let Some(id) = message.id else {
            self.apply(message, number);
            return None;
        };
        assert!(self.under_way.insert(id), "{}: id {id} is in use", self.name);
        assert!(
            self.window == 0 || self.under_way.len() <= usize::from(self.window),
            "{} takes no more than {}",
            self.name,
            self.window
        );
        if message.qos == QoS::AtLeastOnce {
            self.apply(message, number);
            return Some(Packet::PubAck(Ack::new(id)));
        }
        match self.unreleased.insert(id, number) {
            Some(before) => {
                assert_eq!(
                    before, number,
                    "{}: id {id} stands for another message now",
                    self.name
                );
                assert!(message.dup, "{}: {number} comes again without DUP", self.name);
            }
            None => self.apply(message, number),
        }
        Some(Packet::PubRec(Ack::new(id)))
    }

    /// What comes because of a new subscription is a copy of its own, and has no place in the order.
    fn apply(&mut self, message: &Received, number: usize) {
        if !message.retain {
            let properties = Properties::parse_publish(&message.properties).unwrap();
            self.applied.push(Applied {
                number,
                qos: message.qos,
                at: message.at,
                dup: message.dup,
                expiry_secs: properties.message_expiry_secs(),
            });
        }
    }
}
