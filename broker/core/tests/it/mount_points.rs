//! Clients below a mount point: they name their topics as if there were nothing else, and see nothing else.

use std::{cell::RefCell, num::NonZeroU16, rc::Rc, time::Duration};

use broker_core::{
    Batch, Entrance, EntranceId, MountPoint, Question, Settings, Shelf,
    testing::{ClientRef, Heard, World, clean, message, persistent},
};
use mqtt_wire::{
    Connect, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscription, Version, Will,
    put_property,
};

use crate::{VERSIONS, everywhere_with};

const HOUSE: EntranceId = EntranceId(0);
const SITE_A: EntranceId = EntranceId(1);
const SITE_B: EntranceId = EntranceId(2);

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn settings() -> Settings {
    let below = |text| Entrance {
        mount_point: Some(MountPoint::parse(text).unwrap()),
        ..Entrance::default()
    };
    Settings {
        entrances: vec![Entrance::default(), below("site-a/"), below("site-b/")],
        ..Settings::default()
    }
}

fn everywhere(story: impl Fn(&mut World)) {
    everywhere_with(&settings(), story);
}

fn topics(world: &World, client: ClientRef) -> Vec<String> {
    let messages = world.client(client).messages();
    messages.map(|message| message.topic.clone()).collect()
}

/// A client that is in the house and subscribes to everything.
fn watcher(world: &mut World) -> ClientRef {
    let watcher = world.connect(clean(Version::V5, "watcher"));
    world.subscribe(watcher, "#", QoS::ExactlyOnce);
    watcher
}

fn properties(list: &[Property<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for property in list {
        put_property(&mut block, property).unwrap();
    }
    block
}

fn will(topic: &str) -> Will {
    Will {
        topic: topic.into(),
        payload: b"lost".to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
        delay_secs: 0,
        properties: Vec::new(),
    }
}

#[test]
fn each_site_has_its_topics_to_itself() {
    everywhere(|world| {
        let watcher = watcher(world);
        for version in VERSIONS {
            for qos in LEVELS {
                let a = world.connect_by(SITE_A, clean(version, "a"));
                let b = world.connect_by(SITE_B, clean(version, "b"));
                for client in [a, b] {
                    world.subscribe(client, "room/+", qos);
                    world.subscribe(client, "exact", qos);
                }
                world.publish(a, "room/1", "of a", qos);
                world.publish(a, "exact", "of a", qos);
                world.publish(b, "room/1", "of b", qos);
                let house = world.connect(clean(version, "house"));
                world.publish(house, "room/1", "of the house", qos);
                world.publish(house, "site-a/room/2", "to a", qos);
                assert_eq!(world.client(a).payloads(), ["of a", "of a", "to a"]);
                assert_eq!(topics(world, a), ["room/1", "exact", "room/2"]);
                assert_eq!(world.client(b).payloads(), ["of b"]);
                world.unsubscribe(a, "room/+");
                assert_eq!(world.client(a).granted().first(), granted(version));
                world.publish(a, "room/1", "unheard", qos);
                assert_eq!(world.client(a).payloads().len(), 3);
                let end = topics(world, watcher).split_off(topics(world, watcher).len() - 6);
                assert_eq!(
                    end,
                    [
                        "site-a/room/1",
                        "site-a/exact",
                        "site-b/room/1",
                        "room/1",
                        "site-a/room/2",
                        "site-a/room/1"
                    ]
                );
            }
        }
    });
}

/// What UNSUBACK says of a subscription that there was: nothing in MQTT 3.1.1.
fn granted(version: Version) -> Option<&'static ReasonCode> {
    match version {
        Version::V311 => None,
        Version::V5 => Some(&ReasonCode::Success),
    }
}

/// Nothing waits for a client or is under way to it, also after a restart, and nothing of it stays on disk.
fn leaves_nothing(world: &mut World, client_id: &str) {
    let shelves = [Shelf::Inflight, Shelf::Bodies];
    assert_eq!(shelves.map(|shelf| world.disk().len(shelf)), [0, 0]);
    world.crash();
    let client = world.connect_by(SITE_A, persistent(Version::V5, client_id));
    assert_eq!(world.client(client).payloads().len(), 0);
    world.connect_by(SITE_A, clean(Version::V5, client_id));
    assert_eq!(world.disk().len(Shelf::Queue), 0);
}

