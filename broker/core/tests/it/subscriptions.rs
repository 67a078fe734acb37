//! Which messages a subscription brings, and how often.

use broker_core::testing::{ClientRef, World, clean, filter, persistent};
use mqtt_wire::{Packet, Properties, QoS, ReasonCode, Subscribe, Subscription, Version};

use crate::{VERSIONS, everywhere};

fn ids(world: &World, client: ClientRef) -> Vec<Vec<u32>> {
    world
        .client(client)
        .messages()
        .map(|message| {
            let properties = Properties::parse_publish(&message.properties).unwrap();
            let mut ids: Vec<u32> = properties.subscription_ids().collect();
            ids.sort_unstable();
            ids
        })
        .collect()
}

/// [MQTT311-3.3.2-3] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]
/// Wildcards match whole levels; the topic separator stands alone too.
#[test]
fn wildcards_match_whole_levels() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V311, "publisher"));
        let topics = ["a", "a/b", "a/b/c", "a/c", "/a", "b", "a//c", "A"];
        for (topics_of, expected) in [
            ("#", &topics[..]),
            ("a", &["a"]),
            ("a/#", &["a", "a/b", "a/b/c", "a/c", "a//c"]),
            ("+", &["a", "b", "A"]),
            ("a/+", &["a/b", "a/c"]),
            ("a/+/c", &["a/b/c", "a//c"]),
            ("+/+", &["a/b", "a/c", "/a"]),
            ("/+", &["/a"]),
            ("+/b/#", &["a/b", "a/b/c"]),
            ("+/#", &["a", "a/b", "a/b/c", "a/c", "/a", "b", "a//c", "A"]),
        ] {
            let client = world.connect(clean(Version::V311, "client"));
            world.subscribe(client, topics_of, QoS::AtMostOnce);
            for topic in topics {
                world.publish(publisher, topic, topic, QoS::AtMostOnce);
            }
            assert_eq!(world.client(client).payloads(), expected, "{topics_of}");
        }
    });
}

/// [MQTT5-4.7.2-1] Filters that begin with a wildcard do not match topics that begin with $.
#[test]
fn leading_wildcard_does_not_match_dollar() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        let wild = world.connect(clean(Version::V5, "wild"));
        for topics in ["#", "+/load", "+/+"] {
            world.subscribe(wild, topics, QoS::AtMostOnce);
        }
        let named = world.connect(clean(Version::V5, "named"));
        world.subscribe(named, "$SYS/#", QoS::AtMostOnce);
        world.retain(publisher, "$SYS/load", "1", QoS::AtMostOnce);
        assert_eq!(world.client(wild).payloads(), [""; 0]);
        assert_eq!(world.client(named).payloads(), ["1"]);
        let late = world.connect(clean(Version::V5, "late"));
        world.subscribe(late, "#", QoS::AtMostOnce);
        assert_eq!(world.client(late).payloads(), [""; 0]);
    });
}

/// [MQTT5-3.3.4-2] [MQTT5-3.3.4-3] [MQTT5-3.3.4-4]
/// Overlapping subscriptions bring one copy, at the highest level, with all their identifiers.
#[test]
fn overlapping_subscriptions_bring_one_copy() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        for (id, topics, qos) in [
            (1, "room/#", QoS::AtMostOnce),
            (2, "room/+", QoS::ExactlyOnce),
            (3, "room/1", QoS::AtLeastOnce),
        ] {
            world.subscribe_with(client, Some(id), Subscription::new(filter(topics), qos));
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            world.publish(publisher, "room/1", "on", qos);
        }
        let levels: Vec<QoS> = world
            .client(client)
            .messages()
            .map(|message| message.qos)
            .collect();
        assert_eq!(levels, [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
        assert_eq!(ids(world, client), [[1, 2, 3], [1, 2, 3], [1, 2, 3]]);
    });
}

/// Subscription identifiers stay with a message through the queue on disk and a crash.
#[test]
fn identifiers_outlast_a_crash() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe_with(
            client,
            Some(7),
            Subscription::new(filter("room/+"), QoS::AtLeastOnce),
        );
        world.drop_connection(client);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        world.crash();
        let client = world.connect(persistent(Version::V5, "client"));
        assert_eq!(ids(world, client), [[7]]);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        assert_eq!(ids(world, client), [[7], [7]]);
    });
}

/// [MQTT5-3.8.4-3] Subscribing again replaces the options and does not add a second subscription.
#[test]
fn subscribing_again_replaces() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V5, "client"));
        world.subscribe_with(
            client,
            Some(1),
            Subscription::new(filter("room"), QoS::AtMostOnce),
        );
        world.subscribe_with(
            client,
            Some(2),
            Subscription::new(filter("room"), QoS::AtLeastOnce),
        );
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        assert_eq!(ids(world, client), [[2]]);
        assert!(
            world
                .client(client)
                .messages()
                .all(|message| message.qos == QoS::AtLeastOnce)
        );
        assert_eq!(world.count(|counters| counters.subscriptions), 1);
    });
}

