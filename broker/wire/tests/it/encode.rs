//! What is not written, and how versions differ.

use mqtt_wire::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodeError, Packet, PacketId, Properties, Publish, QoS,
    ReasonCode, SubAck, Subscribe, Subscription, TopicFilter, UnsubAck, Unsubscribe, Version, Will,
};

use crate::hex;

const ID: PacketId = PacketId::FIRST;
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

fn written(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).unwrap();
    assert_eq!(packet.encoded_len(version), Ok(out.len()));
    out
}

fn refused(packet: &Packet<'_>, version: Version) -> EncodeError {
    let mut out = vec![7];
    let error = packet.encode(version, &mut out).unwrap_err();
    assert_eq!(out, [7], "nothing is written on an error");
    error
}

fn publish(topic: &str) -> Publish<'_> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic,
        packet_id: None,
        properties: Properties::EMPTY,
        payload: b"",
    }
}

fn subscription(filter: &str) -> Subscription {
    Subscription::new(TopicFilter::parse(filter).unwrap(), QoS::AtMostOnce)
}

#[test]
fn no_connect_of_5_is_that_of_a_bridge() {
    let connect = |version| {
        Packet::Connect(Box::new(Connect {
            is_bridge: true,
            ..Connect::new(version, "c")
        }))
    };
    assert!(matches!(
        refused(&connect(Version::V5), Version::V5),
        EncodeError::Forbidden { .. }
    ));
    assert!(!written(&connect(Version::V311), Version::V311).is_empty());
}

#[test]
fn what_311_does_not_have_is_left_out() {
    let explained = |reason| Ack {
        reason_string: Some("why".to_owned()),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
        ..Ack::with(ID, reason)
    };
    let block = hex::bytes("26 s:k s:v");
    let disconnect = Disconnect {
        session_expiry_secs: Some(1),
        server_reference: Some("there".to_owned()),
        ..Disconnect::with(ReasonCode::ServerMoved)
    };
    let subscribe = Subscribe {
        packet_id: ID,
        subscription_id: Some(1),
        filters: vec![Subscription {
            no_local: true,
            retain_as_published: true,
            ..subscription("a")
        }],
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    };
    let cases = [
        (Packet::PubRec(explained(ReasonCode::QuotaExceeded)), "50 0001"),
        (Packet::Disconnect(disconnect), "e0"),
        (
            Packet::UnsubAck(UnsubAck::new(ID, vec![ReasonCode::NotAuthorized])),
            "b0 0001",
        ),
        (
            Packet::SubAck(SubAck::new(
                ID,
                vec![ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized],
            )),
            "90 0001 0180",
        ),
        (Packet::Subscribe(subscribe), "82 0001 s:a 00"),
        (
            Packet::Publish(Publish {
                properties: Properties::parse_publish(&block).unwrap(),
                ..publish("a")
            }),
            "30 s:a",
        ),
        (
            Packet::ConnAck(ConnAck {
                assigned_client_id: Some("id".to_owned()),
                reason: ReasonCode::Banned,
                ..ConnAck::default()
            }),
            "20 00 05",
        ),
    ];
    for (packet, text) in cases {
        assert_eq!(
            written(&packet, Version::V311),
            hex::packet(text),
            "{}",
            packet.name()
        );
    }
}

#[test]
fn the_short_forms_of_5_are_used() {
    for (packet, text) in [
        (Packet::PubAck(Ack::new(ID)), "40 0001"),
        (
            Packet::PubRel(Ack::with(ID, ReasonCode::PacketIdentifierNotFound)),
            "62 0001 92",
        ),
        (Packet::Disconnect(Disconnect::default()), "e0"),
        (Packet::Auth(Auth::default()), "f0"),
        (Packet::ConnAck(ConnAck::default()), "20 00 00 00"),
    ] {
        assert_eq!(
            written(&packet, Version::V5),
            hex::packet(text),
            "{}",
            packet.name()
        );
    }
}

/// rumqttc and others wait for the length of the properties before they look at the reason.
#[test]
fn a_reason_to_disconnect_says_that_no_properties_follow() {
    let disconnect = Packet::Disconnect(Disconnect::with(ReasonCode::SessionTakenOver));
    assert_eq!(written(&disconnect, Version::V5), hex::packet("e0 8e 00"));
}

