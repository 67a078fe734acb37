//! A stream of operations, played in a `World` and held against the model after each.

use mqtt_wire::{
    Ack, Connect, Disconnect, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode, Subscribe,
    Subscription, Unsubscribe, Version, Will, put_property,
};

use super::{
    ClientRef, Heard, World, filter,
    model::{Broken, Model, News, Open},
    operation::{CLIENTS, Greeting, Operation, Reply, Script, Testament, Wish},
};
use crate::Shelf;

/// Ids of what was never sent.
const STRAY: u16 = 40_000;

/// What may be the case at once; a stream of which more is possible is followed no further.
const MODELS_MAX: usize = 16;

/// Changes what was heard on its way to the model: a broker that does otherwise.
pub type Tamper<'a> = &'a mut dyn FnMut(&mut Vec<Heard>);

/// A world and what should be in it.
struct Trial<'a> {
    world: World,
    /// What may be the case, as far as can be told from what was heard.
    models: Vec<Model>,
    /// The connections there were, in order.
    lines: Vec<ClientRef>,
    /// How many messages were made.
    messages: u16,
    tamper: Tamper<'a>,
}

/// Plays the operations that some bytes are.
///
/// # Errors
/// When the world does what it must not, or leaves out what it must do.
pub fn play(bytes: &[u8]) -> Result<(), Broken> {
    play_with(bytes, &mut |_| {})
}

/// The same, with what was heard passing through other hands.
///
/// # Errors
/// When what is heard in the end is wrong.
pub fn play_with(bytes: &[u8], tamper: Tamper<'_>) -> Result<(), Broken> {
    let (seed, shards, settings, script) = Script::read(bytes);
    let mut trial = Trial {
        models: vec![Model::new(&settings)],
        world: World::with(seed, shards, settings),
        lines: Vec::new(),
        messages: 0,
        tamper,
    };
    for (client, operation) in script {
        trial.perform(client, &operation)?;
        if trial.models.len() > MODELS_MAX {
            return Ok(());
        }
    }
    trial.end()
}

