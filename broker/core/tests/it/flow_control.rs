//! How much is under way at once, in both directions.

use std::num::{NonZeroU16, NonZeroU32};

use broker_core::{
    Entrance, Settings,
    testing::{ClientRef, World, clean, message, persistent},
};
use mqtt_wire::{
    Ack, Connect, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode, Version, put_property,
};

use crate::{VERSIONS, everywhere, everywhere_with};

fn unacknowledged(world: &World, client: ClientRef) -> Vec<PacketId> {
    world
        .client(client)
        .messages()
        .filter_map(|message| message.id)
        .collect()
}

/// [MQTT5-3.3.4-9] [MQTT5-4.9.0-1] [MQTT5-4.9.0-2]
/// A client never has more messages under way than it asked for; each acknowledgement lets one more go.
#[test]
fn receive_maximum_of_the_client_is_kept() {
    everywhere(|world| {
        for (qos, name) in [(QoS::AtLeastOnce, "one"), (QoS::ExactlyOnce, "two")] {
            for connect in [clean(Version::V5, name), persistent(Version::V5, name)] {
                let client = world.connect(Connect {
                    receive_maximum: NonZeroU16::new(3),
                    ..connect
                });
                world.subscribe(client, name, qos);
                world.client_mut(client).acknowledges = false;
                let publisher = world.connect(clean(Version::V5, "publisher"));
                for at in 0..10 {
                    world.publish(publisher, name, &at.to_string(), qos);
                }
                let first = unacknowledged(world, client);
                assert_eq!(first.len(), 3);
                let ack = Ack::new(first[0]);
                if qos == QoS::AtLeastOnce {
                    world.send(client, &Packet::PubAck(ack));
                } else {
                    world.send(client, &Packet::PubRec(ack.clone()));
                    assert_eq!(unacknowledged(world, client).len(), 3, "PUBREC frees no place");
                    world.send(client, &Packet::PubComp(ack));
                }
                assert_eq!(unacknowledged(world, client).len(), 4);
                world.client_mut(client).acknowledges = true;
                for id in unacknowledged(world, client).into_iter().skip(1) {
                    if qos == QoS::AtLeastOnce {
                        world.send(client, &Packet::PubAck(Ack::new(id)));
                    } else {
                        world.send(client, &Packet::PubRec(Ack::new(id)));
                    }
                }
                let expected: Vec<String> = (0..10).map(|at| at.to_string()).collect();
                assert_eq!(world.client(client).payloads(), expected);
                world.connect(clean(Version::V5, name));
            }
        }
    });
}

/// A client that returns with a smaller limit is not sent more at once, though more was under way.
#[test]
fn smaller_limit_holds_on_return() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        world.client_mut(client).acknowledges = false;
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for at in 0..10 {
            world.publish(publisher, "room", &at.to_string(), QoS::AtLeastOnce);
        }
        assert_eq!(unacknowledged(world, client).len(), 10);
        world.drop_connection(client);
        let connect = Connect {
            receive_maximum: NonZeroU16::new(2),
            ..persistent(Version::V5, "client")
        };
        let client = world.begin_connect(connect);
        world.client_mut(client).acknowledges = false;
        world.settle();
        assert_eq!(unacknowledged(world, client).len(), 2);
        world.client_mut(client).acknowledges = true;
        for id in unacknowledged(world, client) {
            world.send(client, &Packet::PubAck(Ack::new(id)));
        }
        let expected: Vec<String> = (0..10).map(|at| at.to_string()).collect();
        assert_eq!(world.client(client).payloads(), expected);
    });
}

/// [MQTT5-3.3.4-7] A v5 client that sends more than it may is disconnected with 0x93.
#[test]
fn excess_of_a_new_client_is_an_error() {
    let settings = Settings::by(Entrance {
        receive_maximum: 3,
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let client = world.connect(persistent(Version::V5, "client"));
            world.subscribe(client, "room", qos);
            world.store_answers = false;
            for _ in 0..3 {
                world.begin_publish(client, "room", "", qos);
            }
            assert!(world.client(client).is_connected());
            world.begin_publish(client, "room", "", qos);
            assert_eq!(
                world.client(client).disconnected(),
                Some(ReasonCode::ReceiveMaximumExceeded)
            );
            world.store_answers = true;
            world.settle();
        }
    });
}

