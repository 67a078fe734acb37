//! A link takes part like a client without a socket.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use bytes::Bytes;
use mqtt_wire::{Ack, QoS, ReasonCode, TopicFilter, Version};
use plugin_api::{Answer, Departure, Link, LinkEvent, LinkPublish, LinkSpec, LinkSubscription, To};

use crate::{
    client::{Client, Heard, id},
    house::Plan,
};

/// Passes on what it hears.
#[derive(Debug)]
struct Ear(SyncSender<LinkEvent>);

impl Link for Ear {
    fn take(&self, event: LinkEvent) {
        self.0.send(event).unwrap();
    }
}

fn ear() -> (Arc<Ear>, Receiver<LinkEvent>) {
    let (sender, receiver) = sync_channel(10_000);
    (Arc::new(Ear(sender)), receiver)
}

fn next(events: &Receiver<LinkEvent>) -> LinkEvent {
    events.recv_timeout(Duration::from_secs(20)).unwrap()
}

fn filter(filter: &str) -> TopicFilter {
    TopicFilter::parse(filter).unwrap()
}

fn spec(name: &str) -> LinkSpec {
    LinkSpec {
        name: name.into(),
        ..LinkSpec::default()
    }
}

fn message(topic: &str, payload: &str) -> LinkPublish {
    LinkPublish {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Bytes::new(),
        qos: QoS::AtMostOnce,
        retain: false,
        to: To::Everyone,
        replace: None,
    }
}

#[test]
fn a_link_hears_who_comes_and_goes() {
    let (ear, events) = ear();
    let (house, _door) = Plan::shards(2).with_link(
        LinkSpec {
            presence: true,
            ..spec("presence")
        },
        ear,
    );
    let mut lamp = Client::named(house.address(), Version::V311, "lamp");
    let LinkEvent::Connected {
        client_id,
        principal,
        version,
        peer,
        ..
    } = next(&events)
    else {
        panic!()
    };
    assert_eq!(
        (client_id.as_str(), &*principal.name, version),
        ("lamp", "anonymous", Version::V311)
    );
    assert!(peer.is_loopback());
    lamp.disconnect();
    let LinkEvent::Departed { client_id, why, .. } = next(&events) else {
        panic!()
    };
    assert_eq!((client_id.as_str(), why), ("lamp", Departure::Disconnected));
    drop(Client::named(house.address(), Version::V311, "lamp"));
    assert!(matches!(next(&events), LinkEvent::Connected { .. }));
    assert!(matches!(
        next(&events),
        LinkEvent::Departed {
            why: Departure::Lost,
            ..
        }
    ));
}

#[test]
fn a_publisher_hears_what_a_responsible_link_has_answered() {
    let (ear, events) = ear();
    let subscriptions = vec![LinkSubscription {
        filter: filter("$twin/#"),
        responsible: true,
    }];
    let (house, door) = Plan::shards(2).with_link(
        LinkSpec {
            subscriptions,
            ..spec("twin")
        },
        ear,
    );
    let mut device = Client::named(house.address(), Version::V5, "device");
    for (number, answer, reason) in [
        (1, Answer::Taken, ReasonCode::Success),
        (
            2,
            Answer::Refused(ReasonCode::QuotaExceeded),
            ReasonCode::QuotaExceeded,
        ),
    ] {
        device.publish("$twin/device/update", "{}", QoS::AtLeastOnce, number);
        let LinkEvent::Message(delivery) = next(&events) else {
            panic!()
        };
        assert_eq!(
            (
                &*delivery.topic,
                &delivery.payload[..],
                delivery.client_id.as_str()
            ),
            ("$twin/device/update", &b"{}"[..], "device")
        );
        device.hears_nothing();
        door.answer(delivery.ticket, answer);
        assert_eq!(device.hear(), Heard::PubAck(Ack::with(id(number), reason)));
    }
}

