//! Everything that could grow has an end, and says so when it is reached.

use broker_core::{
    Entrance, Settings, Shelf,
    testing::{World, clean, filter, persistent},
};
use mqtt_wire::{
    Packet, Properties, Property, Publish, QoS, ReasonCode, Subscribe, Subscription, Version, put_property,
};

use crate::{VERSIONS, everywhere, everywhere_with};

fn fill(world: &mut World, count: usize, payload: &str) -> Vec<ReasonCode> {
    let publisher = world.connect(clean(Version::V5, "publisher"));
    for _ in 0..count {
        world.publish(publisher, "room", payload, QoS::AtLeastOnce);
    }
    world
        .client(publisher)
        .acks()
        .map(|(_, _, reason)| reason)
        .collect()
}

fn absent(world: &mut World, name: &str) {
    let client = world.connect(persistent(Version::V5, name));
    world.subscribe(client, "room", QoS::AtLeastOnce);
    world.drop_connection(client);
}

/// A queue that is full refuses the newest; a publisher that reached nobody is told 0x97.
#[test]
fn full_queue_refuses_the_newest() {
    let settings = Settings {
        queue_messages_max: 5,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        absent(world, "client");
        let reasons = fill(world, 8, "on");
        let (ok, full) = (ReasonCode::Success, ReasonCode::QuotaExceeded);
        assert_eq!(reasons, [ok, ok, ok, ok, ok, full, full, full]);
        assert_eq!(world.count(|counters| counters.dropped_queue_full), 3);
        assert_eq!(world.disk().len(Shelf::Queue), 5);
        let client = world.connect(persistent(Version::V5, "client"));
        assert_eq!(world.client(client).messages().count(), 5);
        assert_eq!(fill(world, 3, "on"), [ok, ok, ok], "there is room again");
    });
}

/// Bytes count as well as messages.
#[test]
fn queue_is_bounded_in_bytes() {
    let settings = Settings {
        queue_bytes_max: 1000,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        absent(world, "client");
        let reasons = fill(world, 20, &"x".repeat(96));
        assert_eq!(reasons.iter().filter(|reason| !reason.is_error()).count(), 10);
    });
}

/// One full queue costs other receivers nothing, and its publisher neither.
#[test]
fn one_full_queue_is_its_own_matter() {
    let settings = Settings {
        queue_messages_max: 2,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        absent(world, "absent");
        let present = world.connect(persistent(Version::V5, "present"));
        world.subscribe(present, "room", QoS::AtLeastOnce);
        assert_eq!(fill(world, 6, "on"), [ReasonCode::Success; 6]);
        assert_eq!(world.client(present).messages().count(), 6);
        let old = world.connect(clean(Version::V311, "old"));
        world.drop_connection(present);
        for _ in 0..6 {
            world.publish(old, "room", "on", QoS::AtLeastOnce);
        }
        assert!(
            world.client(old).is_connected(),
            "what no queue had room for is no fault of a 3.1.1 publisher"
        );
        assert_eq!(world.client(old).acks().count(), 6);
        for _ in 0..6 {
            world.publish(old, "room", "on", QoS::ExactlyOnce);
        }
        assert_eq!(
            world
                .client(old)
                .acks()
                .filter(|(name, ..)| *name == "PUBCOMP")
                .count(),
            6
        );
    });
}

/// An id whose message no queue had room for is free again, also after a crash.
#[test]
fn message_without_room_leaves_no_receipt() {
    let settings = Settings {
        queue_messages_max: 1,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        absent(world, "client");
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.publish(publisher, "room", "first", QoS::ExactlyOnce);
        world.publish(publisher, "room", "second", QoS::ExactlyOnce);
        let last = world.client(publisher).acks().last().unwrap();
        assert_eq!((last.0, last.2), ("PUBREC", ReasonCode::QuotaExceeded));
        assert_eq!(world.disk().len(Shelf::Receipts), 0);
        world.crash();
        let client = world.connect(persistent(Version::V5, "client"));
        assert_eq!(world.client(client).payloads(), ["first"]);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.client_mut(publisher).take_id();
        world.publish(publisher, "room", "third", QoS::ExactlyOnce);
        assert_eq!(world.client(client).payloads(), ["first", "third"]);
    });
}

/// A backlog larger than what is read at once comes in order, while more arrives, and without gaps or repeats.
#[test]
fn backlog_comes_page_by_page_in_order() {
    for queue_memory_bytes in [0, 100, 64 * 1024] {
        let settings = Settings {
            queue_memory_bytes,
            ..Settings::by(Entrance {
                receive_maximum: 1000,
                ..Entrance::default()
            })
        };
        everywhere_with(&settings, |world| {
            absent(world, "client");
            let publisher = world.connect(clean(Version::V5, "publisher"));
            for at in 0..300 {
                world.publish(publisher, "room", &at.to_string(), QoS::AtLeastOnce);
            }
            let client = world.begin_connect(persistent(Version::V5, "client"));
            for at in 300..400 {
                world.begin_publish(publisher, "room", &at.to_string(), QoS::AtLeastOnce);
                let steps = world.dice().below(8);
                world.settle_partly(steps);
            }
            world.settle();
            let expected: Vec<String> = (0..400).map(|at| at.to_string()).collect();
            assert_eq!(world.client(client).payloads(), expected);
        });
    }
}

