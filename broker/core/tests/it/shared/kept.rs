//! Groups with members whose sessions outlive their connections.

use broker_core::{
    Settings, ShardId, Shelf,
    testing::{ClientRef, World, clean, filter, persistent},
};
use mqtt_wire::{Ack, Connect, Packet, QoS, ReasonCode, Subscription, Version};

use super::{GROUP, all, counts, member, numbers, publish_numbers, publisher};
use crate::{everywhere, everywhere_with};

fn kept_member(world: &mut World, name: &str, qos: QoS) -> ClientRef {
    let client = world.connect(persistent(Version::V5, name));
    world.subscribe(client, GROUP, qos);
    client
}

fn back(world: &mut World, name: &str) -> ClientRef {
    world.connect(persistent(Version::V5, name))
}

/// While nobody is there the group keeps what it is sent, also over crashes and other numbers of shards.
#[test]
fn absent_group_keeps_its_messages() {
    everywhere(|world| {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for name in ["one", "two"] {
                let client = kept_member(world, name, QoS::ExactlyOnce);
                world.drop_connection(client);
            }
            let publisher = publisher(world);
            publish_numbers(world, publisher, 10, qos);
            assert_eq!(world.disk().len(Shelf::Queue), 10);
            let shards = world.shards();
            world.crash_into(shards % 4 + 1);
            let one = back(world, "one");
            let two = back(world, "two");
            assert_eq!(numbers(world, &[one, two]), all(10));
            for name in ["one", "two"] {
                world.connect(clean(Version::V5, name));
            }
            assert_eq!(world.disk().len(Shelf::Queue), 0);
            assert_eq!(world.disk().len(Shelf::Sessions), 0);
            world.crash_into(shards);
        }
    });
}

/// A group that was just begun when the process died has what was acknowledged for it, if it has its member.
#[test]
fn new_group_survives_with_its_messages() {
    let mut survivors = 0;
    for seed in 1..=2000 {
        let mut world = World::with(seed, 4, Settings::default());
        let publishers: Vec<ClientRef> = (0..6)
            .map(|at| world.connect(clean(Version::V5, &format!("publisher-{at}"))))
            .collect();
        let client = world.connect(persistent(Version::V5, &format!("client-{seed}")));
        world.begin_subscribe(client, None, Subscription::new(filter(GROUP), QoS::AtLeastOnce));
        let mut sent = Vec::new();
        for at in 0..world.dice().below(24) {
            let publisher = publishers[at % 6];
            let id = world.begin_publish(publisher, "room/1", &at.to_string(), QoS::AtLeastOnce);
            sent.push((publisher, id, at.to_string()));
            world.settle_partly(8);
        }
        let before = world.client(client).payloads();
        world.crash();
        let publisher = publisher(&mut world);
        world.publish(publisher, "room/1", "probe", QoS::AtLeastOnce);
        let client = back(&mut world, &format!("client-{seed}"));
        let after = world.client(client).payloads();
        if !after.contains(&"probe".to_owned()) {
            continue;
        }
        survivors += 1;
        for (publisher, id, payload) in sent {
            let mut acks = world.client(publisher).acks();
            let promised = acks.any(|(_, known, reason)| known == id && reason == ReasonCode::Success);
            let came = before.contains(&payload) || after.contains(&payload);
            assert!(came || !promised, "{payload} is lost");
        }
    }
    assert!(survivors > 500, "{survivors}");
}

/// A group that is not on disk yet is sent nothing, though its member is: a message that was acknowledged for it would be lost.
#[test]
fn group_is_kept_before_anything_is_kept_for_it() {
    let home = |name: &str| usize::from(ShardId::of(name, 4).0);
    for seed in 1..=20 {
        for waits_for_group in [true, false] {
            let mut world = World::with(seed, 4, Settings::default());
            let mut names = (0..).map(|at| format!("client-{at}"));
            let name = names.find(|name| home(name) != home(GROUP)).unwrap();
            let client = back(&mut world, &name);
            let publishers: Vec<ClientRef> = (0..6)
                .map(|at| world.connect(clean(Version::V5, &format!("publisher-{at}"))))
                .collect();
            world.store_stalls_for = Some(home(if waits_for_group { GROUP } else { &name }));
            world.begin_subscribe(client, None, Subscription::new(filter(GROUP), QoS::AtLeastOnce));
            world.settle();
            assert_eq!(
                world.client(client).granted(),
                [],
                "one of the two is not on disk"
            );
            if waits_for_group {
                for publisher in publishers {
                    world.publish(publisher, "room/1", "early", QoS::AtLeastOnce);
                    let reasons: Vec<_> = world.client(publisher).acks().map(|ack| ack.2).collect();
                    assert_eq!(reasons, [ReasonCode::NoMatchingSubscribers]);
                }
            }
            world.store_stalls_for = None;
            world.settle();
            assert_eq!(world.client(client).granted(), [ReasonCode::GrantedQoS1]);
        }
    }
}

