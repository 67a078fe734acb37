//! Broker: one shard with its clients, whose sockets are vectors of bytes and whose store keeps at once.

use std::{rc::Rc, sync::Arc};

use broker_core::{
    Badge, ConnectionId, EntranceId, Input, Judge, Moment, Output, Outputs, Recovered, Settings, Shard,
    ShardId,
    testing::{clean, filter, persistent},
};
use mqtt_wire::{
    Connect, Packet, PacketId, Properties, Publish, QoS, Subscribe, Subscription, Version, decode,
};

/// Messages of one turn, which are read at once; no more than may be under way to one client.
pub(crate) const MESSAGES: u64 = 30;

pub(crate) const PACKET_BYTES_MAX: u32 = 1 << 20;

pub(crate) const TOPIC: &str = "fleet/berlin/device-42/t";

const PAYLOAD: [u8; 64] = [b'x'; 64];

/// Where the publisher is, and the first subscriber.
const PUBLISHER: ConnectionId = ConnectionId(0);
const SUBSCRIBER: ConnectionId = ConnectionId(1);

pub(crate) struct Broker {
    shard: Shard,
    outputs: Outputs,
    touched: Vec<ConnectionId>,
    /// What the publisher sends in a turn.
    frames: Rc<[u8]>,
    /// Whether the subscriber acknowledges each message, and what it is about to send for that.
    acknowledges: bool,
    acks: Vec<u8>,
    /// How many packets are sent in a turn.
    answers: u64,
}

impl Broker {
    /// A publisher, and a subscriber who acknowledges; `kept`: with a session that outlives its connection.
    pub(crate) fn pair(qos: QoS, kept: bool) -> Self {
        let mut broker = Self::new(&[TOPIC], qos);
        let version = Version::V311;
        let connect = if kept {
            persistent(version, "s")
        } else {
            clean(version, "s")
        };
        broker.subscriber(1, connect, &[TOPIC.to_owned()], qos);
        broker.acknowledges = qos > QoS::AtMostOnce;
        if broker.acknowledges {
            broker.answers += MESSAGES;
        }
        broker
    }

    /// A publisher and so many who hear it.
    pub(crate) fn to_many(count: u32) -> Self {
        let mut broker = Self::new(&[TOPIC], QoS::AtMostOnce);
        for at in 1..=count {
            let connect = clean(Version::V311, &format!("s{at}"));
            broker.subscriber(at, connect, &[TOPIC.to_owned()], QoS::AtMostOnce);
        }
        broker.answers = MESSAGES * u64::from(count);
        broker
    }

    /// Ten subscribers who share out so many filters; each message is for one of them.
    pub(crate) fn with_filters(count: usize) -> Self {
        let topics: Vec<String> = (0..MESSAGES)
            .map(|at| format!("site/{}/sensor/t", at * 199))
            .collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let mut broker = Self::new(&topics, QoS::AtMostOnce);
        let filters: Vec<String> = (0..count).map(|at| format!("site/{at}/+/t")).collect();
        for (at, filters) in (1..).zip(filters.chunks(count / 10)) {
            broker.subscriber(
                at,
                clean(Version::V311, &format!("s{at}")),
                filters,
                QoS::AtMostOnce,
            );
        }
        broker
    }

    fn new(topics: &[&str], qos: QoS) -> Self {
        let settings = Arc::new(Settings::default());
        let mut broker = Self {
            shard: Shard::new(ShardId(0), 1, settings, 1, Recovered::default()),
            outputs: Outputs::default(),
            touched: Vec::new(),
            frames: frames(topics, qos).into(),
            acknowledges: false,
            acks: Vec::new(),
            answers: MESSAGES,
        };
        broker.connect(PUBLISHER, clean(Version::V311, "p"));
        broker
    }

    fn connect(&mut self, connection: ConnectionId, connect: Connect) {
        self.step(Input::Connected {
            connection,
            connect: Box::new(connect),
            assigned: false,
            badge: Badge::named("somebody"),
            entrance: EntranceId::default(),
        });
        self.end_round();
    }

