//! The last message of a topic, kept for those who come later.

use broker_core::{
    Settings, Shelf,
    testing::{ClientRef, Heard, World, clean, filter, message, persistent},
};
use mqtt_wire::{Ack, Packet, Publish, QoS, ReasonCode, RetainHandling, Subscribe, Subscription, Version};

use crate::{VERSIONS, everywhere, everywhere_with};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// What a new subscriber gets of a filter: topic and payload, sorted.
fn seen(world: &mut World, topics: &str) -> Vec<(String, String)> {
    let client = world.connect(clean(Version::V5, "looks"));
    world.subscribe(client, topics, QoS::ExactlyOnce);
    let mut seen: Vec<_> = world
        .client(client)
        .messages()
        .inspect(|message| assert!(message.retain))
        .map(|message| {
            (
                message.topic.clone(),
                String::from_utf8_lossy(&message.payload).into_owned(),
            )
        })
        .collect();
    seen.sort();
    seen
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned()))
        .collect()
}

/// [MQTT311-3.3.1-6] [MQTT311-3.3.1-7] [MQTT311-3.3.1-8] [MQTT5-3.3.1-5]
/// The last retained message of each matching topic comes to a new subscriber.
#[test]
fn new_subscriber_gets_the_last_of_each_topic() {
    everywhere(|world| {
        let all = VERSIONS.map(|version| LEVELS.map(|qos| (version, qos))).concat();
        for (at, (version, qos)) in all.into_iter().enumerate() {
            let publisher = world.connect(clean(version, "publisher"));
            for topic in ["room/1", "room/2", "room/3/lamp", "hall"] {
                world.retain(publisher, topic, "old", qos);
                world.retain(publisher, topic, &at.to_string(), qos);
            }
            let now = at.to_string();
            assert_eq!(
                seen(world, "room/+"),
                pairs(&[("room/1", &now), ("room/2", &now)])
            );
            assert_eq!(
                seen(world, "room/#"),
                pairs(&[("room/1", &now), ("room/2", &now), ("room/3/lamp", &now)])
            );
            assert_eq!(seen(world, "hall"), pairs(&[("hall", &now)]));
            assert_eq!(seen(world, "hall/#"), pairs(&[("hall", &now)]));
            assert_eq!(seen(world, "#").len(), 4);
            assert_eq!(seen(world, "room"), []);
        }
    });
}

/// [MQTT311-3.3.1-10] [MQTT311-3.3.1-11] [MQTT5-3.3.1-6] [MQTT5-3.3.1-7]
/// An empty retained message removes what stood on its topic, and is not kept itself.
#[test]
fn empty_message_removes() {
    everywhere(|world| {
        for (version, qos) in VERSIONS.map(|version| LEVELS.map(|qos| (version, qos))).concat() {
            let publisher = world.connect(clean(version, "publisher"));
            let listener = world.connect(clean(version, "listener"));
            world.subscribe(listener, "room", qos);
            world.retain(publisher, "room", "", qos);
            assert_eq!(seen(world, "room"), []);
            world.retain(publisher, "room", "on", qos);
            world.retain(publisher, "room", "", qos);
            assert_eq!(world.client(listener).payloads(), ["", "on", ""]);
            assert_eq!(seen(world, "room"), []);
            world.drop_connection(listener);
            assert!(world.disk().is_empty());
        }
    });
}

/// [MQTT311-3.3.1-12] [MQTT5-3.3.1-8] A message without RETAIN leaves what stands on its topic.
#[test]
fn plain_message_leaves_the_retained_one() {
    everywhere(|world| {
        for version in VERSIONS {
            let publisher = world.connect(clean(version, "publisher"));
            world.retain(publisher, "room", "kept", QoS::AtLeastOnce);
            for payload in ["passes", ""] {
                world.publish(publisher, "room", payload, QoS::AtLeastOnce);
                assert_eq!(seen(world, "room"), pairs(&[("room", "kept")]));
            }
        }
    });
}