/// A 3.1.1 client, which cannot know the limit, is read more slowly, and nothing of it is lost.
#[test]
fn excess_of_an_old_client_waits() {
    let settings = Settings::by(Entrance {
        receive_maximum: 3,
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::AtLeastOnce);
        let client = world.connect(persistent(Version::V311, "client"));
        world.store_answers = false;
        for at in 0..10 {
            world.begin_publish(client, "room", &at.to_string(), QoS::AtLeastOnce);
        }
        world.settle();
        assert_eq!(world.count(|counters| counters.messages_received), 3);
        world.store_answers = true;
        world.settle();
        assert_eq!(world.count(|counters| counters.messages_received), 10);
        assert_eq!(world.client(client).acks().count(), 10);
    });
}

/// A 3.1.1 client that sends many messages at QoS 2 before its first PUBREL is not stopped for ever.
#[test]
fn old_client_may_release_late() {
    let settings = Settings::by(Entrance {
        receive_maximum: 3,
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        for connect in [
            clean(Version::V311, "client"),
            persistent(Version::V311, "client"),
        ] {
            let client = world.connect(connect);
            world.client_mut(client).acknowledges = false;
            for _ in 0..10 {
                world.publish(client, "room", "", QoS::ExactlyOnce);
            }
            for id in 1..=10 {
                let id = PacketId::new(id).unwrap();
                world.send(client, &Packet::PubRel(Ack::new(id)));
            }
            let completed = world
                .client(client)
                .acks()
                .filter(|(name, ..)| *name == "PUBCOMP");
            assert_eq!(completed.count(), 10);
        }
    });
}

/// [MQTT5-3.1.2-24] [MQTT5-3.1.2-25]
/// A message larger than its receiver takes is not sent to it, and counts as delivered.
#[test]
fn oversized_message_is_left_out() {
    everywhere(|world| {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let connect = Connect {
                max_packet_size: NonZeroU32::new(100),
                ..persistent(Version::V5, "client")
            };
            let client = world.connect(connect);
            world.subscribe(client, "room", qos);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            world.publish(publisher, "room", &"x".repeat(100), qos);
            world.publish(publisher, "room", "small", qos);
            assert_eq!(world.client(client).payloads(), ["small"]);
            world.connect(clean(Version::V5, "client"));
        }
        assert_eq!(world.count(|counters| counters.dropped_too_large), 3);
        assert!(world.disk().is_empty());
    });
}

/// A message under way that has become too large for a returning client does not take its place for ever.
#[test]
fn oversized_message_under_way_is_left_out_on_return() {
    everywhere(|world| {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let client = world.connect(persistent(Version::V5, "client"));
            world.subscribe(client, "room", qos);
            world.client_mut(client).acknowledges = false;
            let publisher = world.connect(clean(Version::V5, "publisher"));
            world.publish(publisher, "room", &"x".repeat(200), qos);
            world.drop_connection(client);
            let connect = Connect {
                max_packet_size: NonZeroU32::new(100),
                receive_maximum: NonZeroU16::new(1),
                ..persistent(Version::V5, "client")
            };
            let client = world.connect(connect);
            world.publish(publisher, "room", "small", qos);
            assert_eq!(world.client(client).payloads(), ["small"]);
            world.connect(clean(Version::V5, "client"));
        }
    });
}

fn with_alias(world: &mut World, client: ClientRef, alias: u16, topic: &str) {
    let mut block = Vec::new();
    put_property(&mut block, &Property::TopicAlias(alias)).unwrap();
    let properties = Properties::parse_publish(&block).unwrap();
    world.message(
        client,
        Publish {
            properties,
            ..message(topic, "on", QoS::AtMostOnce)
        },
    );
}

fn topics(world: &World, client: ClientRef) -> Vec<String> {
    world
        .client(client)
        .messages()
        .map(|message| message.topic.clone())
        .collect()
}

