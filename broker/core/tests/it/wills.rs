//! What is published when a client is lost.

use std::time::Duration;

use broker_core::{
    Settings, WallTime,
    testing::{ClientRef, World, clean, persistent},
};
use mqtt_wire::{Connect, Property, QoS, ReasonCode, Version, Will, put_property};

use crate::{VERSIONS, everywhere, everywhere_with};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn will(delay_secs: u32) -> Option<Will> {
    Some(Will {
        topic: "lost".into(),
        payload: b"gone".to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
        delay_secs,
        properties: Vec::new(),
    })
}

/// A watcher whose session is kept, so that it misses nothing.
fn watcher(world: &mut World) -> ClientRef {
    let client = world.connect(persistent(Version::V5, "watcher"));
    world.subscribe(client, "lost", QoS::ExactlyOnce);
    client
}

/// [MQTT311-3.1.2-8] [MQTT5-3.1.2-7] [MQTT5-3.1.2-8]
/// The will is published when the connection is lost without DISCONNECT.
#[test]
fn lost_client_has_its_will() {
    everywhere(|world| {
        for version in VERSIONS {
            let watcher = watcher(world);
            let client = world.connect(Connect {
                will: will(0),
                ..clean(version, "client")
            });
            world.drop_connection(client);
            assert_eq!(world.client(watcher).payloads(), ["gone"]);
            world.connect(clean(Version::V5, "watcher"));
            assert!(world.disk().is_empty());
        }
    });
}

/// [MQTT311-3.1.2-10] [MQTT311-3.14.4-3] [MQTT5-3.1.2-10] [MQTT5-3.14.4-3]
/// A client that says goodbye has none.
#[test]
fn goodbye_discards_the_will() {
    everywhere(|world| {
        for version in VERSIONS {
            let watcher = watcher(world);
            let client = world.connect(Connect {
                will: will(0),
                ..persistent(version, "client")
            });
            world.disconnect(client, ReasonCode::Success);
            world.pass(seconds(60));
            assert_eq!(world.client(watcher).payloads(), [""; 0]);
            world.crash();
            world.pass(seconds(600));
            let watcher = self::watcher(world);
            assert_eq!(world.client(watcher).payloads(), [""; 0]);
            world.connect(clean(version, "client"));
        }
    });
}

/// A v5 client may say goodbye and ask for its will.
#[test]
fn goodbye_with_will_publishes_it() {
    everywhere(|world| {
        let watcher = watcher(world);
        let client = world.connect(Connect {
            will: will(0),
            ..clean(Version::V5, "client")
        });
        world.disconnect(client, ReasonCode::DisconnectWithWill);
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
    });
}

/// A protocol error and silence are losses.
#[test]
fn closing_by_the_broker_is_a_loss() {
    everywhere(|world| {
        let watcher = watcher(world);
        let client = world.connect(Connect {
            will: will(0),
            ..clean(Version::V5, "client")
        });
        world.begin_send_bytes(client, &[0xff, 0]);
        world.settle();
        let connect = Connect {
            will: will(0),
            keep_alive_secs: 5,
            ..clean(Version::V5, "client")
        };
        world.connect(connect);
        world.pass(seconds(8));
        assert_eq!(world.client(watcher).payloads(), ["gone", "gone"]);
    });
}

/// [MQTT5-3.1.2-8] [MQTT5-3.1.3-9] The delay is waited for, and a client that returns in time has no will.
#[test]
fn delay_gives_time_to_return() {
    everywhere(|world| {
        let watcher = watcher(world);
        let connect = || Connect {
            will: will(30),
            ..persistent(Version::V5, "client")
        };
        let client = world.connect(connect());
        world.drop_connection(client);
        world.pass(seconds(29));
        let client = world.connect(connect());
        world.pass(seconds(60));
        assert_eq!(world.client(watcher).payloads(), [""; 0]);
        world.drop_connection(client);
        world.pass(seconds(29));
        assert_eq!(world.client(watcher).payloads(), [""; 0]);
        world.pass(seconds(2));
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
        world.pass(seconds(60));
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
    });
}

/// [MQTT5-3.1.2-8] The will does not wait longer than its session lives.
#[test]
fn end_of_session_comes_before_the_delay() {
    everywhere(|world| {
        let watcher = watcher(world);
        let connect = Connect {
            will: will(3600),
            session_expiry_secs: Some(10),
            ..clean(Version::V5, "client")
        };
        let client = world.connect(connect.clone());
        world.drop_connection(client);
        world.pass(seconds(9));
        assert_eq!(world.client(watcher).payloads(), [""; 0]);
        world.pass(seconds(2));
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
        let client = world.connect(connect.clone());
        world.drop_connection(client);
        world.connect(connect);
        assert_eq!(
            world.client(watcher).payloads(),
            ["gone", "gone"],
            "a clean start ends the session"
        );
    });
}

/// At a takeover a will without delay is published, one with delay is not.
#[test]
fn takeover_publishes_only_a_will_without_delay() {
    everywhere(|world| {
        let watcher = watcher(world);
        world.connect(Connect {
            will: will(0),
            ..persistent(Version::V5, "client")
        });
        world.connect(Connect {
            will: will(30),
            ..persistent(Version::V5, "client")
        });
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
        world.connect(persistent(Version::V5, "client"));
        world.pass(seconds(60));
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
    });
}

