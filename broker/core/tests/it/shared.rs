//! Shared subscriptions: a message is its group's until a member is done with it.

mod histories;
mod kept;
mod strategies;

use std::{cell::RefCell, rc::Rc};

use broker_core::{
    Question, Settings,
    testing::{ClientRef, LinkHeard, LinkSpec, World, clean, filter, message, persistent},
};
use mqtt_wire::{Ack, Packet, QoS, ReasonCode, Subscription, Version};

use crate::{VERSIONS, everywhere, everywhere_with};

const GROUP: &str = "$share/group/room/+";

fn member(world: &mut World, name: &str, qos: QoS) -> ClientRef {
    let client = world.connect(clean(Version::V5, name));
    world.subscribe(client, GROUP, qos);
    client
}

fn members(world: &mut World, count: usize, qos: QoS) -> Vec<ClientRef> {
    (0..count)
        .map(|at| member(world, &format!("member-{at}"), qos))
        .collect()
}

fn publisher(world: &mut World) -> ClientRef {
    world.connect(clean(Version::V5, "publisher"))
}

/// Publishes `0` to `count` on `room/1`.
fn publish_numbers(world: &mut World, publisher: ClientRef, count: usize, qos: QoS) {
    for at in 0..count {
        world.publish(publisher, "room/1", &at.to_string(), qos);
    }
}