/// [MQTT5-3.1.2-27] [MQTT5-3.3.2-12]
/// An alias stands for its topic until it is set anew; receivers see the topic and no alias.
#[test]
fn alias_stands_for_its_topic() {
    everywhere(|world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "#", QoS::AtMostOnce);
        let client = world.connect(clean(Version::V5, "client"));
        with_alias(world, client, 1, "a");
        with_alias(world, client, 32, "b");
        with_alias(world, client, 1, "");
        with_alias(world, client, 1, "c");
        with_alias(world, client, 1, "");
        with_alias(world, client, 32, "");
        assert_eq!(topics(world, listener), ["a", "b", "a", "c", "c", "b"]);
        assert!(
            world
                .client(listener)
                .messages()
                .all(|message| message.properties.is_empty())
        );
    });
}

/// [MQTT5-3.2.2-17] [MQTT5-3.3.2-9]
/// An alias beyond the maximum is 0x94, one that was never set is a protocol error.
#[test]
fn wrong_aliases_are_refused() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V5, "client"));
        with_alias(world, client, 33, "a");
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::TopicAliasInvalid)
        );
        let client = world.connect(clean(Version::V5, "client"));
        with_alias(world, client, 5, "");
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::ProtocolError)
        );
    });
}

/// [MQTT5-3.3.2-7] Aliases end with their connection.
#[test]
fn aliases_end_with_their_connection() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        with_alias(world, client, 1, "a");
        let client = world.connect(persistent(Version::V5, "client"));
        with_alias(world, client, 1, "");
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::ProtocolError)
        );
    });
}

/// [MQTT5-3.2.2-10] [MQTT5-3.2.2-11] [MQTT5-3.2.2-14]
/// A level above what the broker takes, and RETAIN where it keeps none, are refused with their reason.
#[test]
fn what_the_broker_does_not_offer_is_refused() {
    let settings = Settings::by(Entrance {
        qos_max: QoS::AtLeastOnce,
        retain_available: false,
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            world.publish(client, "room", "", QoS::ExactlyOnce);
            assert!(!world.client(client).is_connected());
            let told = (version == Version::V5).then_some(ReasonCode::QoSNotSupported);
            assert_eq!(world.client(client).disconnected(), told);
            let client = world.connect(clean(version, "client"));
            world.retain(client, "room", "", QoS::AtMostOnce);
            let told = (version == Version::V5).then_some(ReasonCode::RetainNotSupported);
            assert_eq!(world.client(client).disconnected(), told);
            let client = world.connect(clean(version, "client"));
            world.subscribe(client, "room", QoS::ExactlyOnce);
            assert_eq!(world.client(client).granted(), [ReasonCode::GrantedQoS1]);
        }
    });
}

/// A receiver that does not read gets no more from its queue than its outbox holds, and the rest when it reads again.
#[test]
fn slow_reader_finds_its_queue_later() {
    everywhere(|world| {
        for connect in [clean(Version::V5, "client"), persistent(Version::V5, "client")] {
            let client = world.connect(connect);
            world.subscribe(client, "room", QoS::AtLeastOnce);
            world.client_mut(client).reads = false;
            let publisher = world.connect(clean(Version::V5, "publisher"));
            let payload = "x".repeat(20_000);
            for _ in 0..100 {
                world.publish(publisher, "room", &payload, QoS::AtLeastOnce);
            }
            assert!(world.count(|counters| counters.queued_messages) > 80);
            world.read_again(client);
            assert_eq!(world.client(client).messages().count(), 100);
            assert_eq!(world.count(|counters| counters.queued_messages), 0);
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// A message at QoS 0 stays behind those that wait for the quota, so that the order is kept.
#[test]
fn qos_0_stays_behind_what_waits_for_the_quota() {
    everywhere(|world| {
        let client = world.connect(Connect {
            receive_maximum: NonZeroU16::new(1),
            ..clean(Version::V5, "client")
        });
        world.subscribe(client, "room", QoS::AtLeastOnce);
        world.client_mut(client).acknowledges = false;
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for (payload, qos) in [
            ("1", QoS::AtLeastOnce),
            ("2", QoS::AtLeastOnce),
            ("3", QoS::AtMostOnce),
        ] {
            world.publish(publisher, "room", payload, qos);
        }
        assert_eq!(world.client(client).payloads(), ["1"]);
        let id = unacknowledged(world, client)[0];
        world.send(client, &Packet::PubAck(Ack::new(id)));
        assert_eq!(world.client(client).payloads(), ["1", "2", "3"]);
    });
}
