//! One client id, two connections: the later one has it.

use broker_core::{
    Departure, Settings, Told,
    testing::{LinkHeard, LinkSpec, World, clean, message, persistent},
};
use mqtt_wire::{Connect, QoS, ReasonCode, Version, Will};

use crate::{VERSIONS, everywhere};

/// [MQTT5-3.1.4-3] A v5 client that is taken over is told so and closed.
#[test]
fn taken_over_client_is_told() {
    everywhere(|world| {
        let old = world.connect(persistent(Version::V5, "lamp"));
        let new = world.connect(persistent(Version::V5, "lamp"));
        assert_eq!(
            world.client(old).disconnected(),
            Some(ReasonCode::SessionTakenOver)
        );
        assert!(!world.client(old).is_connected());
        assert!(world.client(new).is_connected());
        assert_eq!(world.client(new).connack(), Some((ReasonCode::Success, true)));
        assert_eq!(world.count(|counters| counters.takeovers), 1);
        assert_eq!(world.count(|counters| counters.clients_connected), 1);
    });
}

/// [MQTT311-3.1.4-2] A v3.1.1 client that is taken over is closed without a word.
#[test]
fn old_version_is_closed_without_a_word() {
    everywhere(|world| {
        let old = world.connect(persistent(Version::V311, "lamp"));
        world.connect(persistent(Version::V5, "lamp"));
        assert_eq!(world.client(old).disconnected(), None);
        assert!(!world.client(old).is_connected());
    });
}

/// What the old connection did not acknowledge is sent on the new one, with the same ids.
#[test]
fn new_connection_gets_what_the_old_one_left() {
    everywhere(|world| {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let old = world.connect(persistent(Version::V5, "lamp"));
            world.subscribe(old, "room/+", qos);
            world.client_mut(old).acknowledges = false;
            let other = world.connect(clean(Version::V5, "switch"));
            world.publish(other, "room/1", "one", qos);
            world.publish(other, "room/1", "two", qos);
            let before: Vec<_> = world.client(old).messages().cloned().collect();
            assert_eq!(before.len(), 2);
            let new = world.connect(persistent(Version::V5, "lamp"));
            let after: Vec<_> = world.client(new).messages().cloned().collect();
            assert_eq!(after.len(), 2);
            for (before, after) in before.iter().zip(&after) {
                assert_eq!((before.id, &before.payload), (after.id, &after.payload));
                assert!(!before.dup && after.dup);
            }
        }
    });
}

/// A clean session ends when it is taken over.
#[test]
fn clean_session_ends_at_takeover() {
    everywhere(|world| {
        for version in VERSIONS {
            let old = world.connect(clean(version, "lamp"));
            world.subscribe(old, "room/+", QoS::AtMostOnce);
            let new = world.connect(persistent(version, "lamp"));
            assert_eq!(world.client(new).connack(), Some((ReasonCode::Success, false)));
            world.publish(new, "room/1", "on", QoS::AtMostOnce);
            assert_eq!(world.client(new).payloads(), [""; 0]);
            world.connect(clean(version, "lamp"));
        }
    });
}

/// A connection that is taken over before its CONNACK left gets none, and the newer one is served.
#[test]
fn taking_over_one_that_still_connects() {
    everywhere(|world| {
        world.store_answers = false;
        let first = world.connect(persistent(Version::V5, "lamp"));
        let second = world.connect(persistent(Version::V5, "lamp"));
        let third = world.connect(persistent(Version::V5, "lamp"));
        world.store_answers = true;
        world.settle();
        assert_eq!(world.client(first).connack(), None);
        assert_eq!(world.client(second).connack(), None);
        assert_eq!(world.client(third).connack(), Some((ReasonCode::Success, true)));
        assert_eq!(world.count(|counters| counters.clients_connected), 1);
    });
}

/// What the old connection published and was not acknowledged for does not reach the new one's acknowledgements.
#[test]
fn acknowledgements_do_not_cross_over() {
    everywhere(|world| {
        let kept = world.connect(persistent(Version::V5, "kept"));
        world.subscribe(kept, "a", QoS::AtLeastOnce);
        let old = world.connect(clean(Version::V5, "lamp"));
        world.store_answers = false;
        world.begin_message(old, message("a", "old", QoS::AtLeastOnce));
        world.settle();
        let new = world.connect(clean(Version::V5, "lamp"));
        world.store_answers = true;
        world.settle();
        assert_eq!(world.client(new).acks().count(), 0);
        assert_eq!(world.client(old).acks().count(), 0);
        assert_eq!(world.client(kept).payloads(), ["old"]);
    });
}

