//! What travels with a message, and what the broker says about itself.

use std::num::NonZeroU32;

use broker_core::{
    Entrance, Question, Settings,
    testing::{ClientRef, World, clean, filter, message, persistent},
};
use mqtt_wire::{
    Ack, Connect, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode, Subscribe, Subscription,
    Unsubscribe, Version, Will, put_property,
};

use crate::{everywhere, everywhere_with};

/// One of each property that is passed on, with user properties whose order matters.
fn block() -> Vec<u8> {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let mut block = Vec::new();
    for property in [
        Property::UserProperty("a", "1"),
        Property::PayloadFormatIndicator(true),
        Property::ResponseTopic("room/answers"),
        Property::UserProperty("b", "2"),
        Property::CorrelationData(&all),
        Property::ContentType("text/plain; charset=utf-8"),
        Property::UserProperty("a", "3"),
    ] {
        put_property(&mut block, &property).unwrap();
    }
    block
}

/// Whether each message a client got has what [`block`] says.
fn assert_unaltered(world: &World, client: ClientRef, messages: usize) {
    assert_eq!(world.client(client).messages().count(), messages);
    for message in world.client(client).messages() {
        let properties = Properties::parse_publish(&message.properties).unwrap();
        assert!(properties.payload_is_text());
        assert_eq!(properties.response_topic(), Some("room/answers"));
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(properties.correlation_data(), Some(&all[..]));
        assert_eq!(properties.content_type(), Some("text/plain; charset=utf-8"));
        let pairs: Vec<_> = properties.user_properties().collect();
        assert_eq!(pairs, [("a", "1"), ("b", "2"), ("a", "3")]);
    }
}

/// [MQTT5-3.3.2-4] [MQTT5-3.3.2-15] [MQTT5-3.3.2-16] [MQTT5-3.3.2-17] [MQTT5-3.3.2-18] [MQTT5-3.3.2-20]
/// The properties of a message arrive unaltered: at once, out of a queue, after a crash, and as retained.
#[test]
fn properties_arrive_unaltered() {
    everywhere(|world| {
        let block = block();
        let live = world.connect(clean(Version::V5, "live"));
        let away = world.connect(persistent(Version::V5, "away"));
        for client in [live, away] {
            world.subscribe(client, "room", QoS::ExactlyOnce);
        }
        world.drop_connection(away);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for (qos, retain) in [
            (QoS::AtMostOnce, false),
            (QoS::AtLeastOnce, false),
            (QoS::ExactlyOnce, true),
        ] {
            let properties = Properties::parse_publish(&block).unwrap();
            world.message(
                publisher,
                Publish {
                    properties,
                    retain,
                    ..message("room", "on", qos)
                },
            );
        }
        assert_unaltered(world, live, 3);
        world.crash();
        let away = world.connect(persistent(Version::V5, "away"));
        assert_unaltered(world, away, 2);
        let late = world.connect(clean(Version::V5, "late"));
        world.subscribe(late, "room", QoS::AtMostOnce);
        assert_unaltered(world, late, 1);
    });
}

/// [MQTT5-3.1.3-10] [MQTT5-3.1.2-9] The properties of a will arrive unaltered.
#[test]
fn properties_of_a_will_arrive_unaltered() {
    everywhere(|world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "lost", QoS::AtMostOnce);
        let client = world.connect(Connect {
            will: Some(Will {
                topic: "lost".into(),
                payload: b"gone".to_vec(),
                qos: QoS::AtLeastOnce,
                retain: false,
                delay_secs: 0,
                properties: block(),
            }),
            ..clean(Version::V5, "client")
        });
        world.drop_connection(client);
        assert_unaltered(world, listener, 1);
    });
}

/// What the packets of the broker say beside their codes: reason strings, user properties, and what nobody asked for.
fn remarks(packet: &Packet<'_>) -> usize {
    match packet {
        Packet::ConnAck(ack) => {
            ack.user_properties.len()
                + usize::from(ack.reason_string.is_some())
                + usize::from(ack.response_information.is_some())
                + usize::from(ack.authentication_method.is_some())
                + usize::from(ack.authentication_data.is_some())
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.user_properties.len() + usize::from(ack.reason_string.is_some())
        }
        Packet::SubAck(ack) => ack.user_properties.len() + usize::from(ack.reason_string.is_some()),
        Packet::UnsubAck(ack) => ack.user_properties.len() + usize::from(ack.reason_string.is_some()),
        Packet::Disconnect(disconnect) => {
            disconnect.user_properties.len()
                + usize::from(disconnect.reason_string.is_some())
                + usize::from(disconnect.session_expiry_secs.is_some())
        }
        Packet::Auth(_) => 1,
        _ => 0,
    }
}

