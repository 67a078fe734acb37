//! What arrives in which order.

use broker_core::testing::{clean, persistent};
use mqtt_wire::{Ack, Packet, QoS, Version};

use crate::{VERSIONS, everywhere};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// [MQTT311-4.6.0-5] [MQTT311-4.6.0-6] [MQTT5-4.6.0-5] [MQTT5-4.6.0-6]
/// Messages of one publisher on one topic arrive in order, whatever their levels and whoever receives.
#[test]
fn one_publishers_messages_arrive_in_order() {
    everywhere(|world| {
        let receivers: Vec<_> = (0..6)
            .map(|at| {
                let name = format!("receiver-{at}");
                let connect = if at % 2 == 0 {
                    clean(Version::V5, &name)
                } else {
                    persistent(Version::V311, &name)
                };
                let client = world.connect(connect);
                world.subscribe(client, "room", QoS::ExactlyOnce);
                client
            })
            .collect();
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for at in 0..60 {
            let qos = LEVELS[world.dice().below(3)];
            world.begin_publish(publisher, "room", &at.to_string(), qos);
            let steps = world.dice().below(6);
            world.settle_partly(steps);
        }
        world.settle();
        let expected: Vec<String> = (0..60).map(|at| at.to_string()).collect();
        for receiver in receivers {
            assert_eq!(world.client(receiver).payloads(), expected);
        }
    });
}

/// A message at QoS 0 does not overtake one that waits for the store.
#[test]
fn qos_0_stays_behind_a_held_message() {
    everywhere(|world| {
        let kept = world.connect(persistent(Version::V5, "kept"));
        let clean_one = world.connect(clean(Version::V5, "clean"));
        for client in [kept, clean_one] {
            world.subscribe(client, "room", QoS::AtLeastOnce);
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.store_answers = false;
        world.begin_publish(publisher, "room", "held", QoS::AtLeastOnce);
        world.begin_publish(publisher, "room", "behind", QoS::AtMostOnce);
        world.settle();
        assert_eq!(world.client(kept).payloads(), [""; 0]);
        assert_eq!(world.client(clean_one).payloads(), [""; 0]);
        world.store_answers = true;
        world.settle();
        assert_eq!(world.client(kept).payloads(), ["held", "behind"]);
        assert_eq!(world.client(clean_one).payloads(), ["held", "behind"]);
    });
}

/// Acknowledgements leave in the order of what they answer, though a later one was ready earlier.
#[test]
fn acknowledgements_leave_in_order() {
    everywhere(|world| {
        let kept = world.connect(persistent(Version::V5, "kept"));
        world.subscribe(kept, "stored", QoS::ExactlyOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.client_mut(publisher).acknowledges = false;
        world.store_answers = false;
        let ids = [
            world.begin_publish(publisher, "stored", "", QoS::ExactlyOnce),
            world.begin_publish(publisher, "nobody", "", QoS::AtLeastOnce),
            world.begin_publish(publisher, "stored", "", QoS::AtLeastOnce),
            world.begin_publish(publisher, "nobody", "", QoS::ExactlyOnce),
        ];
        world.settle();
        assert_eq!(world.client(publisher).acks().count(), 0);
        world.store_answers = true;
        world.settle();
        let acks: Vec<_> = world
            .client(publisher)
            .acks()
            .map(|(name, id, _)| (name, id))
            .collect();
        assert_eq!(
            acks,
            [
                ("PUBREC", ids[0]),
                ("PUBACK", ids[1]),
                ("PUBACK", ids[2]),
                ("PUBREC", ids[3])
            ]
        );
    });
}

/// A message that the store refused does not block those behind it.
#[test]
fn refused_message_does_not_block_the_next() {
    everywhere(|world| {
        let kept = world.connect(persistent(Version::V5, "kept"));
        let clean_one = world.connect(clean(Version::V5, "clean"));
        for client in [kept, clean_one] {
            world.subscribe(client, "room", QoS::AtLeastOnce);
        }
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.store_answers = false;
        world.begin_publish(publisher, "room", "refused", QoS::AtLeastOnce);
        world.begin_publish(publisher, "room", "behind", QoS::AtMostOnce);
        world.settle();
        world.store_answers = true;
        world.store_full = true;
        world.settle();
        assert_eq!(world.client(kept).payloads(), ["behind"]);
        assert_eq!(world.client(clean_one).payloads(), ["behind"]);
    });
}

/// [MQTT311-4.6.0-1] [MQTT311-4.6.0-4]
/// What is sent again comes in the order of the first sending, and PUBRELs follow the order of the PUBRECs.
#[test]
fn what_is_sent_again_keeps_its_order() {
    everywhere(|world| {
        for version in VERSIONS {
            let receiver = world.connect(persistent(version, "receiver"));
            world.subscribe(receiver, "room", QoS::ExactlyOnce);
            world.client_mut(receiver).acknowledges = false;
            let publisher = world.connect(clean(Version::V5, "publisher"));
            for at in 0..12 {
                world.publish(publisher, "room", &at.to_string(), LEVELS[1 + at % 2]);
            }
            let expected: Vec<String> = (0..12).map(|at| at.to_string()).collect();
            assert_eq!(world.client(receiver).payloads(), expected);
            world.drop_connection(receiver);
            let receiver = world.begin_connect(persistent(version, "receiver"));
            world.client_mut(receiver).acknowledges = false;
            world.settle();
            assert_eq!(world.client(receiver).payloads(), expected);
            let exact: Vec<_> = world
                .client(receiver)
                .messages()
                .filter(|message| message.qos == QoS::ExactlyOnce)
                .filter_map(|message| message.id)
                .collect();
            // The later half first: what counts is the order of the PUBRECs.
            let order: Vec<_> = exact
                .iter()
                .skip(3)
                .chain(exact.iter().take(3))
                .copied()
                .collect();
            for id in &order {
                world.begin_send(receiver, &Packet::PubRec(Ack::new(*id)));
            }
            world.settle();
            let released: Vec<_> = world
                .client(receiver)
                .packets()
                .filter_map(|packet| match packet {
                    Packet::PubRel(ack) => Some(ack.packet_id),
                    _ => None,
                })
                .collect();
            assert_eq!(released, order);
            world.connect(clean(version, "receiver"));
        }
    });
}