impl Trial<'_> {
    fn perform(&mut self, client: usize, operation: &Operation) -> Result<(), Broken> {
        match operation {
            Operation::Connect(greeting) => self.connect(client, greeting),
            Operation::Pass { millis } => return self.pass(*millis),
            Operation::Crash { shards } => self.crash(*shards),
            Operation::Subscribe { .. }
            | Operation::Unsubscribe(_)
            | Operation::Publish { .. }
            | Operation::Answer { .. }
            | Operation::Release { .. }
            | Operation::Resend { .. }
            | Operation::Disconnect { .. }
            | Operation::Lose => {
                let Some(line) = self.model().line_of(client) else {
                    return Ok(());
                };
                self.act(client, line, operation);
            }
        }
        self.check()
    }

    /// Something that a connected client does.
    fn act(&mut self, client: usize, line: usize, operation: &Operation) {
        match operation {
            Operation::Subscribe {
                subscription_id,
                wishes,
            } => self.subscribe(line, *subscription_id, wishes),
            Operation::Unsubscribe(topics) => {
                let packet_id = self.take_id(client);
                self.tell(|model| model.unsubscribe(line, packet_id.get(), topics));
                let unsubscribe = Unsubscribe {
                    packet_id,
                    filters: vec![filter(topics)],
                    user_properties: Vec::new(),
                };
                self.send(line, &Packet::Unsubscribe(unsubscribe));
            }
            Operation::Publish {
                topic,
                qos,
                retain,
                empty,
                expiry_secs,
                dup,
            } => {
                let payload = if *empty { Vec::new() } else { self.payload() };
                let news = News {
                    topic,
                    payload: &payload,
                    qos: *qos,
                    retain: *retain,
                    expiry_secs: *expiry_secs,
                };
                self.publish(client, line, news, *dup && *qos > QoS::AtMostOnce);
            }
            Operation::Answer { which, reply } => self.answer(client, line, *which, *reply),
            Operation::Release { which, stray } => {
                let packet = if *stray {
                    Some(STRAY)
                } else {
                    self.unreleased(client, *which)
                };
                if let Some(packet) = packet {
                    self.tell(|model| model.release(line, packet));
                    self.send(line, &Packet::PubRel(Ack::new(packet_id(packet))));
                }
            }
            Operation::Resend { which } => {
                if let Some(packet) = self.unreleased(client, *which) {
                    self.tell(|model| model.resend(line, packet));
                    let publish = Publish {
                        dup: true,
                        qos: QoS::ExactlyOnce,
                        retain: false,
                        topic: "room/1",
                        packet_id: Some(packet_id(packet)),
                        properties: Properties::EMPTY,
                        payload: b"again",
                    };
                    self.send(line, &Packet::Publish(publish));
                }
            }
            Operation::Disconnect {
                with_will,
                expiry_secs,
            } => self.disconnect(line, *with_will, *expiry_secs),
            Operation::Lose => {
                self.tell(|model| model.lose(line));
                if let Some(at) = self.lines.get(line) {
                    self.world.drop_connection(*at);
                }
            }
            Operation::Connect(_) | Operation::Pass { .. } | Operation::Crash { .. } => {}
        }
    }

    fn connect(&mut self, client: usize, greeting: &Greeting) {
        let new = greeting.version == Version::V5;
        let payload = greeting.will.map(|_| self.payload());
        self.tell(|model| model.connect(client, greeting, payload.as_deref()));
        let will = greeting
            .will
            .zip(payload)
            .map(|(testament, payload)| will(&testament, payload));
        let connect = Connect {
            clean_start: greeting.clean_start,
            session_expiry_secs: Some(greeting.expiry_secs).filter(|secs| new && *secs > 0),
            receive_maximum: greeting.receive_maximum.filter(|_| new),
            topic_alias_maximum: u16::from(greeting.takes_alias && new),
            will,
            ..Connect::new(greeting.version, *CLIENTS.get(client).unwrap_or(&"nobody"))
        };
        let at = self.world.begin_connect(connect);
        self.world.client_mut(at).acknowledges = greeting.automatic;
        self.lines.push(at);
    }

    fn subscribe(&mut self, line: usize, subscription_id: Option<u32>, wishes: &[Wish]) {
        let Some(at) = self.lines.get(line).copied() else {
            return;
        };
        let new = self.world.client(at).version == Version::V5;
        let subscription = |wish: &Wish| {
            let plain = Subscription::new(filter(wish.filter), wish.qos);
            if !new {
                return plain;
            }
            Subscription {
                no_local: wish.no_local,
                retain_as_published: wish.retain_as_published,
                retain_handling: wish.retain_handling,
                ..plain
            }
        };
        let packet_id = packet_id(STRAY + 1);
        let subscribe = Subscribe {
            packet_id,
            subscription_id: subscription_id.filter(|_| new),
            filters: wishes.iter().map(subscription).collect(),
            user_properties: Vec::new(),
        };
        self.tell(|model| model.subscribe(line, packet_id.get(), subscription_id, wishes));
        self.send(line, &Packet::Subscribe(subscribe));
    }

    fn publish(&mut self, client: usize, line: usize, news: News<'_>, dup: bool) {
        let Some(at) = self.lines.get(line).copied() else {
            return;
        };
        let new = self.world.client(at).version == Version::V5;
        let id = (news.qos > QoS::AtMostOnce).then(|| self.take_id(client));
        self.tell(|model| model.publish(line, id.map(PacketId::get), news));
        let block = expiry_block(news.expiry_secs.filter(|_| new));
        let publish = Publish {
            dup,
            qos: news.qos,
            retain: news.retain,
            topic: news.topic,
            packet_id: id,
            properties: Properties::parse_publish(&block).unwrap_or(Properties::EMPTY),
            payload: news.payload,
        };
        self.send(line, &Packet::Publish(publish));
    }

    fn answer(&mut self, client: usize, line: usize, which: usize, reply: Reply) {
        let Some(at) = self.lines.get(line).copied() else {
            return;
        };
        let new = self.world.client(at).version == Version::V5;
        let open = self.model().open(client);
        let open = open.get(which % open.len().max(1)).copied();
        let stray = Ack::new(packet_id(STRAY));
        let packet = match (reply, open) {
            (Reply::Stray, _) => {
                self.tell(|model| model.receive(line, STRAY));
                Packet::PubRec(stray)
            }
            (_, None) => Packet::PubAck(stray),
            (Reply::Refusal, Some(Open { id, qos, released })) if new && !released => {
                self.tell(|model| model.finish(line, id));
                let ack = Ack::with(packet_id(id), ReasonCode::NotAuthorized);
                if qos == QoS::AtLeastOnce {
                    Packet::PubAck(ack)
                } else {
                    Packet::PubRec(ack)
                }
            }
            (
                Reply::Again,
                Some(Open {
                    id,
                    qos: QoS::ExactlyOnce,
                    ..
                }),
            ) => {
                self.tell(|model| model.receive(line, id));
                Packet::PubRec(Ack::new(packet_id(id)))
            }
            (_, Some(Open { id, qos, released })) => {
                let ack = Ack::new(packet_id(id));
                match (qos, released) {
                    (QoS::ExactlyOnce, false) => {
                        self.tell(|model| model.receive(line, id));
                        Packet::PubRec(ack)
                    }
                    (QoS::ExactlyOnce, true) => {
                        self.tell(|model| model.finish(line, id));
                        Packet::PubComp(ack)
                    }
                    (QoS::AtMostOnce | QoS::AtLeastOnce, _) => {
                        self.tell(|model| model.finish(line, id));
                        Packet::PubAck(ack)
                    }
                }
            }
        };
        self.send(line, &packet);
    }

    fn disconnect(&mut self, line: usize, with_will: bool, expiry_secs: Option<u32>) {
        let Some(at) = self.lines.get(line).copied() else {
            return;
        };
        let new = self.world.client(at).version == Version::V5;
        self.tell(|model| model.disconnect(line, with_will, expiry_secs));
        let reason = if with_will && new {
            ReasonCode::DisconnectWithWill
        } else {
            ReasonCode::Success
        };
        let disconnect = Disconnect {
            session_expiry_secs: expiry_secs.filter(|_| new),
            ..Disconnect::with(reason)
        };
        self.send(line, &Packet::Disconnect(disconnect));
    }

    fn pass(&mut self, millis: u64) -> Result<(), Broken> {
        let mut left = millis;
        loop {
            let now = self.model().until_deadline(left);
            self.tell(|model| model.pass(now));
            self.world.pass(std::time::Duration::from_millis(now));
            self.check()?;
            left -= now;
            if left == 0 {
                return Ok(());
            }
        }
    }

    fn crash(&mut self, shards: u16) {
        self.tell(|model| model.crash());
        self.world.crash_into(shards);
        self.world.pass(std::time::Duration::ZERO);
    }

    /// Everybody comes back and takes what is theirs; then everybody goes for good, and nothing of them is left.
    fn end(&mut self) -> Result<(), Broken> {
        let greeting = Greeting {
            version: Version::V5,
            clean_start: false,
            expiry_secs: 0,
            receive_maximum: None,
            takes_alias: false,
            automatic: true,
            will: None,
        };
        for client in 0..CLIENTS.len() {
            self.perform(client, &Operation::Connect(greeting))?;
        }
        for client in 0..CLIENTS.len() {
            self.perform(client, &Operation::Lose)?;
        }
        let kept = Shelf::ALL.into_iter().filter(|shelf| *shelf != Shelf::Retained);
        for shelf in kept {
            let left = self.world.disk().len(shelf);
            if left > 0 {
                return Err(Broken {
                    clause: "MQTT5-4.1.0-2",
                    what: format!("{left} records of {shelf:?} are left of sessions that have ended"),
                });
            }
        }
        let (kept, alive) = (
            self.world.disk().len(Shelf::Retained),
            self.model().retained_alive(),
        );
        if kept < alive {
            return Err(Broken {
                clause: "MQTT5-3.3.1-5",
                what: format!("{kept} retained messages are on disk, and {alive} should be"),
            });
        }
        Ok(())
    }

    /// Lets everything happen, and holds what was heard against the model.
    fn check(&mut self) -> Result<(), Broken> {
        self.world.settle();
        for line in 0..self.lines.len() {
            let Some(at) = self.lines.get(line).copied() else {
                continue;
            };
            let mut heard = std::mem::take(&mut self.world.client_mut(at).heard);
            (self.tamper)(&mut heard);
            for heard in &heard {
                self.sift(|model| model.hear(line, heard))?;
            }
        }
        self.sift(|mut model| model.rest().map(|()| vec![model]))
    }

    /// Something happens, whatever else may be the case.
    fn tell(&mut self, verb: impl Fn(&mut Model)) {
        self.models.iter_mut().for_each(verb);
    }

    /// Keeps what may still be the case. It is an error when nothing may.
    fn sift(&mut self, verdict: impl Fn(Model) -> Result<Vec<Model>, Broken>) -> Result<(), Broken> {
        if self.models.len() > MODELS_MAX {
            return Ok(());
        }
        let mut why = None;
        for model in std::mem::take(&mut self.models) {
            match verdict(model) {
                Ok(models) => {
                    for model in models {
                        if !self.models.contains(&model) {
                            self.models.push(model);
                        }
                    }
                }
                Err(broken) => why = Some(broken),
            }
        }
        match why.filter(|_| self.models.is_empty()) {
            Some(broken) => Err(broken),
            None => Ok(()),
        }
    }

    /// One of the models: in what a client can tell they are alike.
    fn model(&self) -> &Model {
        let Some(model) = self.models.first() else {
            unreachable!("a trial ends when there is none")
        };
        model
    }

    fn send(&mut self, line: usize, packet: &Packet<'_>) {
        if let Some(at) = self.lines.get(line) {
            self.world.begin_send(*at, packet);
        }
    }

    /// A payload that no other message has.
    fn payload(&mut self) -> Vec<u8> {
        self.messages += 1;
        self.messages.to_string().into_bytes()
    }

    /// The least packet id that stands for nothing a client has sent.
    fn take_id(&self, client: usize) -> PacketId {
        let used = self.model().unreleased(client);
        let free = (1..STRAY).find(|id| !used.contains(id));
        packet_id(free.unwrap_or(STRAY))
    }

    fn unreleased(&self, client: usize, which: usize) -> Option<u16> {
        let unreleased = self.model().unreleased(client);
        unreleased.get(which % unreleased.len().max(1)).copied()
    }
}

fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).unwrap_or(PacketId::FIRST)
}

fn will(testament: &Testament, payload: Vec<u8>) -> Will {
    Will {
        topic: testament.topic.to_owned(),
        payload,
        qos: testament.qos,
        retain: testament.retain,
        delay_secs: testament.delay_secs,
        properties: expiry_block(testament.expiry_secs),
    }
}

/// A property block with nothing but the life of a message.
fn expiry_block(secs: Option<u32>) -> Vec<u8> {
    let mut block = Vec::new();
    if let Some(secs) = secs {
        let written = put_property(&mut block, &Property::MessageExpiryInterval(secs));
        debug_assert!(written.is_ok(), "a number can be written");
    }
    block
}
