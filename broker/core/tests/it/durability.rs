//! Nothing leaves before what it promises is kept, and nothing kept is lost.

use broker_core::{
    Entrance, Settings, Shelf,
    testing::{ClientRef, World, clean, message, persistent},
};
use mqtt_wire::{Ack, Packet, Publish, QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere, everywhere_with};

/// How many packets a client has heard while the store does not answer, and how many once it does.
fn before_and_after(world: &mut World, client: ClientRef, act: impl FnOnce(&mut World)) -> (usize, usize) {
    world.settle();
    let heard = world.client(client).heard.len();
    world.store_answers = false;
    act(world);
    world.settle();
    let before = world.client(client).heard.len() - heard;
    world.store_answers = true;
    world.settle();
    (before, world.client(client).heard.len() - heard)
}

/// CONNACK of a session that is kept waits for the store; that of one that is not does not.
#[test]
fn connack_of_a_kept_session_waits() {
    everywhere(|world| {
        for version in VERSIONS {
            world.store_answers = false;
            let kept = world.connect(persistent(version, "kept"));
            let not_kept = world.connect(clean(version, "not kept"));
            assert_eq!(world.client(kept).connack(), None);
            assert!(world.client(not_kept).connack().is_some());
            world.store_answers = true;
            world.settle();
            assert!(world.client(kept).connack().is_some());
        }
    });
}

/// SUBACK and UNSUBACK of a session that is kept wait for the store.
#[test]
fn suback_of_a_kept_session_waits() {
    everywhere(|world| {
        let kept = world.connect(persistent(Version::V5, "kept"));
        let subscribes = |world: &mut World| world.subscribe(kept, "room", QoS::AtLeastOnce);
        assert_eq!(before_and_after(world, kept, subscribes), (0, 1));
        let unsubscribes = |world: &mut World| world.unsubscribe(kept, "room");
        assert_eq!(before_and_after(world, kept, unsubscribes), (0, 1));
        let not_kept = world.connect(clean(Version::V5, "not kept"));
        let subscribes = |world: &mut World| world.subscribe(not_kept, "room", QoS::AtLeastOnce);
        assert_eq!(before_and_after(world, not_kept, subscribes), (1, 1));
    });
}

/// PUBACK and PUBREC wait for the store if a kept session receives, if the message is retained, or if the receipt is kept.
#[test]
fn acknowledgements_wait() {
    everywhere(|world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "kept", QoS::ExactlyOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.client_mut(publisher).acknowledges = false;
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let waits = |world: &mut World| {
                world.publish(publisher, "kept", "", qos);
            };
            assert_eq!(before_and_after(world, publisher, waits), (0, 1));
            let waits = |world: &mut World| {
                world.retain(publisher, "retained", "on", qos);
            };
            assert_eq!(before_and_after(world, publisher, waits), (0, 1));
            let does_not = |world: &mut World| {
                world.publish(publisher, "nobody", "", qos);
            };
            assert_eq!(before_and_after(world, publisher, does_not), (1, 1));
        }
        let publisher = world.connect(persistent(Version::V5, "kept publisher"));
        world.client_mut(publisher).acknowledges = false;
        let waits = |world: &mut World| {
            world.publish(publisher, "nobody", "", QoS::ExactlyOnce);
        };
        assert_eq!(before_and_after(world, publisher, waits), (0, 1));
        let does_not = |world: &mut World| {
            world.publish(publisher, "nobody", "", QoS::AtLeastOnce);
        };
        assert_eq!(before_and_after(world, publisher, does_not), (1, 1));
    });
}

/// [MQTT5-4.3.3-12] PUBCOMP waits for the end of the receipt: after it the id may stand for another message.
#[test]
fn pubcomp_waits() {
    everywhere(|world| {
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.client_mut(publisher).acknowledges = false;
        world.publish(publisher, "nobody", "", QoS::ExactlyOnce);
        let pubrel = Packet::PubRel(Ack::new(mqtt_wire::PacketId::FIRST));
        let releases = |world: &mut World| world.send(publisher, &pubrel);
        assert_eq!(before_and_after(world, publisher, releases), (0, 1));
        let releases_again = |world: &mut World| {
            world.send(publisher, &pubrel);
            world.send(publisher, &pubrel);
        };
        assert_eq!(before_and_after(world, publisher, releases_again), (0, 2));
    });
}

