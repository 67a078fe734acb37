//! Sessions and messages that end with time, on a clock that may jump.

use std::time::Duration;

use broker_core::{
    Entrance, Settings, Shelf, WallTime,
    testing::{ClientRef, World, clean, message, persistent},
};
use mqtt_wire::{Connect, Properties, Property, Publish, QoS, ReasonCode, Version, put_property};

use crate::{everywhere, everywhere_with};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn lasting(secs: u32) -> Connect {
    Connect {
        session_expiry_secs: Some(secs),
        clean_start: false,
        ..clean(Version::V5, "client")
    }
}

fn is_present(world: &mut World, connect: Connect) -> bool {
    let client = world.connect(connect);
    world.client(client).connack().unwrap().1
}

/// [MQTT5-3.1.2-23] [MQTT5-4.1.0-2]
/// A session ends when its time is over, not earlier and not later, and leaves nothing on disk.
#[test]
fn session_ends_at_its_granted_expiry() {
    everywhere(|world| {
        let client = world.connect(lasting(3));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        world.drop_connection(client);
        world.pass(Duration::from_millis(2_900));
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        assert_eq!(world.count(|counters| counters.sessions), 2);
        world.pass(Duration::from_millis(200));
        assert_eq!(world.count(|counters| counters.sessions), 1);
        assert_eq!(world.count(|counters| counters.sessions_expired), 1);
        assert!(world.disk().is_empty());
        assert!(!is_present(world, lasting(3)));
    });
}

/// The time begins anew whenever the client leaves.
#[test]
fn expiry_begins_when_the_client_leaves() {
    everywhere(|world| {
        for _ in 0..5 {
            let client = world.connect(lasting(10));
            world.pass(seconds(100));
            world.drop_connection(client);
            world.pass(seconds(9));
        }
        assert!(is_present(world, lasting(10)));
    });
}

/// MQTT 3.1.1 sessions last as long as the broker lets them.
#[test]
fn old_sessions_last_as_long_as_the_broker_lets_them() {
    let settings = Settings::by(Entrance {
        session_expiry_max: seconds(1000),
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        let connect = || persistent(Version::V311, "client");
        for (away, present) in [(999, true), (1001, false)] {
            let client = world.connect(connect());
            world.drop_connection(client);
            world.pass(seconds(away));
            assert_eq!(is_present(world, connect()), present);
        }
    });
}

/// A deadline goes on over a crash.
#[test]
fn expiry_goes_on_over_a_crash() {
    everywhere(|world| {
        let client = world.connect(lasting(1000));
        world.drop_connection(client);
        world.pass(seconds(600));
        world.crash();
        world.pass(seconds(399));
        assert_eq!(world.count(|counters| counters.sessions), 1);
        world.pass(seconds(2));
        assert_eq!(world.count(|counters| counters.sessions), 0);
        assert!(world.disk().is_empty());
    });
}

/// A client that was connected when the process was killed left then, and not anew at every further start.
#[test]
fn killed_client_left_once() {
    let settings = Settings {
        recovery_grace: seconds(10),
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        world.connect(lasting(1000));
        world.crash();
        for _ in 0..9 {
            world.pass(seconds(100));
            world.crash();
        }
        assert_eq!(world.count(|counters| counters.sessions), 1);
        world.pass(seconds(101));
        assert_eq!(world.count(|counters| counters.sessions), 0);
    });
}

/// A clock that jumped far ahead while the broker was down does not end everything: clients get the grace to return.
#[test]
fn clock_ahead_leaves_the_grace() {
    everywhere(|world| {
        let client = world.connect(lasting(3600));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        world.drop_connection(client);
        world.set_wall(WallTime(world.wall().0 + 365 * 24 * 3_600_000));
        world.crash();
        world.pass(seconds(299));
        assert!(is_present(world, lasting(3600)));
        let client = world.connect(lasting(3600));
        world.drop_connection(client);
        world.set_wall(WallTime(world.wall().0 + 365 * 24 * 3_600_000));
        world.crash();
        world.pass(seconds(301));
        assert!(!is_present(world, lasting(3600)));
    });
}

