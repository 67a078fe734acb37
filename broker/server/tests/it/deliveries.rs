//! Messages from one socket to another, whatever way the bytes arrive.

use mqtt_wire::{Ack, Packet, QoS, ReasonCode, Version};

use crate::{
    client::{Client, Heard, Message, bytes, connect, id, publication},
    house::House,
};

fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.into(),
        qos: QoS::AtMostOnce,
        retain: false,
        id: None,
    }
}

/// [MQTT311-7.1.1-1] [MQTT5-4.2.0-1]
#[test]
fn a_message_reaches_every_subscriber_of_both_versions() {
    let house = House::open();
    let mut old = Client::named(house.address(), Version::V311, "old");
    let mut new = Client::named(house.address(), Version::V5, "new");
    assert_eq!(old.subscribe("room/+", QoS::AtMostOnce), ReasonCode::Success);
    assert_eq!(new.subscribe("room/light", QoS::AtMostOnce), ReasonCode::Success);
    let mut switch = Client::named(house.address(), Version::V311, "switch");
    switch.publish("room/light", "on", QoS::AtMostOnce, 0);
    assert_eq!(old.message(), message("room/light", "on"));
    assert_eq!(new.message(), message("room/light", "on"));
}

#[test]
fn a_message_of_qos_1_is_acknowledged_on_both_sides() {
    let house = House::open();
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    assert_eq!(
        lamp.subscribe("room/light", QoS::AtLeastOnce),
        ReasonCode::GrantedQoS1
    );
    let mut switch = Client::named(house.address(), Version::V5, "switch");
    switch.publish("room/light", "on", QoS::AtLeastOnce, 7);
    assert_eq!(switch.hear(), Heard::PubAck(Ack::new(id(7))));
    let received = lamp.message();
    assert_eq!(
        (received.payload.as_str(), received.qos),
        ("on", QoS::AtLeastOnce)
    );
    lamp.send(&Packet::PubAck(Ack::new(received.id.unwrap())));
    lamp.hears_nothing();
}

#[test]
fn a_message_of_qos_2_goes_through_all_four_steps_on_both_sides() {
    let house = House::open();
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    assert_eq!(
        lamp.subscribe("room/light", QoS::ExactlyOnce),
        ReasonCode::GrantedQoS2
    );
    let mut switch = Client::named(house.address(), Version::V5, "switch");
    switch.publish("room/light", "on", QoS::ExactlyOnce, 7);
    assert_eq!(switch.hear(), Heard::PubRec(Ack::new(id(7))));
    switch.send(&Packet::PubRel(Ack::new(id(7))));
    assert_eq!(switch.hear(), Heard::PubComp(Ack::new(id(7))));

    let received = lamp.message();
    let received = received.id.unwrap();
    lamp.send(&Packet::PubRec(Ack::new(received)));
    assert_eq!(lamp.hear(), Heard::PubRel(Ack::new(received)));
    lamp.send(&Packet::PubComp(Ack::new(received)));
    lamp.hears_nothing();
}

#[test]
fn bytes_may_come_one_by_one() {
    let house = House::open();
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    lamp.subscribe("#", QoS::AtMostOnce);
    let mut slow = Client::dial(house.address());
    let mut stream = bytes(
        Version::V5,
        &Packet::Connect(Box::new(connect(Version::V5, "slow"))),
    );
    stream.extend(bytes(
        Version::V5,
        &publication("t", "drop by drop", QoS::AtMostOnce, 0, false),
    ));
    stream.extend(bytes(Version::V5, &Packet::PingReq));
    for byte in stream {
        slow.write(&[byte]);
    }
    let Heard::ConnAck(connack) = slow.hear() else {
        panic!("no CONNACK")
    };
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(slow.hear(), Heard::PingResp);
    assert_eq!(lamp.message().payload, "drop by drop");
}

/// What follows CONNECT in the same segment travels with the connection to its shard.
#[test]
fn a_client_need_not_wait_for_connack() {
    let house = House::open();
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    lamp.subscribe("#", QoS::AtMostOnce);
    let mut hasty = Client::dial(house.address());
    let mut stream = bytes(
        Version::V5,
        &Packet::Connect(Box::new(connect(Version::V5, "hasty"))),
    );
    for number in 0..100 {
        let payload = number.to_string();
        stream.extend(bytes(
            Version::V5,
            &publication("t", &payload, QoS::AtMostOnce, 0, false),
        ));
    }
    hasty.write(&stream);
    for number in 0..100 {
        assert_eq!(lamp.message().payload, number.to_string());
    }
}