#[test]
fn a_maximum_qos_of_2_is_said_by_silence() {
    let connack = ConnAck {
        maximum_qos: Some(QoS::ExactlyOnce),
        ..ConnAck::default()
    };
    assert_eq!(
        written(&Packet::ConnAck(connack), Version::V5),
        hex::packet("20 00 00 00")
    );
}

#[test]
fn auth_does_not_exist_in_311() {
    assert_eq!(
        refused(&Packet::Auth(Auth::default()), Version::V311),
        EncodeError::NotInVersion("AUTH")
    );
}

#[test]
fn a_connect_is_written_in_its_own_version() {
    let packet = Packet::Connect(Box::new(Connect::new(Version::V311, "c")));
    for version in VERSIONS {
        assert_eq!(written(&packet, version), hex::packet("10 s:MQTT 04 02 0000 s:c"));
    }
}

#[test]
fn a_publish_that_contradicts_itself_is_not_written() {
    let cases = [
        (
            "an id without need",
            Publish {
                packet_id: Some(ID),
                ..publish("a")
            },
        ),
        (
            "no id",
            Publish {
                qos: QoS::AtLeastOnce,
                ..publish("a")
            },
        ),
        (
            "dup at QoS 0",
            Publish {
                dup: true,
                ..publish("a")
            },
        ),
        ("no topic", publish("")),
        ("a wildcard", publish("a/+")),
        ("U+0000", publish("a\0")),
    ];
    for version in VERSIONS {
        for (name, publish) in &cases {
            assert!(
                matches!(
                    refused(&Packet::Publish(*publish), version),
                    EncodeError::Forbidden { .. }
                ),
                "{name}"
            );
        }
    }
    let block = hex::bytes("23 0001");
    let aliased = Publish {
        properties: Properties::parse_publish(&block).unwrap(),
        ..publish("")
    };
    assert_eq!(
        written(&Packet::Publish(aliased), Version::V5),
        hex::packet("30 s: p[ 23 0001 ]")
    );
    refused(&Packet::Publish(aliased), Version::V311);
}

#[test]
fn a_connect_that_a_server_would_refuse_is_not_written() {
    let will = |topic: &str, block: &str| Will {
        topic: topic.to_owned(),
        payload: Vec::new(),
        qos: QoS::AtMostOnce,
        retain: false,
        delay_secs: 0,
        properties: hex::bytes(block),
    };
    let new = |version| Connect::new(version, "c");
    let (old, five) = (new(Version::V311), new(Version::V5));
    let cases = [
        (
            "a password alone",
            Connect {
                password: Some(vec![]),
                ..old.clone()
            },
        ),
        (
            "no id, but a session",
            Connect {
                client_id: String::new(),
                clean_start: false,
                ..old.clone()
            },
        ),
        (
            "data alone",
            Connect {
                authentication_data: Some(vec![]),
                ..five.clone()
            },
        ),
        ("U+0000 in the id", Connect::new(Version::V5, "a\0")),
        (
            "U+0000 in the user name",
            Connect {
                username: Some("\0".to_owned()),
                ..old.clone()
            },
        ),
        (
            "a will topic with a wildcard",
            Connect {
                will: Some(will("#", "")),
                ..old
            },
        ),
        (
            "a will without topic",
            Connect {
                will: Some(will("", "")),
                ..five.clone()
            },
        ),
        (
            "a delay in the block of the will",
            Connect {
                will: Some(will("t", "18 00000001")),
                ..five.clone()
            },
        ),
        (
            "a topic alias in the will",
            Connect {
                will: Some(will("t", "23 0001")),
                ..five.clone()
            },
        ),
        (
            "half a property in the will",
            Connect {
                will: Some(will("t", "02 00")),
                ..five.clone()
            },
        ),
        (
            "a password of 65536 bytes",
            Connect {
                password: Some(vec![0; 65_536]),
                ..five
            },
        ),
    ];
    for (name, connect) in cases {
        let mut out = Vec::new();
        assert!(
            Packet::Connect(Box::new(connect))
                .encode(Version::V5, &mut out)
                .is_err(),
            "{name}"
        );
        assert!(out.is_empty(), "{name}");
    }
}

