//! Members that come, go and fall silent at random while messages are published, on a disk that loses nothing it promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use broker_core::{
    Settings, SharedStrategy,
    testing::{ClientRef, Dice, Heard, World, clean, filter, persistent},
};
use mqtt_wire::{Packet, QoS, ReasonCode, Subscription, Version};

use super::GROUP;

/// Seeds tried of each story, with each number of shards.
const SEEDS: u64 = 40;

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
        let subscription = Subscription::new(filter(GROUP), QoS::ExactlyOnce);
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

/// What may happen besides coming, going and publishing.
#[derive(Clone, Copy)]
struct Plot {
    levels: &'static [QoS],
    /// Members whose sessions end with their connections, beside three others.
    clean_members: usize,
    crashes: bool,
    /// Whether sessions of members that are kept end too.
    endings: bool,
    /// Whether the store refuses for a while now and then.
    refusals: bool,
}

/// A history: how many came of every message, and which were acknowledged.
struct History {
    came: BTreeMap<String, usize>,
    acknowledged: Vec<String>,
}

fn tell(world: &mut World, plot: Plot) -> History {
    let mut group: Vec<Member> = (0..3 + plot.clean_members)
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
    // Its messages share their bodies with the group's.
    let plain = world.connect(persistent(Version::V5, "plain"));
    world.subscribe(plain, "room/#", QoS::ExactlyOnce);
    world.drop_connection(plain);
    let mut publisher = world.connect(clean(Version::V5, "publisher"));
    let mut sent: Vec<(ClientRef, u16, String)> = Vec::new();
    for at in 0..150 {
        let chosen = world.dice().below(group.len());
        let member = &mut group[chosen];
        match world.dice().below(14) {
            0 => match member.now(world) {
                Some(client) => world.begin_drop(client),
                None => member.connect(world),
            },
            1 => {
                if let Some(client) = member.now(world) {
                    let client = world.client_mut(client);
                    client.acknowledges = !client.acknowledges;
                }
            }
            2 => {
                if let Some(client) = member.now(world).filter(|_| chosen > 0) {
                    if world.dice().one_in(2) {
                        world.begin_unsubscribe(client, GROUP);
                    } else {
                        member.connect(world); // It takes its session over.
                    }
                }
            }
            3 if plot.crashes && world.dice().one_in(4) => {
                let shards = 1 + world.dice().below(4);
                world.begin_crash_into(u16::try_from(shards).unwrap());
                publisher = world.begin_connect(clean(Version::V5, "publisher"));
            }
            4 if plot.endings && chosen > 0 => {
                let client = world.begin_connect(clean(Version::V5, &member.name));
                member.connections.push(client);
            }
            5 if plot.refusals => world.store_full = !world.store_full,
            _ => {
                if !world.client(publisher).is_connected() {
                    publisher = world.begin_connect(clean(Version::V5, "publisher"));
                }
                let payload = at.to_string();
                let qos = plot.levels[world.dice().below(plot.levels.len())];
                let id = world.begin_publish(publisher, "room/1", &payload, qos);
                sent.push((publisher, id, payload));
            }
        }
        let steps = world.dice().below(20);
        world.settle_partly(steps);
    }
    world.store_full = false;
    for member in &mut group {
        if let Some(client) = member.now(world) {
            world.begin_drop(client);
        }
    }
    world.settle();
    world.pass(Duration::from_secs(5));
    for member in &mut group {
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
    // What the store refuses to clean up after a start stays there until the next.
    if !(plot.crashes && plot.refusals) {
        leave_nothing(world, &group);
    }
    History { came, acknowledged }
}

/// When all have left, nothing is left of them.
fn leave_nothing(world: &mut World, group: &[Member]) {
    for member in group {
        world.connect(clean(Version::V5, &member.name));
    }
    let others = world.connect(persistent(Version::V5, "plain"));
    world.disconnect(others, ReasonCode::Success);
    world.connect(clean(Version::V5, "plain"));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.count(|counters| counters.queued_messages), 0);
    assert!(world.disk().is_empty(), "{:?}", world.disk());
}

fn many(story: impl Fn(&mut World)) {
    let strategies = [
        SharedStrategy::RoundRobin,
        SharedStrategy::Random,
        SharedStrategy::Sticky,
        SharedStrategy::LeastInflight,
        SharedStrategy::HashClient,
        SharedStrategy::HashTopic,
    ];
    for seed in 1..=SEEDS {
        for shards in [1, 2, 4] {
            let mut dice = Dice::seeded(seed);
            let settings = Settings {
                shared_strategy: strategies[dice.below(strategies.len())],
                inflight_max: [2, 32][dice.below(2)],
                queue_memory_bytes: [16, 64 * 1024][dice.below(2)],
                ..Settings::default()
            };
            let mut world = World::with(seed, shards, settings);
            world.long_rounds = dice.one_in(2);
            story(&mut world);
        }
    }
}

/// Nothing that was acknowledged is lost at QoS 1, with crashes, other numbers of shards and a store that refuses.
#[test]
fn nothing_acknowledged_is_lost() {
    many(|world| {
        let plot = Plot {
            levels: &[QoS::AtLeastOnce],
            clean_members: 3,
            crashes: true,
            endings: true,
            refusals: world.dice().one_in(3),
        };
        let History { came, acknowledged } = tell(world, plot);
        for payload in acknowledged {
            assert!(came.contains_key(&payload), "{payload} is lost");
        }
    });
}

/// At QoS 2 nothing comes twice either, whoever takes it.
#[test]
fn everything_comes_exactly_once() {
    many(|world| {
        // What was written to a session that ends, or is about to be, goes with it.
        let lasts = world.dice().one_in(2);
        world.long_rounds &= lasts;
        let plot = Plot {
            levels: &[QoS::ExactlyOnce],
            clean_members: if lasts { 0 } else { 3 },
            crashes: lasts,
            endings: !lasts,
            refusals: world.dice().one_in(3),
        };
        let History { came, acknowledged } = tell(world, plot);
        for payload in &acknowledged {
            assert!(came.contains_key(payload), "{payload} is lost");
        }
        let twice: Vec<_> = came.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
    });
}

/// Levels mixed as they come: whatever happens, nothing is left over when everybody has left.
#[test]
fn nothing_is_left_over() {
    many(|world| {
        let plot = Plot {
            levels: &[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce],
            clean_members: 2,
            crashes: true,
            endings: true,
            refusals: true,
        };
        tell(world, plot);
    });
}
