//! Who gets in, and what those hear who do not.

use std::time::Duration;

use broker::settings::RawListener;
use mqtt_wire::{ReasonCode, Version};

use crate::{
    client::{Client, Heard, connect},
    house::{Gate, House, Plan},
};

#[test]
fn both_versions_get_in_and_hear_the_limits_of_the_broker() {
    let house = House::open();
    let connack = Client::dial(house.address()).introduce(&connect(Version::V311, "old"));
    assert_eq!(connack.reason, ReasonCode::Success);
    let connack = Client::dial(house.address()).introduce(&connect(Version::V5, "new"));
    assert_eq!(
        (connack.reason, connack.max_packet_size),
        (ReasonCode::Success, Some(1024 * 1024))
    );
}

/// [MQTT-3.1.3-6] [MQTT5-3.2.2-16]
/// A client that gives itself no name gets one, if it wants no session kept under it.
#[test]
fn a_client_without_a_name_is_given_one() {
    let house = House::open();
    let first = Client::dial(house.address()).introduce(&connect(Version::V5, ""));
    let second = Client::dial(house.address()).introduce(&connect(Version::V5, ""));
    assert!(first.assigned_client_id.is_some());
    assert_ne!(first.assigned_client_id, second.assigned_client_id);
    for version in [Version::V311, Version::V5] {
        let mut both = [(); 2].map(|()| Client::named(house.address(), version, ""));
        for client in &mut both {
            client.hears_nothing();
        }
    }
}

/// Names of shared subscriptions are no client's.
#[test]
fn a_client_cannot_take_the_name_of_a_shared_subscription() {
    let house = House::open();
    let connack = Client::dial(house.address()).introduce(&connect(Version::V5, "$share/group/room"));
    assert_eq!(connack.reason, ReasonCode::ClientIdentifierNotValid);
}