/// A message at QoS 1 that a member had when the process died is handed out again, with DUP.
#[test]
fn unacknowledged_messages_come_again_after_a_crash() {
    everywhere(|world| {
        let silent = kept_member(world, "silent", QoS::AtLeastOnce);
        world.client_mut(silent).acknowledges = false;
        let publisher = publisher(world);
        publish_numbers(world, publisher, 5, QoS::AtLeastOnce);
        world.crash();
        let other = member(world, "other", QoS::AtLeastOnce);
        assert_eq!(numbers(world, &[other]), all(5));
        assert!(world.client(other).messages().all(|message| message.dup));
        world.crash();
        let silent = back(world, "silent");
        assert_eq!(counts(world, &[silent]), [0], "they were acknowledged");
    });
}

/// [MQTT-4.8.2-4] At QoS 2 a message stays with the member that got it, though others are there.
#[test]
fn begun_exchange_is_completed_with_the_same_member() {
    everywhere(|world| {
        for crashes in [false, true] {
            let chosen = kept_member(world, "chosen", QoS::ExactlyOnce);
            world.client_mut(chosen).acknowledges = false;
            let publisher = publisher(world);
            publish_numbers(world, publisher, 3, QoS::ExactlyOnce);
            let first: Vec<_> = world.client(chosen).messages().cloned().collect();
            assert_eq!(first.len(), 3);
            let other = member(world, "other", QoS::ExactlyOnce);
            if crashes {
                world.crash();
            } else {
                world.drop_connection(chosen);
            }
            assert_eq!(counts(world, &[other]), [0]);
            let other = member(world, "other", QoS::ExactlyOnce);
            let chosen = back(world, "chosen");
            let again: Vec<_> = world.client(chosen).messages().cloned().collect();
            assert_eq!(again.len(), 3);
            for (again, first) in again.iter().zip(&first) {
                assert_eq!((again.id, &again.payload), (first.id, &first.payload));
                assert!(again.dup);
            }
            assert_eq!(counts(world, &[other]), [0]);
            world.drop_connection(other);
            world.connect(clean(Version::V5, "chosen"));
            assert_eq!(world.disk().len(Shelf::Queue), 0);
        }
    });
}

/// [MQTT-3.3.1-3] A message that waits while its client has one of a group, and was never sent, comes without DUP after a crash.
#[test]
fn what_waits_behind_a_groups_message_comes_without_dup() {
    let settings = Settings {
        inflight_max: 1,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let client = kept_member(world, "client", QoS::ExactlyOnce);
        world.subscribe(client, "room/+", QoS::AtLeastOnce);
        world.client_mut(client).acknowledges = false;
        let publisher = publisher(world);
        publish_numbers(world, publisher, 2, QoS::ExactlyOnce);
        let first = world
            .client(client)
            .messages()
            .next()
            .and_then(|message| message.id);
        world.send(client, &Packet::PubAck(Ack::new(first.unwrap())));
        world.drop_connection(client);
        world.crash();
        let client = back(world, "client");
        let mut own = world.client(client).messages();
        let own = own.find(|message| message.payload == b"1" && message.qos == QoS::AtLeastOnce);
        assert!(!own.unwrap().dup);
    });
}

/// [MQTT-4.8.2-5] When the session of the member that got a message at QoS 2 ends, nobody else gets it.
#[test]
fn begun_exchange_ends_with_its_session() {
    everywhere(|world| {
        for connect in [clean, persistent] {
            let chosen = world.connect(connect(Version::V5, "chosen"));
            world.subscribe(chosen, GROUP, QoS::ExactlyOnce);
            world.client_mut(chosen).acknowledges = false;
            let other = kept_member(world, "other", QoS::ExactlyOnce);
            world.drop_connection(other);
            let publisher = publisher(world);
            publish_numbers(world, publisher, 3, QoS::ExactlyOnce);
            assert_eq!(numbers(world, &[chosen]), all(3));
            world.drop_connection(chosen);
            let begins_anew = world.connect(clean(Version::V5, "chosen"));
            let other = back(world, "other");
            assert_eq!(counts(world, &[begins_anew, other]), [0, 0]);
            assert_eq!(world.disk().len(Shelf::Queue), 0);
            world.connect(clean(Version::V5, "other"));
        }
    });
}