/// Nobody sees a message at QoS 2 before its receipt is kept, not even a subscriber at QoS 0.
#[test]
fn nobody_sees_a_message_before_its_receipt() {
    everywhere(|world| {
        let listeners: Vec<ClientRef> = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
            .into_iter()
            .zip(["zero", "one", "two"])
            .map(|(qos, name)| {
                let client = world.connect(clean(Version::V5, name));
                world.subscribe(client, "room", qos);
                client
            })
            .collect();
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.store_answers = false;
        world.publish(publisher, "room", "on", QoS::ExactlyOnce);
        for listener in &listeners {
            assert_eq!(world.client(*listener).payloads(), [""; 0]);
        }
        world.store_answers = true;
        world.settle();
        for listener in listeners {
            assert_eq!(world.client(listener).payloads(), ["on"]);
        }
    });
}

/// A message at QoS 2 leaves for a kept session when its id is kept, and PUBREL when PUBREC is.
#[test]
fn outgoing_steps_wait() {
    everywhere(|world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::ExactlyOnce);
        world.client_mut(listener).acknowledges = false;
        world.drop_connection(listener);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room", "on", QoS::ExactlyOnce);
        let listener = world.begin_connect(persistent(Version::V5, "listener"));
        world.client_mut(listener).acknowledges = false;
        while world.client(listener).connack().is_none() {
            world.settle_partly(1);
        }
        world.store_answers = false;
        world.settle();
        assert_eq!(world.client(listener).payloads(), [""; 0]);
        world.store_answers = true;
        world.settle();
        assert_eq!(world.client(listener).payloads(), ["on"]);
        let id = world.client(listener).messages().next().unwrap().id.unwrap();
        let received = |world: &mut World| world.send(listener, &Packet::PubRec(Ack::new(id)));
        assert_eq!(before_and_after(world, listener, received), (0, 1));
    });
}

/// [MQTT311-4.8.0-2]
/// A full store refuses new messages with 0x97, closes those who cannot be told, delivers nothing of them, and
/// serves on; once there is room everything goes on.
#[test]
fn full_store_refuses_and_recovers() {
    everywhere(|world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::ExactlyOnce);
        let new = world.connect(clean(Version::V5, "new"));
        let old = world.connect(clean(Version::V311, "old"));
        world.store_full = true;
        let one = world.publish(new, "room", "refused", QoS::AtLeastOnce);
        let two = world.publish(new, "room", "refused", QoS::ExactlyOnce);
        let full = ReasonCode::QuotaExceeded;
        let acks: Vec<_> = world.client(new).acks().collect();
        assert_eq!(acks, [("PUBACK", one, full), ("PUBREC", two, full)]);
        world.publish(old, "room", "refused", QoS::AtLeastOnce);
        assert_eq!(world.client(old).acks().count(), 0);
        assert!(!world.client(old).is_connected());
        world.publish(new, "room", "passes", QoS::AtMostOnce);
        assert_eq!(world.client(listener).payloads(), ["passes"]);
        world.store_full = false;
        world.publish(new, "room", "fits", QoS::AtLeastOnce);
        assert_eq!(world.client(listener).payloads(), ["passes", "fits"]);
        assert!(world.count(|counters| counters.batches_refused) >= 3);
        world.crash();
        let listener = world.connect(persistent(Version::V5, "listener"));
        assert!(
            world
                .client(listener)
                .payloads()
                .iter()
                .all(|payload| payload == "fits")
        );
    });
}