    fn subscriber(&mut self, slot: u32, connect: Connect, filters: &[String], qos: QoS) {
        let connection = ConnectionId(slot);
        self.connect(connection, connect);
        for filters in filters.chunks(50) {
            let subscriptions = filters.iter().map(|text| Subscription::new(filter(text), qos));
            let packet = Packet::Subscribe(Subscribe {
                packet_id: PacketId::FIRST,
                subscription_id: None,
                filters: subscriptions.collect(),
                user_properties: Vec::new(),
            });
            self.step(Input::Packet {
                connection,
                packet,
                judge: &AllowsAll,
            });
            self.end_round();
        }
    }

    /// The publisher's messages come, and reach who is to have them.
    pub(crate) fn turn(&mut self) {
        let before = self.outputs.packets();
        let frames = Rc::clone(&self.frames);
        self.read(PUBLISHER, &frames);
        self.end_round();
        let answers = self.outputs.packets() - before;
        assert_eq!(
            answers, self.answers,
            "all get theirs, and the publisher its acknowledgements"
        );
        let acks = std::mem::take(&mut self.acks);
        self.read(SUBSCRIBER, &acks);
        self.acks = acks;
        self.acks.clear();
        self.end_round();
    }

    fn read(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let mut left = bytes;
        while let Some((packet, len)) = decode(left, Version::V311, PACKET_BYTES_MAX).unwrap() {
            if !self.shard.reads(connection) {
                // A gate is asked about the first message.
                self.end_round();
                assert!(self.shard.reads(connection), "the rules take what comes");
            }
            self.step(Input::Packet {
                connection,
                packet,
                judge: &AllowsAll,
            });
            left = &left[len..];
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.shard.step(Moment::default(), input, &mut self.outputs);
    }

    /// What is to be kept is kept, and what is to be written is taken by its socket.
    fn end_round(&mut self) {
        self.shard.end_round(Moment::default(), &mut self.outputs);
        while !self.outputs.duties.is_empty() {
            for duty in std::mem::take(&mut self.outputs.duties) {
                match duty {
                    Output::Remember { ticket, .. } => self.step(Input::Remembered { through: ticket }),
                    Output::Ask { ticket, .. } => self.step(Input::Verdict { ticket, allow: true }),
                    // What was sent is here as a whole.
                    Output::Read { .. } => {}
                    other => panic!("nobody does this here: {other:?}"),
                }
            }
            self.shard.end_round(Moment::default(), &mut self.outputs);
        }
        let mut touched = std::mem::take(&mut self.touched);
        self.outputs.take_touched(&mut touched);
        for connection in &touched {
            let unsent = self
                .outputs
                .outbox(*connection)
                .map_or(&[][..], |outbox| outbox.unsent());
            if self.acknowledges && *connection == SUBSCRIBER {
                for frame in unsent.chunks_exact(self.frames.len() / MESSAGES as usize) {
                    let id = &frame[4 + TOPIC.len()..][..2];
                    self.acks.extend([0x40, 2, id[0], id[1]]);
                }
            }
            let unsent = unsent.len();
            self.outputs.sent(*connection, unsent);
        }
        self.touched = touched;
    }
}

/// A gate that has its verdict at hand.
#[derive(Debug)]
struct AllowsAll;

impl Judge for AllowsAll {
    fn may_publish(&self, _: &str, _: QoS, _: bool) -> Option<bool> {
        Some(true)
    }
}

/// The publisher's messages of one turn, on these topics in turn.
pub(crate) fn frames(topics: &[&str], qos: QoS) -> Vec<u8> {
    let mut frames = Vec::new();
    for (id, topic) in (1..=MESSAGES as u16).zip(topics.iter().cycle()) {
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id: (qos > QoS::AtMostOnce).then(|| PacketId::new(id).unwrap()),
            properties: Properties::default(),
            payload: &PAYLOAD,
        };
        publish.encode(Version::V311, &mut frames).unwrap();
    }
    frames
}
