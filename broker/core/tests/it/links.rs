//! Links: plugins that take part.

use std::{sync::Arc, time::Duration};

use broker_core::{
    Answer, Entrance, LinkMessage, Settings, Shelf, To, Told,
    testing::{ClientRef, LinkHeard, LinkSpec, World, clean, message, persistent},
};
use mqtt_wire::{ClientId, Packet, Publish, QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere, everywhere_with};

fn takes(world: &mut World, topics: &str, responsible: bool) {
    let subscriptions = vec![(topics.to_owned(), responsible)];
    world.attach_link(LinkSpec {
        subscriptions,
        ..LinkSpec::default()
    });
}

/// The shard, number, and payload of the messages the link was handed and has not answered.
fn handed(world: &World) -> Vec<(usize, u64, String)> {
    let messages = world.link_heard.iter().filter_map(|heard| match heard {
        LinkHeard::Message {
            shard,
            number,
            payload,
            ..
        } => Some((*shard, *number, String::from_utf8_lossy(payload).into_owned())),
        LinkHeard::Told(_) => None,
    });
    messages.collect()
}

fn told(world: &World) -> Vec<Told> {
    let told = world.link_heard.iter().filter_map(|heard| match heard {
        LinkHeard::Told(told) => Some(told.clone()),
        LinkHeard::Message { .. } => None,
    });
    told.collect()
}

fn says(topic: &str, payload: &str, qos: QoS, to: To) -> LinkMessage {
    LinkMessage {
        topic: topic.into(),
        payload: payload.into(),
        properties: Vec::new(),
        qos,
        retain: false,
        to,
        replace: None,
    }
}

fn id(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

/// A link hears each matching message of a client once, whatever its level and wherever the client is at home.
#[test]
fn link_hears_each_message_once() {
    everywhere(|world| {
        takes(world, "to/+", false);
        for at in 0..8 {
            let client = world.connect(clean(VERSIONS[at % 2], &format!("client-{at}")));
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                world.publish(client, "to/link", "on", qos);
            }
            world.publish(client, "elsewhere", "on", QoS::AtMostOnce);
        }
        assert_eq!(handed(world).len(), 24);
    });
}

/// What is for links alone reaches no client, whatever it has subscribed to and wherever it is at home.
#[test]
fn what_is_for_links_alone_reaches_no_client() {
    everywhere(|world| {
        world.attach_link(LinkSpec {
            subscriptions: vec![("to/+".to_owned(), true)],
            alone: vec!["to/me".to_owned()],
            ..LinkSpec::default()
        });
        let curious: Vec<_> = (0..4)
            .map(|at| {
                let name = format!("curious-{at}");
                let client = world.connect(if at < 2 {
                    clean(Version::V5, &name)
                } else {
                    persistent(Version::V5, &name)
                });
                world.subscribe(client, "to/#", QoS::ExactlyOnce);
                world.subscribe(client, "to/me", QoS::ExactlyOnce);
                client
            })
            .collect();
        let device = world.connect(clean(Version::V5, "device"));
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            world.publish(device, "to/me", "secret", qos);
            world.publish(device, "to/all", "open", qos);
        }
        assert_eq!(handed(world).len(), 6);
        for client in curious {
            assert_eq!(world.client(client).payloads(), ["open"; 3]);
        }
    });
}

/// A link without responsibility holds no acknowledgement.
#[test]
fn link_without_responsibility_holds_nothing() {
    everywhere(|world| {
        takes(world, "to/+", false);
        world.link_answers = false;
        let client = world.connect(clean(Version::V5, "client"));
        let id = world.publish(client, "to/link", "on", QoS::AtLeastOnce);
        let acks: Vec<_> = world.client(client).acks().collect();
        assert_eq!(acks, [("PUBACK", id, ReasonCode::Success)]);
    });
}

