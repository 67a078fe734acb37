//! Memory is short: publishers wait, receivers that lag lose what nobody promised them, and it ends at once.

use std::{num::NonZeroU32, time::Duration};

use broker_core::{
    Entrance, Outbox, Overload, Settings,
    testing::{ClientRef, World, clean, persistent},
};
use mqtt_wire::{Ack, Packet, QoS, Version};

use crate::{VERSIONS, everywhere, everywhere_with};

/// A listener at the highest level, and how many messages of so many have come to it by now.
fn heard(world: &World, listener: ClientRef) -> usize {
    world.client(listener).messages().count()
}

fn listen(world: &mut World) -> ClientRef {
    let listener = world.connect(clean(Version::V5, "listener"));
    world.subscribe(listener, "room", QoS::ExactlyOnce);
    listener
}

/// Who publishes above QoS 0 is read at a few messages a second; all come, each is acknowledged, and nobody is taken for
/// silent.
#[test]
fn publishers_are_slowed() {
    everywhere(|world| {
        for (version, qos) in VERSIONS
            .iter()
            .flat_map(|version| [(*version, QoS::AtLeastOnce), (*version, QoS::ExactlyOnce)])
        {
            let listener = listen(world);
            world.tell_of_overload(Overload::Slowing);
            let mut connect = clean(version, "publisher");
            connect.keep_alive_secs = 2;
            let publisher = world.connect(connect);
            for _ in 0..50 {
                world.publish(publisher, "room", "on", qos);
            }
            for second in 0..4 {
                let expected = 10 + 10 * second;
                let count = heard(world, listener);
                assert!(count.abs_diff(expected) <= 6, "{count} after {second} s");
                world.pass(Duration::from_secs(1));
            }
            world.pass(Duration::from_secs(2));
            assert_eq!(heard(world, listener), 50);
            assert!(world.client(publisher).is_connected());
            let last = if qos == QoS::AtLeastOnce {
                "PUBACK"
            } else {
                "PUBCOMP"
            };
            let acks = world.client(publisher).acks();
            assert_eq!(acks.filter(|(name, ..)| *name == last).count(), 50);
            world.tell_of_overload(Overload::Calm);
        }
        assert!(world.count(|counters| counters.slowed_by_overload) > 0);
        assert_eq!(world.count(|counters| counters.slowed_publishers), 0);
    });
}

/// Bytes are limited as well, so that few long messages do not do what many short ones may not.
#[test]
fn publishers_of_long_messages_are_slowed() {
    everywhere(|world| {
        let listener = listen(world);
        world.tell_of_overload(Overload::Slowing);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        let payload = "x".repeat(512 * 1024);
        for _ in 0..3 {
            world.publish(publisher, "room", &payload, QoS::AtLeastOnce);
        }
        assert_eq!(heard(world, listener), 1);
        world.pass(Duration::from_secs(2));
        assert_eq!(heard(world, listener), 2);
        world.pass(Duration::from_secs(2));
        assert_eq!(heard(world, listener), 3);
    });
}

/// When memory is there again what a publisher has sent is read at once.
#[test]
fn slowing_ends_at_once() {
    everywhere(|world| {
        let listener = listen(world);
        world.tell_of_overload(Overload::Refusing);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for _ in 0..50 {
            world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        }
        assert!(heard(world, listener) < 20);
        world.tell_of_overload(Overload::Dropping);
        assert!(heard(world, listener) < 20);
        world.tell_of_overload(Overload::Calm);
        assert_eq!(heard(world, listener), 50);
        let slowed = world.count(|counters| counters.slowed_by_overload);
        for _ in 0..50 {
            world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        }
        assert_eq!(heard(world, listener), 100);
        assert_eq!(world.count(|counters| counters.slowed_by_overload), slowed);
        // Again after that, with a moment that was set before still to come.
        world.tell_of_overload(Overload::Slowing);
        for _ in 0..50 {
            world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        }
        assert!(heard(world, listener) < 120);
        world.pass(Duration::from_secs(6));
        assert_eq!(heard(world, listener), 150);
    });
}

/// A limit that holds anyway goes on when the shortage is over.
#[test]
fn limit_of_a_client_outlasts_the_shortage() {
    let settings = Settings::by(Entrance {
        messages_per_second_max: NonZeroU32::new(1),
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        let listener = listen(world);
        world.tell_of_overload(Overload::Slowing);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for _ in 0..20 {
            world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        }
        world.tell_of_overload(Overload::Calm);
        assert!(heard(world, listener) <= 3);
        world.pass(Duration::from_secs(10));
        assert!((10..=13).contains(&heard(world, listener)));
    });
}

/// Those who publish at QoS 0 only, and those who only receive, are read as ever.
#[test]
fn others_are_not_slowed() {
    everywhere(|world| {
        let listener = listen(world);
        let persistent = world.connect(persistent(Version::V5, "persistent"));
        world.subscribe(persistent, "room", QoS::AtLeastOnce);
        world.tell_of_overload(Overload::Slowing);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for _ in 0..100 {
            world.publish(publisher, "room", "on", QoS::AtMostOnce);
        }
        for name in 0..50 {
            let publisher = world.connect(clean(Version::V5, &format!("publisher-{name}")));
            world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        }
        // More than are under way at once, so acknowledgements were taken.
        assert_eq!(heard(world, listener), 150);
        assert_eq!(heard(world, persistent), 150);
        assert_eq!(world.count(|counters| counters.slowed_by_overload), 0);
    });
}

