//! Which packet ids stand for what, and that none stands for two things at once.

use broker_core::{
    Settings,
    testing::{ClientRef, World, clean, filter, message, persistent},
};
use mqtt_wire::{
    Ack, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe, Subscription, Unsubscribe, Version,
};

use crate::{VERSIONS, everywhere, everywhere_with};

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn under_way(world: &World, client: ClientRef) -> Vec<PacketId> {
    world
        .client(client)
        .messages()
        .filter_map(|message| message.id)
        .collect()
}

/// [MQTT311-2.3.1-4] [MQTT5-2.2.1-4] [MQTT5-4.3.2-1] [MQTT5-4.3.3-1]
/// Messages under way to one client have different ids.
#[test]
fn messages_under_way_have_different_ids() {
    everywhere(|world| {
        for connect in VERSIONS
            .into_iter()
            .flat_map(|version| [clean(version, "client"), persistent(version, "client")])
        {
            let client = world.connect(connect);
            world.client_mut(client).acknowledges = false;
            world.subscribe(client, "room", QoS::ExactlyOnce);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            for at in 0..20 {
                let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][at % 2];
                world.publish(publisher, "room", "", qos);
            }
            let mut ids = under_way(world, client);
            assert_eq!(ids.len(), 20);
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 20);
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// [MQTT311-2.3.1-4] [MQTT311-4.3.2-1] [MQTT5-2.2.1-4] [MQTT5-4.3.2-3]
/// An id that was not acknowledged is passed over when all others have been used.
#[test]
fn unacknowledged_id_is_not_given_out_again() {
    for version in VERSIONS {
        let mut world = World::seeded(1);
        let client = world.connect(clean(version, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.client_mut(client).acknowledges = false;
        world.publish(publisher, "room", "kept", QoS::AtLeastOnce);
        let kept = under_way(&world, client)[0];
        world.client_mut(client).acknowledges = true;
        for _ in 0..=u16::MAX {
            world.publish(publisher, "room", "", QoS::AtLeastOnce);
            assert_eq!(
                world
                    .client(client)
                    .messages()
                    .filter(|got| got.id == Some(kept))
                    .count(),
                1
            );
            world.client_mut(client).heard.retain(|heard| match heard {
                broker_core::testing::Heard::Message(message) => message.payload == b"kept",
                _ => false,
            });
        }
    }
}

/// [MQTT311-2.3.1-6] [MQTT311-2.3.1-7] [MQTT5-2.2.1-5] [MQTT5-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2]
/// [MQTT311-3.10.4-4] [MQTT5-3.10.4-4] [MQTT5-3.10.4-5]
/// Every answer has the id of what it answers.
#[test]
fn answers_repeat_the_id() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            let subscribe = Subscribe {
                packet_id: id(40_000),
                subscription_id: None,
                filters: vec![Subscription::new(filter("room"), QoS::ExactlyOnce)],
                user_properties: Vec::new(),
            };
            world.send(client, &Packet::Subscribe(subscribe));
            for (number, qos) in [(u16::MAX, QoS::AtLeastOnce), (256, QoS::ExactlyOnce)] {
                let publish = Publish {
                    packet_id: Some(id(number)),
                    ..message("elsewhere", "", qos)
                };
                world.send(client, &Packet::Publish(publish));
            }
            let publisher = world.connect(clean(version, "publisher"));
            world.publish(publisher, "room", "", QoS::ExactlyOnce);
            let delivered = under_way(world, client)[0];
            let unsubscribe = Unsubscribe {
                packet_id: id(1),
                filters: vec![filter("room"), filter("never")],
                user_properties: Vec::new(),
            };
            world.send(client, &Packet::Unsubscribe(unsubscribe));
            let answers: Vec<_> = world
                .client(client)
                .packets()
                .filter_map(|packet| {
                    let id = match packet {
                        Packet::SubAck(ack) => ack.packet_id,
                        Packet::UnsubAck(ack) => ack.packet_id,
                        Packet::PubAck(ack)
                        | Packet::PubRec(ack)
                        | Packet::PubRel(ack)
                        | Packet::PubComp(ack) => ack.packet_id,
                        _ => return None,
                    };
                    Some((packet.name(), id))
                })
                .collect();
            assert_eq!(
                answers,
                [
                    ("SUBACK", id(40_000)),
                    ("PUBACK", id(u16::MAX)),
                    ("PUBREC", id(256)),
                    ("PUBCOMP", id(256)),
                    ("PUBREL", delivered),
                    ("UNSUBACK", id(1)),
                ]
            );
        }
    });
}

