//! SUBSCRIBE and UNSUBSCRIBE with several filters, and what their answers say.

use broker_core::testing::{ClientRef, World, clean, filter, persistent};
use mqtt_wire::{Ack, Connect, Packet, QoS, ReasonCode, Subscribe, Subscription, Unsubscribe, Version};

use crate::{VERSIONS, everywhere};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn subscribe(world: &mut World, client: ClientRef, filters: &[(&str, QoS)]) {
    let subscribe = Subscribe {
        packet_id: world.client_mut(client).take_id(),
        subscription_id: None,
        filters: filters
            .iter()
            .map(|(text, qos)| Subscription::new(filter(text), *qos))
            .collect(),
        user_properties: Vec::new(),
    };
    world.send(client, &Packet::Subscribe(subscribe));
}

fn unsubscribe(world: &mut World, client: ClientRef, filters: &[&str]) {
    let unsubscribe = Unsubscribe {
        packet_id: world.client_mut(client).take_id(),
        filters: filters.iter().map(|text| filter(text)).collect(),
        user_properties: Vec::new(),
    };
    world.send(client, &Packet::Unsubscribe(unsubscribe));
}

fn count(world: &World, client: ClientRef, name: &str) -> usize {
    let packets = world.client(client).packets();
    packets.filter(|packet| packet.name() == name).count()
}

/// [MQTT311-3.8.4-4] [MQTT311-3.8.4-5] [MQTT5-3.8.4-5] [MQTT5-3.8.4-6] [MQTT5-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2]
/// One SUBACK answers all filters, each in its place; those that are granted deliver, and the others do not.
#[test]
fn one_suback_answers_all_filters() {
    everywhere(|world| {
        world.set_gate(|_, question| match question {
            broker_core::Question::Subscribe { filter } => !filter.as_str().contains("secret"),
            broker_core::Question::Publish { .. } => true,
        });
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            let asked = [
                ("a", QoS::ExactlyOnce),
                ("secret", QoS::AtMostOnce),
                ("b/+", QoS::AtMostOnce),
                ("c/#", QoS::AtLeastOnce),
            ];
            subscribe(world, client, &asked);
            let no = match version {
                Version::V311 => ReasonCode::UnspecifiedError, // 0x80
                Version::V5 => ReasonCode::NotAuthorized,
            };
            let expected = [
                ReasonCode::GrantedQoS2,
                no,
                ReasonCode::Success,
                ReasonCode::GrantedQoS1,
            ];
            assert_eq!(world.client(client).granted(), expected);
            assert_eq!(count(world, client, "SUBACK"), 1);
            let publisher = world.connect(clean(version, "publisher"));
            for topic in ["a", "secret", "b/1", "c"] {
                world.publish(publisher, topic, topic, QoS::AtLeastOnce);
            }
            assert_eq!(world.client(client).payloads(), ["a", "b/1", "c"]);
        }
    });
}

/// [MQTT-3.10.4-6] [MQTT5-3.11.3-1] [MQTT5-3.11.3-2]
/// One UNSUBACK answers all filters, each in its place, and none of them delivers any more.
#[test]
fn one_unsuback_answers_all_filters() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(persistent(version, "client"));
            subscribe(
                world,
                client,
                &[("a", LEVELS[0]), ("b/+", LEVELS[1]), ("c/#", LEVELS[2])],
            );
            unsubscribe(world, client, &["a", "never", "c/#", "b/+"]);
            assert_eq!(count(world, client, "UNSUBACK"), 1);
            if version == Version::V5 {
                let (yes, no) = (ReasonCode::Success, ReasonCode::NoSubscriptionExisted);
                assert_eq!(world.client(client).granted(), [yes, no, yes, yes]);
            }
            let publisher = world.connect(clean(version, "publisher"));
            for topic in ["a", "b/1", "c"] {
                world.publish(publisher, topic, topic, QoS::AtLeastOnce);
            }
            assert_eq!(world.client(client).payloads(), [""; 0]);
            world.connect(clean(version, "client"));
        }
    });
}

/// [MQTT-3.10.4-1] A filter ends the subscription that is written the same, not those that match the same.
#[test]
fn unsubscribing_ends_what_is_written_the_same() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            subscribe(world, client, &[("a/+", LEVELS[0]), ("a/b", LEVELS[0])]);
            unsubscribe(world, client, &["a/#", "A/b", "a/b/", "+/b"]);
            assert_eq!(world.count(|counters| counters.subscriptions), 2);
            unsubscribe(world, client, &["a/b"]);
            assert_eq!(world.count(|counters| counters.subscriptions), 1);
            let publisher = world.connect(clean(version, "publisher"));
            world.publish(publisher, "a/b", "still", QoS::AtMostOnce);
            assert_eq!(world.client(client).payloads(), ["still"]);
        }
    });
}

/// [MQTT-3.10.4-3] What was sent above QoS 0 before an UNSUBSCRIBE is finished after it, also on another connection.
#[test]
fn what_is_under_way_is_finished_after_unsubscribing() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(persistent(version, "client"));
            subscribe(
                world,
                client,
                &[("one", LEVELS[1]), ("two", LEVELS[2]), ("three", LEVELS[2])],
            );
            world.client_mut(client).acknowledges = false;
            let publisher = world.connect(clean(version, "publisher"));
            for topic in ["one", "two", "three"] {
                world.publish(publisher, topic, topic, QoS::ExactlyOnce);
            }
            let ids: Vec<_> = world.client(client).messages().filter_map(|got| got.id).collect();
            unsubscribe(world, client, &["one", "two", "three"]);
            world.send(client, &Packet::PubRec(Ack::new(ids[1])));
            assert_eq!(count(world, client, "PUBREL"), 1);
            world.drop_connection(client);
            let client = world.connect(persistent(version, "client"));
            assert_eq!(world.client(client).payloads(), ["one", "three"]);
            assert_eq!(count(world, client, "PUBREL"), 2);
            world.connect(clean(version, "client"));
        }
    });
}