const LONG: usize = 10_000;

/// One that reads nothing, with twice as much unsent as a receiver may lag behind; what it was sent, and what it lost.
fn flood_a_sleeper(world: &mut World, overload: Overload) -> (usize, u64) {
    let sleeper = world.connect(clean(Version::V5, "sleeper"));
    let quick = world.connect(clean(Version::V5, "quick"));
    for client in [sleeper, quick] {
        world.subscribe(client, "room", QoS::AtMostOnce);
    }
    world.client_mut(sleeper).reads = false;
    world.tell_of_overload(overload);
    let publisher = world.connect(clean(Version::V5, "publisher"));
    let payload = "x".repeat(LONG);
    let count = 2 * Outbox::HIGH_WATER / LONG;
    for _ in 0..count {
        world.publish(publisher, "room", &payload, QoS::AtMostOnce);
    }
    assert_eq!(heard(world, quick), count, "whoever reads loses nothing");
    world.read_again(sleeper);
    let lost = world.count(|counters| counters.dropped_overload);
    assert_eq!(heard(world, sleeper) as u64 + lost, count as u64);
    assert_eq!(world.count(|counters| counters.dropped_slow_reader), 0);
    (heard(world, sleeper), lost)
}

#[test]
fn receiver_that_lags_loses_messages_at_zero() {
    everywhere(|world| {
        let (got, lost) = flood_a_sleeper(world, Overload::Dropping);
        assert!(lost > 0);
        assert_eq!(got, Outbox::HIGH_WATER / LONG + 1);
    });
}

#[test]
fn receiver_that_lags_loses_nothing_before_that_stage() {
    everywhere(|world| assert_eq!(flood_a_sleeper(world, Overload::Slowing).1, 0));
}

/// What need not be kept is not put behind much that waits for a client's acknowledgements; what was promised is.
#[test]
fn queues_take_no_more_at_zero_and_go_on_above() {
    everywhere(|world| {
        for connect in [
            clean(Version::V5, "sleeper"),
            persistent(Version::V311, "sleeper"),
        ] {
            let lost_before = world.count(|counters| counters.dropped_overload);
            let sleeper = world.connect(connect);
            world.subscribe(sleeper, "room", QoS::AtLeastOnce);
            world.client_mut(sleeper).acknowledges = false;
            world.tell_of_overload(Overload::Dropping);
            let payload = "x".repeat(LONG);
            let above = 32 + Outbox::HIGH_WATER / LONG + 1; // As many are under way.
            for name in 0..above {
                let publisher = world.connect(clean(Version::V5, &format!("publisher-{name}")));
                world.publish(publisher, "room", &payload, QoS::AtLeastOnce);
                world.drop_connection(publisher);
            }
            let publisher = world.connect(clean(Version::V5, "publisher"));
            for _ in 0..10 {
                world.publish(publisher, "room", "at zero", QoS::AtMostOnce);
            }
            let lost = world.count(|counters| counters.dropped_overload) - lost_before;
            assert_eq!(lost, 10);
            world.publish(publisher, "room", "last", QoS::AtLeastOnce);
            world.client_mut(sleeper).acknowledges = true;
            world.tell_of_overload(Overload::Calm);
            world.drop_connection(sleeper);
        }
        let sleeper = world.connect(persistent(Version::V311, "sleeper"));
        let payloads = world.client(sleeper).payloads();
        assert_eq!(payloads.last().map(String::as_str), Some("last"));
        assert_eq!(world.count(|counters| counters.dropped_queue_full), 0);
    });
}

/// Retained messages at QoS 0 are on nobody's way: for who lags behind they wait where they are, and nothing of them is lost.
#[test]
fn retained_messages_wait_for_who_lags_behind() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for name in 0..5 {
            world.retain(publisher, &format!("kept/{name}"), "kept", QoS::AtLeastOnce);
        }
        let sleeper = world.connect(clean(Version::V5, "sleeper"));
        world.subscribe(sleeper, "room", QoS::AtLeastOnce);
        world.client_mut(sleeper).acknowledges = false;
        let payload = "x".repeat(LONG);
        for _ in 0..32 + Outbox::HIGH_WATER / LONG + 1 {
            world.publish(publisher, "room", &payload, QoS::AtLeastOnce);
        }
        world.tell_of_overload(Overload::Dropping);
        world.subscribe(sleeper, "kept/+", QoS::AtMostOnce);
        assert_eq!(world.count(|counters| counters.dropped_overload), 0);
        world.tell_of_overload(Overload::Calm);
        let ids: Vec<_> = world
            .client(sleeper)
            .messages()
            .filter_map(|message| message.id)
            .collect();
        world.client_mut(sleeper).acknowledges = true;
        for id in ids {
            world.send(sleeper, &Packet::PubAck(Ack::new(id)));
        }
        let kept = world.client(sleeper).payloads();
        assert_eq!(kept.iter().filter(|payload| *payload == "kept").count(), 5);
    });
}
