//! Limits on what a client may publish in a second: it is read more slowly, nothing is lost and nobody else waits.

use std::{num::NonZeroU32, time::Duration};

use broker_core::{
    Entrance, Settings,
    testing::{World, clean},
};
use mqtt_wire::{QoS, Version};

use crate::{everywhere, everywhere_with};

fn limited(messages: u32, bytes: u32) -> Settings {
    Settings::by(Entrance {
        messages_per_second_max: NonZeroU32::new(messages),
        bytes_per_second_max: NonZeroU32::new(bytes),
        ..Entrance::default()
    })
}

/// How many of 1000 messages have come after each of some seconds, from a client that sends all at once.
fn come_by(world: &mut World, payload: &str, seconds: usize) -> Vec<usize> {
    let listener = world.connect(clean(Version::V5, "listener"));
    world.subscribe(listener, "room", QoS::AtMostOnce);
    let publisher = world.connect(clean(Version::V5, "publisher"));
    for _ in 0..1000 {
        world.publish(publisher, "room", payload, QoS::AtMostOnce);
    }
    let mut counts = vec![world.client(listener).messages().count()];
    for _ in 0..seconds {
        world.pass(Duration::from_secs(1));
        counts.push(world.client(listener).messages().count());
    }
    counts
}

#[test]
fn unlimited_client_is_not_slowed() {
    everywhere(|world| assert_eq!(come_by(world, "on", 0), [1000]));
}

/// A burst of a second's worth passes at once, then the rate holds; all come in the end.
#[test]
fn messages_come_at_the_rate() {
    everywhere_with(&limited(100, 0), |world| {
        let counts = come_by(world, "on", 12);
        for (second, count) in counts.iter().enumerate().take(9) {
            let expected = 100 + 100 * second;
            assert!(count.abs_diff(expected) <= 51, "{counts:?}");
        }
        assert_eq!(counts.last(), Some(&1000));
    });
}

#[test]
fn bytes_come_at_the_rate() {
    everywhere_with(&limited(0, 100 * 104), |world| {
        let counts = come_by(world, &"x".repeat(100), 12);
        for (second, count) in counts.iter().enumerate().take(9) {
            let expected = 100 + 100 * second;
            assert!(count.abs_diff(expected) <= 51, "{counts:?}");
        }
        assert_eq!(counts.last(), Some(&1000));
    });
}

/// One client at its limit costs another nothing, and is not taken for silent.
#[test]
fn others_are_not_slowed() {
    everywhere_with(&limited(1, 0), |world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::AtMostOnce);
        let mut connect = clean(Version::V5, "greedy");
        connect.keep_alive_secs = 2;
        let greedy = world.connect(connect);
        for _ in 0..10 {
            world.publish(greedy, "other", "on", QoS::AtMostOnce);
        }
        let modest = world.connect(clean(Version::V5, "modest"));
        world.publish(modest, "room", "on", QoS::AtMostOnce);
        assert_eq!(world.client(listener).messages().count(), 1);
        for _ in 0..8 {
            world.pass(Duration::from_secs(1));
            assert!(world.client(greedy).is_connected());
        }
    });
}

/// Whoever was silent has saved up no more than a second's worth.
#[test]
fn silence_saves_up_a_second() {
    everywhere_with(&limited(10, 0), |world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::AtMostOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.pass(Duration::from_secs(3600));
        for _ in 0..100 {
            world.publish(publisher, "room", "on", QoS::AtMostOnce);
        }
        let came = world.client(listener).messages().count();
        assert!((10..=11).contains(&came), "{came}");
    });
}
