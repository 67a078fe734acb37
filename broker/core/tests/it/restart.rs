//! What a process finds of the one before it: sessions, whatever the number of shards, and damage.

use std::time::Duration;

use broker_core::{
    Batch, Settings, Shelf,
    testing::{World, clean, persistent},
};
use mqtt_wire::{QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere};

/// Sessions, subscriptions and waiting messages are found again by another number of shards.
#[test]
fn another_number_of_shards_finds_everything() {
    for (before, after) in [(1, 4), (4, 1), (3, 2), (2, 8)] {
        let mut world = World::with(7, before, Settings::default());
        let names: Vec<String> = (0..20).map(|at| format!("client-{at}")).collect();
        for name in &names {
            let client = world.connect(persistent(Version::V5, name));
            world.subscribe(client, "room/+", QoS::ExactlyOnce);
            world.drop_connection(client);
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "before", QoS::AtLeastOnce);
        world.retain(publisher, "kept", "on", QoS::AtLeastOnce);
        world.crash_into(after);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "after", QoS::ExactlyOnce);
        for name in &names {
            let client = world.connect(persistent(Version::V5, name));
            assert_eq!(world.client(client).connack(), Some((ReasonCode::Success, true)));
            assert_eq!(world.client(client).payloads(), ["before", "after"]);
        }
        assert_eq!(world.disk().len(Shelf::Bodies), 0);
        for name in &names {
            world.connect(clean(Version::V5, name));
        }
        assert_eq!(world.disk().len(Shelf::Retained), 1);
        assert_eq!(
            world.disk().len(Shelf::Sessions) + world.disk().len(Shelf::Queue),
            0
        );
    }
}

/// What was sent and not acknowledged before a crash is sent again with DUP; what was acknowledged is not.
#[test]
fn unacknowledged_messages_come_again_after_a_crash() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(persistent(version, "client"));
            world.subscribe(client, "room", QoS::AtLeastOnce);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            world.publish(publisher, "room", "acknowledged", QoS::AtLeastOnce);
            world.client_mut(client).acknowledges = false;
            world.publish(publisher, "room", "lost", QoS::AtLeastOnce);
            world.crash();
            world.crash();
            let client = world.connect(persistent(version, "client"));
            let messages: Vec<_> = world.client(client).messages().cloned().collect();
            assert_eq!(messages.len(), 1);
            assert_eq!(messages[0].payload, b"lost");
            assert!(messages[0].dup);
            world.connect(clean(version, "client"));
        }
    });
}

/// The same if the client had left before the crash.
#[test]
fn message_sent_on_an_earlier_connection_comes_with_dup() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        world.client_mut(client).acknowledges = false;
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room", "sent", QoS::AtLeastOnce);
        world.drop_connection(client);
        world.publish(publisher, "room", "waits", QoS::AtLeastOnce);
        world.crash();
        let client = world.connect(persistent(Version::V5, "client"));
        let dup: Vec<_> = world
            .client(client)
            .messages()
            .map(|message| (message.payload.clone(), message.dup))
            .collect();
        assert_eq!(dup, [(b"sent".to_vec(), true), (b"waits".to_vec(), false)]);
    });
}

/// An empty disk, and one that only clean sessions have used, leave nothing to find.
#[test]
fn clean_sessions_leave_no_trace() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(clean(version, "client"));
            world.subscribe(client, "room", QoS::ExactlyOnce);
            world.publish(client, "room", "on", QoS::ExactlyOnce);
        }
        assert!(world.disk().is_empty());
        world.crash();
        assert_eq!(
            world.count(|counters| counters.sessions + counters.damaged_messages),
            0
        );
    });
}

/// Damage on any shelf keeps the broker neither from starting nor from serving those it did not touch.
#[test]
fn damage_never_prevents_a_start() {
    for shelf in Shelf::ALL {
        for seed in 0..40 {
            let mut world = World::with(seed, 2, Settings::default());
            for name in ["one", "two", "three"] {
                let client = world.connect(persistent(Version::V5, name));
                world.subscribe(client, "room/+", QoS::ExactlyOnce);
                world.client_mut(client).acknowledges = false;
                let publisher = world.connect(persistent(Version::V5, "publisher"));
                for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    world.publish(publisher, "room/1", "on", qos);
                    world.retain(publisher, "kept", "on", qos);
                }
            }
            let mut dice = world.dice().clone();
            for value in world.disk_mut().values_mut(shelf) {
                match dice.below(4) {
                    0 => value.truncate(dice.below(value.len() + 1)),
                    1 if !value.is_empty() => {
                        let at = dice.below(value.len());
                        value[at] ^= 1 << dice.below(8);
                    }
                    2 => value.fill(0xff),
                    _ => {}
                }
            }
            world.crash();
            for name in ["one", "two", "three", "publisher"] {
                let client = world.connect(persistent(Version::V5, name));
                assert_eq!(world.client(client).connack().unwrap().0, ReasonCode::Success);
                world.subscribe(client, "new", QoS::ExactlyOnce);
            }
            let publisher = world.connect(clean(Version::V5, "another"));
            world.publish(publisher, "new", "served", QoS::ExactlyOnce);
            let client = world.connect(persistent(Version::V5, "one"));
            world.subscribe(client, "new", QoS::ExactlyOnce);
            world.publish(publisher, "new", "served", QoS::ExactlyOnce);
            assert!(
                world.client(client).payloads().contains(&"served".to_owned()),
                "{shelf:?} {seed}"
            );
            world.crash();
        }
    }
}

/// A damaged message is counted and passed over; those around it come.
#[test]
fn damaged_message_is_passed_over() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        world.drop_connection(client);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for payload in ["one", "two", "three"] {
            world.publish(publisher, "room", payload, QoS::AtLeastOnce);
        }
        world
            .disk_mut()
            .values_mut(Shelf::Queue)
            .nth(1)
            .unwrap()
            .truncate(3);
        world.crash();
        let client = world.connect(persistent(Version::V5, "client"));
        assert_eq!(world.client(client).payloads(), ["one", "three"]);
        assert_eq!(world.count(|counters| counters.damaged_messages), 1);
        assert_eq!(world.count(|counters| counters.queued_messages), 0);
    });
}

/// What nothing refers to any more goes, be it that the store is full at the start.
#[test]
fn orphans_go_when_the_store_has_room_again() {
    everywhere(|world| {
        let mut batch = Batch::default();
        batch.put(Shelf::Bodies, &77_u64.to_be_bytes(), b"nobody waits for it");
        world.disk_mut().write(&batch);
        world.store_full = true;
        world.crash();
        assert!(!world.disk().is_empty());
        world.store_full = false;
        world.pass(Duration::from_secs(2));
        assert!(world.disk().is_empty());
    });
}