/// What was acknowledged as retained is there after a crash, and what was removed is not.
#[test]
fn retained_messages_outlast_a_crash() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for at in 0..20 {
            world.retain(publisher, &format!("room/{at}"), "on", LEVELS[1 + at % 2]);
        }
        for at in 0..10 {
            world.retain(publisher, &format!("room/{at}"), "", LEVELS[1 + at % 2]);
        }
        world.crash();
        assert_eq!(seen(world, "room/#").len(), 10);
        world.crash_into(3);
        assert_eq!(seen(world, "room/#").len(), 10);
        assert_eq!(world.disk().len(Shelf::Retained), 10);
    });
}

/// Two publishers, two shards, one topic: what subscribers see is what a crash leaves.
#[test]
fn disk_and_memory_agree_on_the_last_one() {
    everywhere(|world| {
        let publishers: Vec<ClientRef> = (0..4)
            .map(|at| world.connect(clean(Version::V5, &format!("publisher-{at}"))))
            .collect();
        for at in 0..30 {
            let publisher = publishers[at % 4];
            let payload = at.to_string();
            let publish = Publish {
                retain: true,
                ..message("room", &payload, LEVELS[at % 3])
            };
            world.begin_message(publisher, publish);
            let steps = world.dice().below(4);
            world.settle_partly(steps);
        }
        world.settle();
        let before = seen(world, "room");
        world.crash();
        assert_eq!(seen(world, "room"), before);
    });
}

/// [MQTT5-3.3.1-9] [MQTT5-3.3.1-10] [MQTT5-3.3.1-11]
/// Retain handling 0, 1 and 2: always, only when the subscription is new, never.
#[test]
fn retain_handling_decides_when() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.retain(publisher, "room", "on", QoS::AtLeastOnce);
        for (handling, expected) in [
            (RetainHandling::SendAtSubscribe, [1, 2, 3]),
            (RetainHandling::SendIfNew, [1, 1, 2]),
            (RetainHandling::DoNotSend, [0, 0, 0]),
        ] {
            let client = world.connect(clean(Version::V5, "client"));
            let counts = [false, false, true].map(|is_new_again| {
                if is_new_again {
                    world.unsubscribe(client, "room");
                }
                let subscription = Subscription {
                    retain_handling: handling,
                    ..Subscription::new(filter("room"), QoS::AtLeastOnce)
                };
                world.subscribe_with(client, None, subscription);
                world.client(client).messages().count()
            });
            assert_eq!(counts, expected, "{handling:?}");
        }
    });
}

/// [MQTT311-3.3.1-9] [MQTT5-3.3.1-12] [MQTT5-3.3.1-13]
/// A running subscription gets a retained message without RETAIN, unless it asked for it as published.
#[test]
fn retain_flag_is_kept_only_where_asked_for() {
    everywhere(|world| {
        for (version, qos) in VERSIONS.map(|version| LEVELS.map(|qos| (version, qos))).concat() {
            let plain = world.connect(clean(version, "plain"));
            world.subscribe(plain, "room", QoS::AtLeastOnce);
            let asking = Subscription {
                retain_as_published: true,
                ..Subscription::new(filter("room"), QoS::AtLeastOnce)
            };
            let live = world.connect(clean(Version::V5, "live"));
            let away = world.connect(persistent(Version::V5, "away"));
            for client in [live, away] {
                world.subscribe_with(client, None, asking.clone());
            }
            world.drop_connection(away);
            let publisher = world.connect(clean(version, "publisher"));
            world.retain(publisher, "room", "kept", qos);
            world.publish(publisher, "room", "passes", qos);
            let flags = |world: &World, client| -> Vec<bool> {
                world
                    .client(client)
                    .messages()
                    .map(|message| message.retain)
                    .collect()
            };
            assert_eq!(flags(world, plain), [false, false]);
            assert_eq!(flags(world, live), [true, false]);
            let away = world.connect(persistent(Version::V5, "away"));
            let expected: &[bool] = match qos {
                QoS::AtMostOnce => &[],
                QoS::AtLeastOnce | QoS::ExactlyOnce => &[true, false],
            };
            assert_eq!(flags(world, away), expected, "also through the queue on disk");
            for name in ["away", "live", "plain"] {
                world.connect(clean(Version::V5, name));
            }
            world.retain(publisher, "room", "", QoS::AtLeastOnce);
        }
    });
}