/// A publisher at QoS 2 whose message was refused may send it again, and it is taken then.
#[test]
fn refused_message_may_be_sent_again() {
    everywhere(|world| {
        for version in VERSIONS {
            let listener = world.connect(persistent(Version::V5, "listener"));
            world.subscribe(listener, "room", QoS::ExactlyOnce);
            let publisher = world.connect(persistent(version, "publisher"));
            world.store_full = true;
            world.publish(publisher, "room", "on", QoS::ExactlyOnce);
            world.store_full = false;
            world.drop_connection(publisher);
            let publisher = world.connect(persistent(version, "publisher"));
            world.message(
                publisher,
                Publish {
                    dup: true,
                    ..message("room", "on", QoS::ExactlyOnce)
                },
            );
            let names: Vec<_> = world.client(publisher).acks().map(|(name, ..)| name).collect();
            assert_eq!(names, ["PUBREC", "PUBCOMP"]);
            assert_eq!(world.client(listener).payloads(), ["on"]);
            world.connect(clean(Version::V5, "listener"));
            world.connect(clean(Version::V5, "publisher"));
        }
    });
}

/// What a full store refused besides, such as what was consumed meanwhile, is written once there is room.
#[test]
fn consumption_during_a_full_store_is_written_later() {
    everywhere(|world| {
        let names = ["one", "two"];
        for name in names {
            let client = world.connect(persistent(Version::V5, name));
            world.subscribe(client, "room", QoS::ExactlyOnce);
            world.drop_connection(client);
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for _ in 0..5 {
                world.publish(publisher, "room", "on", qos);
            }
        }
        let clients = names.map(|name| world.begin_connect(persistent(Version::V5, name)));
        while clients
            .iter()
            .any(|client| world.client(*client).messages().count() < 3)
        {
            world.settle_partly(1);
        }
        world.store_full = true;
        world.settle();
        world.pass(std::time::Duration::from_secs(5));
        world.store_full = false;
        world.pass(std::time::Duration::from_secs(5));
        for client in clients {
            assert_eq!(world.client(client).messages().count(), 10);
        }
        for shelf in [Shelf::Bodies, Shelf::Inflight] {
            assert_eq!(world.disk().len(shelf), 0, "{shelf:?}");
        }
        world.crash();
        for name in names {
            let client = world.connect(persistent(Version::V5, name));
            assert_eq!(world.client(client).payloads(), [""; 0]);
        }
    });
}

/// Durable publishers are read no further while the store is behind, and again when it has caught up.
#[test]
fn slow_store_slows_publishers_down() {
    let settings = Settings {
        store_bytes_max: 1000,
        ..Settings::by(Entrance {
            receive_maximum: 1000,
            ..Entrance::default()
        })
    };
    everywhere_with(&settings, |world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::AtLeastOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.store_answers = false;
        for _ in 0..100 {
            world.begin_publish(publisher, "room", &"x".repeat(100), QoS::AtLeastOnce);
        }
        world.settle();
        assert!(world.count(|counters| counters.messages_received) < 20);
        world.store_answers = true;
        world.settle();
        assert_eq!(world.client(publisher).acks().count(), 100);
        assert_eq!(world.client(listener).messages().count(), 100);
    });
}

/// Whatever was acknowledged is there after a crash at any point, and at QoS 2 it comes once.
#[test]
fn crash_at_any_point_loses_nothing_acknowledged() {
    for shards in [1, 2, 4] {
        for seed in 0..100 {
            let mut world = World::with(seed, shards, Settings::default());
            let listener = world.connect(persistent(Version::V5, "listener"));
            world.subscribe(listener, "room", QoS::ExactlyOnce);
            world.client_mut(listener).acknowledges = false;
            let publisher = world.connect(persistent(Version::V5, "publisher"));
            for (payload, qos) in [("one", QoS::AtLeastOnce), ("two", QoS::ExactlyOnce)] {
                world.begin_publish(publisher, "room", payload, qos);
            }
            let steps = world.dice().below(20);
            world.settle_partly(steps);
            let acknowledged: Vec<_> = world.client(publisher).acks().map(|(name, ..)| name).collect();
            world.crash();
            let listener = world.connect(persistent(Version::V5, "listener"));
            let got = world.client(listener).payloads();
            assert!(!acknowledged.contains(&"PUBACK") || got.contains(&"one".to_owned()));
            assert!(!acknowledged.contains(&"PUBREC") || got.contains(&"two".to_owned()));
            assert!(got.iter().filter(|payload| *payload == "two").count() <= 1);
        }
    }
}