/// The grace is never longer than the session itself would have lasted.
#[test]
fn grace_is_not_longer_than_the_session() {
    everywhere(|world| {
        let client = world.connect(lasting(20));
        world.drop_connection(client);
        world.crash();
        world.pass(seconds(21));
        assert!(!is_present(world, lasting(20)));
    });
}

/// A clock that went back does not lengthen a session beyond its full time.
#[test]
fn clock_behind_does_not_lengthen() {
    everywhere(|world| {
        let client = world.connect(lasting(1000));
        world.drop_connection(client);
        world.set_wall(WallTime(world.wall().0 - 365 * 24 * 3_600_000));
        world.crash();
        world.pass(seconds(999));
        assert_eq!(world.count(|counters| counters.sessions), 1);
        world.pass(seconds(2));
        assert_eq!(world.count(|counters| counters.sessions), 0);
    });
}

/// A clock that jumps while the broker runs moves no session's end.
#[test]
fn jumps_while_running_move_no_session() {
    everywhere(|world| {
        let client = world.connect(lasting(1000));
        world.drop_connection(client);
        for days in [400, 10, 800] {
            world.set_wall(WallTime(days * 24 * 3_600_000));
            world.pass(seconds(300));
            assert_eq!(world.count(|counters| counters.sessions), 1);
        }
        world.pass(seconds(101));
        assert_eq!(world.count(|counters| counters.sessions), 0);
    });
}

fn publish_for(world: &mut World, client: ClientRef, payload: &str, secs: u32, retain: bool) {
    let mut block = Vec::new();
    put_property(&mut block, &Property::MessageExpiryInterval(secs)).unwrap();
    put_property(&mut block, &Property::UserProperty("name", "value")).unwrap();
    let properties = Properties::parse_publish(&block).unwrap();
    world.message(
        client,
        Publish {
            properties,
            retain,
            ..message("room", payload, QoS::AtLeastOnce)
        },
    );
}

fn remaining(world: &World, client: ClientRef) -> Vec<Option<u32>> {
    world
        .client(client)
        .messages()
        .map(|message| {
            let properties = Properties::parse_publish(&message.properties).unwrap();
            assert_eq!(
                properties.user_properties().collect::<Vec<_>>(),
                [("name", "value")]
            );
            properties.message_expiry_secs()
        })
        .collect()
}

/// [MQTT5-3.3.2-5] [MQTT5-3.3.2-6] A message that waited is sent with the time it has left, or not at all.
#[test]
fn waiting_message_is_sent_with_the_time_left() {
    everywhere(|world| {
        for crash in [false, true] {
            let client = world.connect(persistent(Version::V5, "client"));
            world.subscribe(client, "room", QoS::AtLeastOnce);
            world.drop_connection(client);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            publish_for(world, publisher, "short", 10, false);
            publish_for(world, publisher, "long", 1000, false);
            world.pass(seconds(400));
            if crash {
                world.crash();
            }
            let client = world.connect(persistent(Version::V5, "client"));
            assert_eq!(world.client(client).payloads(), ["long"]);
            assert_eq!(remaining(world, client), [Some(600)]);
            assert_eq!(world.count(|counters| counters.dropped_expired), 1);
            world.connect(clean(Version::V5, "client"));
        }
        assert!(world.disk().is_empty());
    });
}

const DAY: u64 = 24 * 3_600_000;