/// A link with responsibility holds PUBACK and PUBREC until it has answered, and those behind them.
#[test]
fn responsible_link_holds_the_acknowledgement() {
    everywhere(|world| {
        takes(world, "to/+", true);
        world.link_answers = false;
        let kept = world.connect(persistent(Version::V5, "kept"));
        world.subscribe(kept, "to/both", QoS::AtLeastOnce);
        for connect in [clean(Version::V5, "client"), persistent(Version::V311, "client")] {
            let client = world.connect(connect);
            world.link_heard.clear();
            world.publish(client, "to/link", "one", QoS::AtLeastOnce);
            world.publish(client, "to/both", "two", QoS::ExactlyOnce);
            world.publish(client, "nobody", "three", QoS::AtLeastOnce);
            assert_eq!(world.client(client).acks().count(), 0);
            let handed = handed(world);
            world.link_answer(handed[1].0, handed[1].1, Answer::Taken);
            assert_eq!(world.client(client).acks().count(), 0);
            world.link_answer(handed[0].0, handed[0].1, Answer::Taken);
            let names: Vec<_> = world.client(client).acks().map(|(name, ..)| name).collect();
            assert_eq!(names, ["PUBACK", "PUBREC", "PUBACK", "PUBCOMP"]);
        }
        assert_eq!(world.client(kept).payloads(), ["two", "two"]);
    });
}

/// A refusal reaches a v5 publisher with its reason, and closes a 3.1.1 publisher, who could not be told.
#[test]
fn refusal_reaches_the_publisher() {
    everywhere(|world| {
        takes(world, "to/+", true);
        world.link_answers = false;
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for connect in [clean(Version::V5, "new"), persistent(Version::V5, "new")] {
                let new = world.connect(connect);
                world.link_heard.clear();
                world.publish(new, "to/link", "on", qos);
                let handed = handed(world);
                world.link_answer(
                    handed[0].0,
                    handed[0].1,
                    Answer::Refused(ReasonCode::PayloadFormatInvalid),
                );
                let reasons: Vec<_> = world.client(new).acks().map(|(_, _, reason)| reason).collect();
                assert_eq!(reasons, [ReasonCode::PayloadFormatInvalid]);
                assert_eq!(world.disk().len(Shelf::Receipts), 0);
            }
            let old = world.connect(clean(Version::V311, "old"));
            world.link_heard.clear();
            world.publish(old, "to/link", "on", qos);
            let handed = handed(world);
            world.link_answer(
                handed[0].0,
                handed[0].1,
                Answer::Refused(ReasonCode::PayloadFormatInvalid),
            );
            assert_eq!(world.client(old).acks().count(), 0);
            assert!(!world.client(old).is_connected());
        }
    });
}

/// A link that refuses with success wants the message acknowledged: it says what is wrong in its own way.
#[test]
fn refusal_with_success_is_an_acknowledgement() {
    everywhere(|world| {
        takes(world, "to/+", true);
        world.link_answers = false;
        for version in VERSIONS {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let client = world.connect(persistent(version, "client"));
                world.link_heard.clear();
                let id = world.publish(client, "to/link", "on", qos);
                let handed = handed(world);
                world.link_answer(handed[0].0, handed[0].1, Answer::Refused(ReasonCode::Success));
                assert_eq!(world.client(client).acks().next().unwrap().1, id);
                assert!(world.client(client).is_connected());
                world.connect(clean(version, "client"));
            }
        }
    });
}

/// An id whose message a link refused may be used again at once, and no crash brings its receipt back.
#[test]
fn refused_id_may_be_used_again() {
    everywhere(|world| {
        takes(world, "to/+", true);
        world.link_answers = false;
        let client = world.connect(persistent(Version::V5, "client"));
        world.publish(client, "to/link", "refused", QoS::ExactlyOnce);
        let first = handed(world);
        world.link_answer(first[0].0, first[0].1, Answer::Refused(ReasonCode::QuotaExceeded));
        world.link_answers = true;
        world.crash();
        let client = world.connect(persistent(Version::V5, "client"));
        world.publish(client, "to/link", "taken", QoS::ExactlyOnce);
        assert_eq!(handed(world).last().unwrap().2, "taken");
        let names: Vec<_> = world.client(client).acks().map(|(name, ..)| name).collect();
        assert_eq!(names, ["PUBREC", "PUBCOMP"]);
    });
}