/// [MQTT-3.3.1-3] [MQTT-4.3.1-1] [MQTT311-4.3.2-2] [MQTT5-4.3.2-2] [MQTT5-4.3.2-5]
/// After PUBACK an id stands for another message, though the publisher sets DUP; receivers do not see that flag.
#[test]
fn id_stands_for_another_message_after_puback() {
    everywhere(|world| {
        for version in VERSIONS {
            let publisher = world.connect(clean(version, "publisher"));
            let levels = [QoS::AtMostOnce, QoS::AtLeastOnce];
            let listeners = levels.map(|qos| {
                let listener = world.connect(clean(version, &format!("listener-{}", qos as u8)));
                world.subscribe(listener, "room", qos);
                listener
            });
            for dup in [false, true] {
                let publish = Publish {
                    dup,
                    packet_id: Some(id(1)),
                    ..message("room", "on", QoS::AtLeastOnce)
                };
                world.send(publisher, &Packet::Publish(publish));
            }
            let acks: Vec<_> = world.client(publisher).acks().collect();
            assert_eq!(acks, [("PUBACK", 1, ReasonCode::Success); 2]);
            for listener in listeners {
                assert_eq!(world.client(listener).payloads(), ["on", "on"]);
                assert!(world.client(listener).messages().all(|message| !message.dup));
            }
        }
    });
}

/// [MQTT5-4.3.3-9] After a PUBREC that says no an id stands for another message.
#[test]
fn id_stands_for_another_message_after_a_refusal() {
    everywhere(|world| {
        world.set_gate(|_, question| {
            !matches!(question, broker_core::Question::Publish { topic, .. } if &**topic == "secret")
        });
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "#", QoS::ExactlyOnce);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        for topic in ["secret", "open"] {
            let publish = Publish {
                packet_id: Some(id(7)),
                ..message(topic, topic, QoS::ExactlyOnce)
            };
            world.send(publisher, &Packet::Publish(publish));
        }
        let acks: Vec<_> = world.client(publisher).acks().collect();
        assert_eq!(
            acks,
            [
                ("PUBREC", 7, ReasonCode::NotAuthorized),
                ("PUBREC", 7, ReasonCode::Success),
                ("PUBCOMP", 7, ReasonCode::Success)
            ]
        );
        assert_eq!(world.client(listener).payloads(), ["open"]);
    });
}

/// The ids of a client and those of the broker are apart, also when a session is resumed amid two exchanges that have the
/// same id.
#[test]
fn ids_of_both_sides_are_apart() {
    everywhere(|world| {
        for version in VERSIONS {
            for crash in [false, true] {
                let client = world.connect(persistent(version, "client"));
                world.subscribe(client, "to/client", QoS::ExactlyOnce);
                let listener = world.connect(persistent(version, "listener"));
                world.subscribe(listener, "from/client", QoS::ExactlyOnce);
                world.client_mut(client).acknowledges = false;
                world.publish(listener, "to/client", "down", QoS::ExactlyOnce);
                let same = under_way(world, client)[0];
                let publish = |dup| Publish {
                    dup,
                    packet_id: Some(same),
                    ..message("from/client", "up", QoS::ExactlyOnce)
                };
                world.send(client, &Packet::Publish(publish(false)));
                if crash {
                    world.crash();
                } else {
                    world.drop_connection(client);
                }
                let client = world.begin_connect(persistent(version, "client"));
                world.client_mut(client).acknowledges = false;
                world.settle();
                assert_eq!(under_way(world, client), [same]);
                world.send(client, &Packet::Publish(publish(true)));
                world.send(client, &Packet::PubRel(Ack::new(same)));
                world.send(client, &Packet::PubRec(Ack::new(same)));
                world.send(client, &Packet::PubComp(Ack::new(same)));
                let names: Vec<_> = world.client(client).packets().map(Packet::name).collect();
                assert_eq!(names, ["CONNACK", "PUBREC", "PUBCOMP", "PUBREL"]);
                assert_eq!(world.client(client).payloads(), ["down"]);
                let listener = world.connect(persistent(version, "listener"));
                let payloads = world.client(listener).payloads();
                assert!(payloads.len() <= 1, "{payloads:?}");
                for name in ["client", "listener"] {
                    world.connect(clean(version, name));
                }
            }
        }
    });
}

/// [MQTT-3.12.4-1] [MQTT5-3.3.4-10] [MQTT5-4.9.0-3]
/// A client that acknowledges nothing is still answered, once no further message may be sent to it.
#[test]
fn everything_else_is_answered_while_the_quota_is_used_up() {
    let settings = Settings {
        inflight_max: 2,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            world.subscribe(client, "room", QoS::AtLeastOnce);
            world.client_mut(client).acknowledges = false;
            let publisher = world.connect(clean(version, "publisher"));
            for _ in 0..10 {
                world.publish(publisher, "room", "", QoS::AtLeastOnce);
            }
            assert_eq!(under_way(world, client).len(), 2);
            world.client_mut(client).heard.clear();
            world.send(client, &Packet::PingReq);
            world.subscribe(client, "hall", QoS::AtMostOnce);
            world.publish(client, "elsewhere", "", QoS::AtLeastOnce);
            world.unsubscribe(client, "hall");
            let names: Vec<_> = world.client(client).packets().map(Packet::name).collect();
            assert_eq!(names, ["PINGRESP", "SUBACK", "PUBACK", "UNSUBACK"]);
            assert_eq!(under_way(world, client).len(), 0);
        }
    });
}