/// `#` below a mount point matches the mount point itself, for which a client has no name; and it is not told of what would
/// look like the house's. Nothing stays of either.
#[test]
fn what_a_client_has_no_name_for_it_does_not_get() {
    everywhere(|world| {
        for qos in LEVELS {
            let connect = || Connect {
                receive_maximum: NonZeroU16::new(1),
                ..persistent(Version::V5, "client")
            };
            let client = world.connect_by(SITE_A, connect());
            world.subscribe(client, "#", qos);
            world.subscribe(client, "+", qos);
            let house = world.connect(clean(Version::V5, "house"));
            let publish_all = |world: &mut World, last: &str| {
                for topic in ["site-a", "site-a/", "site-a/$SYS/broker/uptime", "site-a/$x"] {
                    world.publish(house, topic, "unnamed", qos);
                }
                world.publish(house, "site-a/room", last, qos);
            };
            publish_all(world, "live");
            publish_all(world, "and on");
            assert_eq!(world.client(client).payloads(), ["live", "and on"], "{qos:?}");
            world.drop_connection(client);
            publish_all(world, "waited");
            publish_all(world, "waited too");
            let client = world.connect_by(SITE_A, connect());
            let waited: &[&str] = if qos == QoS::AtMostOnce {
                &[]
            } else {
                &["waited", "waited too"]
            };
            assert_eq!(world.client(client).payloads(), waited, "{qos:?}");
            world.drop_connection(client);
            publish_all(world, "on disk");
            world.crash();
            let client = world.connect_by(SITE_A, connect());
            let on_disk: &[&str] = if qos == QoS::AtMostOnce { &[] } else { &["on disk"] };
            assert_eq!(world.client(client).payloads(), on_disk, "{qos:?}");
            assert_eq!(world.count(|counters| counters.queued_messages), 0);
            leaves_nothing(world, "client");
        }
    });
}

#[test]
fn what_has_no_name_is_counted() {
    everywhere(|world| {
        let client = world.connect_by(SITE_A, clean(Version::V5, "client"));
        world.subscribe(client, "#", QoS::AtLeastOnce);
        let house = world.connect(clean(Version::V5, "house"));
        world.publish(house, "site-a", "unnamed", QoS::AtLeastOnce);
        world.publish(house, "site-a/room", "named", QoS::AtLeastOnce);
        assert_eq!(world.count(|counters| counters.dropped_unnamed), 1);
        assert_eq!(world.count(|counters| counters.dropped_too_large), 0);
    });
}

/// What begins with `$` is the same for everybody, to publish and to subscribe to.
#[test]
fn the_houses_topics_are_the_same_everywhere() {
    everywhere(|world| {
        let a = world.connect_by(SITE_A, clean(Version::V5, "a"));
        let house = world.connect(clean(Version::V5, "house"));
        for client in [a, house] {
            world.subscribe(client, "$twin/lamp/#", QoS::AtLeastOnce);
        }
        world.publish(a, "$twin/lamp/update", "from a", QoS::AtLeastOnce);
        world.publish(house, "$twin/lamp/update", "from the house", QoS::AtLeastOnce);
        for client in [a, house] {
            assert_eq!(world.client(client).payloads(), ["from a", "from the house"]);
            assert_eq!(topics(world, client), ["$twin/lamp/update"; 2]);
        }
    });
}

