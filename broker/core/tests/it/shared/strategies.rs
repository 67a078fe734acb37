//! Whom a group chooses.

use std::collections::BTreeMap;

use broker_core::{
    Settings, SharedStrategy,
    testing::{ClientRef, World, clean},
};
use mqtt_wire::{QoS, Version};

use super::{LEVELS, all, counts, members, numbers, publish_numbers, publisher};
use crate::everywhere_with;

fn with(strategy: SharedStrategy, story: impl Fn(&mut World)) {
    let settings = Settings {
        shared_strategy: strategy,
        ..Settings::default()
    };
    everywhere_with(&settings, story);
}

/// Which of them got which text.
fn receivers(world: &World, clients: &[ClientRef]) -> BTreeMap<String, Vec<usize>> {
    let mut receivers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, client) in clients.iter().enumerate() {
        for payload in world.client(*client).payloads() {
            receivers.entry(payload).or_default().push(at);
        }
    }
    receivers
}

/// In turn, a member that has as much as it may is passed over.
#[test]
fn round_robin_passes_over_the_busy() {
    let settings = Settings {
        inflight_max: 2,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let group = members(world, 3, QoS::AtLeastOnce);
        world.client_mut(group[1]).acknowledges = false;
        let publisher = publisher(world);
        publish_numbers(world, publisher, 26, QoS::AtLeastOnce);
        assert_eq!(numbers(world, &group), all(26));
        assert_eq!(counts(world, &group), [12, 2, 12]);
    });
}

#[test]
fn random_reaches_everybody_sometimes() {
    with(SharedStrategy::Random, |world| {
        let group = members(world, 4, QoS::AtLeastOnce);
        let publisher = publisher(world);
        publish_numbers(world, publisher, 200, QoS::AtLeastOnce);
        assert_eq!(numbers(world, &group), all(200));
        for count in counts(world, &group) {
            assert!((25..80).contains(&count), "{count} of 200 among four");
        }
    });
}

#[test]
fn sticky_stays_with_one_until_it_leaves() {
    with(SharedStrategy::Sticky, |world| {
        for qos in LEVELS {
            let mut group = members(world, 3, qos);
            let publisher = publisher(world);
            while !group.is_empty() {
                publish_numbers(world, publisher, 5, qos);
                let counts = counts(world, &group);
                let chosen = counts.iter().position(|count| *count > 0).unwrap();
                assert_eq!(counts.iter().sum::<usize>(), 5);
                assert_eq!(counts[chosen], 5);
                world.drop_connection(group.remove(chosen));
            }
        }
    });
}

#[test]
fn least_inflight_spares_the_slow() {
    with(SharedStrategy::LeastInflight, |world| {
        let group = members(world, 3, QoS::AtLeastOnce);
        world.client_mut(group[0]).acknowledges = false;
        let publisher = publisher(world);
        publish_numbers(world, publisher, 31, QoS::AtLeastOnce);
        assert_eq!(numbers(world, &group), all(31));
        assert_eq!(counts(world, &group), [1, 15, 15]);
    });
}

#[test]
fn hash_client_keeps_a_publisher_together() {
    with(SharedStrategy::HashClient, |world| {
        let group = members(world, 3, QoS::ExactlyOnce);
        for at in 0..24 {
            let name = format!("publisher-{at}");
            let publisher = world.connect(clean(Version::V5, &name));
            for qos in LEVELS {
                world.publish(publisher, &format!("room/{}", qos as u8), &name, qos);
            }
        }
        let receivers = receivers(world, &group);
        assert_eq!(receivers.len(), 24);
        for (name, at) in receivers {
            assert!(
                at.len() == 3 && at.iter().all(|same| *same == at[0]),
                "{name}: {at:?}"
            );
        }
        assert!(counts(world, &group).iter().all(|count| *count > 0));
    });
}

/// When a member goes, only what was its own goes to others.
#[test]
fn hash_topic_keeps_a_topic_together() {
    with(SharedStrategy::HashTopic, |world| {
        let group = members(world, 4, QoS::AtLeastOnce);
        let publisher = publisher(world);
        let round = |world: &mut World| {
            for at in 0..24 {
                let topic = format!("room/{at}");
                world.publish(publisher, &topic, &topic, QoS::AtLeastOnce);
                world.publish(publisher, &topic, &topic, QoS::AtMostOnce);
            }
        };
        round(world);
        let before = receivers(world, &group);
        assert_eq!(before.len(), 24);
        for at in before.values() {
            assert!(at.len() == 2 && at[0] == at[1], "{at:?}");
        }
        world.drop_connection(group[2]);
        round(world);
        for (topic, at) in receivers(world, &group) {
            let first = before[&topic][0];
            if first == 2 {
                let later: Vec<_> = at.iter().filter(|at| **at != 2).collect();
                assert!(later.len() == 2 && later[0] == later[1]);
            } else {
                assert_eq!(at, [first; 4]);
            }
        }
    });
}