/// [MQTT5-4.2.0-1]
#[test]
fn many_packets_in_one_write_keep_their_order() {
    let house = House::open();
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    lamp.subscribe("t", QoS::AtMostOnce);
    let mut fast = Client::named(house.address(), Version::V5, "fast");
    let mut stream = Vec::new();
    // More than one read's worth, so that packets are cut wherever the reads end.
    for number in 0..10_000 {
        let payload = format!("{number:0>40}");
        stream.extend(bytes(
            Version::V5,
            &publication("t", &payload, QoS::AtMostOnce, 0, false),
        ));
    }
    fast.write(&stream);
    for number in 0..10_000 {
        assert_eq!(lamp.message().payload, format!("{number:0>40}"));
    }
}

/// A packet may be larger than any buffer here, as long as it is not larger than the limit.
#[test]
fn a_large_packet_arrives_whole() {
    let house = House::open();
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    lamp.subscribe("t", QoS::AtMostOnce);
    let mut camera = Client::named(house.address(), Version::V5, "camera");
    let picture = "x".repeat(1_000_000);
    camera.publish("t", &picture, QoS::AtMostOnce, 0);
    camera.publish("t", "small", QoS::AtMostOnce, 0);
    assert_eq!(lamp.message().payload, picture);
    assert_eq!(lamp.message().payload, "small");
}

/// [MQTT5-3.2.2-15] [MQTT5-3.3.1-4] [MQTT5-4.13.1-1] [MQTT5-4.13.2-1]
#[test]
fn malformed_bytes_end_only_their_connection_with_the_right_code() {
    let house = House::open();
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    lamp.subscribe("t", QoS::AtMostOnce);
    let hostile: [(&[u8], ReasonCode); 4] = [
        (b"\x36\x05\x00\x01a\x00\x01", ReasonCode::MalformedPacket), // QoS 3
        (b"\x00\x00", ReasonCode::MalformedPacket),                  // no such packet
        (b"\xff\xff\xff\xff\xff", ReasonCode::MalformedPacket),      // no such length
        (b"\x30\xff\xff\xff\x7f", ReasonCode::PacketTooLarge),
    ];
    for (bytes, reason) in hostile {
        let mut villain = Client::named(house.address(), Version::V5, "villain");
        villain.write(bytes);
        assert_eq!(villain.hear(), Heard::Disconnect(reason), "{bytes:x?}");
        assert_eq!(villain.hear(), Heard::Closed);
    }
    let mut switch = Client::named(house.address(), Version::V311, "switch");
    switch.publish("t", "still here", QoS::AtMostOnce, 0);
    assert_eq!(lamp.message().payload, "still here");
}

#[test]
fn what_waits_for_a_session_is_there_when_its_client_returns() {
    let house = House::open();
    let mut persistent = connect(Version::V5, "lamp");
    persistent.clean_start = false;
    persistent.session_expiry_secs = Some(3600);
    let mut lamp = Client::enter(house.address(), &persistent);
    lamp.subscribe("t", QoS::AtLeastOnce);
    lamp.disconnect();
    assert_eq!(lamp.hear(), Heard::Closed);
    let mut switch = Client::named(house.address(), Version::V5, "switch");
    for number in 1..=300 {
        switch.publish("t", &number.to_string(), QoS::AtLeastOnce, number);
        assert_eq!(switch.hear(), Heard::PubAck(Ack::new(id(number))));
    }
    let mut lamp = Client::dial(house.address());
    assert!(lamp.introduce(&persistent).session_present);
    for number in 1..=300 {
        let received = lamp.message();
        assert_eq!(received.payload, number.to_string());
        lamp.send(&Packet::PubAck(Ack::new(received.id.unwrap())));
    }
}

/// An acknowledgement of what a session must not lose waits for the store.
#[test]
fn no_durable_message_is_acknowledged_before_it_is_kept() {
    let house = House::open();
    let mut persistent = connect(Version::V5, "lamp");
    persistent.session_expiry_secs = Some(3600);
    let mut lamp = Client::enter(house.address(), &persistent);
    lamp.subscribe("t", QoS::AtLeastOnce);
    let mut switch = Client::named(house.address(), Version::V5, "switch");
    house.journal.hold();
    switch.publish("t", "on", QoS::AtLeastOnce, 1);
    switch.send(&Packet::PingReq);
    assert_eq!(
        switch.hear(),
        Heard::PingResp,
        "the connection is read while the acknowledgement waits"
    );
    house.journal.resume();
    assert_eq!(switch.hear(), Heard::PubAck(Ack::new(id(1))));
    assert_eq!(lamp.message().payload, "on");
}

#[test]
fn retained_messages_are_sent_to_new_subscribers() {
    let house = House::open();
    let mut sensor = Client::named(house.address(), Version::V5, "sensor");
    sensor.send(&publication("temp", "21", QoS::AtLeastOnce, 1, true));
    assert_eq!(
        sensor.hear(),
        Heard::PubAck(Ack::with(id(1), ReasonCode::NoMatchingSubscribers))
    );
    let mut panel = Client::named(house.address(), Version::V5, "panel");
    panel.subscribe("temp", QoS::AtMostOnce);
    let received = panel.message();
    assert_eq!((received.payload.as_str(), received.retain), ("21", true));
}