/// What a member was not yet sent is not its own, at QoS 2 either.
#[test]
fn unsent_messages_go_to_another_member() {
    everywhere(|world| {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let connect = Connect {
                receive_maximum: std::num::NonZeroU16::new(2),
                ..persistent(Version::V5, "slow")
            };
            let slow = world.connect(connect);
            world.subscribe(slow, GROUP, QoS::ExactlyOnce);
            world.subscribe(slow, "busy", QoS::ExactlyOnce);
            world.client_mut(slow).acknowledges = false;
            let publisher = publisher(world);
            world.publish(publisher, "busy", "", QoS::ExactlyOnce);
            publish_numbers(world, publisher, 4, qos);
            assert_eq!(counts(world, &[slow]), [2], "its window");
            let other = member(world, "other", QoS::ExactlyOnce);
            // At QoS 2 what was sent is no longer the group's, so that another was handed out.
            let is_own = usize::from(qos == QoS::ExactlyOnce);
            assert_eq!(numbers(world, &[other]), (2 + is_own..4).collect::<Vec<_>>());
            world.drop_connection(slow);
            assert_eq!(numbers(world, &[other]), (is_own..4).collect::<Vec<_>>());
            world.drop_connection(other);
            world.connect(clean(Version::V5, "slow"));
        }
    });
}

/// A session that expires gives back what it had.
#[test]
fn expired_session_leaves_its_group() {
    everywhere(|world| {
        let expires = Connect {
            session_expiry_secs: Some(60),
            ..persistent(Version::V5, "brief")
        };
        let brief = world.connect(expires);
        world.subscribe(brief, GROUP, QoS::AtLeastOnce);
        world.drop_connection(brief);
        let publisher = publisher(world);
        world.publish(publisher, "room/1", "kept", QoS::AtLeastOnce);
        assert_eq!(world.disk().len(Shelf::Queue), 1);
        world.pass(std::time::Duration::from_secs(61));
        assert!(world.disk().is_empty());
        world.publish(publisher, "room/1", "nobody", QoS::AtLeastOnce);
        let reasons: Vec<_> = world
            .client(publisher)
            .acks()
            .map(|(.., reason)| reason)
            .collect();
        assert_eq!(reasons, [ReasonCode::Success, ReasonCode::NoMatchingSubscribers]);
    });
}

/// A group whose record the store refuses is not joined; later it is.
#[test]
fn refused_group_can_be_joined_later() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        world.store_full = true;
        world.subscribe(client, GROUP, QoS::AtLeastOnce);
        assert!(!world.client(client).is_connected());
        world.store_full = false;
        world.pass(std::time::Duration::from_secs(2));
        let client = kept_member(world, "client", QoS::AtLeastOnce);
        let publisher = publisher(world);
        publish_numbers(world, publisher, 3, QoS::AtLeastOnce);
        assert_eq!(numbers(world, &[client]), all(3));
    });
}

/// While the store is full nobody is sent a message that is still on the group's disk at QoS 2; later it is.
#[test]
fn exchange_waits_for_a_full_store() {
    everywhere(|world| {
        for connect in [clean, persistent] {
            let absent = kept_member(world, "absent", QoS::ExactlyOnce);
            world.drop_connection(absent);
            let publisher = publisher(world);
            publish_numbers(world, publisher, 3, QoS::ExactlyOnce);
            let client = world.connect(connect(Version::V5, "client"));
            world.store_answers = false;
            world.subscribe(client, GROUP, QoS::ExactlyOnce);
            world.store_full = true;
            world.store_answers = true;
            world.settle();
            assert_eq!(counts(world, &[client]), [0]);
            world.store_full = false;
            world.pass(std::time::Duration::from_secs(3));
            let again = world.connect(connect(Version::V5, "client"));
            world.subscribe(again, GROUP, QoS::ExactlyOnce);
            assert_eq!(numbers(world, &[client, again]), all(3));
            world.connect(clean(Version::V5, "client"));
            world.connect(clean(Version::V5, "absent"));
            assert_eq!(world.disk().len(Shelf::Queue), 0);
        }
    });
}

/// A long absence is read back from disk page by page, and divided.
#[test]
fn long_queue_is_divided_as_it_is_read_back() {
    let settings = Settings {
        queue_memory_bytes: 512,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let one = kept_member(world, "one", QoS::AtLeastOnce);
        let two = kept_member(world, "two", QoS::ExactlyOnce);
        // It shares the messages' bodies.
        let third = world.connect(persistent(Version::V5, "third"));
        world.subscribe(third, "room/#", QoS::AtLeastOnce);
        for client in [one, two, third] {
            world.drop_connection(client);
        }
        let publisher = publisher(world);
        for at in 0..300 {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][at % 2];
            world.publish(publisher, "room/1", &at.to_string(), qos);
        }
        assert_eq!(world.queued_bytes_in_memory(), 0);
        let group = [back(world, "one"), back(world, "two")];
        assert_eq!(numbers(world, &group), all(300));
        let third = back(world, "third");
        assert_eq!(numbers(world, &[third]), all(300));
        assert_eq!(world.disk().len(Shelf::Bodies), 0);
        for name in ["one", "two", "third"] {
            world.connect(clean(Version::V5, name));
        }
        assert!(world.disk().is_empty());
    });
}