/// [MQTT311-3.1.3-7] [MQTT311-3.1.3-8] [MQTT311-3.2.2-5]
/// In MQTT 3.1.1 a client without a name has to be content with a clean session.
#[test]
fn a_nameless_client_cannot_have_a_session_in_3_1_1() {
    let house = House::open();
    let mut client = Client::dial(house.address());
    client.write(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x00\x00\x00");
    assert_eq!(
        raw_answer(&mut client),
        (ReasonCode::ClientIdentifierNotValid, Heard::Closed)
    );
}

/// [MQTT311-3.1.2-2] [MQTT311-3.2.2-5] An unknown protocol level is answered with return code 1.
#[test]
fn an_unknown_protocol_level_is_left_without_connack_with_its_code() {
    let house = House::open();
    let mut client = Client::dial(house.address());
    client.write(b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x00\x00\x01a");
    assert_eq!(
        raw_answer(&mut client),
        (ReasonCode::UnsupportedProtocolVersion, Heard::Closed)
    );
}

/// The answer to a CONNECT that is no MQTT 5.
fn raw_answer(client: &mut Client) -> (ReasonCode, Heard) {
    client.speak(Version::V311);
    let Heard::ConnAck(connack) = client.hear() else {
        panic!("no CONNACK")
    };
    (connack.reason, client.hear())
}

/// [MQTT311-3.1.2-2] [MQTT5-3.1.2-2] A listener may be for one version only; a client of the other hears so in its own words.
#[test]
fn a_version_that_is_not_spoken_at_a_listener_is_refused_with_its_code() {
    for (spoken, version, other) in [
        ("5.0", Version::V5, Version::V311),
        ("3.1.1", Version::V311, Version::V5),
    ] {
        let house = Plan {
            more: RawListener {
                versions: Some(vec![spoken.into()]),
                ..RawListener::default()
            },
            ..Plan::default()
        }
        .open();
        let mut refused = Client::dial(house.address());
        let connack = refused.introduce(&connect(other, "lamp"));
        assert_eq!(connack.reason, ReasonCode::UnsupportedProtocolVersion);
        assert_eq!(refused.hear(), Heard::Closed);
        Client::named(house.address(), version, "lamp").hears_nothing();
    }
}

/// [MQTT-3.1.0-1] Nothing but CONNECT may come first.
#[test]
fn whoever_does_not_begin_with_connect_is_cut_off() {
    let house = House::open();
    for bytes in [&b"\xc0\x00"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x30\x03\x00\x01a"] {
        let mut client = Client::dial(house.address());
        client.write(bytes);
        assert_eq!(client.hear(), Heard::Closed);
    }
}

/// [MQTT5-3.1.2-3] [MQTT5-3.1.4-1] [MQTT5-3.2.2-7]
/// An MQTT 5 CONNECT with a mistake in it hears which kind.
#[test]
fn a_malformed_connect_of_mqtt_5_is_told_so() {
    let house = House::open();
    let mut client = Client::dial(house.address());
    // The reserved flag is set.
    client.write(b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01a");
    let Heard::ConnAck(connack) = client.hear() else {
        panic!("no CONNACK")
    };
    assert_eq!(connack.reason, ReasonCode::MalformedPacket);
    assert_eq!(client.hear(), Heard::Closed);
}

#[test]
fn an_oversized_connect_is_left_without_connack_before_it_is_whole() {
    let house = House::open();
    let mut client = Client::dial(house.address());
    client.write(b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05");
    assert_eq!(client.hear_end(), Heard::Closed);
}

#[test]
fn a_connection_that_says_nothing_is_closed_in_time() {
    let mut plan = Plan::default();
    plan.broker.connect_timeout = Some("1s".into());
    let house = plan.open();
    let mut client = Client::dial(house.address());
    assert_eq!(client.hear(), Heard::Closed);
}

/// [MQTT311-3.2.2-5] [MQTT5-3.1.4-2] [MQTT5-3.2.2-7] [MQTT5-4.13.2-1]
#[test]
fn a_wrong_password_is_left_without_connack_in_the_words_of_each_version() {
    let house = Plan {
        gate: Gate::with_user("lamp", "secret"),
        ..Plan::default()
    }
    .open();
    for version in [Version::V311, Version::V5] {
        let mut login = connect(version, "lamp-1");
        login.username = Some("lamp".into());
        login.password = Some(b"guess".to_vec());
        let mut client = Client::dial(house.address());
        assert_eq!(client.introduce(&login).reason, ReasonCode::BadUserNameOrPassword);
        assert_eq!(client.hear(), Heard::Closed);

        let mut client = Client::dial(house.address());
        assert_eq!(
            client.introduce(&connect(version, "lamp-1")).reason,
            ReasonCode::NotAuthorized
        );

        login.password = Some(b"secret".to_vec());
        assert_eq!(
            Client::dial(house.address()).introduce(&login).reason,
            ReasonCode::Success
        );
    }
}

/// A will that its client may not publish itself keeps it out.
#[test]
fn a_forbidden_will_is_left_without_connack() {
    let house = Plan {
        gate: Gate::forbidding("alarm"),
        ..Plan::default()
    }
    .open();
    let mut connect = connect(Version::V5, "lamp");
    connect.will = Some(mqtt_wire::Will {
        topic: "alarm".into(),
        payload: b"gone".to_vec(),
        qos: mqtt_wire::QoS::AtMostOnce,
        retain: false,
        delay_secs: 0,
        properties: Vec::new(),
    });
    assert_eq!(
        Client::dial(house.address()).introduce(&connect).reason,
        ReasonCode::NotAuthorized
    );
}

#[test]
fn there_is_room_again_when_a_connection_has_gone() {
    let house = Plan {
        connections_max: Some(2),
        ..Plan::default()
    }
    .open();
    let mut first = Client::named(house.address(), Version::V5, "a");
    let _second = Client::named(house.address(), Version::V5, "b");
    let mut third = Client::dial(house.address());
    let refusal = third.introduce(&connect(Version::V5, "c"));
    assert_eq!(refusal.reason, ReasonCode::ServerBusy);
    assert_eq!(
        refusal.reason_string.as_deref(),
        Some("all connections are taken")
    );
    first.disconnect();
    assert_eq!(first.hear(), Heard::Closed);
    let _third = Client::named(house.address(), Version::V5, "c");
}

/// The rule itself runs on a virtual clock in `broker/core/src/rate.rs`.
#[test]
fn a_listener_takes_so_many_connections_a_second_and_loses_none() {
    let house = Plan {
        more: RawListener {
            connections_per_second_max: Some(2),
            ..RawListener::default()
        },
        ..Plan::default()
    }
    .open();
    let since = std::time::Instant::now();
    let dialed: Vec<_> = (0..4).map(|_| Client::dial(house.address())).collect();
    let names = ["a", "b", "c", "d"];
    for (mut client, name) in dialed.into_iter().zip(names) {
        let connack = client.introduce(&connect(Version::V5, name));
        assert_eq!(connack.reason, ReasonCode::Success);
    }
    // Two at once, and two after half a second each.
    assert!(
        since.elapsed() >= Duration::from_millis(990),
        "{:?}",
        since.elapsed()
    );
}

/// The rule itself runs on a virtual clock in `broker/server/src/handshake/flapping.rs`.
#[test]
fn a_client_that_connects_too_often_is_banned_in_the_words_of_each_version() {
    let mut plan = Plan::default();
    plan.broker.flapping_connects_max = Some(3);
    plan.broker.flapping_window = Some("1h".into());
    plan.broker.flapping_ban = Some("1h".into());
    let house = plan.open();
    let knock = |version, client_id: &str, user: &str| {
        let mut login = connect(version, client_id);
        login.username = Some(user.into());
        let mut client = Client::dial(house.address());
        (client.introduce(&login).reason, client)
    };
    for _ in 0..2 {
        assert_eq!(knock(Version::V5, "lamp", "ada").0, ReasonCode::Success);
    }
    let (let_in, mut last) = knock(Version::V5, "lamp", "ada");
    assert_eq!(let_in, ReasonCode::Success);
    let (reason, mut refused) = knock(Version::V5, "lamp", "ada");
    assert_eq!((reason, refused.hear()), (ReasonCode::Banned, Heard::Closed));
    // CONNACK of MQTT 3.1.1 has no code of its own for it.
    let (reason, mut refused) = knock(Version::V311, "lamp", "ada");
    assert_eq!(
        (reason, refused.hear()),
        (ReasonCode::NotAuthorized, Heard::Closed)
    );
    // Whoever is in stays in, and nobody else is banned: neither who has the same name by another principal, nor who is
    // given a new name each time.
    last.hears_nothing();
    assert_eq!(knock(Version::V5, "lamp-2", "ada").0, ReasonCode::Success);
    assert_eq!(knock(Version::V5, "lamp", "bob").0, ReasonCode::Success);
    for _ in 0..5 {
        assert_eq!(knock(Version::V5, "", "ada").0, ReasonCode::Success);
    }
}

/// [MQTT5-3.1.4-3] [MQTT5-3.14.4-2] The newer connection of a client id takes the session over.
#[test]
fn a_second_connection_takes_the_name_over() {
    let house = House::open();
    let mut old = Client::named(house.address(), Version::V5, "lamp");
    let mut new = Client::named(house.address(), Version::V5, "lamp");
    assert_eq!(old.hear(), Heard::Disconnect(ReasonCode::SessionTakenOver));
    assert_eq!(old.hear(), Heard::Closed);
    new.hears_nothing();
}

/// [MQTT5-3.1.2-22] Silence for one and a half times the keep alive ends the connection.
#[test]
fn a_silent_client_is_disconnected() {
    let house = House::open();
    let mut connect = connect(Version::V5, "lamp");
    connect.keep_alive_secs = 1;
    let since = std::time::Instant::now();
    let mut client = Client::enter(house.address(), &connect);
    assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::KeepAliveTimeout));
    assert!(since.elapsed() >= Duration::from_millis(1500));
}

#[test]
fn an_operator_can_expel_a_client() {
    let house = House::open();
    let mut client = Client::named(house.address(), Version::V5, "lamp");
    let lamp = mqtt_wire::ClientId::parse("lamp").unwrap();
    house.handle().expel(lamp, ReasonCode::AdministrativeAction);
    assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::AdministrativeAction));
    assert_eq!(client.hear(), Heard::Closed);
}

