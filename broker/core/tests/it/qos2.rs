//! Messages that are delivered exactly once.

use broker_core::{
    Shelf,
    testing::{ClientRef, World, clean, message, persistent},
};
use mqtt_wire::{Ack, Packet, PacketId, Publish, QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere};

fn ack(id: u16) -> Ack {
    Ack::new(PacketId::new(id).unwrap())
}

fn publish_as(world: &mut World, client: ClientRef, id: u16, dup: bool) {
    let publish = Publish {
        dup,
        packet_id: PacketId::new(id),
        ..message("room/1", "on", QoS::ExactlyOnce)
    };
    world.send(client, &Packet::Publish(publish));
}

fn names(world: &World, client: ClientRef) -> Vec<&'static str> {
    world.client(client).acks().map(|(name, ..)| name).collect()
}

/// [MQTT-3.3.4-1] [MQTT311-4.3.3-1] [MQTT311-4.3.3-2] [MQTT5-4.3.3-2] [MQTT5-4.3.3-4] [MQTT5-4.3.3-8]
/// [MQTT5-4.3.3-11]
/// The four steps, both ways.
#[test]
fn four_steps_both_ways() {
    everywhere(|world| {
        for version in VERSIONS {
            let listener = world.connect(persistent(version, "listener"));
            world.subscribe(listener, "room/+", QoS::ExactlyOnce);
            let publisher = world.connect(persistent(version, "publisher"));
            let id = world.publish(publisher, "room/1", "on", QoS::ExactlyOnce);
            let acks: Vec<_> = world.client(publisher).acks().collect();
            assert_eq!(
                acks,
                [
                    ("PUBREC", id, ReasonCode::Success),
                    ("PUBCOMP", id, ReasonCode::Success)
                ]
            );
            let messages: Vec<_> = world.client(listener).messages().cloned().collect();
            assert_eq!(messages.len(), 1);
            assert_eq!((messages[0].qos, messages[0].dup), (QoS::ExactlyOnce, false));
            let released = world
                .client(listener)
                .packets()
                .any(|packet| matches!(packet, Packet::PubRel(ack) if Some(ack.packet_id) == messages[0].id));
            assert!(released);
            for shelf in [Shelf::Inflight, Shelf::Receipts, Shelf::Bodies] {
                assert_eq!(world.disk().len(shelf), 0, "{shelf:?}");
            }
            world.connect(clean(version, "listener"));
            world.connect(clean(version, "publisher"));
            assert!(world.disk().is_empty());
        }
    });
}

/// [MQTT311-4.3.3-2] [MQTT5-4.3.3-10] A PUBLISH that comes again is answered and not delivered again.
#[test]
fn repeated_publish_is_delivered_once() {
    everywhere(|world| {
        for version in VERSIONS {
            let listener = world.connect(clean(version, "listener"));
            world.subscribe(listener, "room/+", QoS::ExactlyOnce);
            let publisher = world.connect(persistent(version, "publisher"));
            world.client_mut(publisher).acknowledges = false;
            publish_as(world, publisher, 5, false);
            publish_as(world, publisher, 5, true);
            world.drop_connection(publisher);
            let publisher = world.connect(persistent(version, "publisher"));
            publish_as(world, publisher, 5, true);
            assert_eq!(names(world, publisher), ["PUBREC", "PUBCOMP"]);
            assert_eq!(world.client(listener).payloads(), ["on"]);
            world.connect(clean(version, "publisher"));
        }
    });
}

/// [MQTT5-4.3.3-12] An id may be used again once its exchange is complete, for another message.
#[test]
fn id_may_be_used_again_after_pubcomp() {
    everywhere(|world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "room/+", QoS::ExactlyOnce);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        publish_as(world, publisher, 5, false);
        publish_as(world, publisher, 5, false);
        assert_eq!(world.client(listener).payloads(), ["on", "on"]);
    });
}

/// [MQTT5-3.3.1-3] A message that the broker has not seen is delivered, though its DUP flag is set.
#[test]
fn unseen_message_with_dup_is_delivered() {
    everywhere(|world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "room/+", QoS::ExactlyOnce);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        publish_as(world, publisher, 9, true);
        assert_eq!(world.client(listener).payloads(), ["on"]);
        assert!(world.client(listener).messages().all(|message| !message.dup));
    });
}

/// A PUBREL that comes again after its PUBCOMP was lost is a success, not an unknown id.
#[test]
fn repeated_pubrel_succeeds() {
    everywhere(|world| {
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        let id = world.publish(publisher, "room/1", "on", QoS::ExactlyOnce);
        world.drop_connection(publisher);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.send(publisher, &Packet::PubRel(ack(id)));
        let acks: Vec<_> = world.client(publisher).acks().collect();
        assert_eq!(acks, [("PUBCOMP", id, ReasonCode::Success)]);
    });
}

