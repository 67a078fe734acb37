//! What a client must not send, and what becomes of it when it does.

use broker_core::testing::{ClientRef, World, clean, message, persistent};
use mqtt_wire::{Ack, Auth, Connect, Disconnect, Packet, PacketId, QoS, ReasonCode, Version, Will};

use crate::{VERSIONS, everywhere};

/// Watches everything, with a client that has a will and is about to do something wrong.
fn watched(world: &mut World, version: Version) -> (ClientRef, ClientRef) {
    let watcher = world.connect(clean(Version::V5, "watcher"));
    world.subscribe(watcher, "#", QoS::ExactlyOnce);
    let client = world.connect(Connect {
        will: Some(Will {
            topic: "lost".into(),
            payload: b"gone".to_vec(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay_secs: 0,
            properties: Vec::new(),
        }),
        ..clean(version, "client")
    });
    (watcher, client)
}

/// Packets that are wrong in each version, with the code that MQTT 5 has for them.
const WRONG: [(&[u8], ReasonCode); 12] = [
    (b"\x00\x00", ReasonCode::MalformedPacket),         // no such type
    (b"\xc1\x00", ReasonCode::MalformedPacket),         // PINGREQ with a flag
    (b"\x41\x02\x00\x01", ReasonCode::MalformedPacket), // PUBACK with a flag
    (b"\x60\x02\x00\x01", ReasonCode::MalformedPacket), // PUBREL without its flag
    (b"\x80\x06\x00\x01\x00\x01a\x00", ReasonCode::MalformedPacket), // SUBSCRIBE without its flag
    (b"\xa0\x05\x00\x01\x00\x01a", ReasonCode::MalformedPacket), // UNSUBSCRIBE without its flag
    (b"\xe1\x00", ReasonCode::MalformedPacket),         // DISCONNECT with a flag
    (b"\x36\x06\x00\x01a\x00\x01\x00", ReasonCode::MalformedPacket), // QoS 3
    (b"\x30\x04\x00\x05ab", ReasonCode::MalformedPacket), // a topic beyond its packet
    (b"\x30\x05\x00\x02\xc3\x28\x00", ReasonCode::MalformedPacket), // a topic of ill-formed UTF-8
    (b"\x30\x04\x00\x01#\x00", ReasonCode::TopicNameInvalid), // a topic with a wildcard
    (b"\x20\x02\x00\x00", ReasonCode::ProtocolError),   // CONNACK
];

/// [MQTT311-1.5.3-1] [MQTT311-2.2.2-2] [MQTT311-3.14.1-1] [MQTT311-4.8.0-1] [MQTT5-2.1.3-1] [MQTT5-3.14.1-1]
/// [MQTT5-4.13.1-1] [MQTT5-4.13.2-1] [MQTT-3.3.1-4] [MQTT-3.3.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
/// Whatever is wrong with a packet, its connection is closed, the will is published, and nobody else notices anything.
#[test]
fn what_is_wrong_closes_its_connection() {
    everywhere(|world| {
        for version in VERSIONS {
            for (bytes, reason) in WRONG {
                let (watcher, client) = watched(world, version);
                world.begin_send_bytes(client, bytes);
                world.settle();
                assert!(!world.client(client).is_connected(), "{bytes:x?}");
                let told = (version == Version::V5).then_some(reason);
                assert_eq!(world.client(client).disconnected(), told, "{bytes:x?}");
                assert_eq!(world.client(watcher).payloads(), ["gone"], "{bytes:x?}");
                assert!(world.client(watcher).is_connected());
            }
        }
    });
}

/// [MQTT5-3.14.4-1] Nothing is said after a DISCONNECT, and nothing that comes after it is heard.
#[test]
fn what_follows_an_error_is_not_read() {
    everywhere(|world| {
        for version in VERSIONS {
            let (watcher, client) = watched(world, version);
            let mut bytes = b"\xc1\x00".to_vec();
            for packet in [
                Packet::PingReq,
                Packet::Publish(message("room", "on", QoS::AtMostOnce)),
            ] {
                packet.encode(version, &mut bytes).unwrap();
            }
            world.begin_send_bytes(client, &bytes);
            world.settle();
            assert_eq!(world.client(watcher).payloads(), ["gone"]);
            let last = world.client(client).packets().last().map(Packet::name);
            let expected = ["CONNACK", "DISCONNECT"][usize::from(version == Version::V5)];
            assert_eq!(last, Some(expected));
        }
    });
}

/// [MQTT311-3.14.4-2] [MQTT5-3.14.4-1] [MQTT5-3.14.4-2]
/// What a client sends after its DISCONNECT is not heard, and its connection is closed.
#[test]
fn what_follows_a_goodbye_is_not_read() {
    everywhere(|world| {
        for version in VERSIONS {
            let (watcher, client) = watched(world, version);
            let mut bytes = Vec::new();
            for packet in [
                Packet::Disconnect(Disconnect::default()),
                Packet::Publish(message("room", "on", QoS::AtMostOnce)),
            ] {
                packet.encode(version, &mut bytes).unwrap();
            }
            world.begin_send_bytes(client, &bytes);
            world.settle();
            assert!(!world.client(client).is_connected());
            assert_eq!(world.client(watcher).payloads(), [""; 0]);
        }
    });
}

/// [MQTT5-4.12.0-7] AUTH from a client whose CONNECT named no method is an error.
#[test]
fn auth_without_a_method_is_an_error() {
    everywhere(|world| {
        let (watcher, client) = watched(world, Version::V5);
        let auth = Auth {
            reason: ReasonCode::ReAuthenticate,
            method: Some("SCRAM-SHA-256".into()),
            ..Auth::default()
        };
        world.send(client, &Packet::Auth(auth));
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::ProtocolError)
        );
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
    });
}