/// A link that does not answer in time has refused; its answer that comes later is ignored.
#[test]
fn silence_is_a_refusal() {
    everywhere(|world| {
        takes(world, "to/+", true);
        world.link_answers = false;
        let client = world.connect(clean(Version::V5, "client"));
        let id = world.publish(client, "to/link", "on", QoS::AtLeastOnce);
        world.pass(Duration::from_millis(9_900));
        assert_eq!(world.client(client).acks().count(), 0);
        world.pass(Duration::from_millis(200));
        let acks: Vec<_> = world.client(client).acks().collect();
        assert_eq!(acks, [("PUBACK", id, ReasonCode::ImplementationSpecificError)]);
        assert_eq!(world.count(|counters| counters.link_timeouts), 1);
        let handed = handed(world);
        world.link_answer(handed[0].0, handed[0].1, Answer::Taken);
        assert_eq!(world.client(client).acks().count(), 1);
    });
}

/// [MQTT5-3.4.2-1] [MQTT5-3.5.2-1] Whatever reason a link gives, the acknowledgement says one that it may.
#[test]
fn every_reason_of_a_link_reaches_the_publisher() {
    everywhere(|world| {
        takes(world, "to/+", true);
        world.link_answers = false;
        for reason in ReasonCode::ALL.iter().filter(|reason| reason.is_error()) {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let client = world.connect(clean(Version::V5, "client"));
                world.link_heard.clear();
                world.publish(client, "to/link", "on", qos);
                let handed = handed(world);
                world.link_answer(handed[0].0, handed[0].1, Answer::Refused(*reason));
                let (_, _, heard) = world.client(client).acks().next().unwrap();
                assert!(heard.is_error(), "{reason}");
            }
        }
    });
}

/// Answers leave no deadlines behind.
#[test]
fn answers_leave_no_deadlines_behind() {
    everywhere(|world| {
        takes(world, "to/+", true);
        let client = world.connect(clean(Version::V5, "client"));
        for _ in 0..100 {
            world.publish(client, "to/link", "on", QoS::AtLeastOnce);
        }
        assert_eq!(world.deadlines(), 0);
    });
}

/// A link that is behind has its publishers read no further, and nobody else; when it has caught up they are read again.
#[test]
fn link_that_is_behind_slows_its_publishers() {
    let settings = Settings {
        link_bytes_max: 1000,
        ..Settings::by(Entrance {
            receive_maximum: 1000,
            ..Entrance::default()
        })
    };
    everywhere_with(&settings, |world| {
        takes(world, "to/+", false);
        world.link_answers = false;
        let client = world.connect(clean(Version::V5, "client"));
        let other = world.connect(clean(Version::V5, "other"));
        for _ in 0..100 {
            world.publish(client, "to/link", &"x".repeat(93), QoS::AtMostOnce);
        }
        assert_eq!(handed(world).len(), 11);
        world.send(other, &Packet::PingReq);
        assert!(
            world
                .client(other)
                .packets()
                .any(|packet| *packet == Packet::PingResp)
        );
        world.link_answers = true;
        for (shard, number, _) in handed(world) {
            world.link_answer(shard, number, Answer::Taken);
        }
        assert_eq!(handed(world).len(), 100);
    });
}