/// [MQTT311-4.3.3-1] [MQTT311-4.4.0-1] [MQTT5-4.3.3-5] [MQTT5-4.3.3-6] [MQTT5-4.4.0-1]
/// A PUBREL that was not answered is sent again, with the same id, and the message is not.
#[test]
fn owed_pubrel_is_sent_again() {
    everywhere(|world| {
        for crash in [false, true] {
            for version in VERSIONS {
                let listener = world.connect(persistent(version, "listener"));
                world.subscribe(listener, "room/+", QoS::ExactlyOnce);
                world.client_mut(listener).acknowledges = false;
                let publisher = world.connect(clean(version, "publisher"));
                world.publish(publisher, "room/1", "on", QoS::ExactlyOnce);
                let id = world.client(listener).messages().next().unwrap().id.unwrap();
                world.send(listener, &Packet::PubRec(Ack::new(id)));
                if crash {
                    world.crash();
                } else {
                    world.drop_connection(listener);
                }
                let listener = world.connect(persistent(version, "listener"));
                assert_eq!(world.client(listener).payloads(), [""; 0]);
                let released = world
                    .client(listener)
                    .packets()
                    .any(|packet| *packet == Packet::PubRel(Ack::new(id)));
                assert!(released);
                assert_eq!(world.disk().len(Shelf::Inflight), 0);
                world.connect(clean(version, "listener"));
            }
        }
    });
}

/// [MQTT5-3.3.1-1] [MQTT5-4.3.3-3] [MQTT5-4.4.0-1]
/// A PUBLISH that was not answered is sent again, with the same id and DUP, also after a crash.
#[test]
fn unanswered_publish_is_sent_again() {
    everywhere(|world| {
        for crash in [false, true] {
            let listener = world.connect(persistent(Version::V5, "listener"));
            world.subscribe(listener, "room/+", QoS::ExactlyOnce);
            world.client_mut(listener).acknowledges = false;
            let publisher = world.connect(clean(Version::V5, "publisher"));
            world.publish(publisher, "room/1", "on", QoS::ExactlyOnce);
            let first = world.client(listener).messages().next().unwrap().clone();
            if crash {
                world.crash();
            } else {
                world.drop_connection(listener);
            }
            let listener = world.connect(persistent(Version::V5, "listener"));
            let again: Vec<_> = world.client(listener).messages().cloned().collect();
            assert_eq!(again.len(), 1);
            assert_eq!(again[0].id, first.id);
            assert!(again[0].dup);
            world.connect(clean(Version::V5, "listener"));
        }
    });
}

/// [MQTT5-4.4.0-2] A receiver that answers PUBREC with an error ends the exchange.
#[test]
fn pubrec_with_an_error_ends_the_exchange() {
    everywhere(|world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room/+", QoS::ExactlyOnce);
        world.client_mut(listener).acknowledges = false;
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "on", QoS::ExactlyOnce);
        let id = world.client(listener).messages().next().unwrap().id.unwrap();
        world.send(
            listener,
            &Packet::PubRec(Ack::with(id, ReasonCode::UnspecifiedError)),
        );
        world.drop_connection(listener);
        let listener = world.connect(persistent(Version::V5, "listener"));
        assert_eq!(world.client(listener).heard.len(), 1, "CONNACK and nothing else");
        assert_eq!(world.disk().len(Shelf::Inflight), 0);
    });
}

/// A PUBREC for an id that is not in use is answered with 0x92 in v5, and PUBREL in any case.
#[test]
fn stray_pubrec_is_answered() {
    everywhere(|world| {
        for (version, reason) in VERSIONS
            .into_iter()
            .zip([ReasonCode::Success, ReasonCode::PacketIdentifierNotFound])
        {
            let client = world.connect(clean(version, "client"));
            world.send(client, &Packet::PubRec(ack(7)));
            let answered = world.client(client).packets().any(
                |packet| matches!(packet, Packet::PubRel(ack) if ack.packet_id.get() == 7 && ack.reason == reason),
            );
            assert!(answered);
        }
    });
}

/// A resent PUBLISH whose first receipt is not yet kept is not answered before it is.
#[test]
fn resent_publish_waits_for_its_receipt_too() {
    everywhere(|world| {
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.store_answers = false;
        publish_as(world, publisher, 5, false);
        publish_as(world, publisher, 5, true);
        assert_eq!(names(world, publisher), [""; 0]);
        world.store_answers = true;
        world.settle();
        assert_eq!(names(world, publisher), ["PUBREC", "PUBCOMP"]);
    });
}

/// The same when it is resent on another connection: after a crash the receipt would be gone.
#[test]
fn resent_publish_on_a_new_connection_waits_for_its_receipt_too() {
    everywhere(|world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "room/+", QoS::ExactlyOnce);
        // The publisher's own batches wait: its takeover is recorded behind the receipt.
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.client_mut(publisher).acknowledges = false;
        world.store_answers = false;
        publish_as(world, publisher, 5, false);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.begin_message(
            publisher,
            Publish {
                dup: true,
                ..message("room/1", "on", QoS::ExactlyOnce)
            },
        );
        world.settle();
        assert_eq!(names(world, publisher), [""; 0]);
        world.store_answers = true;
        world.settle();
        assert_eq!(names(world, publisher), ["PUBREC", "PUBCOMP"]);
    });
}

/// A message goes out when it is taken over, and does not wait for the PUBREL of its publisher.
#[test]
fn message_goes_out_before_pubrel() {
    everywhere(|world| {
        for version in VERSIONS {
            let listener = world.connect(clean(version, "listener"));
            world.subscribe(listener, "room/+", QoS::ExactlyOnce);
            let publisher = world.connect(clean(version, "publisher"));
            world.client_mut(publisher).acknowledges = false;
            publish_as(world, publisher, 5, false);
            assert_eq!(names(world, publisher), ["PUBREC"]);
            assert_eq!(world.client(listener).payloads(), ["on"]);
        }
    });
}