/// [MQTT311-3.1.2-12] Whoever named no will has none, not even that of an earlier connection.
#[test]
fn connection_without_a_will_has_none() {
    everywhere(|world| {
        for version in VERSIONS {
            let (watcher, client) = watched(world, version);
            world.disconnect(client, ReasonCode::Success);
            let client = world.connect(persistent(version, "client"));
            world.begin_send_bytes(client, b"\x00\x00");
            world.settle();
            assert!(!world.client(client).is_connected());
            assert_eq!(world.client(watcher).payloads(), [""; 0]);
            world.connect(clean(version, "client"));
        }
    });
}

/// A PUBREL for a message that was never sent, or is finished, is a success and no error.
#[test]
fn stray_pubrel_is_answered() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            let id = PacketId::new(77).unwrap();
            world.send(client, &Packet::PubRel(Ack::new(id)));
            let acks: Vec<_> = world.client(client).acks().collect();
            assert_eq!(acks, [("PUBCOMP", 77, ReasonCode::Success)]);
        }
    });
}

/// A client may publish to topics that begin with `$`; only the broker's own wildcards do not reach there.
#[test]
fn dollar_topics_are_like_others() {
    everywhere(|world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "$private/+", QoS::AtLeastOnce);
        let publisher = world.connect(clean(Version::V311, "publisher"));
        world.publish(publisher, "$private/1", "on", QoS::AtLeastOnce);
        assert_eq!(world.client(listener).payloads(), ["on"]);
    });
}

/// [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT311-4.7.3-1] [MQTT5-4.7.1-1] [MQTT5-4.7.1-2] [MQTT5-4.7.3-1]
/// A filter that is none ends the connection, and is not answered by SUBACK.
#[test]
fn filter_that_is_none_closes() {
    everywhere(|world| {
        for version in VERSIONS {
            for (text, reason) in [
                ("a#", ReasonCode::TopicFilterInvalid),
                ("a/#/b", ReasonCode::TopicFilterInvalid),
                ("a+/b", ReasonCode::TopicFilterInvalid),
                ("", ReasonCode::MalformedPacket),
            ] {
                let client = world.connect(clean(version, "client"));
                let mut body = vec![0, 1];
                if version == Version::V5 {
                    body.push(0);
                }
                body.extend([0, u8::try_from(text.len()).unwrap()]);
                body.extend(text.as_bytes());
                body.push(0);
                let header = [0x82, u8::try_from(body.len()).unwrap()];
                world.begin_send_bytes(client, &[&header[..], &body[..]].concat());
                world.settle();
                let told = (version == Version::V5).then_some(reason);
                assert_eq!(world.client(client).disconnected(), told, "{text}");
                assert!(!world.client(client).is_connected(), "{text}");
                assert!(world.client(client).granted().is_empty());
            }
        }
    });
}

/// A PUBREL that comes before the PUBREC it answers is an error: its sender cannot know that its message is safe.
#[test]
fn pubrel_before_pubrec_is_an_error() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(persistent(version, "client"));
            world.client_mut(client).acknowledges = false;
            world.store_answers = false;
            let id = world.begin_publish(client, "room", "on", QoS::ExactlyOnce);
            let id = PacketId::new(id).unwrap();
            world.begin_send(client, &Packet::PubRel(Ack::new(id)));
            assert!(!world.client(client).is_connected());
            let told = (version == Version::V5).then_some(ReasonCode::ProtocolError);
            assert_eq!(world.client(client).disconnected(), told);
            world.store_answers = true;
            world.settle();
            world.connect(clean(version, "client"));
        }
    });
}
