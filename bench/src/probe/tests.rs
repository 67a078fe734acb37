//! The probe over real sockets.

use std::thread;

use mqtt_wire::{PacketId, Properties, decode_from_server};

use super::*;
use crate::client::{Client, ClientPlan, Speech};
use crate::codec::Codec;
use crate::door::Door;

const SPEECH: Speech = Speech::Mqtt(Codec::Wire, Version::V311);

/// Serves on a free port until the test program ends.
fn start() -> Door {
    let probe = Probe::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = probe.listener.local_addr().unwrap();
    thread::spawn(move || probe.serve());
    Door { address, tls: None }
}

fn client(door: &Door, filters: &[&str], qos: QoS) -> Client {
    let mut plan = ClientPlan::publisher("anybody".to_owned());
    plan.filters = filters.iter().copied().map(str::to_owned).collect();
    plan.qos = qos;
    Client::open(door, SPEECH, &plan).unwrap()
}

fn frame(packet: &Packet<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    packet.encode(Version::V311, &mut frame).unwrap();
    frame
}

fn message(topic: &str, qos: QoS, id: u16) -> Vec<u8> {
    frame(&Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos > QoS::AtMostOnce).then(|| PacketId::new(id).unwrap()),
        properties: Properties::EMPTY,
        payload: topic.as_bytes(),
    }))
}

/// The topics that come until `last`.
fn topics_until(client: &mut Client, last: &str) -> Vec<String> {
    let mut topics = Vec::new();
    loop {
        let frame = client.read_frame().unwrap();
        let (packet, _) = decode_from_server(&frame, Version::V311, 1000).unwrap().unwrap();
        let Packet::Publish(publish) = packet else {
            panic!("{packet:?}")
        };
        assert_eq!(publish.payload, publish.topic.as_bytes());
        if publish.topic == last {
            return topics;
        }
        topics.push(publish.topic.to_owned());
    }
}

#[test]
fn each_subscriber_gets_what_matches_in_order() {
    let (door, qos) = (start(), QoS::AtMostOnce);
    let mut exact = client(&door, &["a/b", "end"], qos);
    let mut plus = client(&door, &["a/+", "+/b", "end"], qos);
    let mut all = client(&door, &["#"], qos);
    let mut publisher = client(&door, &[], qos);
    let topics = ["a/b", "a/c", "c/b", "a/b", "d", "end"];
    let burst: Vec<u8> = topics.iter().flat_map(|topic| message(topic, qos, 0)).collect();
    publisher.write(&burst).unwrap();
    assert_eq!(topics_until(&mut exact, "end"), ["a/b", "a/b"]);
    assert_eq!(topics_until(&mut plus, "end"), ["a/b", "a/c", "c/b", "a/b"]);
    assert_eq!(topics_until(&mut all, "end"), ["a/b", "a/c", "c/b", "a/b", "d"]);
}

#[test]
fn at_qos_1_the_publisher_is_answered_and_each_receiver_counts_its_own_ids() {
    let door = start();
    let mut surely = client(&door, &["t"], QoS::AtLeastOnce);
    let mut perhaps = client(&door, &["t"], QoS::AtMostOnce);
    let mut publisher = client(&door, &[], QoS::AtMostOnce);
    for id in [700, 701] {
        publisher.write(&message("t", QoS::AtLeastOnce, id)).unwrap();
        let answer = Packet::PubAck(Ack::new(PacketId::new(id).unwrap()));
        assert_eq!(publisher.read_frame().unwrap(), frame(&answer));
    }
    for id in [1, 2] {
        assert_eq!(surely.read_frame().unwrap(), message("t", QoS::AtLeastOnce, id));
        assert_eq!(perhaps.read_frame().unwrap(), message("t", QoS::AtMostOnce, 0));
    }
}

#[test]
fn a_packet_may_come_byte_by_byte() {
    let (door, qos) = (start(), QoS::AtMostOnce);
    let mut subscriber = client(&door, &["long/topic"], qos);
    let mut publisher = client(&door, &[], qos);
    for byte in message("long/topic", qos, 0).repeat(2) {
        publisher.write(&[byte]).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(subscriber.read_frame().unwrap(), message("long/topic", qos, 0));
    }
}

#[test]
fn who_goes_or_breaks_the_rules_disturbs_nobody() {
    let (door, qos) = (start(), QoS::AtMostOnce);
    let mut stays = client(&door, &["t"], qos);
    let goes = client(&door, &["t"], qos);
    let mut publisher = client(&door, &[], qos);
    drop(goes);
    for wrong in [
        message("t", QoS::ExactlyOnce, 1),
        frame(&Packet::Connect(Box::new(Connect::new(Version::V311, "again")))),
        b"\x00\x00".to_vec(),
    ] {
        let mut criminal = client(&door, &["t"], qos);
        criminal.write(&wrong).unwrap();
        criminal.wait_for_the_end().unwrap();
    }
    let mut comes = client(&door, &["t"], qos);
    publisher.write(&message("t", qos, 0)).unwrap();
    assert_eq!(stays.read_frame().unwrap(), message("t", qos, 0));
    assert_eq!(comes.read_frame().unwrap(), message("t", qos, 0));
}

#[test]
fn who_asks_for_what_is_not_served_is_told_so() {
    let door = start();
    let mut lasting = Connect::new(Version::V311, "lasting");
    lasting.clean_start = false;
    let modern = Connect::new(Version::V5, "modern");
    for (connect, reason) in [
        (lasting, ReasonCode::ServerUnavailable),
        (modern, ReasonCode::UnsupportedProtocolVersion),
    ] {
        let (version, mut bytes) = (connect.version, Vec::new());
        Packet::Connect(Box::new(connect))
            .encode(version, &mut bytes)
            .unwrap();
        let mut client = Client::dial(&door).unwrap();
        client.write(&bytes).unwrap();
        let frame = client.read_frame().unwrap();
        let (packet, _) = decode_from_server(&frame, version, 1000).unwrap().unwrap();
        assert!(
            matches!(&packet, Packet::ConnAck(connack) if connack.reason == reason),
            "{packet:?}"
        );
        client.wait_for_the_end().unwrap();
    }
}

#[test]
fn unsubscribed_filters_bring_nothing_more() {
    let (door, qos) = (start(), QoS::AtMostOnce);
    let mut subscriber = client(&door, &["a/#", "end"], qos);
    let unsubscribe = Unsubscribe {
        packet_id: PacketId::FIRST,
        filters: vec![TopicFilter::parse("a/#").unwrap()],
        user_properties: Vec::new(),
    };
    subscriber
        .write(&frame(&Packet::Unsubscribe(unsubscribe)))
        .unwrap();
    subscriber.read_frame().unwrap();
    let mut publisher = client(&door, &[], qos);
    let burst = [message("a/b", qos, 0), message("end", qos, 0)].concat();
    publisher.write(&burst).unwrap();
    assert!(topics_until(&mut subscriber, "end").is_empty());
}
