//! Messages that are delivered at least once.

use broker_core::{
    Shelf,
    testing::{clean, persistent},
};
use mqtt_wire::{Ack, Packet, QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere};

/// [MQTT-3.3.4-1] [MQTT311-4.3.2-2] [MQTT5-4.3.2-2] [MQTT5-4.3.2-4]
/// A message is acknowledged with its id, and delivered with one of the broker's own.
#[test]
fn message_is_acknowledged_and_delivered() {
    everywhere(|world| {
        for version in VERSIONS {
            let listener = world.connect(clean(version, "listener"));
            world.subscribe(listener, "room/+", QoS::AtLeastOnce);
            let publisher = world.connect(clean(version, "publisher"));
            let id = world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
            let acks: Vec<_> = world.client(publisher).acks().collect();
            assert_eq!(acks, [("PUBACK", id, ReasonCode::Success)]);
            let messages: Vec<_> = world.client(listener).messages().collect();
            assert_eq!(messages.len(), 1);
            assert_eq!(messages[0].qos, QoS::AtLeastOnce);
            assert!(messages[0].id.is_some() && !messages[0].dup);
        }
    });
}

/// A v5 publisher learns that nobody listens.
#[test]
fn publisher_learns_that_nobody_listens() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        let id = world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        let acks: Vec<_> = world.client(publisher).acks().collect();
        assert_eq!(acks, [("PUBACK", id, ReasonCode::NoMatchingSubscribers)]);
    });
}

/// [MQTT-3.3.1-1] [MQTT311-4.3.2-1] [MQTT311-4.4.0-1] [MQTT5-4.3.2-3] [MQTT5-4.4.0-1]
/// What was not acknowledged is sent again on the next connection, with the same id and DUP.
#[test]
fn unacknowledged_message_is_sent_again() {
    everywhere(|world| {
        for version in VERSIONS {
            let listener = world.connect(persistent(version, "listener"));
            world.subscribe(listener, "room/+", QoS::AtLeastOnce);
            world.client_mut(listener).acknowledges = false;
            let publisher = world.connect(clean(version, "publisher"));
            world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
            let first = world.client(listener).messages().next().unwrap().clone();
            world.drop_connection(listener);
            let listener = world.connect(persistent(version, "listener"));
            let again: Vec<_> = world.client(listener).messages().cloned().collect();
            assert_eq!(again.len(), 1);
            assert_eq!(again[0].id, first.id);
            assert!(again[0].dup && !first.dup);
            world.drop_connection(listener);
            let listener = world.connect(persistent(version, "listener"));
            assert_eq!(world.client(listener).payloads(), [""; 0], "it was acknowledged");
            world.connect(clean(version, "listener"));
        }
    });
}

/// [MQTT-4.5.0-1] [MQTT311-3.1.2-5] [MQTT311-4.1.0-1] [MQTT5-3.1.2-5]
/// Messages wait for a client that is away, and come in order.
#[test]
fn messages_wait_for_the_absent() {
    everywhere(|world| {
        for version in VERSIONS {
            let listener = world.connect(persistent(version, "listener"));
            world.subscribe(listener, "room/+", QoS::ExactlyOnce);
            world.drop_connection(listener);
            let publisher = world.connect(clean(version, "publisher"));
            let levels = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce];
            for (payload, qos) in ["one", "two", "three"].into_iter().zip(levels) {
                world.publish(publisher, "room/1", payload, qos);
            }
            let listener = world.connect(persistent(version, "listener"));
            assert_eq!(world.client(listener).payloads(), ["one", "two", "three"]);
            assert!(world.client(listener).messages().all(|message| !message.dup));
            world.connect(clean(version, "listener"));
        }
        assert!(world.disk().is_empty());
    });
}

/// A publisher's message that comes twice is acknowledged twice.
#[test]
fn repeated_publish_is_acknowledged_again() {
    everywhere(|world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room/+", QoS::AtLeastOnce);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        let first = world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        world.drop_connection(publisher);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        let second = world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        assert_eq!(first, second);
        let acks: Vec<_> = world.client(publisher).acks().collect();
        assert_eq!(acks, [("PUBACK", second, ReasonCode::Success)]);
        assert_eq!(world.client(listener).payloads(), ["on", "on"]);
    });
}

/// A PUBACK for an id that is not in use harms nothing.
#[test]
fn stray_puback_is_ignored() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V5, "client"));
        let id = mqtt_wire::PacketId::new(7).unwrap();
        world.send(client, &Packet::PubAck(Ack::new(id)));
        assert!(world.client(client).is_connected());
    });
}