/// Links hear of the end of the old connection before the beginning of the new one.
#[test]
fn links_hear_the_old_one_leave_first() {
    everywhere(|world: &mut World| {
        world.attach_link(LinkSpec {
            presence: true,
            ..LinkSpec::default()
        });
        world.connect(persistent(Version::V5, "lamp"));
        world.connect(persistent(Version::V5, "lamp"));
        let heard: Vec<&str> = world
            .link_heard
            .iter()
            .map(|heard| match heard {
                LinkHeard::Told(Told::Connected { .. }) => "connected",
                LinkHeard::Told(Told::Departed {
                    why: Departure::TakenOver,
                    ..
                }) => "taken over",
                _ => "something else",
            })
            .collect();
        assert_eq!(heard, ["connected", "taken over", "connected"]);
    });
}

/// A session belongs to the principal that began it: another one with the same client id begins a new session, and gets
/// nothing of what waited.
#[test]
fn another_principal_does_not_get_the_session() {
    everywhere(|world| {
        let mut connect = persistent(Version::V5, "lamp");
        connect.username = Some("ann".into());
        let ann = world.connect(connect.clone());
        world.subscribe(ann, "secret", QoS::AtLeastOnce);
        world.drop_connection(ann);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "secret", "for ann", QoS::AtLeastOnce);
        connect.username = Some("bob".into());
        let bob = world.connect(connect);
        assert_eq!(world.client(bob).connack(), Some((ReasonCode::Success, false)));
        assert_eq!(world.client(bob).payloads(), Vec::<String>::new());
    });
}

/// [MQTT5-3.1.2-8] [MQTT5-3.1.4-4] A clean start ends the session of a connected client, and its will does not wait longer.
#[test]
fn clean_start_at_takeover_publishes_a_will_that_would_wait() {
    everywhere(|world| {
        let watcher = world.connect(clean(Version::V5, "watcher"));
        world.subscribe(watcher, "lost", QoS::AtMostOnce);
        let old = world.connect(Connect {
            will: Some(Will {
                topic: "lost".into(),
                payload: b"gone".to_vec(),
                qos: QoS::AtMostOnce,
                retain: false,
                delay_secs: 3600,
                properties: Vec::new(),
            }),
            ..persistent(Version::V5, "lamp")
        });
        let new = world.connect(clean(Version::V5, "lamp"));
        assert_eq!(world.client(new).connack(), Some((ReasonCode::Success, false)));
        assert!(!world.client(old).is_connected());
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
    });
}

/// Two clients fight for one id, thousands of times, each before what the other began has come to rest. Afterwards the last
/// one is served, every message has arrived and none twice, and nothing of the fight is left.
#[test]
fn two_that_fight_for_one_id_wedge_nothing() {
    const ROUNDS: usize = 3000;
    for (seed, shards) in [(1, 1), (2, 2), (3, 4)] {
        let mut world = World::with(seed, shards, Settings::default());
        let publisher = world.connect(clean(Version::V311, "publisher"));
        let mut lamp = world.connect(persistent(Version::V5, "lamp"));
        world.subscribe(lamp, "room/+", QoS::ExactlyOnce);
        let mut fighters = vec![lamp];
        for round in 0..ROUNDS {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][round % 2];
            world.begin_publish(publisher, "room/light", &round.to_string(), qos);
            let steps = world.dice().below(12);
            world.settle_partly(steps);
            match world.dice().below(8) {
                0 => world.begin_drop(lamp),
                1 => world.settle(),
                _ => {}
            }
            lamp = world.begin_connect(persistent(VERSIONS[round % 2], "lamp"));
            fighters.push(lamp);
        }
        world.settle();

        assert!(world.client(lamp).is_connected());
        assert_eq!(world.client(lamp).connack(), Some((ReasonCode::Success, true)));
        assert_eq!(world.count(|counters| counters.clients_connected), 2);
        let mut first_sent = vec![0; ROUNDS];
        let mut heard = vec![0; ROUNDS];
        for fighter in &fighters {
            for message in world.client(*fighter).messages() {
                let round: usize = str::from_utf8(&message.payload).unwrap().parse().unwrap();
                heard[round] += 1;
                first_sent[round] += usize::from(!message.dup);
            }
        }
        assert!(heard.iter().all(|times| *times > 0));
        assert!(first_sent.iter().all(|times| *times <= 1));
        assert!(world.count(|counters| counters.takeovers) > ROUNDS as u64 / 2);

        world.connect(clean(Version::V5, "lamp"));
        assert_eq!(world.deadlines(), 0);
        assert!(world.disk().is_empty());
    }
}
