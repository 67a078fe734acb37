//! Members that come, go and fall silent at random while messages are published, on a disk that loses nothing it promised.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::{
    Settings,
    testing::{ClientRef, Heard, World, clean, persistent},
};
use mqtt_wire::{Packet, QoS, ReasonCode, Version};

use super::GROUP;

/// One member over all its connections.
struct Member {
    name: String,
    kept: bool,
    connections: Vec<ClientRef>,
}

impl Member {
    fn now(&self, world: &World) -> Option<ClientRef> {
        let last = self.connections.last().copied();
        last.filter(|client| world.client(*client).is_connected())
    }

    fn connect(&mut self, world: &mut World) {
        let connect = if self.kept { persistent } else { clean };
        let client = world.begin_connect(connect(Version::V5, &self.name));
        let subscription =
            mqtt_wire::Subscription::new(broker_core::testing::filter(GROUP), QoS::ExactlyOnce);
        world.begin_subscribe(client, None, subscription);
        self.connections.push(client);
    }

    /// What it took, as a client that knows QoS 2 takes it: a packet id that is not released is the same message.
    fn took(&self, world: &World) -> Vec<String> {
        let (mut taken, mut unreleased) = (Vec::new(), BTreeSet::new());
        for client in &self.connections {
            for heard in &world.client(*client).heard {
                match heard {
                    Heard::Packet(Packet::ConnAck(connack)) if !connack.session_present => unreleased.clear(),
                    Heard::Packet(Packet::PubRel(ack)) => {
                        unreleased.remove(&ack.packet_id);
                    }
                    Heard::Message(message) => {
                        let is_new = message.qos < QoS::ExactlyOnce || unreleased.insert(message.id.unwrap());
                        if is_new {
                            taken.push(String::from_utf8_lossy(&message.payload).into_owned());
                        }
                    }
                    Heard::Packet(_) | Heard::Closed => {}
                }
            }
        }
        taken
    }
}

/// A history: how many came of every message, and which were acknowledged.
struct History {
    came: BTreeMap<String, usize>,
    acknowledged: Vec<String>,
}

fn tell(world: &mut World, qos: QoS, clean_members: usize, crashes: bool) -> History {
    let mut group: Vec<Member> = (0..3 + clean_members)
        .map(|at| Member {
            name: format!("member-{at}"),
            kept: at < 3,
            connections: Vec::new(),
        })
        .collect();
    for member in &mut group {
        member.connect(world);
        world.settle();
    }
    let mut publisher = world.connect(clean(Version::V5, "publisher"));
    let mut sent: Vec<(ClientRef, u16, String)> = Vec::new();
    for at in 0..150 {
        match world.dice().below(12) {
            0 => {
                let at = world.dice().below(group.len());
                match group[at].now(world) {
                    Some(client) => world.begin_drop(client),
                    None => group[at].connect(world),
                }
            }
            1 => {
                let at = world.dice().below(group.len());
                if let Some(client) = group[at].now(world) {
                    let client = world.client_mut(client);
                    client.acknowledges = !client.acknowledges;
                }
            }
            2 => {
                let at = world.dice().below(group.len());
                if let Some(client) = group[at].now(world).filter(|_| at > 0) {
                    if world.dice().one_in(2) {
                        world.begin_unsubscribe(client, GROUP);
                    } else {
                        group[at].connect(world); // It takes its session over.
                    }
                }
            }
            3 if crashes && world.dice().one_in(4) => {
                let shards = 1 + world.dice().below(4);
                world.begin_crash_into(u16::try_from(shards).unwrap());
                publisher = world.begin_connect(clean(Version::V5, "publisher"));
            }
            _ => {
                let payload = at.to_string();
                let id = world.begin_publish(publisher, "room/1", &payload, qos);
                sent.push((publisher, id, payload));
            }
        }
        let steps = world.dice().below(20);
        world.settle_partly(steps);
    }
    for member in &mut group {
        if let Some(client) = member.now(world) {
            world.begin_drop(client);
        }
        member.connect(world);
    }
    world.settle();
    let mut came: BTreeMap<String, usize> = BTreeMap::new();
    for payload in group.iter().flat_map(|member| member.took(world)) {
        *came.entry(payload).or_default() += 1;
    }
    let is_acknowledged = |(publisher, id, _): &&(ClientRef, u16, String)| {
        let mut acks = world.client(*publisher).acks();
        acks.any(|(name, known, reason)| known == *id && name != "PUBCOMP" && reason == ReasonCode::Success)
    };
    let acknowledged = sent.iter().filter(is_acknowledged);
    let acknowledged = acknowledged.map(|(.., payload)| payload.clone()).collect();
    assert_eq!(world.count(|counters| counters.queued_messages), 0);
    History { came, acknowledged }
}

fn many(story: impl Fn(&mut World)) {
    for seed in 1..=60 {
        for shards in [1, 2, 4] {
            let mut world = World::with(seed, shards, Settings::default());
            world.long_rounds = seed % 3 == 0;
            story(&mut world);
        }
    }
}

/// Nothing that was acknowledged is lost at QoS 1, with crashes and other numbers of shards.
#[test]
fn nothing_acknowledged_is_lost() {
    many(|world| {
        let History { came, acknowledged } = tell(world, QoS::AtLeastOnce, 3, true);
        assert!(!acknowledged.is_empty());
        for payload in acknowledged {
            assert!(came.contains_key(&payload), "{payload} is lost");
        }
    });
}

/// At QoS 2 nothing comes twice either, whoever takes it.
#[test]
fn everything_comes_exactly_once() {
    many(|world| {
        // What was written to a session that ends with its connection, or is about to be, goes with it.
        let (clean_members, crashes) = if world.dice().one_in(2) {
            (3, false)
        } else {
            (0, true)
        };
        world.long_rounds &= clean_members == 0;
        let History { came, acknowledged } = tell(world, QoS::ExactlyOnce, clean_members, crashes);
        assert!(!acknowledged.is_empty());
        for payload in &acknowledged {
            assert!(came.contains_key(payload), "{payload} is lost");
        }
        let twice: Vec<_> = came.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
    });
}