/// [MQTT311-3.1.2-10] [MQTT5-3.1.2-10]
/// A client that was connected when the process was killed counts as lost at the next start.
#[test]
fn killed_broker_publishes_wills_at_start() {
    everywhere(|world| {
        for version in VERSIONS {
            for connect in [clean(version, "client"), persistent(version, "client")] {
                watcher(world);
                world.connect(Connect {
                    will: will(0),
                    ..connect
                });
                world.crash();
                world.pass(seconds(1));
                let watcher = watcher(world);
                assert_eq!(world.client(watcher).payloads(), ["gone"]);
                world.crash();
                world.pass(seconds(400));
                let watcher = self::watcher(world);
                assert_eq!(world.client(watcher).payloads(), [""; 0], "once is enough");
                world.connect(clean(version, "client"));
            }
        }
        world.connect(clean(Version::V5, "watcher"));
        assert!(world.disk().is_empty());
    });
}

/// The delay of a will begins when its client is lost, and a crash on the way does not make it longer than it was.
#[test]
fn crash_does_not_lengthen_the_delay() {
    let settings = Settings {
        recovery_grace: seconds(5),
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        watcher(world);
        let connect = Connect {
            will: will(100),
            ..persistent(Version::V5, "client")
        };
        let client = world.connect(connect);
        world.drop_connection(client);
        world.pass(seconds(60));
        world.crash();
        let watcher = watcher(world);
        world.pass(seconds(39));
        assert_eq!(world.client(watcher).payloads(), [""; 0]);
        world.pass(seconds(2));
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
    });
}

/// [MQTT5-3.1.2-10]
/// A will is neither lost nor published twice, at whatever point of its publishing the process is killed.
#[test]
fn will_is_published_once_wherever_the_process_ends() {
    for shards in [1, 2, 4] {
        for seed in 0..60 {
            let mut world = World::with(seed, shards, Settings::default());
            let other = world.connect(persistent(Version::V5, "other-watcher"));
            world.subscribe(other, "lost", QoS::ExactlyOnce);
            let before = watcher(&mut world);
            world.client_mut(before).acknowledges = false;
            let connect = if seed % 2 == 0 {
                clean(Version::V5, "client")
            } else {
                persistent(Version::V5, "client")
            };
            let client = world.connect(Connect {
                will: will(0),
                ..connect
            });
            world.begin_drop(client);
            let steps = world.dice().below(30);
            world.settle_partly(steps);
            world.crash();
            world.pass(seconds(1));
            let watcher = watcher(&mut world);
            assert_eq!(world.client(watcher).payloads(), ["gone"]);
        }
    }
}

/// A client that is back at once, before anything else has happened, does not undo its will, which was due.
#[test]
fn early_return_does_not_undo_a_will_that_is_due() {
    everywhere(|world| {
        watcher(world);
        world.connect(Connect {
            will: will(0),
            ..persistent(Version::V5, "client")
        });
        world.begin_crash_into(world.shards());
        world.connect(persistent(Version::V5, "client"));
        let watcher = watcher(world);
        assert_eq!(world.client(watcher).payloads(), ["gone"]);
    });
}

/// While a will is on its way to be kept its client may come back, or begin anew: the will is published once, wherever the
/// process ends.
#[test]
fn return_of_its_client_does_not_undo_a_will_on_its_way() {
    for shards in [1, 2, 4] {
        for seed in 0..200 {
            let mut world = World::with(seed, shards, Settings::default());
            let before = watcher(&mut world);
            world.client_mut(before).acknowledges = false;
            let client = world.connect(Connect {
                will: will(0),
                ..persistent(Version::V5, "client")
            });
            world.begin_drop(client);
            let steps = world.dice().below(8);
            world.settle_partly(steps);
            let connect = [persistent, clean][world.dice().below(2)](Version::V5, "client");
            world.begin_connect(connect);
            let steps = world.dice().below(20);
            world.settle_partly(steps);
            world.crash();
            world.pass(seconds(1));
            let watcher = watcher(&mut world);
            assert_eq!(world.client(watcher).payloads(), ["gone"], "seed {seed}");
        }
    }
}

/// The same if a clean start ends the session of a connected client; and once that is acknowledged, the session does not come
/// back.
#[test]
fn acknowledged_clean_start_is_final_and_its_will_is_published() {
    for shards in [1, 2, 4] {
        for seed in 0..200 {
            let mut world = World::with(seed, shards, Settings::default());
            let before = watcher(&mut world);
            world.client_mut(before).acknowledges = false;
            let delay = [0, 3600][world.dice().below(2)];
            world.connect(Connect {
                will: will(delay),
                ..persistent(Version::V5, "client")
            });
            let client = world.begin_connect(clean(Version::V5, "client"));
            let steps = world.dice().below(30);
            world.settle_partly(steps);
            let is_acknowledged = world.client(client).connack().is_some();
            world.crash();
            world.pass(seconds(1));
            let again = world.connect(persistent(Version::V5, "client"));
            let present = world.client(again).connack() == Some((ReasonCode::Success, true));
            assert!(!(is_acknowledged && present), "seed {seed}");
            let watcher = watcher(&mut world);
            let payloads = world.client(watcher).payloads();
            let expected = if present { 1 - usize::from(delay > 0) } else { 1 };
            assert_eq!(payloads.len(), expected, "seed {seed}");
        }
    }
}