/// Makes a client hear every kind of packet with a reason, most of them refusals.
fn provoke(world: &mut World, client: ClientRef) {
    let id = PacketId::new(9).unwrap();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        world.publish(client, "secret", "", qos);
        world.publish(client, "nobody", "", qos);
    }
    world.send(client, &Packet::PubRec(Ack::new(id)));
    world.send(client, &Packet::PubRel(Ack::new(id)));
    let filters = ["secret", "open"].map(|text| Subscription::new(filter(text), QoS::AtMostOnce));
    world.send(
        client,
        &Packet::Subscribe(Subscribe {
            packet_id: id,
            subscription_id: None,
            filters: filters.to_vec(),
            user_properties: Vec::new(),
        }),
    );
    world.send(
        client,
        &Packet::Unsubscribe(Unsubscribe {
            packet_id: id,
            filters: vec![filter("never"), filter("open")],
            user_properties: Vec::new(),
        }),
    );
    world.send(client, &Packet::Connect(Box::new(clean(Version::V5, "client"))));
}

/// [MQTT5-3.1.2-28] [MQTT5-3.1.2-29] [MQTT5-3.2.2-20] [MQTT5-3.4.2-2] [MQTT5-3.4.2-3] [MQTT5-3.5.2-2]
/// [MQTT5-3.5.2-3] [MQTT5-3.6.2-2] [MQTT5-3.6.2-3] [MQTT5-3.7.2-2] [MQTT5-3.7.2-3] [MQTT5-3.9.2-1]
/// [MQTT5-3.9.2-2] [MQTT5-3.11.2-1] [MQTT5-3.11.2-2] [MQTT5-3.14.2-2] [MQTT5-3.14.2-4] [MQTT5-4.12.0-6]
/// Acknowledgements say codes and no remarks, so that no remark makes one too large or is heard by who did not ask.
#[test]
fn refusals_carry_no_remarks() {
    everywhere(|world| {
        world.set_gate(|_, question| match question {
            Question::Publish { topic, .. } => &**topic != "secret",
            Question::Subscribe { filter } => filter.as_str() != "secret",
        });
        for request_problem_information in [false, true] {
            let client = world.connect(Connect {
                request_problem_information,
                ..clean(Version::V5, "client")
            });
            provoke(world, client);
            let mut names: Vec<_> = world.client(client).packets().map(Packet::name).collect();
            names.sort_unstable();
            names.dedup();
            let all = [
                "CONNACK",
                "DISCONNECT",
                "PUBACK",
                "PUBCOMP",
                "PUBREC",
                "PUBREL",
                "SUBACK",
                "UNSUBACK",
            ];
            assert_eq!(names, all);
            for packet in world.client(client).packets() {
                assert_eq!(remarks(packet), 0, "{packet:?}");
            }
        }
    });
}

fn taking(bytes: u32) -> Connect {
    Connect {
        max_packet_size: NonZeroU32::new(bytes),
        ..clean(Version::V5, "client")
    }
}

/// [MQTT5-3.1.2-24] A client that takes no packet as large as its CONNACK is told so if it takes that, and not let in.
#[test]
fn client_that_takes_no_connack_is_refused() {
    everywhere(|world| {
        let needed = |world: &mut World| {
            let client = world.connect(taking(1000));
            let connack = world.client(client).packets().next().unwrap();
            connack.encoded_len(Version::V5).unwrap()
        };
        let needed = u32::try_from(needed(world)).unwrap();
        let client = world.connect(taking(needed));
        assert_eq!(world.client(client).connack(), Some((ReasonCode::Success, false)));
        for bytes in [1, 4, 5, needed - 1] {
            let old = world.connect(clean(Version::V5, "client"));
            let client = world.connect(Connect {
                will: Some(Will {
                    topic: "lost".into(),
                    payload: Vec::new(),
                    qos: QoS::AtMostOnce,
                    retain: true,
                    delay_secs: 0,
                    properties: Vec::new(),
                }),
                ..taking(bytes)
            });
            let told = (bytes >= 5).then_some((ReasonCode::PacketTooLarge, false));
            assert_eq!(world.client(client).connack(), told, "{bytes}");
            assert!(!world.client(client).is_connected());
            assert!(world.client(old).is_connected(), "nobody was let in in its place");
        }
        assert_eq!(
            world.count(|counters| counters.retained_messages),
            0,
            "a will of nobody"
        );
    });
}

