//! Where things live among several shards.

use broker_core::{
    Settings, ShardId,
    testing::{World, clean, filter, message},
};
use mqtt_wire::{Properties, Property, Publish, QoS, Subscription, Version, put_property};

/// Names that differ only at their end, as device names do, are spread evenly.
#[test]
fn similar_names_are_spread() {
    for shards in [2_u16, 3, 4, 8, 16] {
        let mut counts = vec![0; usize::from(shards)];
        for at in 0..10_000 {
            counts[usize::from(ShardId::of(&format!("device-{at:04}"), shards).0)] += 1;
        }
        let even = 10_000 / i32::from(shards);
        assert!(
            counts
                .iter()
                .all(|count| (even * 8 / 10..even * 12 / 10).contains(count)),
            "{counts:?}"
        );
    }
}

/// A name's home is the same in every release.
#[test]
fn home_of_a_name_never_changes() {
    let homes = ["", "lamp", "device-0001", "room/1"].map(|name| ShardId::of(name, 1000).0);
    assert_eq!(homes, [144, 849, 917, 732]);
}

/// A subscription is live on every shard when its SUBACK leaves, though another session had brought the filter just before.
#[test]
fn second_subscription_of_a_filter_waits_for_the_first() {
    for seed in 0..200 {
        let mut world = World::with(seed, 4, Settings::default());
        let publishers: Vec<_> = (0..8)
            .map(|at| world.connect(clean(Version::V5, &format!("publisher-{at}"))))
            .collect();
        let listeners: Vec<_> = (0..8)
            .map(|at| world.connect(clean(Version::V5, &format!("listener-{at}"))))
            .collect();
        for listener in &listeners {
            world.begin_subscribe(
                *listener,
                None,
                Subscription::new(filter("room"), QoS::AtMostOnce),
            );
        }
        while listeners
            .iter()
            .all(|listener| world.client(*listener).granted().is_empty())
        {
            world.settle_partly(1);
        }
        let live: Vec<_> = listeners
            .into_iter()
            .filter(|listener| !world.client(*listener).granted().is_empty())
            .collect();
        for publisher in publishers {
            world.begin_publish(publisher, "room", "on", QoS::AtMostOnce);
        }
        world.settle();
        for listener in live {
            assert_eq!(world.client(listener).messages().count(), 8);
        }
    }
}

/// Messages of one round to a client on another shard arrive whole and in their order: small and large, with properties
/// and without, whatever their topic.
#[test]
fn messages_of_one_round_keep_their_order_and_content() {
    for seed in 0..100 {
        let mut world = World::with(seed, 4, Settings::default());
        let listeners: Vec<_> = (0..4)
            .map(|at| world.connect(clean(Version::V5, &format!("listener-{at}"))))
            .collect();
        for listener in &listeners {
            world.subscribe(*listener, "#", QoS::AtMostOnce);
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.long_rounds = true;
        let mut sent = Vec::new();
        for at in 0..60 {
            let len = [0, 1, 30, 1000, 5000][world.dice().below(5)];
            let payload = format!("{at}{}", "x".repeat(len));
            let topic = ["room", "hall"][usize::from(world.dice().one_in(5))];
            let mut block = Vec::new();
            if world.dice().one_in(2) {
                put_property(&mut block, &Property::UserProperty("at", &payload)).unwrap();
            }
            if world.dice().one_in(3) {
                put_property(&mut block, &Property::MessageExpiryInterval(90)).unwrap();
            }
            let publish = Publish {
                properties: Properties::parse_publish(&block).unwrap(),
                ..message(topic, &payload, QoS::AtMostOnce)
            };
            world.begin_message(publisher, publish);
            sent.push((topic, payload, block));
        }
        world.long_rounds = false;
        world.settle();
        for listener in listeners {
            for (got, (topic, payload, block)) in world.client(listener).messages().zip(&sent) {
                assert_eq!(
                    (got.topic.as_str(), &got.payload[..]),
                    (*topic, payload.as_bytes())
                );
                let [got, sent] =
                    [&got.properties, block].map(|block| Properties::parse_publish(block).unwrap());
                assert!(got.user_properties().eq(sent.user_properties()));
                assert_eq!(got.message_expiry_secs(), sent.message_expiry_secs());
            }
            assert_eq!(
                world.client(listener).messages().count(),
                sent.len(),
                "seed {seed}"
            );
        }
    }
}