/// What waits for those who are away is on disk and not in memory.
#[test]
fn waiting_messages_of_the_absent_are_not_in_memory() {
    everywhere(|world| {
        absent(world, "client");
        fill(world, 200, &"x".repeat(1000));
        assert_eq!(world.count(|counters| counters.queued_messages), 200);
        assert_eq!(world.queued_bytes_in_memory(), 0);
        let client = world.begin_connect(persistent(Version::V5, "client"));
        world.client_mut(client).acknowledges = false;
        world.settle();
        assert!(world.queued_bytes_in_memory() <= 2 * 64 * 1024);
        world.drop_connection(client);
        assert_eq!(world.queued_bytes_in_memory(), 0);
    });
}

/// Consumed messages leave the disk: many as a range, few large ones soon and by their names.
#[test]
fn consumed_messages_leave_the_disk() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        fill(world, 2000, "small");
        assert!(world.disk().len(Shelf::Queue) <= 512);
        let ranges = world.disk().ranges_removed();
        assert!((1..=4).contains(&ranges), "{ranges}");
        fill(world, 10, &"x".repeat(200_000));
        assert!(world.disk().ranges_removed() <= ranges + 1);
        assert!(
            world.disk().bytes(Shelf::Queue) < 600_000,
            "{}",
            world.disk().bytes(Shelf::Queue)
        );
    });
}

/// Messages acknowledged out of order leave the disk too, though one before them is not acknowledged.
#[test]
fn messages_acknowledged_out_of_order_leave_the_disk() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        world.client_mut(client).acknowledges = false;
        fill(world, 1, "never acknowledged");
        world.client_mut(client).acknowledges = true;
        fill(world, 100, "on");
        assert_eq!(world.disk().len(Shelf::Queue), 1);
        world.crash();
        let client = world.connect(persistent(Version::V5, "client"));
        assert_eq!(world.client(client).payloads(), ["never acknowledged"]);
    });
}

/// Subscriptions of one session, and filters of one SUBSCRIBE, are bounded.
#[test]
fn subscriptions_are_bounded() {
    let settings = Settings {
        filters_per_subscribe_max: 4,
        ..Settings::by(Entrance {
            subscriptions_max: 3,
            ..Entrance::default()
        })
    };
    everywhere_with(&settings, |world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            for at in 0..3 {
                world.subscribe(client, &format!("room/{at}"), QoS::AtMostOnce);
            }
            world.subscribe(client, "one/more", QoS::AtMostOnce);
            let told = match version {
                Version::V5 => ReasonCode::QuotaExceeded,
                Version::V311 => ReasonCode::UnspecifiedError,
            };
            assert_eq!(world.client(client).granted(), [told]);
            world.subscribe(client, "room/1", QoS::AtLeastOnce);
            assert_eq!(
                world.client(client).granted(),
                [ReasonCode::GrantedQoS1],
                "a known one may be replaced"
            );
            let packet_id = world.client_mut(client).take_id();
            let filters = (0..5)
                .map(|at| Subscription::new(filter(&format!("x/{at}")), QoS::AtMostOnce))
                .collect();
            let user_properties = Vec::new();
            let subscribe = Subscribe {
                packet_id,
                subscription_id: None,
                filters,
                user_properties,
            };
            world.send(client, &Packet::Subscribe(subscribe));
            assert!(!world.client(client).is_connected());
        }
    });
}

/// Topic names too long or too deep, and too many user properties, are refused.
#[test]
fn topics_and_properties_are_bounded() {
    everywhere(|world| {
        for topic in ["x".repeat(4097), vec!["x"; 129].join("/")] {
            let client = world.connect(clean(Version::V5, "client"));
            world.publish(client, &topic, "", QoS::AtLeastOnce);
            assert_eq!(
                world.client(client).disconnected(),
                Some(ReasonCode::TopicNameInvalid)
            );
        }
        for topic in ["x".repeat(4097), vec!["x"; 129].join("/")] {
            let mut connect = clean(Version::V5, "client");
            connect.will = Some(will(&topic));
            let client = world.connect(connect);
            assert_eq!(
                world.client(client).connack(),
                Some((ReasonCode::TopicNameInvalid, false))
            );
            assert!(!world.client(client).is_connected());
        }
        let client = world.connect(clean(Version::V5, "client"));
        let (name, value) = ("name", "x".repeat(9000));
        let mut block = Vec::new();
        put_property(&mut block, &Property::UserProperty(name, &value)).unwrap();
        let properties = Properties::parse_publish(&block).unwrap();
        let publish = Publish {
            properties,
            ..broker_core::testing::message("room", "", QoS::AtLeastOnce)
        };
        let id = world.message(client, publish);
        let acks: Vec<_> = world.client(client).acks().collect();
        assert_eq!(acks, [("PUBACK", id, ReasonCode::QuotaExceeded)]);
    });
}

fn will(topic: &str) -> mqtt_wire::Will {
    mqtt_wire::Will {
        topic: topic.into(),
        payload: b"gone".to_vec(),
        qos: QoS::AtMostOnce,
        retain: false,
        delay_secs: 0,
        properties: Vec::new(),
    }
}

/// A session that ends with its connection has nothing but a record on disk, and removes no more than that: each removed
/// range costs a store memory.
#[test]
fn sessions_that_kept_nothing_remove_no_ranges() {
    everywhere(|world| {
        let watcher = world.connect(clean(Version::V5, "watcher"));
        world.subscribe(watcher, "room", QoS::AtMostOnce);
        for _ in 0..20 {
            let mut connect = clean(Version::V5, "client");
            connect.will = Some(will("room"));
            let client = world.connect(connect);
            world.subscribe(client, "hall", QoS::AtLeastOnce);
            world.drop_connection(client);
        }
        assert_eq!(world.client(watcher).messages().count(), 20);
        assert_eq!(world.disk().ranges_removed(), 0);
        assert!(world.disk().is_empty());
    });
}