/// Gates are asked about the topic in full, also by an alias and by a topic that came just before.
#[test]
fn gates_judge_full_topics() {
    everywhere(|world| {
        let asked = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&asked);
        world.set_gate(move |_, question| {
            let text = match question {
                Question::Publish { topic, .. } => topic.to_string(),
                Question::Subscribe { filter } => filter.to_string(),
            };
            noted.borrow_mut().push(text.clone());
            text != "site-a/secret"
        });
        let client = world.connect_by(SITE_A, clean(Version::V5, "client"));
        world.subscribe(client, "secret", QoS::AtLeastOnce);
        assert_eq!(world.client(client).granted(), [ReasonCode::NotAuthorized]);
        world.subscribe(client, "$share/g/secret", QoS::AtLeastOnce);
        assert_eq!(world.client(client).granted(), [ReasonCode::NotAuthorized]);
        world.subscribe(client, "room", QoS::AtLeastOnce);
        assert_eq!(world.client(client).granted(), [ReasonCode::GrantedQoS1]);
        for topic in ["secret", "room", "room", "site-a/secret"] {
            world.publish(client, topic, topic, QoS::AtLeastOnce);
        }
        let reasons: Vec<_> = world.client(client).acks().map(|(.., reason)| reason).collect();
        assert_eq!(reasons[0], ReasonCode::NotAuthorized);
        assert_eq!(world.client(client).payloads(), ["room", "room"]);
        assert_eq!(
            *asked.borrow(),
            [
                "site-a/secret",
                "site-a/secret",
                "site-a/room",
                "site-a/secret",
                "site-a/room",
                "site-a/site-a/secret"
            ]
        );
    });
}

/// An alias that a client sets stands for the topic in full; one that is set towards it, for the topic as it calls it.
#[test]
fn aliases_stand_for_what_they_were_set_to() {
    everywhere(|world| {
        let watcher = watcher(world);
        let connect = Connect {
            topic_alias_maximum: 5,
            ..clean(Version::V5, "client")
        };
        let client = world.connect_by(SITE_A, connect);
        world.subscribe(client, "#", QoS::AtLeastOnce);
        let alias = properties(&[Property::TopicAlias(1)]);
        let aliased = |topic| Publish {
            properties: Properties::parse_publish(&alias).unwrap(),
            ..message(topic, "on", QoS::AtLeastOnce)
        };
        // The same name just before and after must not be taken for another topic.
        for topic in ["room", "", "room", "", "$x", "", "room"] {
            world.message(client, aliased(topic));
            world.publish(client, "room", "on", QoS::AtLeastOnce);
        }
        // `#` does not match what begins with $.
        assert_eq!(topics(world, watcher), ["site-a/room"; 12]);
        assert_eq!(topics(world, client), ["room"; 12]);
        let names = world.client(client).heard.iter().filter_map(|heard| match heard {
            Heard::Message(message) => Properties::parse_publish(&message.properties)
                .unwrap()
                .topic_alias(),
            Heard::Packet(_) | Heard::Closed => None,
        });
        assert!(names.count() > 8, "topics that come again come by an alias");
    });
}

#[test]
fn wills_are_below_the_mount_point() {
    everywhere(|world| {
        let watcher = watcher(world);
        let neighbour = world.connect_by(SITE_A, clean(Version::V5, "neighbour"));
        world.subscribe(neighbour, "+/status", QoS::AtLeastOnce);
        for delay_secs in [0, 10] {
            let will = Will {
                delay_secs,
                properties: properties(&[Property::ResponseTopic("reply")]),
                ..will("lamp/status")
            };
            let client = world.connect_by(
                SITE_A,
                Connect {
                    will: Some(will),
                    ..persistent(Version::V5, "client")
                },
            );
            world.drop_connection(client);
            if delay_secs > 0 {
                world.crash();
                let watcher = world.connect(clean(Version::V5, "later"));
                world.subscribe(watcher, "#", QoS::AtLeastOnce);
                world.pass(Duration::from_secs(10));
                assert_eq!(topics(world, watcher), ["site-a/lamp/status"]);
            } else {
                assert_eq!(topics(world, watcher), ["site-a/lamp/status"]);
                assert_eq!(topics(world, neighbour), ["lamp/status"]);
                assert_eq!(response_topics(world, watcher), [Some("site-a/reply".to_owned())]);
                assert_eq!(response_topics(world, neighbour), [Some("reply".to_owned())]);
            }
        }
    });
}

fn response_topics(world: &World, client: ClientRef) -> Vec<Option<String>> {
    let messages = world.client(client).messages();
    messages
        .map(|message| {
            let properties = Properties::parse_publish(&message.properties).unwrap();
            properties.response_topic().map(str::to_owned)
        })
        .collect()
}

