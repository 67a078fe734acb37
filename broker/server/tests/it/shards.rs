//! Messages between clients whose homes differ.

use mqtt_wire::{Ack, Packet, QoS, Version};

use crate::{
    client::{Client, Heard, bytes, connect, id, publication},
    house::Plan,
};

#[test]
fn messages_to_another_shard_keep_their_order() {
    let house = Plan::shards(2).open();
    // Eight names fall on both shards, so each receiver hears from its own shard and from the other.
    let mut receivers: Vec<_> = (0..8)
        .map(|number| {
            let mut receiver = Client::named(house.address(), Version::V5, &format!("receiver-{number}"));
            receiver.subscribe("t/+", QoS::AtMostOnce);
            receiver
        })
        .collect();
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let address = house.address();
            std::thread::spawn(move || {
                let mut client = Client::named(address, Version::V5, &format!("sender-{sender}"));
                for number in 0..500 {
                    let (topic, payload) = (format!("t/{sender}"), number.to_string());
                    client.publish(&topic, &payload, QoS::AtMostOnce, 0);
                }
                client.hears_nothing();
            })
        })
        .collect();
    for receiver in &mut receivers {
        let mut next = [0; 4];
        for _ in 0..4 * 500 {
            let message = receiver.message();
            let sender: usize = message.topic.trim_start_matches("t/").parse().unwrap();
            assert_eq!(message.payload, next[sender].to_string());
            next[sender] += 1;
        }
    }
    for sender in senders {
        sender.join().unwrap();
    }
}

/// More than a mailbox holds: the sender's shard keeps what does not fit, and reads no more until there is room.
#[test]
fn a_flood_to_another_shard_loses_nothing() {
    let mut plan = Plan::shards(2);
    plan.mqtt.unsent_bytes_max = Some("1GiB".into());
    let house = plan.open();
    let mut receivers: Vec<_> = (0..4)
        .map(|number| {
            let mut receiver = Client::named(house.address(), Version::V5, &format!("receiver-{number}"));
            receiver.subscribe("t", QoS::AtMostOnce);
            receiver
        })
        .collect();
    let address = house.address();
    let flood = std::thread::spawn(move || {
        let mut sender = Client::named(address, Version::V5, "sender");
        let mut stream = Vec::new();
        for number in 0..100_000 {
            let payload = number.to_string();
            stream.extend(bytes(
                Version::V5,
                &publication("t", &payload, QoS::AtMostOnce, 0, false),
            ));
        }
        sender.write(&stream);
        sender.hears_nothing();
    });
    for receiver in &mut receivers {
        for number in 0..100_000 {
            assert_eq!(receiver.message().payload, number.to_string());
        }
    }
    flood.join().unwrap();
}

#[test]
fn durable_messages_reach_sessions_of_all_shards_before_they_are_acknowledged() {
    let house = Plan::shards(3).open();
    let mut receivers: Vec<_> = (0..6)
        .map(|number| {
            let mut persistent = connect(Version::V5, &format!("receiver-{number}"));
            persistent.session_expiry_secs = Some(3600);
            let mut receiver = Client::enter(house.address(), &persistent);
            receiver.subscribe("t", QoS::AtLeastOnce);
            receiver
        })
        .collect();
    let mut sender = Client::named(house.address(), Version::V5, "sender");
    let mut stream = Vec::new();
    for number in 1..=50 {
        let payload = number.to_string();
        stream.extend(bytes(
            Version::V5,
            &publication("t", &payload, QoS::AtLeastOnce, number, false),
        ));
    }
    sender.write(&stream);
    for number in 1..=50 {
        assert_eq!(sender.hear(), Heard::PubAck(Ack::new(id(number))));
    }
    for receiver in &mut receivers {
        for number in 1..=50 {
            let message = receiver.message();
            assert_eq!(message.payload, number.to_string());
            receiver.send(&Packet::PubAck(Ack::new(message.id.unwrap())));
        }
        receiver.hears_nothing();
    }
}