#[test]
fn a_link_publishes_in_order_to_whom_it_wants() {
    let (ear, _events) = ear();
    let (house, door) = Plan::shards(2).with_link(spec("twin"), ear);
    let mut lamps: Vec<_> = (0..4)
        .map(|number| {
            let mut lamp = Client::named(house.address(), Version::V5, &format!("lamp-{number}"));
            assert_eq!(lamp.subscribe("t/+", QoS::AtMostOnce), ReasonCode::Success);
            lamp
        })
        .collect();
    house.block_on(async {
        for number in 0..100 {
            let only = LinkPublish {
                to: To::Only(mqtt_wire::ClientId::parse("lamp-2").unwrap()),
                ..message("t/only", &number.to_string())
            };
            door.publish("device", vec![only, message("t/all", &number.to_string())])
                .await;
        }
    });
    for (number, lamp) in lamps.iter_mut().enumerate() {
        for count in 0..100 {
            if number == 2 {
                let only = lamp.message();
                assert_eq!((only.topic, only.payload), ("t/only".into(), count.to_string()));
            }
            let all = lamp.message();
            assert_eq!((all.topic, all.payload), ("t/all".into(), count.to_string()));
        }
    }
}

/// More than its room holds: it waits, and nothing is lost.
#[test]
fn a_link_that_publishes_too_fast_waits() {
    let (ear, _events) = ear();
    let mut plan = Plan::default();
    plan.broker.link_messages_max = Some(10);
    let (house, door) = plan.with_link(spec("fast"), ear);
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    lamp.subscribe("t", QoS::AtMostOnce);
    let messages: Vec<_> = (0..1000)
        .map(|number| message("t", &number.to_string()))
        .collect();
    house.block_on(door.publish("t", messages));
    for number in 0..1000 {
        assert_eq!(lamp.message().payload, number.to_string());
    }
}

#[test]
fn what_is_no_topic_is_not_published_for_a_link_either() {
    let (ear, _events) = ear();
    let (house, door) = Plan::default().with_link(spec("sloppy"), ear);
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    lamp.subscribe("#", QoS::AtMostOnce);
    let bad_properties = LinkPublish {
        properties: Bytes::from_static(b"\xff"),
        ..message("t", "2")
    };
    house.block_on(door.publish("t", vec![message("a/#", "1"), bad_properties, message("t", "3")]));
    assert_eq!(lamp.message().payload, "3");
}

#[test]
fn sys_topics_tell_how_things_stand() {
    let mut plan = Plan::shards(2);
    plan.broker.sys_interval = Some("1s".into());
    let house = plan.open();
    let mut panel = Client::named(house.address(), Version::V5, "panel");
    panel.begin_subscribe("$SYS/broker/clients/connected", QoS::AtMostOnce);
    // What is published meanwhile may come before SUBACK.
    while !matches!(panel.hear(), Heard::Message(message) if message.payload == "1") {}
    let stats = house.block_on(house.handle().stats());
    assert_eq!((stats.counters.clients_connected, stats.connections), (1, 1));
    assert!(stats.bytes_received > 0 && stats.bytes_sent > 0);
}

/// Links are known to the rules before anybody can connect, and in the order they were attached.
#[test]
fn two_links_hear_of_the_same_message() {
    let heard: Arc<Mutex<Vec<Receiver<LinkEvent>>>> = Arc::default();
    let both = Arc::clone(&heard);
    let house = Plan::default().open_with(move |broker| {
        for name in ["one", "two"] {
            let (ear, events) = ear();
            let subscriptions = vec![LinkSubscription {
                filter: filter("t"),
                responsible: false,
            }];
            broker.attach_link(
                LinkSpec {
                    subscriptions,
                    ..spec(name)
                },
                ear,
            );
            both.lock().unwrap().push(events);
        }
    });
    Client::named(house.address(), Version::V5, "switch").publish("t", "on", QoS::AtMostOnce, 0);
    for events in heard.lock().unwrap().iter() {
        assert!(matches!(next(events), LinkEvent::Message(delivery) if delivery.payload == "on"));
    }
}