/// A response topic is named as topics are, among other properties that stay as they are.
#[test]
fn response_topics_are_named_as_topics_are() {
    everywhere(|world| {
        let watcher = watcher(world);
        let a = world.connect_by(SITE_A, clean(Version::V5, "a"));
        world.subscribe(a, "request", QoS::AtLeastOnce);
        let ask = |world: &mut World, by: ClientRef, to: &str, topic: &str| {
            let block = properties(&[
                Property::UserProperty("a", "b"),
                Property::ResponseTopic(topic),
                Property::CorrelationData(b"7"),
                Property::UserProperty("c", "d"),
            ]);
            let properties = Properties::parse_publish(&block).unwrap();
            world.message(
                by,
                Publish {
                    properties,
                    ..message(to, "?", QoS::AtLeastOnce)
                },
            );
        };
        ask(world, a, "request", "reply");
        ask(world, a, "request", "$twin/reply");
        for topic in ["site-a/reply", "elsewhere/reply", "site-a/$SYS/x"] {
            ask(world, watcher, "site-a/request", topic);
        }
        let text = |topic: &str| Some(topic.to_owned());
        assert_eq!(
            response_topics(world, watcher),
            [
                text("site-a/reply"),
                text("$twin/reply"),
                text("site-a/reply"),
                text("elsewhere/reply"),
                text("site-a/$SYS/x")
            ]
        );
        assert_eq!(
            response_topics(world, a),
            [
                text("reply"),
                text("$twin/reply"),
                text("reply"),
                text("elsewhere/reply"),
                text("site-a/$SYS/x")
            ]
        );
        for message in world.client(a).messages() {
            let properties = Properties::parse_publish(&message.properties).unwrap();
            let pairs: Vec<_> = properties.user_properties().collect();
            assert_eq!(pairs, [("a", "b"), ("c", "d")]);
            assert_eq!(properties.correlation_data(), Some(&b"7"[..]));
        }
    });
}

#[test]
fn retained_messages_are_named_as_others_are() {
    everywhere(|world| {
        let house = world.connect(clean(Version::V5, "house"));
        let a = world.connect_by(SITE_A, clean(Version::V5, "a"));
        for topic in ["site-a", "site-a/", "site-a/$x", "site-b/room", "room"] {
            world.retain(house, topic, "not a's", QoS::AtLeastOnce);
        }
        world.retain(a, "room", "of a", QoS::AtLeastOnce);
        world.retain(a, "hall/1", "of a", QoS::AtLeastOnce);
        for qos in LEVELS {
            let client = world.connect_by(SITE_A, persistent(Version::V5, "client"));
            world.subscribe(client, "#", qos);
            let mut found = topics(world, client);
            found.sort();
            assert_eq!(found, ["hall/1", "room"], "{qos:?}");
            assert!(world.client(client).messages().all(|message| message.retain));
            world.connect_by(SITE_A, clean(Version::V5, "client"));
        }
        world.retain(a, "room", "", QoS::AtLeastOnce);
        let late = world.connect(clean(Version::V5, "late"));
        world.subscribe(late, "+/room", QoS::AtLeastOnce);
        assert_eq!(topics(world, late), ["site-b/room"]);
    });
}

/// A group is its full filter: clients below the mount point share with those who name it in full. A member that has no
/// name for a message is done with it.
#[test]
fn groups_are_shared_by_full_filters() {
    everywhere(|world| {
        for qos in LEVELS {
            let a = world.connect_by(SITE_A, persistent(Version::V5, "a"));
            world.subscribe(a, "$share/g/work/#", qos);
            let house = world.connect(clean(Version::V5, "house"));
            world.subscribe(house, "$share/g/site-a/work/#", qos);
            let other = world.connect_by(SITE_B, clean(Version::V5, "other"));
            world.subscribe(other, "$share/g/work/#", qos);
            let publisher = world.connect_by(SITE_A, clean(Version::V5, "publisher"));
            for at in 0..10 {
                world.publish(publisher, &format!("work/{at}"), "", qos);
            }
            let (theirs, ours) = (topics(world, a), topics(world, house));
            assert_eq!((theirs.len(), ours.len()), (5, 5), "{qos:?}");
            assert!(theirs.iter().all(|topic| topic.starts_with("work/")));
            assert!(ours.iter().all(|topic| topic.starts_with("site-a/work/")));
            assert_eq!(topics(world, other).len(), 0);
            for (entrance, client_id) in [(SITE_A, "a"), (HOUSE, "house"), (SITE_B, "other")] {
                world.connect_by(entrance, clean(Version::V5, client_id));
            }
        }
    });
}