/// [MQTT311-3.8.4-6] [MQTT5-3.8.4-8] A delivery has the lower of two levels: the message's and the subscription's.
#[test]
fn delivery_has_the_lower_level() {
    everywhere(|world| {
        for version in VERSIONS {
            for granted in LEVELS {
                let client = world.connect(clean(version, "client"));
                world.subscribe(client, "room", granted);
                let publisher = world.connect(clean(version, "publisher"));
                for published in LEVELS {
                    world.publish(publisher, "room", "", published);
                }
                let levels: Vec<QoS> = world.client(client).messages().map(|got| got.qos).collect();
                assert_eq!(levels, LEVELS.map(|published| published.min(granted)));
            }
        }
    });
}

/// [MQTT311-3.3.5-1] [MQTT5-3.3.4-2] Overlapping subscriptions bring one copy at the highest level, whichever came first.
#[test]
fn overlapping_subscriptions_bring_the_highest_level() {
    everywhere(|world| {
        for version in VERSIONS {
            for filters in [
                [("a/#", QoS::ExactlyOnce), ("a/+", QoS::AtLeastOnce)],
                [("a/+", QoS::AtLeastOnce), ("a/#", QoS::ExactlyOnce)],
            ] {
                let client = world.connect(clean(version, "client"));
                subscribe(world, client, &filters);
                let publisher = world.connect(clean(version, "publisher"));
                world.publish(publisher, "a/b", "", QoS::ExactlyOnce);
                let levels: Vec<QoS> = world.client(client).messages().map(|got| got.qos).collect();
                assert_eq!(levels, [QoS::ExactlyOnce]);
            }
        }
    });
}

/// [MQTT311-3.8.4-3] [MQTT5-3.3.1-9] [MQTT5-3.8.4-4]
/// Whoever subscribes again and again misses nothing and gets nothing twice but the retained messages.
#[test]
fn subscribing_again_loses_nothing() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            world.subscribe(client, "room/#", QoS::AtLeastOnce);
            let publisher = world.connect(clean(version, "publisher"));
            world.retain(publisher, "room/kept", "kept", QoS::AtLeastOnce);
            for at in 0..40 {
                world.begin_publish(publisher, "room/1", &at.to_string(), QoS::AtLeastOnce);
                if at % 4 == 0 {
                    let again = Subscription::new(filter("room/#"), QoS::AtLeastOnce);
                    world.begin_subscribe(client, None, again);
                }
                let steps = world.dice().below(8);
                world.settle_partly(steps);
            }
            world.settle();
            let (kept, live): (Vec<String>, Vec<String>) = world
                .client(client)
                .payloads()
                .into_iter()
                .partition(|payload| payload == "kept");
            assert_eq!(live, (0..40).map(|at| at.to_string()).collect::<Vec<_>>());
            // A SUBSCRIBE that comes while retained messages are still being fetched begins that anew.
            assert!((2..=11).contains(&kept.len()), "{}", kept.len());
            world.client_mut(client).heard.clear();
            for _ in 0..2 {
                world.subscribe(client, "room/#", QoS::AtLeastOnce);
            }
            assert_eq!(world.client(client).payloads(), ["kept", "kept"]);
            world.retain(publisher, "room/kept", "", QoS::AtLeastOnce);
        }
    });
}

/// [MQTT311-1.5.3-3] [MQTT5-1.5.4-3] [MQTT-4.7.3-4]
/// Names are compared byte by byte: a byte order mark, letter case, composition and empty levels all count.
#[test]
fn names_are_compared_as_they_are() {
    everywhere(|world| {
        let names = ["a", "\u{feff}a", "A", "a/", "/a", "//", "/", "\u{e9}", "e\u{301}"];
        for version in VERSIONS {
            let publisher = world.connect(clean(version, "publisher"));
            for name in names {
                let client = world.connect(clean(version, "client"));
                world.subscribe(client, name, QoS::AtMostOnce);
                for topic in names {
                    world.publish(publisher, topic, topic, QoS::AtMostOnce);
                }
                assert_eq!(world.client(client).payloads(), [name]);
                let topics: Vec<_> = world.client(client).messages().map(|got| &got.topic).collect();
                assert_eq!(topics, [name]);
            }
        }
    });
}

/// [MQTT5-3.8.4-3] What replaced a subscription still holds when the session is resumed to end with its connection.
#[test]
fn replaced_subscription_holds_on_return() {
    everywhere(|world| {
        let lasting = |secs| Connect {
            clean_start: false,
            session_expiry_secs: Some(secs),
            ..clean(Version::V5, "client")
        };
        let client = world.connect(lasting(60));
        world.subscribe(client, "room", QoS::AtMostOnce);
        world.subscribe(client, "room", QoS::AtLeastOnce);
        let client = world.connect(lasting(0));
        assert_eq!(world.client(client).connack(), Some((ReasonCode::Success, true)));
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        let levels: Vec<QoS> = world.client(client).messages().map(|got| got.qos).collect();
        assert_eq!(levels, [QoS::AtLeastOnce]);
    });
}