/// A link hears of subscriptions to what it watches: as they are granted, and as they come back with a session.
#[test]
fn watched_subscriptions_are_told() {
    everywhere(|world| {
        world.attach_link(LinkSpec {
            watches: vec!["twin/+/delta".into()],
            ..LinkSpec::default()
        });
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe(client, "elsewhere", QoS::AtMostOnce);
        world.subscribe(client, "twin/#", QoS::AtMostOnce);
        world.drop_connection(client);
        world.connect(persistent(Version::V5, "client"));
        let heard: Vec<(String, bool)> = told(world)
            .into_iter()
            .map(|told| match told {
                Told::Subscribed { filter, resumed, .. } => (filter.as_str().to_owned(), resumed),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(heard, [("twin/#".to_owned(), false), ("twin/#".to_owned(), true)]);
    });
}

/// A link's message reaches everybody, one client, or all but one, on whatever shard it is published.
#[test]
fn link_says_who_gets_a_message() {
    everywhere(|world| {
        takes(world, "unused", false);
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let names: Vec<String> = (0..6).map(|at| format!("client-{at}")).collect();
            let clients: Vec<ClientRef> = names
                .iter()
                .enumerate()
                .map(|(at, name)| {
                    let connect = if at % 2 == 0 {
                        clean(Version::V5, name)
                    } else {
                        persistent(Version::V5, name)
                    };
                    let client = world.connect(connect);
                    world.subscribe(client, "twin", QoS::ExactlyOnce);
                    client
                })
                .collect();
            for order in ["a", "b", "c"] {
                world.link_publish(order, says("twin", "all", qos, To::Everyone));
                for (name, to) in names.iter().zip(0..) {
                    world.link_publish(
                        order,
                        says("twin", &format!("only {to}"), qos, To::Only(id(name))),
                    );
                    world.link_publish(
                        order,
                        says("twin", &format!("not {to}"), qos, To::Except(id(name))),
                    );
                }
            }
            for (at, client) in clients.iter().enumerate() {
                let got = world.client(*client).payloads();
                assert_eq!(got.iter().filter(|payload| *payload == "all").count(), 3);
                assert_eq!(
                    got.iter().filter(|payload| payload.starts_with("only")).count(),
                    3
                );
                assert!(got.contains(&format!("only {at}")));
                assert_eq!(
                    got.iter().filter(|payload| payload.starts_with("not")).count(),
                    15
                );
                assert!(!got.contains(&format!("not {at}")));
            }
            for name in &names {
                world.connect(clean(Version::V5, name));
            }
        }
        assert!(world.disk().is_empty());
    });
}

/// What is for one client alone is neither kept for it while it is away, nor given to one that does not subscribe.
#[test]
fn message_for_one_client_does_not_wait() {
    everywhere(|world| {
        takes(world, "unused", false);
        let client = world.connect(persistent(Version::V5, "client"));
        world.link_publish(
            "a",
            says("twin", "not subscribed", QoS::AtLeastOnce, To::Only(id("client"))),
        );
        world.subscribe(client, "twin", QoS::AtLeastOnce);
        world.drop_connection(client);
        world.link_publish(
            "a",
            says("twin", "away", QoS::AtLeastOnce, To::Only(id("client"))),
        );
        let client = world.connect(persistent(Version::V5, "client"));
        assert_eq!(world.client(client).payloads(), [""; 0]);
    });
}

/// A link's retained message is shown to new subscribers and gone after a restart; a client's stays.
#[test]
fn retained_message_of_a_link_is_not_kept() {
    everywhere(|world| {
        takes(world, "unused", false);
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "state/#", QoS::AtLeastOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.retain(publisher, "state/client", "kept", QoS::AtLeastOnce);
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let retained = LinkMessage {
                retain: true,
                ..says("state/link", "shown", qos, To::Everyone)
            };
            world.link_publish("a", retained);
            let late = world.connect(clean(Version::V5, "late"));
            world.subscribe(late, "state/#", QoS::AtLeastOnce);
            let mut got = world.client(late).payloads();
            got.sort();
            assert_eq!(got, ["kept", "shown"]);
        }
        world.crash();
        let late = world.connect(clean(Version::V5, "late"));
        world.subscribe(late, "state/#", QoS::AtLeastOnce);
        assert_eq!(world.client(late).payloads(), ["kept"]);
    });
}

fn delta(payload: &str, key: u64, qos: QoS) -> LinkMessage {
    LinkMessage {
        replace: Some(key),
        ..says("twin", payload, qos, To::Only(id("client")))
    }
}

