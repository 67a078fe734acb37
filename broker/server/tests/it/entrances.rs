//! Several listeners, each with limits of its own.

use broker::settings::{RawListener, RawMqtt, RawWebSocket};
use mqtt_wire::{QoS, ReasonCode, Version, Will};

use crate::{
    client::{Client, Heard, connect},
    frames::Frames,
    house::{Gate, House, Plan},
};

fn listener(name: &str) -> RawListener {
    RawListener {
        name: name.into(),
        bind: "127.0.0.1:0".into(),
        ..RawListener::default()
    }
}

/// Three listeners: `test` as `[mqtt]` says, `narrow` takes 4 KiB in a packet, `web` 64 KiB.
fn house() -> House {
    let mut plan = Plan {
        mqtt: RawMqtt {
            messages_per_second_max: Some(1_000_000),
            ..RawMqtt::default()
        },
        others: vec![
            RawListener {
                packet_bytes_max: Some("4KiB".into()),
                subscriptions_max: Some(1),
                ..listener("narrow")
            },
            RawListener {
                packet_bytes_max: Some("64KiB".into()),
                websocket: Some(RawWebSocket::default()),
                ..listener("web")
            },
        ],
        ..Plan::shards(2)
    };
    plan.broker.connect_bytes_max = Some("1KiB".into());
    plan.open()
}

#[test]
fn a_packet_too_large_for_one_listener_is_taken_at_another() {
    let house = house();
    let payload = "x".repeat(5000);
    for (name, taken) in [("test", true), ("narrow", false)] {
        let mut client = Client::named(house.address_of(name), Version::V5, "client");
        client.publish("t", &payload, QoS::AtLeastOnce, 1);
        match client.hear() {
            Heard::PubAck(_) => assert!(taken, "{name}"),
            Heard::Disconnect(ReasonCode::PacketTooLarge) => assert!(!taken, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A packet inside WebSocket is as long as it may be at its listener: a longer one is not gathered first.
#[test]
fn a_packet_inside_websocket_is_measured_by_its_listener() {
    let house = house();
    let mut client = Frames::dial(house.address_of("web")).client();
    let connack = client.introduce(&connect(Version::V5, "client"));
    assert_eq!(connack.max_packet_size, Some(64 * 1024));
    client.publish("t", &"x".repeat(60_000), QoS::AtLeastOnce, 1);
    assert!(matches!(client.hear(), Heard::PubAck(_)));
    client.publish("t", &"x".repeat(100_000), QoS::AtLeastOnce, 2);
    assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::PacketTooLarge));
    assert_eq!(client.hear(), Heard::Closed);
}

#[test]
fn a_session_takes_no_limits_along_from_one_listener_to_another() {
    let house = house();
    let mut hello = connect(Version::V5, "client");
    hello.clean_start = false;
    hello.session_expiry_secs = Some(60);
    let mut client = Client::enter(house.address_of("test"), &hello);
    assert_eq!(client.subscribe("a", QoS::AtLeastOnce), ReasonCode::GrantedQoS1);
    client.disconnect();
    assert_eq!(client.hear(), Heard::Closed);
    let mut client = Client::dial(house.address_of("narrow"));
    let connack = client.introduce(&hello);
    assert!(connack.session_present);
    assert_eq!(connack.max_packet_size, Some(4096));
    assert_eq!(client.subscribe("b", QoS::AtLeastOnce), ReasonCode::QuotaExceeded);
    let mut client = Client::enter(house.address_of("test"), &hello);
    assert_eq!(client.subscribe("b", QoS::AtLeastOnce), ReasonCode::GrantedQoS1);
}

/// Gates judge topics in full, those of wills among them.
#[test]
fn gates_are_asked_for_topics_below_the_mount_point() {
    let house = Plan {
        gate: Gate::forbidding("site-a/secret"),
        others: vec![RawListener {
            mount_point: Some("site-a/".into()),
            ..listener("site")
        }],
        ..Plan::shards(2)
    }
    .open();
    let with_will = |topic: &str| {
        let mut hello = connect(Version::V5, "client");
        hello.will = Some(Will {
            topic: topic.into(),
            payload: b"lost".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: false,
            delay_secs: 0,
            properties: Vec::new(),
        });
        hello
    };
    for (name, topic, answer) in [
        ("site", "secret", ReasonCode::NotAuthorized),
        ("site", "site-a/secret", ReasonCode::Success),
        ("test", "secret", ReasonCode::Success),
        ("test", "site-a/secret", ReasonCode::NotAuthorized),
    ] {
        let mut client = Client::dial(house.address_of(name));
        assert_eq!(
            client.introduce(&with_will(topic)).reason,
            answer,
            "{name} {topic}"
        );
    }
    let mut client = Client::named(house.address_of("site"), Version::V5, "client");
    assert_eq!(
        client.subscribe("secret", QoS::AtLeastOnce),
        ReasonCode::NotAuthorized
    );
    assert_eq!(
        client.subscribe("open", QoS::AtLeastOnce),
        ReasonCode::GrantedQoS1
    );
}