/// [MQTT5-3.2.2-7] [MQTT5-3.2.2-12] [MQTT5-3.2.2-13]
/// A will that the broker could not publish as it is keeps its client out, whose older connection stays.
#[test]
fn a_will_beyond_what_is_offered_is_refused() {
    let mut plan = Plan::default();
    plan.mqtt.retain_available = Some(false);
    plan.mqtt.qos_max = Some(1);
    let house = plan.open();
    let mut older = Client::named(house.address(), Version::V5, "lamp");
    for (qos, retain, reason) in [
        (mqtt_wire::QoS::AtMostOnce, true, ReasonCode::RetainNotSupported),
        (mqtt_wire::QoS::ExactlyOnce, false, ReasonCode::QoSNotSupported),
    ] {
        let mut login = connect(Version::V5, "lamp");
        login.will = Some(mqtt_wire::Will {
            topic: "lost".into(),
            payload: Vec::new(),
            qos,
            retain,
            delay_secs: 0,
            properties: Vec::new(),
        });
        let mut client = Client::dial(house.address());
        assert_eq!(client.introduce(&login).reason, reason);
        assert_eq!(client.hear(), Heard::Closed);
        login.version = Version::V311;
        assert!(Client::dial(house.address()).is_left_without_connack(&login));
    }
    older.hears_nothing();
}