/// A body that two sessions wait for is stored once, and goes with the last of them.
#[test]
fn shared_body_is_stored_once_and_goes_with_its_last_reader() {
    everywhere(|world| {
        for name in ["one", "two"] {
            let client = world.connect(persistent(Version::V5, name));
            world.subscribe(client, "room/+", QoS::AtLeastOnce);
            world.drop_connection(client);
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        assert_eq!(world.disk().len(Shelf::Bodies), 1);
        assert_eq!(world.disk().len(Shelf::Queue), 2);
        let one = world.connect(persistent(Version::V5, "one"));
        assert_eq!(world.client(one).payloads(), ["on"]);
        assert_eq!(world.disk().len(Shelf::Bodies), 1, "two still waits for it");
        let two = world.connect(persistent(Version::V5, "two"));
        assert_eq!(world.client(two).payloads(), ["on"]);
        assert_eq!(world.disk().len(Shelf::Bodies), 0);
    });
}

/// Those whose sessions end with their connections have no part in a stored body: what they acknowledge leaves it to those
/// who are away.
#[test]
fn shared_body_is_not_consumed_by_clean_sessions() {
    everywhere(|world| {
        for name in ["one", "two"] {
            let client = world.connect(persistent(Version::V5, name));
            world.subscribe(client, "room/+", QoS::ExactlyOnce);
            world.drop_connection(client);
        }
        for at in 0..4 {
            let client = world.connect(clean(Version::V5, &format!("clean-{at}")));
            world.subscribe(client, "room/+", QoS::ExactlyOnce);
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            world.publish(publisher, "room/1", "on", qos);
        }
        assert_eq!(world.disk().len(Shelf::Bodies), 2);
        for name in ["one", "two"] {
            let client = world.connect(persistent(Version::V5, name));
            assert_eq!(world.client(client).payloads(), ["on", "on"]);
        }
        assert_eq!(world.disk().len(Shelf::Bodies), 0);
    });
}

/// A message that only one session waits for stands in its queue entry.
#[test]
fn message_for_one_stands_inline() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "one"));
        world.subscribe(client, "room/+", QoS::AtLeastOnce);
        world.drop_connection(client);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        assert_eq!(world.disk().len(Shelf::Bodies), 0);
        assert_eq!(world.disk().len(Shelf::Queue), 1);
    });
}

/// A session that ends lets go of the bodies it waited for, and of nobody else's.
#[test]
fn ended_session_lets_go_of_its_bodies() {
    everywhere(|world| {
        for name in ["one", "two"] {
            let client = world.connect(persistent(Version::V5, name));
            world.subscribe(client, "room/+", QoS::AtLeastOnce);
            world.drop_connection(client);
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for _ in 0..200 {
            world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        }
        assert_eq!(world.disk().len(Shelf::Bodies), 200);
        let one = world.connect(clean(Version::V5, "one"));
        world.drop_connection(one);
        assert_eq!(world.disk().len(Shelf::Bodies), 200);
        let two = world.connect(persistent(Version::V5, "two"));
        assert_eq!(world.client(two).messages().count(), 200);
        assert_eq!(world.disk().len(Shelf::Bodies), 0);
        let two = world.connect(clean(Version::V5, "two"));
        world.drop_connection(two);
        assert!(world.disk().is_empty());
    });
}

/// A session that ends amid unacknowledged messages does not take bodies from another that needs them.
#[test]
fn ended_session_with_messages_under_way_lets_go_once() {
    everywhere(|world| {
        for crash in [false, true] {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for name in ["one", "two"] {
                    let client = world.connect(persistent(Version::V5, name));
                    world.subscribe(client, "room/+", qos);
                    world.drop_connection(client);
                }
                let publisher = world.connect(clean(Version::V5, "publisher"));
                for _ in 0..100 {
                    world.publish(publisher, "room/1", "on", qos);
                }
                let one = world.connect(persistent(Version::V5, "one"));
                world.client_mut(one).acknowledges = false;
                world.settle();
                world.drop_connection(one);
                if crash {
                    world.crash();
                }
                world.connect(clean(Version::V5, "one"));
                let two = world.connect(persistent(Version::V5, "two"));
                assert_eq!(world.client(two).messages().count(), 100);
                assert_eq!(world.disk().len(Shelf::Bodies), 0);
                world.connect(clean(Version::V5, "two"));
                assert!(world.disk().is_empty());
            }
        }
    });
}

/// [MQTT5-4.4.0-1] While a connection lasts nothing is sent a second time, however long it is not acknowledged.
#[test]
fn nothing_is_repeated_while_connected() {
    everywhere(|world| {
        for version in VERSIONS {
            let listener = world.connect(persistent(version, "listener"));
            world.subscribe(listener, "room/+", QoS::ExactlyOnce);
            world.client_mut(listener).acknowledges = false;
            let publisher = world.connect(clean(version, "publisher"));
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce] {
                world.publish(publisher, "room/1", "on", qos);
            }
            let id = world.client(listener).messages().last().unwrap().id.unwrap();
            world.send(listener, &Packet::PubRec(Ack::new(id)));
            let heard = world.client(listener).heard.len();
            world.pass(std::time::Duration::from_secs(24 * 3600));
            assert_eq!(world.client(listener).heard.len(), heard);
            world.connect(clean(version, "listener"));
        }
    });
}

/// [MQTT5-4.4.0-2] A message that its receiver refused is not sent to it again.
#[test]
fn puback_with_an_error_ends_the_delivery() {
    everywhere(|world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room/+", QoS::AtLeastOnce);
        world.client_mut(listener).acknowledges = false;
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "on", QoS::AtLeastOnce);
        let id = world.client(listener).messages().next().unwrap().id.unwrap();
        let refusal = Ack::with(id, ReasonCode::QuotaExceeded);
        world.send(listener, &Packet::PubAck(refusal));
        world.drop_connection(listener);
        let listener = world.connect(persistent(Version::V5, "listener"));
        assert_eq!(world.client(listener).payloads(), [""; 0]);
    });
}