#[test]
fn member_that_has_no_name_for_a_message_is_done_with_it() {
    everywhere(|world| {
        for qos in LEVELS {
            let connect = || Connect {
                receive_maximum: NonZeroU16::new(1),
                ..persistent(Version::V5, "a")
            };
            let a = world.connect_by(SITE_A, connect());
            world.subscribe(a, "$share/g/#", qos);
            let house = world.connect(clean(Version::V5, "house"));
            for topic in ["site-a", "site-a/$x", "site-a/1", "site-a", "site-a/", "site-a/2"] {
                world.publish(house, topic, topic, qos);
            }
            assert_eq!(topics(world, a), ["1", "2"], "{qos:?}");
            assert_eq!(world.count(|counters| counters.queued_messages), 0);
            leaves_nothing(world, "a");
        }
    });
}

/// Where its client comes in by another mount point, or by none, a session begins; the other one ends.
#[test]
fn session_belongs_to_its_mount_point() {
    everywhere(|world| {
        for crash in [false, true] {
            for (first, second) in [(SITE_A, SITE_B), (SITE_A, HOUSE), (HOUSE, SITE_A)] {
                let client = world.connect_by(first, persistent(Version::V5, "client"));
                world.subscribe(client, "room", QoS::AtLeastOnce);
                world.drop_connection(client);
                if crash {
                    world.crash();
                }
                let client = world.connect_by(first, persistent(Version::V5, "client"));
                assert_eq!(world.client(client).connack(), Some((ReasonCode::Success, true)));
                world.drop_connection(client);
                if crash {
                    world.crash();
                }
                let client = world.connect_by(second, persistent(Version::V5, "client"));
                assert_eq!(world.client(client).connack(), Some((ReasonCode::Success, false)));
                let publisher = world.connect_by(first, clean(Version::V5, "publisher"));
                world.publish(publisher, "room", "on", QoS::AtLeastOnce);
                assert_eq!(world.client(client).payloads().len(), 0);
                world.connect(clean(Version::V5, "client"));
            }
        }
    });
}

#[test]
fn what_waits_is_there_after_a_restart_under_its_name() {
    everywhere(|world| {
        let client = world.connect_by(SITE_A, persistent(Version::V5, "client"));
        for topic in ["room", "$share/g/hall"] {
            world.subscribe(client, topic, QoS::ExactlyOnce);
        }
        world.drop_connection(client);
        world.crash();
        let publisher = world.connect_by(SITE_A, clean(Version::V5, "publisher"));
        world.publish(publisher, "room", "1", QoS::ExactlyOnce);
        world.publish(publisher, "hall", "2", QoS::AtLeastOnce);
        world.crash();
        let client = world.connect_by(SITE_A, persistent(Version::V5, "client"));
        let mut found = topics(world, client);
        found.sort();
        assert_eq!(found, ["hall", "room"]);
    });
}

/// A session without a mount point is recorded as before there were any, and is found by the number of its format.
#[test]
fn sessions_recorded_before_there_were_mount_points_are_found() {
    const RECORD: &[u8] = b"\x01\0\0\0\x06client\0\0\0\x06client\0\0\0\0\0\0\x01\0\0\0\0\x01\xa3\x18\x5c\x50\0\0\0\0\0\0\0\0\0\0";
    const FILTER: &[u8] = b"\0\0\0\0\0\0\x08\0room";
    const OPTIONS: &[u8] = b"\x01\x01\0\0\0\0\0\0\0\0";
    for (entrance, present) in [(HOUSE, true), (SITE_A, false)] {
        let mut world = World::with(1, 1, settings());
        let mut batch = Batch::default();
        batch.put(Shelf::Sessions, &FILTER[..8], RECORD);
        batch.put(Shelf::Subscriptions, FILTER, OPTIONS);
        world.disk_mut().write(&batch);
        world.crash();
        assert_eq!(world.count(|counters| counters.damaged_messages), 0);
        let client = world.connect_by(entrance, persistent(Version::V5, "client"));
        assert_eq!(
            world.client(client).connack(),
            Some((ReasonCode::Success, present))
        );
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        assert_eq!(world.client(client).payloads().len(), usize::from(present));
    }
    let mut world = World::with(1, 1, settings());
    world.connect(persistent(Version::V5, "client"));
    let formats: Vec<u8> = world
        .disk_mut()
        .values_mut(Shelf::Sessions)
        .map(|value| value[0])
        .collect();
    assert_eq!(formats, [1]);
}