/// The topics a client got messages on, sorted.
fn topics(world: &World, client: ClientRef) -> Vec<String> {
    let mut topics: Vec<_> = world
        .client(client)
        .messages()
        .map(|message| message.topic.clone())
        .collect();
    topics.sort();
    topics
}

/// The client acknowledges what it has not yet, and from now on everything.
fn acknowledge(world: &mut World, client: ClientRef) {
    let ids: Vec<_> = world
        .client(client)
        .messages()
        .filter_map(|message| message.id)
        .collect();
    world.client_mut(client).acknowledges = true;
    for id in ids {
        world.send(client, &Packet::PubAck(Ack::new(id)));
    }
}

/// A subscriber of more retained messages than its queue takes gets each once, as it acknowledges them.
#[test]
fn many_retained_messages_come_as_they_are_acknowledged() {
    let settings = Settings {
        queue_messages_max: 50,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for at in 0..700 {
            world.retain(publisher, &format!("room/{at:03}"), "on", QoS::AtLeastOnce);
        }
        let all: Vec<_> = (0..700).map(|at| format!("room/{at:03}")).collect();
        for qos in LEVELS {
            let client = world.connect(clean(Version::V5, "client"));
            world.subscribe(client, "room/+", qos);
            assert_eq!(topics(world, client), all);
            let kept = world.connect(persistent(Version::V5, "kept"));
            world.subscribe(kept, "room/+", qos);
            assert_eq!(topics(world, kept), all);
            world.connect(clean(Version::V5, "kept"));
        }
        assert_eq!(world.disk().len(Shelf::Queue), 0);
    });
}

/// [MQTT311-3.3.1-6] [MQTT5-3.3.1-9]
/// A retained message that waits on disk comes without an acknowledgement, though one at `QoS` 0 queues behind it.
#[test]
fn retained_message_on_disk_does_not_wait_for_one_at_qos_0() {
    let settings = Settings {
        queue_memory_bytes: 16,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for topic in ["hall/1", "room/2"] {
            world.retain(publisher, topic, "on", QoS::AtLeastOnce);
        }
        world.retain(publisher, "room/1", "on", QoS::AtMostOnce);
        for version in VERSIONS {
            let client = world.connect(persistent(version, "client"));
            world.client_mut(client).acknowledges = false;
            let subscribe = Subscribe {
                packet_id: world.client_mut(client).take_id(),
                subscription_id: None,
                filters: vec![
                    Subscription::new(filter("#"), QoS::AtLeastOnce),
                    Subscription::new(filter("room/1"), QoS::AtMostOnce),
                ],
                user_properties: Vec::new(),
            };
            world.send(client, &Packet::Subscribe(subscribe));
            assert_eq!(topics(world, client), ["hall/1", "room/1", "room/1", "room/2"]);
            world.connect(clean(version, "client"));
        }
    });
}

/// What comes live while the retained messages are still coming is not delayed by them, and not followed by what stood on
/// its topic before.
#[test]
fn live_message_is_not_followed_by_the_one_it_replaced() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for at in 0..700 {
            world.retain(publisher, &format!("room/{at:03}"), "old", QoS::AtLeastOnce);
        }
        let client = world.connect(clean(Version::V5, "client"));
        world.client_mut(client).acknowledges = false;
        world.subscribe(client, "room/+", QoS::AtLeastOnce);
        for topic in ["room/650", "room/699", "room/000"] {
            world.retain(publisher, topic, "new", QoS::AtLeastOnce);
        }
        acknowledge(world, client);
        let of = |topic: &str| -> Vec<_> {
            let messages = world.client(client).messages();
            let of_topic = messages.filter(|message| message.topic == topic);
            of_topic
                .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
                .collect()
        };
        for topic in ["room/650", "room/699", "room/000"] {
            assert_eq!(of(topic).last().unwrap(), "new", "{topic}");
        }
        assert_eq!(of("room/650"), ["new"]);
        let mut got = topics(world, client);
        got.dedup();
        assert_eq!(got.len(), 700);
    });
}