/// An answer that waits for the will of the session before waits for the record of its own session too, which may be refused
/// although the will is taken.
#[test]
fn answer_behind_a_will_waits_for_its_own_record() {
    let mut acknowledged = 0;
    for seed in 0..2000 {
        let mut world = World::with(seed, 4, Settings::default());
        watcher(&mut world);
        let name = format!("client-{}", seed % 8);
        let client = world.connect(Connect {
            will: will(0),
            ..persistent(Version::V5, &name)
        });
        world.store_full = true;
        world.begin_drop(client);
        let client = world.begin_connect(Connect {
            clean_start: true,
            ..persistent(Version::V5, &name)
        });
        let steps = world.dice().below(12);
        world.settle_partly(steps);
        world.store_full = false;
        world.settle_partly(80);
        let is_acknowledged = world.client(client).connack() == Some((ReasonCode::Success, false));
        world.crash();
        let again = world.connect(persistent(Version::V5, &name));
        let present = world.client(again).connack() == Some((ReasonCode::Success, true));
        assert!(present || !is_acknowledged, "seed {seed}");
        acknowledged += usize::from(is_acknowledged);
    }
    assert!(acknowledged > 100, "{acknowledged}");
}

/// A retained will is retained.
#[test]
fn retained_will_is_retained() {
    everywhere(|world| {
        let mut will = will(0).unwrap();
        will.retain = true;
        let client = world.connect(Connect {
            will: Some(will),
            ..clean(Version::V5, "client")
        });
        world.drop_connection(client);
        world.crash();
        let late = world.connect(clean(Version::V5, "late"));
        world.subscribe(late, "lost", QoS::AtLeastOnce);
        assert_eq!(world.client(late).payloads(), ["gone"]);
    });
}

/// The life of a will's message begins when it is published.
#[test]
fn expiry_of_a_will_begins_when_it_is_published() {
    everywhere(|world| {
        let mut will = will(100).unwrap();
        put_property(&mut will.properties, &Property::MessageExpiryInterval(10)).unwrap();
        put_property(&mut will.properties, &Property::ContentType("text/plain")).unwrap();
        let watcher = watcher(world);
        let client = world.connect(Connect {
            will: Some(will),
            ..persistent(Version::V5, "client")
        });
        world.drop_connection(client);
        world.pass(seconds(101));
        let message = world.client(watcher).messages().next().unwrap();
        let properties = mqtt_wire::Properties::parse_publish(&message.properties).unwrap();
        assert_eq!(properties.message_expiry_secs(), Some(10));
        assert_eq!(properties.content_type(), Some("text/plain"));
        world.set_wall(WallTime(world.wall().0));
    });
}

/// [MQTT-3.1.2-9] [MQTT311-3.1.2-16] [MQTT311-3.1.2-17] [MQTT5-3.1.2-14] [MQTT5-3.1.2-15]
/// A will is published as its client said: its topic, payload and level, and whether it is retained.
#[test]
fn will_is_published_as_said() {
    everywhere(|world| {
        for version in VERSIONS {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for retain in [false, true] {
                    let watcher = watcher(world);
                    let said = Will {
                        qos,
                        retain,
                        ..will(0).unwrap()
                    };
                    let client = world.connect(Connect {
                        will: Some(said),
                        ..clean(version, "client")
                    });
                    world.drop_connection(client);
                    let got = world.client(watcher).messages().next().unwrap().clone();
                    assert_eq!((got.topic.as_str(), &got.payload[..]), ("lost", &b"gone"[..]));
                    assert_eq!((got.qos, got.retain), (qos, false));
                    let late = world.connect(clean(version, "late"));
                    world.subscribe(late, "lost", QoS::AtMostOnce);
                    let flags: Vec<bool> = world.client(late).messages().map(|got| got.retain).collect();
                    assert_eq!(flags, vec![true; usize::from(retain)]);
                    world.retain(late, "lost", "", QoS::AtMostOnce);
                    world.connect(clean(Version::V5, "watcher"));
                }
            }
        }
    });
}

/// A broker that shuts down publishes the wills of those it disconnects, and whoever is away finds them at the next start.
#[test]
fn shutdown_publishes_wills() {
    everywhere(|world| {
        for version in VERSIONS {
            let watcher = watcher(world);
            world.drop_connection(watcher);
            world.connect(Connect {
                will: will(0),
                ..clean(version, "client")
            });
            world.shut_down();
            world.crash();
            world.pass(seconds(600));
            let watcher = self::watcher(world);
            assert_eq!(world.client(watcher).payloads(), ["gone"]);
            world.connect(clean(Version::V5, "watcher"));
        }
    });
}