/// [MQTT5-3.2.2-8] [MQTT5-3.4.2-1] [MQTT5-3.6.2-1] [MQTT5-3.11.3-2] [MQTT5-3.14.2-1] [MQTT5-3.15.2-1]
/// [MQTT-3.9.3-2]
#[test]
fn an_answer_that_a_client_would_refuse_is_not_written() {
    let shared = Subscription {
        no_local: true,
        ..subscription("$share/g/a")
    };
    let subscribe = |filters, subscription_id| {
        Packet::Subscribe(Subscribe {
            packet_id: ID,
            subscription_id,
            filters,
            user_properties: vec![],
        })
    };
    let cases = [
        ("SUBSCRIBE without filter", subscribe(vec![], None)),
        ("No Local on a share", subscribe(vec![shared], None)),
        ("subscription id 0", subscribe(vec![subscription("a")], Some(0))),
        ("UNSUBSCRIBE without filter", {
            Packet::Unsubscribe(Unsubscribe {
                packet_id: ID,
                filters: vec![],
                user_properties: vec![],
            })
        }),
        ("SUBACK without reason", Packet::SubAck(SubAck::new(ID, vec![]))),
        (
            "SUBACK with a foreign reason",
            Packet::SubAck(SubAck::new(ID, vec![ReasonCode::NoSubscriptionExisted])),
        ),
        (
            "UNSUBACK without reason",
            Packet::UnsubAck(UnsubAck::new(ID, vec![])),
        ),
        (
            "UNSUBACK with a foreign reason",
            Packet::UnsubAck(UnsubAck::new(ID, vec![ReasonCode::GrantedQoS1])),
        ),
        (
            "PUBACK with a foreign reason",
            Packet::PubAck(Ack::with(ID, ReasonCode::Banned)),
        ),
        (
            "PUBREL with a foreign reason",
            Packet::PubRel(Ack::with(ID, ReasonCode::NotAuthorized)),
        ),
        (
            "DISCONNECT with a foreign reason",
            Packet::Disconnect(Disconnect::with(ReasonCode::Banned)),
        ),
        ("CONNACK with a foreign reason", {
            Packet::ConnAck(ConnAck {
                reason: ReasonCode::SessionTakenOver,
                ..ConnAck::default()
            })
        }),
        ("a session in a refusal", {
            Packet::ConnAck(ConnAck {
                session_present: true,
                reason: ReasonCode::Banned,
                ..ConnAck::default()
            })
        }),
        (
            "receive maximum 0",
            Packet::ConnAck(ConnAck {
                receive_maximum: Some(0),
                ..ConnAck::default()
            }),
        ),
        ("AUTH without method", {
            Packet::Auth(Auth {
                reason: ReasonCode::ContinueAuthentication,
                ..Auth::default()
            })
        }),
        ("AUTH with a foreign reason", {
            Packet::Auth(Auth {
                reason: ReasonCode::Banned,
                method: Some("m".to_owned()),
                ..Auth::default()
            })
        }),
    ];
    for (name, packet) in cases {
        assert!(
            matches!(refused(&packet, Version::V5), EncodeError::Forbidden { .. }),
            "{name}"
        );
    }
}

#[test]
fn too_long_a_string_is_named() {
    let reason_string = Some("x".repeat(65_536));
    let ack = Packet::PubAck(Ack {
        reason_string,
        ..Ack::new(ID)
    });
    let expected = EncodeError::FieldTooLong {
        what: "Reason String",
        len: 65_536,
    };
    assert_eq!(refused(&ack, Version::V5), expected);
    assert_eq!(ack.encoded_len(Version::V5), Err(expected));
    assert_eq!(written(&ack, Version::V311), hex::packet("40 0001"));
}

#[test]
fn more_properties_than_a_length_can_say_are_not_written() {
    let pair = ("x".repeat(65_535), "x".repeat(65_535));
    let user_properties = vec![pair; 2100];
    let ack = Packet::PubAck(Ack {
        user_properties,
        ..Ack::new(ID)
    });
    assert!(matches!(refused(&ack, Version::V5), EncodeError::TooLarge(_)));
}

#[test]
fn the_length_of_a_publish_is_known_without_writing_it() {
    for version in VERSIONS {
        for payload in [
            0, 1, 120, 121, 122, 123, 124, 125, 16_376, 16_377, 16_378, 16_379, 16_380, 16_381,
        ] {
            let payload = vec![0; payload];
            let publish = Publish {
                payload: &payload,
                ..publish("t")
            };
            assert_eq!(
                written(&Packet::Publish(publish), version).len(),
                publish.encoded_len(version)
            );
        }
    }
}