/// [MQTT5-3.8.3-3] A no-local subscription does not bring one's own messages, and those of others.
#[test]
fn no_local_keeps_ones_own_away() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        let subscription = Subscription {
            no_local: true,
            ..Subscription::new(filter("room"), QoS::AtLeastOnce)
        };
        world.subscribe_with(client, None, subscription);
        let other = world.connect(clean(Version::V5, "other"));
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            world.publish(client, "room", "own", qos);
            world.publish(other, "room", "another's", qos);
        }
        assert_eq!(world.client(client).payloads(), ["another's", "another's"]);
    });
}

/// [MQTT5-3.8.3-3] Of one's own messages a no-local subscription adds nothing to what others bring: no level, no RETAIN, and
/// not its identifier.
#[test]
fn no_local_adds_nothing_to_ones_own() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        let plain = Subscription::new(filter("room/1"), QoS::AtLeastOnce);
        let no_local = Subscription {
            no_local: true,
            retain_as_published: true,
            ..Subscription::new(filter("room/+"), QoS::ExactlyOnce)
        };
        world.subscribe_with(client, Some(1), plain);
        world.subscribe_with(client, Some(2), no_local);
        let other = world.connect(clean(Version::V5, "other"));
        for publisher in [client, other] {
            world.retain(publisher, "room/1", "on", QoS::ExactlyOnce);
            world.retain(publisher, "room/1", "on", QoS::AtMostOnce);
        }
        let messages = world.client(client).messages();
        let told: Vec<_> = messages.map(|message| (message.qos, message.retain)).collect();
        assert_eq!(
            told,
            [
                (QoS::AtLeastOnce, false),
                (QoS::AtMostOnce, false),
                (QoS::ExactlyOnce, true),
                (QoS::AtMostOnce, true)
            ]
        );
        let mut ids = ids(world, client);
        ids.iter_mut().for_each(|ids| ids.sort_unstable());
        assert_eq!(ids, [vec![1], vec![1], vec![1, 2], vec![1, 2]]);
    });
}

/// [MQTT-3.10.4-2] [MQTT311-3.10.4-5] [MQTT5-3.10.4-5]
/// After UNSUBACK nothing new comes; an unknown filter is reported as such.
#[test]
fn unsubscribing_ends_it() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(persistent(version, "client"));
            world.subscribe(client, "room/+", QoS::AtLeastOnce);
            world.unsubscribe(client, "room/+");
            let publisher = world.connect(clean(Version::V5, "publisher"));
            let id = world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
            assert_eq!(
                world.client(publisher).acks().last(),
                Some(("PUBACK", id, ReasonCode::NoMatchingSubscribers))
            );
            assert_eq!(world.client(client).payloads(), [""; 0]);
            world.unsubscribe(client, "room/+");
            if version == Version::V5 {
                assert_eq!(
                    world.client(client).granted(),
                    [ReasonCode::NoSubscriptionExisted]
                );
            }
            world.crash();
            let client = world.connect(persistent(version, "client"));
            let publisher = world.connect(clean(Version::V5, "publisher"));
            world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
            assert_eq!(world.client(client).payloads(), [""; 0]);
            world.connect(clean(version, "client"));
        }
    });
}

/// [MQTT5-3.8.4-6] [MQTT5-3.8.4-7] [MQTT5-3.9.3-1]
/// SUBACK answers each filter in its place, refused ones too.
#[test]
fn suback_answers_each_filter() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V5, "client"));
        let too_deep = vec!["x"; 129].join("/");
        let filters = [
            ("a", QoS::AtMostOnce),
            ("$share/group/a", QoS::AtLeastOnce),
            ("b", QoS::AtLeastOnce),
            (too_deep.as_str(), QoS::AtLeastOnce),
            ("c/#", QoS::ExactlyOnce),
        ];
        let packet_id = world.client_mut(client).take_id();
        let filters = filters
            .map(|(text, qos)| Subscription::new(filter(text), qos))
            .to_vec();
        let user_properties = Vec::new();
        let subscribe = Subscribe {
            packet_id,
            subscription_id: None,
            filters,
            user_properties,
        };
        world.send(client, &Packet::Subscribe(subscribe));
        assert_eq!(
            world.client(client).granted(),
            [
                ReasonCode::Success,
                ReasonCode::GrantedQoS1,
                ReasonCode::GrantedQoS1,
                ReasonCode::TopicFilterInvalid,
                ReasonCode::GrantedQoS2,
            ]
        );
    });
}

/// A subscription is live on every shard when SUBACK leaves, whatever order the mail takes.
#[test]
fn subscription_is_live_when_suback_leaves() {
    everywhere(|world| {
        let publishers: Vec<ClientRef> = (0..8)
            .map(|at| world.connect(clean(Version::V5, &format!("publisher-{at}"))))
            .collect();
        let client = world.connect(clean(Version::V5, "client"));
        world.begin_subscribe(client, None, Subscription::new(filter("room"), QoS::AtMostOnce));
        while world.client(client).granted().is_empty() {
            world.settle_partly(1);
        }
        for publisher in publishers {
            world.begin_publish(publisher, "room", "on", QoS::AtMostOnce);
        }
        world.settle();
        assert_eq!(world.client(client).messages().count(), 8);
    });
}
