//! Beginning, resuming and ending sessions.

use broker_core::{
    Settings, Shelf,
    testing::{ClientRef, Heard, World, clean, persistent},
};
use mqtt_wire::{Connect, Disconnect, Packet, QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere, everywhere_with};

fn session_present(world: &World, client: ClientRef) -> bool {
    let (reason, present) = world.client(client).connack().unwrap();
    assert_eq!(reason, ReasonCode::Success);
    present
}

/// [MQTT311-3.2.0-1] [MQTT5-3.2.0-1] CONNACK is the first packet a client hears.
#[test]
fn connack_comes_first() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(persistent(version, "lamp"));
            assert!(matches!(
                world.client(client).heard[0],
                Heard::Packet(Packet::ConnAck(_))
            ));
        }
    });
}

/// [MQTT311-3.2.2-3] [MQTT5-3.1.2-6] [MQTT5-3.2.2-3]
/// A new session is not present.
#[test]
fn first_session_is_not_present() {
    everywhere(|world| {
        for (version, name) in VERSIONS.into_iter().zip(["a", "b"]) {
            let client = world.connect(persistent(version, name));
            assert!(!session_present(world, client));
        }
    });
}

/// [MQTT311-3.1.2-4] [MQTT311-3.2.2-2] [MQTT5-3.1.2-5] [MQTT5-3.1.2-23] [MQTT5-3.2.2-3]
/// A session that outlived its connection is present.
#[test]
fn persistent_session_is_present_when_its_client_returns() {
    everywhere(|world| {
        for (version, name) in VERSIONS.into_iter().zip(["a", "b"]) {
            let client = world.connect(persistent(version, name));
            world.drop_connection(client);
            let client = world.connect(persistent(version, name));
            assert!(session_present(world, client));
        }
    });
}

/// [MQTT311-3.1.2-6] [MQTT311-3.1.4-3] [MQTT311-3.2.2-3] [MQTT5-3.1.2-6] [MQTT5-3.1.2-23]
/// A clean session ends with its connection.
#[test]
fn clean_session_is_gone_when_its_client_returns() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "lamp"));
            world.subscribe(client, "room/+", QoS::AtLeastOnce);
            world.drop_connection(client);
            let client = world.connect(persistent(version, "lamp"));
            assert!(!session_present(world, client));
            world.publish(client, "room/1", "on", QoS::AtMostOnce);
            assert_eq!(world.client(client).payloads(), [""; 0]);
            world.disconnect(client, ReasonCode::Success);
            let client = world.connect(clean(version, "lamp"));
            world.drop_connection(client);
            assert!(world.disk().is_empty());
        }
    });
}

/// [MQTT311-3.1.2-6] [MQTT311-3.1.4-3] [MQTT311-3.2.2-1] [MQTT5-3.1.2-4] [MQTT5-3.1.4-4] [MQTT5-3.2.2-2]
/// A clean start ends the session before it begins a new one.
#[test]
fn clean_start_ends_the_old_session() {
    everywhere(|world| {
        for version in VERSIONS {
            let old = world.connect(persistent(version, "lamp"));
            world.subscribe(old, "room/+", QoS::AtLeastOnce);
            world.drop_connection(old);
            let other = world.connect(clean(version, "switch"));
            world.publish(other, "room/1", "waits", QoS::AtLeastOnce);
            let fresh = world.connect(Connect {
                clean_start: true,
                ..persistent(version, "lamp")
            });
            assert!(!session_present(world, fresh));
            world.publish(other, "room/1", "passes", QoS::AtLeastOnce);
            assert_eq!(world.client(fresh).payloads(), [""; 0]);
            world.disconnect(other, ReasonCode::Success);
            world.drop_connection(fresh);
            world.connect(clean(version, "lamp"));
            assert!(world.disk().is_empty());
        }
    });
}

/// [MQTT-3.1.3-2] What a session holds belongs to its client id alone.
#[test]
fn sessions_of_different_clients_are_apart() {
    everywhere(|world| {
        for version in VERSIONS {
            let one = world.connect(persistent(version, "one"));
            let two = world.connect(persistent(version, "two"));
            world.subscribe(one, "a", QoS::AtLeastOnce);
            world.subscribe(two, "b", QoS::AtLeastOnce);
            world.publish(one, "b", "for two", QoS::AtLeastOnce);
            world.publish(two, "a", "for one", QoS::AtLeastOnce);
            assert_eq!(world.client(one).payloads(), ["for one"]);
            assert_eq!(world.client(two).payloads(), ["for two"]);
            for name in ["one", "two"] {
                world.connect(clean(version, name));
            }
        }
    });
}

/// A v5 client may shorten its session's life when it leaves.
#[test]
fn disconnect_with_no_expiry_ends_the_session() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "lamp"));
        world.subscribe(client, "room/+", QoS::AtLeastOnce);
        world.send(
            client,
            &Packet::Disconnect(Disconnect {
                session_expiry_secs: Some(0),
                ..Disconnect::default()
            }),
        );
        assert!(world.disk().is_empty());
        let client = world.connect(persistent(Version::V5, "lamp"));
        assert!(!session_present(world, client));
    });
}

/// It may not turn one that ends with its connection into one that stays.
#[test]
fn disconnect_may_not_make_a_session_stay() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V5, "lamp"));
        world.send(
            client,
            &Packet::Disconnect(Disconnect {
                session_expiry_secs: Some(60),
                ..Disconnect::default()
            }),
        );
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::ProtocolError)
        );
        assert!(world.disk().is_empty());
    });
}