/// What all of them received, in the order of the numbers.
fn numbers(world: &World, clients: &[ClientRef]) -> Vec<usize> {
    let payloads = clients.iter().flat_map(|client| world.client(*client).payloads());
    let mut numbers: Vec<usize> = payloads.map(|payload| payload.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn counts(world: &World, clients: &[ClientRef]) -> Vec<usize> {
    clients
        .iter()
        .map(|client| world.client(*client).messages().count())
        .collect()
}

fn all(count: usize) -> Vec<usize> {
    (0..count).collect()
}

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Each message goes to one member, in turn, whatever its level and whichever version a member speaks.
#[test]
fn members_divide_the_messages_evenly() {
    everywhere(|world| {
        for version in VERSIONS {
            for qos in LEVELS {
                let group: Vec<_> = (0..3)
                    .map(|at| {
                        let client = world.connect(clean(version, &format!("member-{at}")));
                        world.subscribe(client, GROUP, QoS::ExactlyOnce);
                        client
                    })
                    .collect();
                let publisher = publisher(world);
                publish_numbers(world, publisher, 30, qos);
                assert_eq!(numbers(world, &group), all(30));
                assert_eq!(counts(world, &group), [10, 10, 10]);
            }
        }
    });
}

/// Two groups on one filter get each message once each.
#[test]
fn each_group_gets_every_message() {
    everywhere(|world| {
        let one = member(world, "one", QoS::AtLeastOnce);
        let other = world.connect(clean(Version::V5, "other"));
        world.subscribe(other, "$share/others/room/+", QoS::AtLeastOnce);
        let publisher = publisher(world);
        publish_numbers(world, publisher, 5, QoS::AtLeastOnce);
        assert_eq!(numbers(world, &[one]), all(5));
        assert_eq!(numbers(world, &[other]), all(5));
    });
}

/// What a member has not acknowledged when it goes is another's, and nothing else is sent again.
#[test]
fn unacknowledged_messages_go_to_another_member() {
    everywhere(|world| {
        for kept in [false, true] {
            let connect = if kept { persistent } else { clean };
            let silent = world.connect(connect(Version::V5, "silent"));
            world.subscribe(silent, GROUP, QoS::AtLeastOnce);
            world.client_mut(silent).acknowledges = false;
            let publisher = publisher(world);
            publish_numbers(world, publisher, 10, QoS::AtLeastOnce);
            assert_eq!(numbers(world, &[silent]), all(10));
            let returned = world.count(|counters| counters.shared_returned);
            let other = member(world, "other", QoS::AtLeastOnce);
            assert_eq!(counts(world, &[other]), [0]);
            world.drop_connection(silent);
            assert_eq!(numbers(world, &[other]), all(10));
            assert_eq!(world.count(|counters| counters.shared_returned), returned + 10);
            assert!(world.client(other).messages().all(|message| !message.dup));
            let again = world.connect(clean(Version::V5, "silent"));
            assert_eq!(counts(world, &[again]), [0], "they are no longer its own");
            world.drop_connection(again);
            world.drop_connection(other);
        }
    });
}

/// [MQTT-3.3.1-3] A message that waited for a member and was never sent comes without DUP, to the same member too.
#[test]
fn what_was_never_sent_comes_without_dup() {
    let settings = Settings {
        inflight_max: 1,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let client = world.connect(persistent(Version::V5, "client"));
            world.client_mut(client).acknowledges = false;
            world.subscribe(client, "room/1", qos);
            world.subscribe(client, GROUP, qos);
            let publisher = publisher(world);
            world.publish(publisher, "room/1", "on", qos);
            assert_eq!(counts(world, &[client]), [1]);
            world.drop_connection(client);
            let client = world.connect(persistent(Version::V5, "client"));
            // Which of the two was sent before depends on the order of the mail.
            let again = world.client(client).messages().filter(|message| message.dup);
            assert_eq!((again.count(), counts(world, &[client])), (1, vec![2]));
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// [MQTT-4.8.2-3] A copy has the quality of service that its receiver was granted.
#[test]
fn copies_have_the_level_granted_to_their_receiver() {
    everywhere(|world| {
        let low = member(world, "low", QoS::AtMostOnce);
        let middle = member(world, "middle", QoS::AtLeastOnce);
        let publisher = publisher(world);
        publish_numbers(world, publisher, 200, QoS::ExactlyOnce);
        assert_eq!(numbers(world, &[low, middle]), all(200));
        for (client, qos) in [(low, QoS::AtMostOnce), (middle, QoS::AtLeastOnce)] {
            assert_eq!(world.client(client).messages().count(), 100);
            assert!(world.client(client).messages().all(|message| message.qos == qos));
        }
    });
}

/// What waits in a group whose members want QoS 0 is sent at QoS 0 to whoever joins: it is not kept, and would not come back.
#[test]
fn what_a_group_has_at_qos_0_is_not_sent_above() {
    let settings = Settings {
        inflight_max: 1,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let busy = member(world, "busy", QoS::AtLeastOnce);
        world.client_mut(busy).acknowledges = false;
        let publisher = publisher(world);
        publish_numbers(world, publisher, 2, QoS::AtLeastOnce);
        world.subscribe(busy, GROUP, QoS::AtMostOnce);
        for late in ["for busy", "for other"] {
            world.publish(publisher, "room/1", late, QoS::AtLeastOnce);
        }
        let other = member(world, "other", QoS::AtLeastOnce);
        assert_eq!(world.client(other).payloads(), ["1", "for other"]);
        let levels = world.client(other).messages().map(|message| message.qos);
        assert_eq!(levels.collect::<Vec<_>>(), [QoS::AtLeastOnce, QoS::AtMostOnce]);
    });
}

/// A copy carries the member's own subscription identifier, and RETAIN only if the member asked for that.
#[test]
fn copies_follow_their_receivers_options() {
    everywhere(|world| {
        let plain = member(world, "plain", QoS::AtLeastOnce);
        let fancy = world.connect(clean(Version::V5, "fancy"));
        let retain_as_published = true;
        let subscription = Subscription::new(filter(GROUP), QoS::AtLeastOnce);
        let subscription = Subscription {
            retain_as_published,
            ..subscription
        };
        world.subscribe_with(fancy, Some(7), subscription);
        let publisher = publisher(world);
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            world.retain(publisher, "room/1", "on", qos);
            world.retain(publisher, "room/1", "on", qos);
        }
        assert_eq!(counts(world, &[plain, fancy]), [2, 2]);
        for message in world.client(plain).messages() {
            assert!(!message.retain && message.properties.is_empty());
        }
        for message in world.client(fancy).messages() {
            assert!(message.retain);
            assert_eq!(message.properties, [0x0b, 7]);
        }
    });
}

/// A shared subscription brings no retained messages.
#[test]
fn retained_messages_are_not_sent() {
    everywhere(|world| {
        let publisher = publisher(world);
        world.retain(publisher, "room/1", "old", QoS::AtLeastOnce);
        let client = member(world, "client", QoS::AtLeastOnce);
        assert_eq!(counts(world, &[client]), [0]);
        world.subscribe(client, "room/+", QoS::AtLeastOnce);
        assert_eq!(world.client(client).payloads(), ["old"], "a plain one does");
    });
}

/// A client with a plain and a shared subscription gets a copy for each.
#[test]
fn plain_and_shared_subscriptions_both_count() {
    everywhere(|world| {
        let client = member(world, "client", QoS::AtLeastOnce);
        world.subscribe(client, "room/1", QoS::AtLeastOnce);
        let publisher = publisher(world);
        for qos in LEVELS {
            world.publish(publisher, "room/1", "on", qos);
        }
        assert_eq!(counts(world, &[client]), [6]);
    });
}

/// [MQTT-4.8.2-6] What a member refuses is over.
#[test]
fn refused_message_is_offered_to_nobody_else() {
    everywhere(|world| {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let stern = member(world, "stern", qos);
            world.client_mut(stern).acknowledges = false;
            let publisher = publisher(world);
            world.publish(publisher, "room/1", "on", qos);
            let id = world.client(stern).messages().next().unwrap().id.unwrap();
            let ack = Ack::with(id, ReasonCode::NotAuthorized);
            let ack = if qos == QoS::AtLeastOnce {
                Packet::PubAck(ack)
            } else {
                Packet::PubRec(ack)
            };
            world.send(stern, &ack);
            let other = member(world, "other", qos);
            world.drop_connection(stern);
            assert_eq!(counts(world, &[other]), [0]);
            world.drop_connection(other);
        }
    });
}

/// Who unsubscribes gets nothing more; the last one ends the group.
#[test]
fn unsubscribed_member_gets_nothing_more() {
    everywhere(|world| {
        let one = member(world, "one", QoS::AtLeastOnce);
        let other = member(world, "other", QoS::AtLeastOnce);
        let publisher = publisher(world);
        world.unsubscribe(one, GROUP);
        assert_eq!(world.client(one).granted(), [ReasonCode::Success]);
        publish_numbers(world, publisher, 4, QoS::AtLeastOnce);
        assert_eq!(numbers(world, &[other]), all(4));
        world.unsubscribe(other, GROUP);
        world.publish(publisher, "room/1", "nobody", QoS::AtLeastOnce);
        let (_, _, reason) = world.client(publisher).acks().last().unwrap();
        assert_eq!(reason, ReasonCode::NoMatchingSubscribers);
        assert_eq!(counts(world, &[one, other]), [0, 4]);
        world.unsubscribe(other, GROUP);
        assert_eq!(world.client(other).granted(), [ReasonCode::NoSubscriptionExisted]);
    });
}

/// What is under way at a member that has unsubscribed goes to another when its client is lost, though the group was
/// empty meanwhile.
#[test]
fn what_a_former_member_did_not_acknowledge_is_not_lost() {
    everywhere(|world| {
        let former = member(world, "former", QoS::AtLeastOnce);
        world.client_mut(former).acknowledges = false;
        let publisher = publisher(world);
        publish_numbers(world, publisher, 3, QoS::AtLeastOnce);
        world.unsubscribe(former, GROUP);
        let other = member(world, "other", QoS::AtLeastOnce);
        world.drop_connection(former);
        assert_eq!(numbers(world, &[other]), all(3));
    });
}

/// The gate is asked about the topics, not about the share.
#[test]
fn gate_is_asked_about_the_topics() {
    everywhere(|world| {
        let asked = Rc::new(RefCell::new(Vec::new()));
        let notes = Rc::clone(&asked);
        world.set_gate(move |_, question| match question {
            Question::Publish { .. } => true,
            Question::Subscribe { filter } => {
                notes.borrow_mut().push(filter.to_string());
                filter.as_str() != "secret"
            }
        });
        let client = world.connect(clean(Version::V5, "client"));
        world.subscribe(client, "$share/group/secret", QoS::AtLeastOnce);
        assert_eq!(world.client(client).granted(), [ReasonCode::NotAuthorized]);
        world.subscribe(client, GROUP, QoS::AtLeastOnce);
        assert_eq!(world.client(client).granted(), [ReasonCode::GrantedQoS1]);
        assert_eq!(*asked.borrow(), ["secret", "room/+"]);
        let publisher = publisher(world);
        world.publish(publisher, "secret", "", QoS::AtLeastOnce);
        assert_eq!(counts(world, &[client]), [0]);
    });
}

/// A shared subscription is live on every shard when SUBACK leaves.
#[test]
fn membership_is_live_when_suback_leaves() {
    everywhere(|world| {
        let publishers: Vec<ClientRef> = (0..8)
            .map(|at| world.connect(clean(Version::V5, &format!("publisher-{at}"))))
            .collect();
        for connect in [clean, persistent] {
            let client = world.connect(connect(Version::V5, "client"));
            let subscription = Subscription::new(filter(GROUP), QoS::AtLeastOnce);
            world.begin_subscribe(client, None, subscription);
            while world.client(client).granted().is_empty() {
                world.settle_partly(1);
            }
            for (publisher, qos) in publishers.iter().zip(LEVELS.iter().cycle()) {
                world.begin_publish(*publisher, "room/1", "on", *qos);
            }
            world.settle();
            assert_eq!(world.client(client).messages().count(), 8);
            world.unsubscribe(client, GROUP);
        }
    });
}

/// One publisher's messages reach each member in their order.
#[test]
fn each_members_messages_are_in_order() {
    everywhere(|world| {
        let mut group = members(world, 2, QoS::ExactlyOnce);
        for name in ["kept-1", "kept-2"] {
            let client = world.connect(persistent(Version::V5, name));
            world.subscribe(client, GROUP, QoS::ExactlyOnce);
            group.push(client);
        }
        let publisher = publisher(world);
        for at in 0..80 {
            let qos = LEVELS[world.dice().below(3)];
            world.begin_publish(publisher, "room/1", &at.to_string(), qos);
            let steps = world.dice().below(6);
            world.settle_partly(steps);
        }
        world.settle();
        assert_eq!(numbers(world, &group), all(80));
        for client in group {
            let payloads = world.client(client).payloads();
            let got: Vec<usize> = payloads.iter().map(|text| text.parse().unwrap()).collect();
            assert!(got.is_sorted(), "{got:?}");
        }
    });
}

/// What waits for members that acknowledge nothing is bounded as a session's queue is.
#[test]
fn queue_of_a_group_is_bounded() {
    let settings = Settings {
        queue_messages_max: 5,
        inflight_max: 2,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        for connect in [clean, persistent] {
            let client = world.connect(connect(Version::V5, "client"));
            world.subscribe(client, GROUP, QoS::AtLeastOnce);
            world.client_mut(client).acknowledges = false;
            let dropped = world.count(|counters| counters.dropped_queue_full);
            let publisher = publisher(world);
            publish_numbers(world, publisher, 9, QoS::AtLeastOnce);
            let reasons: Vec<_> = world
                .client(publisher)
                .acks()
                .map(|(.., reason)| reason)
                .collect();
            assert_eq!(reasons[..7], [ReasonCode::Success; 7]);
            assert_eq!(reasons[7..], [ReasonCode::QuotaExceeded; 2]);
            assert_eq!(world.count(|counters| counters.dropped_queue_full), dropped + 2);
            assert_eq!(numbers(world, &[client]), all(2), "its window");
            let other = member(world, "other", QoS::AtLeastOnce);
            assert_eq!(numbers(world, &[other]), [2, 3, 4, 5, 6]);
            world.drop_connection(other);
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// A group is no client: it is not counted, and nobody can connect, publish to or be told as one.
#[test]
fn group_is_nobodys_session() {
    everywhere(|world| {
        let watches = vec!["#".to_owned()];
        world.attach_link(LinkSpec {
            watches,
            ..LinkSpec::default()
        });
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe(client, GROUP, QoS::AtLeastOnce);
        assert_eq!(world.count(|counters| counters.sessions), 1);
        assert_eq!(world.count(|counters| counters.subscriptions), 1);
        let thief = world.connect(persistent(Version::V5, GROUP));
        assert_eq!(world.client(thief).connack(), None);
        assert!(!world.client(thief).is_connected());
        assert_eq!(world.count(|counters| counters.sessions), 1);
        let subscribed = |heard: &&LinkHeard| !matches!(heard, LinkHeard::Told(_));
        assert_eq!(world.link_heard.iter().filter(subscribed).count(), 0);
        assert!(!format!("{:?}", world.link_heard).contains("Subscribed"));
    });
}

/// A message that expires while every window is full reaches nobody.
#[test]
fn expired_messages_are_not_handed_out() {
    let settings = Settings {
        inflight_max: 1,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let busy = member(world, "busy", QoS::AtLeastOnce);
        world.client_mut(busy).acknowledges = false;
        let publisher = publisher(world);
        world.publish(publisher, "room/1", "first", QoS::AtLeastOnce);
        let block = [0x02, 0, 0, 0, 5];
        let properties = mqtt_wire::Properties::parse_publish(&block).unwrap();
        let brief = message("room/1", "brief", QoS::AtLeastOnce);
        world.message(publisher, mqtt_wire::Publish { properties, ..brief });
        world.pass(std::time::Duration::from_secs(6));
        let other = member(world, "other", QoS::AtLeastOnce);
        assert_eq!(counts(world, &[other]), [0]);
        assert_eq!(world.count(|counters| counters.dropped_expired), 1);
    });
}