/// A persistent subscriber that is lost amid its retained messages gets the rest on return: each once, or after a crash at
/// least once.
#[test]
fn retained_messages_wait_for_a_persistent_subscriber() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for at in 0..300 {
            world.retain(publisher, &format!("room/{at}"), "on", QoS::AtLeastOnce);
        }
        for crashes in [false, true] {
            let client = world.connect(persistent(Version::V5, "client"));
            world.client_mut(client).acknowledges = false;
            world.subscribe(client, "room/+", QoS::AtLeastOnce);
            assert!(world.client(client).messages().count() < 100);
            world.drop_connection(client);
            if crashes {
                world.crash();
            }
            let client = world.connect(persistent(Version::V5, "client"));
            let mut got = topics(world, client);
            if crashes {
                got.dedup();
            }
            assert_eq!(got.len(), 300);
            world.drop_connection(client);
            world.crash();
            let client = world.connect(persistent(Version::V5, "client"));
            assert_eq!(world.client(client).messages().count(), 0);
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// A subscription that is given up, or asked for again, ends what was still coming for it.
#[test]
fn unsubscribing_ends_the_retained_messages() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for at in 0..300 {
            world.retain(publisher, &format!("room/{at}"), "on", QoS::AtLeastOnce);
        }
        let client = world.connect(persistent(Version::V5, "client"));
        world.client_mut(client).acknowledges = false;
        world.subscribe(client, "room/+", QoS::AtLeastOnce);
        world.unsubscribe(client, "room/+");
        acknowledge(world, client);
        assert!(world.client(client).messages().count() < 150);
        world.crash();
        let client = world.connect(persistent(Version::V5, "client"));
        assert_eq!(world.client(client).messages().count(), 0);
    });
}

/// A retained message that the store refused is not shown to anybody.
#[test]
fn refused_message_is_not_retained() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.retain(publisher, "room", "kept", QoS::AtLeastOnce);
        world.store_full = true;
        let id = world.retain(publisher, "room", "refused", QoS::AtLeastOnce);
        let empty = world.retain(publisher, "room", "", QoS::AtLeastOnce);
        world.store_full = false;
        let acks: Vec<_> = world.client(publisher).acks().skip(1).collect();
        let full = ReasonCode::QuotaExceeded;
        assert_eq!(acks, [("PUBACK", id, full), ("PUBACK", empty, full)]);
        assert_eq!(seen(world, "room"), pairs(&[("room", "kept")]));
        world.crash();
        assert_eq!(seen(world, "room"), pairs(&[("room", "kept")]));
    });
}

/// More retained messages than the broker takes are refused, at every level, and those that stand may be replaced.
#[test]
fn number_of_retained_messages_is_bounded() {
    let settings = Settings {
        retained_messages_max: 8,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for at in 0..60 {
            world.retain(publisher, &format!("room/{at}"), "on", LEVELS[at % 3]);
        }
        let standing = seen(world, "#");
        assert_eq!(standing.len(), 8);
        assert_eq!(world.count(|counters| counters.retained_messages), 8);
        assert!(world.disk().len(Shelf::Retained) <= 8);
        assert!(
            world
                .client(publisher)
                .acks()
                .any(|(name, _, reason)| name == "PUBACK" && reason == ReasonCode::QuotaExceeded)
        );
        world.retain(publisher, &standing[0].0, "replaced", QoS::AtLeastOnce);
        assert!(seen(world, "#").iter().any(|(_, payload)| payload == "replaced"));
        world.crash();
        assert!(seen(world, "#").iter().any(|(_, payload)| payload == "replaced"));
    });
}