/// [MQTT5-3.1.2-24] A client that asks about more filters than its answer may hold is told so and closed, and nothing of
/// what it asked for is done.
#[test]
fn client_that_takes_no_suback_is_closed() {
    everywhere(|world| {
        let filters: Vec<_> = (0..60).map(|at| filter(&format!("room/{at}"))).collect();
        let subscribe = |count: usize| Subscribe {
            packet_id: PacketId::FIRST,
            subscription_id: None,
            filters: filters
                .iter()
                .take(count)
                .map(|one| Subscription::new(one.clone(), QoS::AtMostOnce))
                .collect(),
            user_properties: Vec::new(),
        };
        let unsubscribe = |count: usize| Unsubscribe {
            packet_id: PacketId::FIRST,
            filters: filters.iter().take(count).cloned().collect(),
            user_properties: Vec::new(),
        };
        // Two bytes of header, two of packet id, one of property length.
        let client = world.connect(taking(50));
        world.send(client, &Packet::Subscribe(subscribe(45)));
        assert_eq!(world.client(client).granted().len(), 45);
        world.send(client, &Packet::Unsubscribe(unsubscribe(45)));
        assert_eq!(world.client(client).granted().len(), 45);
        for packet in [
            Packet::Subscribe(subscribe(46)),
            Packet::Unsubscribe(unsubscribe(46)),
        ] {
            let client = world.connect(taking(50));
            world.send(client, &packet);
            assert_eq!(
                world.client(client).disconnected(),
                Some(ReasonCode::PacketTooLarge)
            );
            assert!(world.client(client).granted().is_empty());
            assert_eq!(world.count(|counters| counters.subscriptions), 0);
        }
    });
}

/// [MQTT5-3.2.2-9] [MQTT5-3.2.2-12] [MQTT5-3.2.2-13] [MQTT5-3.2.2-18] [MQTT5-3.3.2-9]
/// CONNACK says what the broker does not offer, and a will that asks for it is not accepted.
#[test]
fn connack_says_what_is_not_offered() {
    let settings = Settings::by(Entrance {
        qos_max: QoS::AtLeastOnce,
        retain_available: false,
        topic_alias_max: 0,
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        let client = world.connect(clean(Version::V5, "client"));
        let Some(Packet::ConnAck(connack)) = world.client(client).packets().next() else {
            panic!("no CONNACK")
        };
        assert_eq!(connack.maximum_qos, Some(QoS::AtLeastOnce));
        assert_eq!(connack.retain_available, Some(false));
        assert_eq!(connack.topic_alias_maximum, None);
        let mut block = Vec::new();
        put_property(&mut block, &Property::TopicAlias(1)).unwrap();
        let properties = Properties::parse_publish(&block).unwrap();
        world.message(
            client,
            Publish {
                properties,
                ..message("room", "", QoS::AtMostOnce)
            },
        );
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::TopicAliasInvalid)
        );
        for (qos, retain, reason) in [
            (QoS::ExactlyOnce, false, ReasonCode::QoSNotSupported),
            (QoS::AtMostOnce, true, ReasonCode::RetainNotSupported),
            (QoS::AtLeastOnce, false, ReasonCode::Success),
        ] {
            for version in [Version::V311, Version::V5] {
                let client = world.connect(Connect {
                    will: Some(Will {
                        topic: "lost".into(),
                        payload: Vec::new(),
                        qos,
                        retain,
                        delay_secs: 0,
                        properties: Vec::new(),
                    }),
                    ..clean(version, "client")
                });
                let accepted = reason == ReasonCode::Success;
                assert_eq!(world.client(client).is_connected(), accepted);
                let told = (accepted || version == Version::V5).then_some((reason, false));
                assert_eq!(world.client(client).connack(), told, "3.1.1 has no code for it");
            }
        }
    });
}

/// Whether a payload is the text that its properties say it is, the broker does not look.
#[test]
fn payload_is_not_looked_at() {
    everywhere(|world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::AtLeastOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        let mut block = Vec::new();
        put_property(&mut block, &Property::PayloadFormatIndicator(true)).unwrap();
        let properties = Properties::parse_publish(&block).unwrap();
        let publish = Publish {
            properties,
            payload: &[0xff, 0x00],
            ..message("room", "", QoS::AtLeastOnce)
        };
        world.message(publisher, publish);
        let got = world.client(listener).messages().next().unwrap();
        assert_eq!(got.payload, [0xff, 0x00]);
    });
}
