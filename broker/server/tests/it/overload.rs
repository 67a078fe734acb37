//! Memory runs short: who is read more slowly, who is not let in, and that it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use broker::Overload;
use mqtt_wire::{Ack, QoS, ReasonCode, Version};

use crate::{
    client::{Client, Heard, SOON, connect, id},
    house::{House, Plan},
};

const MIB: u64 = 1 << 20;

/// A broker that believes what memory it is told to have, and a ceiling of 100 MiB.
struct Short {
    house: House,
    /// 0 for what cannot be read.
    resident: Arc<AtomicU64>,
    /// How often it has looked.
    looks: Arc<AtomicU64>,
}

impl Short {
    fn open(mut plan: Plan) -> Self {
        plan.broker.memory_max = Some("100MiB".into());
        let resident = Arc::new(AtomicU64::new(MIB));
        let looks = Arc::new(AtomicU64::new(0));
        let (reading, looking) = (Arc::clone(&resident), Arc::clone(&looks));
        let house = plan.open_with(|broker| {
            broker.measure_memory_by(move || {
                looking.fetch_add(1, Ordering::Relaxed);
                Some(reading.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
            });
        });
        Self {
            house,
            resident,
            looks,
        }
    }

    /// It has so much memory, and has noticed.
    fn has(&self, mib: u64, stage: Overload) {
        self.resident.store(mib * MIB, Ordering::Relaxed);
        let since = Instant::now();
        while self.house.handle().overload() != stage {
            assert!(since.elapsed() < SOON, "{mib} MiB are not {stage:?}");
            std::thread::yield_now();
        }
    }

    /// What a newcomer is told.
    fn tells(&self, version: Version) -> (ReasonCode, Option<String>) {
        let mut newcomer = Client::dial(self.house.address());
        let connack = newcomer.introduce(&connect(version, "newcomer"));
        (connack.reason, connack.reason_string.or(connack.server_reference))
    }
}

#[test]
fn nobody_new_is_let_in_above_the_ceiling_and_those_inside_go_on() {
    let short = Short::open(Plan::default());
    let mut inside = Client::named(short.house.address(), Version::V5, "inside");
    inside.subscribe("room", QoS::AtLeastOnce);
    short.has(99, Overload::Dropping);
    assert_eq!(short.tells(Version::V311), (ReasonCode::Success, None));
    short.has(100, Overload::Refusing);
    let (reason, why) = short.tells(Version::V5);
    assert_eq!(reason, ReasonCode::ServerBusy);
    assert!(why.unwrap().contains("broker.memory_max"));
    // Return code 3 of MQTT 3.1.1.
    assert_eq!(short.tells(Version::V311), (ReasonCode::ServerUnavailable, None));
    inside.publish("room", "on", QoS::AtMostOnce, 0);
    assert_eq!(inside.message().payload, "on");
    let problem = short.house.handle().memory_problem().unwrap();
    assert!(problem.contains("broker.memory_max"), "{problem}");
    short.has(70, Overload::Calm);
    assert_eq!(short.house.handle().memory_problem(), None);
    assert_eq!(short.tells(Version::V5), (ReasonCode::Success, None));
}

#[test]
fn whoever_is_not_let_in_is_sent_to_another_server_if_there_is_one() {
    let mut plan = Plan::default();
    plan.mqtt.server_reference = Some("other.example:1883".into());
    let short = Short::open(plan);
    short.has(100, Overload::Refusing);
    assert_eq!(
        short.tells(Version::V5),
        (ReasonCode::UseAnotherServer, Some("other.example:1883".into()))
    );
}

#[test]
fn a_publisher_waits_while_memory_is_short_and_no_longer() {
    let short = Short::open(Plan::shards(2));
    let mut publisher = Client::named(short.house.address(), Version::V311, "publisher");
    short.has(80, Overload::Slowing);
    for number in 1..=60 {
        publisher.publish("nowhere", "on", QoS::AtLeastOnce, number);
    }
    let acknowledged = |publisher: &mut Client, numbers: std::ops::RangeInclusive<u16>| {
        for number in numbers {
            assert_eq!(publisher.hear(), Heard::PubAck(Ack::new(id(number))));
        }
    };
    acknowledged(&mut publisher, 1..=11);
    let slowed = || {
        let counters = short.house.block_on(short.house.handle().stats()).counters;
        counters.slowed_by_overload
    };
    let so_far = slowed();
    assert!(so_far > 0);
    short.has(1, Overload::Calm);
    acknowledged(&mut publisher, 12..=60);
    for number in 1..=60 {
        publisher.publish("nowhere", "on", QoS::AtLeastOnce, number);
    }
    acknowledged(&mut publisher, 1..=60);
    assert!(slowed() <= so_far + 1);
}

/// A process that has no file left to open cannot look, and needs the ceiling most.
#[test]
fn memory_that_cannot_be_read_is_taken_to_stand_still() {
    let short = Short::open(Plan::default());
    short.has(100, Overload::Refusing);
    short.resident.store(0, Ordering::Relaxed);
    let (since, looks) = (Instant::now(), short.looks.load(Ordering::Relaxed));
    while short.looks.load(Ordering::Relaxed) < looks + 2 {
        assert!(since.elapsed() < SOON, "nobody looks any more");
        std::thread::yield_now();
    }
    assert_eq!(short.tells(Version::V5).0, ReasonCode::ServerBusy);
    short.has(70, Overload::Calm);
    assert_eq!(short.tells(Version::V5), (ReasonCode::Success, None));
}