/// A clock that is set while the broker runs moves no message's end.
#[test]
fn jumps_while_running_move_no_message() {
    everywhere(|world| {
        let client = world.connect(persistent(Version::V5, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        world.drop_connection(client);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        publish_for(world, publisher, "on", 1000, true);
        for wall in [world.wall().0 + 365 * DAY, 1000 * DAY] {
            world.set_wall(WallTime(wall));
            world.pass(seconds(300));
        }
        let late = world.connect(clean(Version::V5, "late"));
        world.subscribe(late, "room", QoS::AtLeastOnce);
        assert_eq!(remaining(world, late), [Some(400)]);
        let client = world.connect(persistent(Version::V5, "client"));
        assert_eq!(remaining(world, client), [Some(400)]);
        world.pass(seconds(401));
        let late = world.connect(clean(Version::V5, "late"));
        world.subscribe(late, "room", QoS::AtLeastOnce);
        assert_eq!(remaining(world, late), []);
    });
}

/// A clock that went back while the broker was down does not give a message more than its full time.
#[test]
fn clock_behind_does_not_lengthen_a_message() {
    everywhere(|world| {
        for (later, expected) in [(999, vec![Some(1)]), (1001, vec![])] {
            let client = world.connect(persistent(Version::V5, "client"));
            world.subscribe(client, "room", QoS::AtLeastOnce);
            world.drop_connection(client);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            publish_for(world, publisher, "on", 1000, true);
            world.set_wall(WallTime(world.wall().0 - 365 * DAY));
            world.crash();
            world.pass(seconds(later));
            let late = world.connect(clean(Version::V5, "late"));
            world.subscribe(late, "room", QoS::AtLeastOnce);
            assert_eq!(remaining(world, late), expected);
            let client = world.connect(persistent(Version::V5, "client"));
            assert_eq!(remaining(world, client), expected);
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// A message that seems to be over for longer than any session lasts is one whose clock was set: it gets the grace.
#[test]
fn clock_ahead_leaves_messages_the_grace() {
    everywhere(|world| {
        for (later, expected) in [(299, vec![Some(1)]), (301, vec![])] {
            let client = world.connect(persistent(Version::V5, "client"));
            world.subscribe(client, "room", QoS::AtLeastOnce);
            world.drop_connection(client);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            publish_for(world, publisher, "on", 1000, true);
            world.set_wall(WallTime(world.wall().0 + 365 * DAY));
            world.crash();
            world.pass(seconds(later));
            let late = world.connect(clean(Version::V5, "late"));
            world.subscribe(late, "room", QoS::AtLeastOnce);
            assert_eq!(remaining(world, late), expected);
            if later < 300 {
                let client = world.connect(persistent(Version::V5, "client"));
                assert_eq!(remaining(world, client), expected);
            }
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// [MQTT5-3.3.2-6] A retained message is not shown after its time, and with the time it has left before.
#[test]
fn retained_message_expires() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        publish_for(world, publisher, "on", 1000, true);
        world.pass(seconds(999));
        let client = world.connect(clean(Version::V5, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        assert_eq!(remaining(world, client), [Some(1)]);
        world.pass(seconds(2));
        let client = world.connect(clean(Version::V5, "client"));
        world.subscribe(client, "room", QoS::AtLeastOnce);
        assert_eq!(world.client(client).payloads(), [""; 0]);
    });
}

/// Expired retained messages make room for others.
#[test]
fn expired_retained_messages_make_room() {
    let settings = Settings {
        retained_messages_max: 4,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for _ in 0..3 {
            for at in 0..16 {
                let mut block = Vec::new();
                put_property(&mut block, &Property::MessageExpiryInterval(10)).unwrap();
                let properties = Properties::parse_publish(&block).unwrap();
                let topic = format!("room/{}", world.dice().below(1_000_000) + at);
                let publish = Publish {
                    properties,
                    retain: true,
                    ..message(&topic, "on", QoS::AtLeastOnce)
                };
                world.message(publisher, publish);
            }
            let late = world.connect(clean(Version::V5, "late"));
            world.subscribe(late, "#", QoS::AtMostOnce);
            assert_eq!(world.client(late).messages().count(), 4);
            assert_eq!(world.disk().len(Shelf::Retained), 4);
            world.pass(seconds(11));
        }
    });
}

/// [MQTT5-4.3.3-7] Expiry does not end an exchange at QoS 2 that the client has answered, be it before or after the answer
/// that the message's time is over.
#[test]
fn expiry_does_not_end_an_answered_exchange() {
    everywhere(|world| {
        for (before, after) in [(60, 0), (0, 60)] {
            let client = world.connect(persistent(Version::V5, "client"));
            world.subscribe(client, "room", QoS::ExactlyOnce);
            world.client_mut(client).acknowledges = false;
            let publisher = world.connect(clean(Version::V5, "publisher"));
            let mut block = Vec::new();
            put_property(&mut block, &Property::MessageExpiryInterval(5)).unwrap();
            let properties = Properties::parse_publish(&block).unwrap();
            world.message(
                publisher,
                Publish {
                    properties,
                    ..message("room", "on", QoS::ExactlyOnce)
                },
            );
            let id = world.client(client).messages().next().unwrap().id.unwrap();
            world.pass(seconds(before));
            world.send(client, &mqtt_wire::Packet::PubRec(mqtt_wire::Ack::new(id)));
            let released = |world: &World, client: ClientRef| {
                world.client(client).packets().any(|packet| {
                    matches!(packet, mqtt_wire::Packet::PubRel(ack)
                        if ack.packet_id == id && ack.reason == ReasonCode::Success)
                })
            };
            assert!(released(world, client));
            world.pass(seconds(after));
            world.crash();
            let client = world.connect(persistent(Version::V5, "client"));
            assert!(released(world, client));
            assert_eq!(world.client(client).payloads(), [""; 0]);
            assert_eq!(world.disk().len(Shelf::Inflight), 0);
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// Coming and going does not pile up deadlines, in memory or otherwise.
#[test]
fn returning_clients_leave_no_deadlines_behind() {
    everywhere(|world| {
        for _ in 0..100 {
            let connect = Connect {
                keep_alive_secs: 600,
                ..lasting(3600)
            };
            let client = world.connect(connect);
            world.drop_connection(client);
        }
        assert_eq!(world.deadlines(), 1);
    });
}

/// [MQTT5-4.3.3-13] A publisher finishes its exchange at QoS 2 though its message has expired meanwhile, and the message
/// is not shown to whoever returns later.
#[test]
fn exchange_is_finished_though_its_message_expired() {
    everywhere(|world| {
        let away = world.connect(persistent(Version::V5, "away"));
        world.subscribe(away, "room", QoS::ExactlyOnce);
        world.drop_connection(away);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        world.client_mut(publisher).acknowledges = false;
        let mut block = Vec::new();
        put_property(&mut block, &Property::MessageExpiryInterval(1)).unwrap();
        let publish = Publish {
            properties: Properties::parse_publish(&block).unwrap(),
            ..message("room", "on", QoS::ExactlyOnce)
        };
        let id = world.message(publisher, publish);
        world.pass(seconds(3));
        let release = mqtt_wire::Ack::new(mqtt_wire::PacketId::new(id).unwrap());
        world.send(publisher, &mqtt_wire::Packet::PubRel(release));
        let acks: Vec<_> = world.client(publisher).acks().collect();
        let yes = ReasonCode::Success;
        assert_eq!(acks, [("PUBREC", id, yes), ("PUBCOMP", id, yes)]);
        let away = world.connect(persistent(Version::V5, "away"));
        assert_eq!(world.client(away).payloads(), [""; 0]);
    });
}

/// [MQTT311-4.1.0-2] [MQTT5-4.1.0-1] No session ends while its client is connected, however short it was to live without.
#[test]
fn session_lasts_as_long_as_its_connection() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for connect in [
            clean(Version::V311, "client"),
            clean(Version::V5, "client"),
            lasting(1),
        ] {
            let client = world.connect(connect);
            world.subscribe(client, "room", QoS::AtLeastOnce);
            world.pass(seconds(30 * 24 * 3600));
            world.publish(publisher, "room", "on", QoS::AtLeastOnce);
            assert_eq!(world.client(client).payloads(), ["on"]);
        }
    });
}

/// [MQTT5-4.1.0-2] The expiry that a client says when it leaves is the one that counts.
#[test]
fn expiry_said_at_the_end_counts() {
    everywhere(|world| {
        for (at_first, at_last) in [(1000, 10), (10, 1000)] {
            for (after, present) in [(at_last - 1, true), (at_last + 1, false)] {
                let client = world.connect(lasting(at_first));
                world.send(
                    client,
                    &mqtt_wire::Packet::Disconnect(mqtt_wire::Disconnect {
                        session_expiry_secs: Some(at_last),
                        ..mqtt_wire::Disconnect::default()
                    }),
                );
                world.pass(seconds(after.into()));
                assert_eq!(is_present(world, lasting(at_first)), present, "{at_last}");
                world.connect(clean(Version::V5, "client"));
            }
        }
    });
}