/// Of the replaceable messages of one key at most one waits: the latest. It is settled when the client has acknowledged it.
#[test]
fn latest_of_a_key_waits() {
    everywhere(|world| {
        takes(world, "unused", false);
        let mut connect = persistent(Version::V5, "client");
        connect.receive_maximum = std::num::NonZeroU16::new(1);
        let client = world.connect(connect);
        world.subscribe(client, "twin", QoS::AtLeastOnce);
        world.client_mut(client).acknowledges = false;
        for at in 0..100 {
            world.link_publish("a", delta(&format!("one {at}"), 1, QoS::AtLeastOnce));
            world.link_publish("a", delta(&format!("two {at}"), 2, QoS::AtLeastOnce));
        }
        assert_eq!(world.client(client).payloads(), ["one 0"]);
        assert_eq!(told(world), []);
        assert_eq!(world.count(|counters| counters.queued_messages), 2);
        world.client_mut(client).acknowledges = true;
        let first = world.client(client).messages().next().unwrap().id.unwrap();
        world.send(client, &Packet::PubAck(mqtt_wire::Ack::new(first)));
        let mut got = world.client(client).payloads();
        got.sort();
        assert_eq!(got, ["one 0", "one 99", "two 99"]);
        let mut keys: Vec<u64> = told(world)
            .into_iter()
            .map(|told| match told {
                Told::Settled { key, .. } => key,
                other => panic!("{other:?}"),
            })
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, [1, 1, 2]);
        assert!(world.disk().len(Shelf::Queue) == 0);
    });
}

/// A replaceable message to a subscription at QoS 0 is settled when it is sent.
#[test]
fn replaceable_message_at_qos_0_is_settled_when_sent() {
    everywhere(|world| {
        takes(world, "unused", false);
        let client = world.connect(clean(Version::V5, "client"));
        world.subscribe(client, "twin", QoS::AtMostOnce);
        world.link_publish("a", delta("on", 7, QoS::AtLeastOnce));
        assert_eq!(world.client(client).payloads(), ["on"]);
        assert_eq!(
            told(world),
            [Told::Settled {
                client_id: id("client"),
                key: 7
            }]
        );
    });
}

/// A replaceable message does not wait for a client that is away.
#[test]
fn replaceable_message_does_not_wait_for_the_absent() {
    everywhere(|world| {
        takes(world, "unused", false);
        let connect = persistent(Version::V5, "client");
        let client = world.connect(connect.clone());
        world.subscribe(client, "twin", QoS::AtLeastOnce);
        world.drop_connection(client);
        world.link_publish("a", delta("on", 7, QoS::AtLeastOnce));
        let client = world.connect(connect);
        assert_eq!(world.client(client).payloads(), [""; 0]);
    });
}

/// A client's will is a message for links too, and waits for nobody.
#[test]
fn link_hears_wills() {
    everywhere(|world| {
        takes(world, "to/+", true);
        let will = mqtt_wire::Will {
            topic: "to/link".into(),
            payload: b"gone".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: false,
            delay_secs: 0,
            properties: Vec::new(),
        };
        let client = world.connect(mqtt_wire::Connect {
            will: Some(will),
            ..clean(Version::V5, "client")
        });
        world.drop_connection(client);
        assert_eq!(handed(world).len(), 1);
        assert_eq!(handed(world)[0].2, "gone");
    });
}

/// A durable message that a link is responsible for is acknowledged when both the store and the link have it.
#[test]
fn store_and_link_both_count() {
    everywhere(|world| {
        takes(world, "to/+", true);
        world.link_answers = false;
        let kept = world.connect(persistent(Version::V5, "kept"));
        world.subscribe(kept, "to/+", QoS::AtLeastOnce);
        let client = world.connect(clean(Version::V5, "client"));
        world.store_answers = false;
        world.message(
            client,
            Publish {
                ..message("to/link", "on", QoS::AtLeastOnce)
            },
        );
        let first = handed(world);
        world.link_answer(first[0].0, first[0].1, Answer::Taken);
        assert_eq!(world.client(client).acks().count(), 0);
        world.store_answers = true;
        world.settle();
        assert_eq!(world.client(client).acks().count(), 1);
        let topic: Arc<str> = "to/link".into();
        assert_eq!(world.client(kept).messages().next().unwrap().topic, *topic);
    });
}