/// A session is cut to the broker's longest, and CONNACK says so.
#[test]
fn connack_tells_the_granted_expiry() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "lamp"));
        let Some(Packet::ConnAck(connack)) = world.client(client).packets().next() else {
            panic!("no CONNACK")
        };
        assert_eq!(connack.session_expiry_secs, Some(7 * 24 * 3600));
        assert_eq!(connack.receive_maximum, Some(64));
        assert_eq!(connack.max_packet_size, Some(1024 * 1024));
        assert_eq!(connack.topic_alias_maximum, Some(32));
        assert_eq!(connack.shared_available, None, "they are");
    });
}

/// [MQTT5-3.1.2-28] Response information comes to those who ask for it, where the operator has set it.
#[test]
fn response_information_comes_to_those_who_ask() {
    let settings = Settings {
        response_information: Some("responses/%c".into()),
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        for (asks, expected) in [(false, None), (true, Some("responses/lamp"))] {
            let client = world.connect(Connect {
                request_response_information: asks,
                ..clean(Version::V5, "lamp")
            });
            let Some(Packet::ConnAck(connack)) = world.client(client).packets().next() else {
                panic!("no CONNACK")
            };
            assert_eq!(connack.response_information.as_deref(), expected);
        }
    });
}

fn disconnect(world: &World, client: ClientRef) -> Disconnect {
    let last = world.client(client).packets().last();
    let Some(Packet::Disconnect(disconnect)) = last else {
        panic!("no DISCONNECT but {last:?}")
    };
    disconnect.clone()
}

/// A client that is sent away for malformed bytes hears which rule they broke, unless it takes no packet of that size
/// [MQTT5-3.14.2-3].
#[test]
fn what_was_malformed_is_told() {
    everywhere(|world| {
        for (takes, told) in [(1000, true), (20, false)] {
            let client = world.connect(Connect {
                max_packet_size: std::num::NonZeroU32::new(takes),
                ..clean(Version::V5, "lamp")
            });
            world.begin_send_bytes(client, &[0x36, 0x03, 0, 1, b'a']); // QoS 3
            world.settle();
            let disconnect = disconnect(world, client);
            assert_eq!(disconnect.reason, ReasonCode::MalformedPacket);
            let why = disconnect.reason_string.unwrap_or_default();
            assert_eq!(why.contains("MQTT-3.3.1-4"), told, "{why}");
        }
    });
}

/// A broker that shuts down sends its clients to another one, if the operator has named it.
#[test]
fn clients_are_sent_to_another_server() {
    let settings = Settings {
        server_reference: Some("other.example:1883".into()),
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let client = world.connect(clean(Version::V5, "lamp"));
        world.shut_down();
        let disconnect = disconnect(world, client);
        assert_eq!(disconnect.reason, ReasonCode::UseAnotherServer);
        assert_eq!(disconnect.server_reference.as_deref(), Some("other.example:1883"));
    });
}

/// [MQTT-3.1.0-2] [MQTT5-3.2.0-2] A second CONNECT is an error.
#[test]
fn second_connect_closes() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "lamp"));
            world.send(client, &Packet::Connect(Box::new(clean(version, "lamp"))));
            let told = (version == Version::V5).then_some(ReasonCode::ProtocolError);
            assert_eq!(world.client(client).disconnected(), told);
            assert!(!world.client(client).is_connected());
            let connacks = world.client(client).packets();
            let connacks = connacks.filter(|packet| matches!(packet, Packet::ConnAck(_)));
            assert_eq!(connacks.count(), 1);
        }
    });
}

/// [MQTT5-4.13.1-1] [MQTT5-4.13.2-1] Bytes that are no packet end the connection, and nobody else's.
#[test]
fn malformed_bytes_close_only_their_own_connection() {
    everywhere(|world| {
        let bad = world.connect(clean(Version::V5, "bad"));
        let good = world.connect(clean(Version::V5, "good"));
        world.begin_send_bytes(bad, &[0xff, 0x00]);
        world.settle();
        assert_eq!(
            world.client(bad).disconnected(),
            Some(ReasonCode::MalformedPacket)
        );
        world.send(good, &Packet::PingReq);
        assert!(
            world
                .client(good)
                .packets()
                .any(|packet| *packet == Packet::PingResp)
        );
    });
}

/// The broker that shuts down says so to those who understand, and keeps what is persistent.
#[test]
fn shutdown_tells_clients_and_keeps_sessions() {
    everywhere(|world| {
        let clean_one = world.connect(clean(Version::V5, "clean"));
        let kept = world.connect(persistent(Version::V5, "kept"));
        world.subscribe(kept, "room/+", QoS::AtLeastOnce);
        world.shut_down();
        assert_eq!(
            world.client(clean_one).disconnected(),
            Some(ReasonCode::ServerShuttingDown)
        );
        assert_eq!(world.disk().len(Shelf::Sessions), 1);
        world.crash();
        let kept = world.connect(persistent(Version::V5, "kept"));
        assert!(session_present(world, kept));
    });
}

/// An operator can end a connection and give the reason.
#[test]
fn expelled_client_is_told_why() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V5, "lamp"));
        world.expel("lamp", ReasonCode::AdministrativeAction);
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::AdministrativeAction)
        );
    });
}