/// A retained message too large to keep is refused.
#[test]
fn size_of_a_retained_message_is_bounded() {
    let settings = Settings {
        retained_bytes_max: 10,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        let id = world.retain(publisher, "room", "eleven bytes", QoS::AtLeastOnce);
        let acks: Vec<_> = world.client(publisher).acks().collect();
        assert_eq!(acks, [("PUBACK", id, ReasonCode::QuotaExceeded)]);
        assert_eq!(seen(world, "#"), []);
    });
}

/// Topics that begin with `$` are the broker's own: RETAIN from a client is ignored there, and the message is delivered.
#[test]
fn retain_is_ignored_on_dollar_topics() {
    everywhere(|world| {
        let reader = world.connect(clean(Version::V5, "reader"));
        world.subscribe(reader, "$twin/+/update", QoS::AtLeastOnce);
        let device = world.connect(clean(Version::V5, "device"));
        world.retain(device, "$twin/lamp/update", "{}", QoS::AtLeastOnce);
        assert_eq!(world.client(reader).payloads(), ["{}"]);
        let late = world.connect(clean(Version::V5, "late"));
        world.subscribe(late, "$twin/+/update", QoS::AtLeastOnce);
        assert_eq!(world.client(late).payloads(), Vec::<String>::new());
    });
}

/// A retained message that nobody subscribes to is kept, and its publisher is told that nobody got it, whichever shard
/// keeps it.
#[test]
fn retained_message_without_subscribers_has_none() {
    everywhere(|world| {
        let sensor = world.connect(clean(Version::V5, "sensor"));
        for (topic, level) in ["a", "b", "c", "d"].into_iter().zip([1, 1, 2, 2]) {
            let id = world.retain(sensor, topic, "21", LEVELS[level]);
            let (_, _, reason) = world.client(sensor).acks().find(|(_, of, _)| *of == id).unwrap();
            assert_eq!(reason, ReasonCode::NoMatchingSubscribers, "{topic}");
        }
        assert_eq!(seen(world, "+").len(), 4);
    });
}

/// [MQTT311-3.1.2-7] [MQTT311-3.3.1-5] [MQTT311-3.3.1-6] [MQTT311-3.3.1-8]
/// A retained message outlives the session that published it, and comes at the lower of its level and the subscription's.
#[test]
fn retained_message_outlives_its_publisher_and_keeps_its_level() {
    everywhere(|world| {
        for version in VERSIONS {
            for published in LEVELS {
                let publisher = world.connect(clean(version, "publisher"));
                world.retain(publisher, "room", "on", published);
                world.disconnect(publisher, ReasonCode::Success);
                for granted in LEVELS {
                    let late = world.connect(clean(version, "late"));
                    world.subscribe(late, "room", granted);
                    let got: Vec<_> = world.client(late).messages().collect();
                    assert_eq!(got.len(), 1);
                    assert_eq!((got[0].qos, got[0].retain), (published.min(granted), true));
                }
            }
        }
    });
}

/// Retained messages follow the SUBACK of their subscription.
#[test]
fn retained_messages_follow_suback() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for topic in ["a", "b", "c"] {
            world.retain(publisher, topic, "on", QoS::AtLeastOnce);
        }
        for connect in [clean(Version::V5, "client"), persistent(Version::V311, "client")] {
            let client = world.connect(connect);
            world.subscribe(client, "+", QoS::AtLeastOnce);
            let [
                Heard::Packet(Packet::ConnAck(_)),
                Heard::Packet(Packet::SubAck(_)),
                rest @ ..,
            ] = &world.client(client).heard[..]
            else {
                panic!("{:?}", world.client(client).heard)
            };
            assert_eq!(rest.len(), 3);
        }
    });
}