/// Limits of topics hold for the topic in full.
#[test]
fn full_topics_obey_the_limits() {
    let settings = Settings {
        topic_bytes_max: 10,
        topic_levels_max: 3,
        ..settings()
    };
    everywhere_with(&settings, |world| {
        for (topic, fits) in [("abc", true), ("abcd", false), ("a/b", true), ("a/b/", false)] {
            let client = world.connect_by(SITE_A, clean(Version::V5, "client"));
            world.subscribe(client, topic, QoS::AtLeastOnce);
            let granted = if fits {
                ReasonCode::GrantedQoS1
            } else {
                ReasonCode::TopicFilterInvalid
            };
            assert_eq!(world.client(client).granted(), [granted], "{topic}");
            world.publish(client, topic, "", QoS::AtLeastOnce);
            let end = (!fits).then_some(ReasonCode::TopicNameInvalid);
            assert_eq!(world.client(client).disconnected(), end, "{topic}");
        }
    });
}

/// What is longer below the mount point than MQTT lets it be is refused.
#[test]
fn what_is_too_long_in_full_is_refused() {
    let settings = Settings {
        topic_bytes_max: 65_535,
        property_bytes_max: 1 << 20,
        ..settings()
    };
    everywhere_with(&settings, |world| {
        let long = "x".repeat(65_530);
        let client = world.connect_by(SITE_A, clean(Version::V5, "client"));
        world.subscribe(client, &long, QoS::AtLeastOnce);
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::TopicFilterInvalid)
        );
        let client = world.connect_by(SITE_A, clean(Version::V5, "client"));
        world.unsubscribe(client, &long);
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::TopicFilterInvalid)
        );
        let client = world.connect_by(SITE_A, clean(Version::V5, "client"));
        world.publish(client, &long, "", QoS::AtLeastOnce);
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::TopicNameInvalid)
        );
        let block = properties(&[Property::ResponseTopic(&long)]);
        let client = world.connect_by(SITE_A, clean(Version::V5, "client"));
        let publish = Publish {
            properties: Properties::parse_publish(&block).unwrap(),
            ..message("t", "", QoS::AtLeastOnce)
        };
        world.message(client, publish);
        let acks: Vec<_> = world.client(client).acks().map(|(.., reason)| reason).collect();
        assert_eq!(acks, [ReasonCode::QuotaExceeded]);
        for will in [
            will(&long),
            Will {
                properties: block.clone(),
                ..will("t")
            },
        ] {
            let client = world.connect_by(
                SITE_A,
                Connect {
                    will: Some(will),
                    ..clean(Version::V5, "client")
                },
            );
            assert_eq!(
                world.client(client).connack(),
                Some((ReasonCode::TopicNameInvalid, false))
            );
        }
    });
}

/// No-local and subscription identifiers mean what they mean elsewhere.
#[test]
fn options_of_subscriptions_hold_below_the_mount_point() {
    everywhere(|world| {
        let a = world.connect_by(SITE_A, clean(Version::V5, "a"));
        let subscription = Subscription {
            no_local: true,
            ..Subscription::new(broker_core::testing::filter("#"), QoS::AtLeastOnce)
        };
        world.subscribe_with(a, Some(7), subscription);
        world.publish(a, "room", "own", QoS::AtLeastOnce);
        let b = world.connect_by(SITE_A, clean(Version::V5, "b"));
        world.publish(b, "room", "other", QoS::AtLeastOnce);
        assert_eq!(world.client(a).payloads(), ["other"]);
        let ids: Vec<u32> = world
            .client(a)
            .messages()
            .flat_map(|message| {
                let properties = Properties::parse_publish(&message.properties).unwrap();
                properties.subscription_ids().collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(ids, [7]);
        assert!(
            !world
                .client(a)
                .packets()
                .any(|packet| matches!(packet, Packet::Disconnect(_)))
        );
    });
}
