//! Silence beyond one and a half times the keep alive ends a connection.

use std::time::Duration;

use broker_core::{
    Departure, Entrance, Settings, Told,
    testing::{LinkHeard, LinkSpec, clean},
};
use mqtt_wire::{Connect, Packet, QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere, everywhere_with};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// [MQTT311-3.1.2-24] [MQTT5-3.1.2-22] [MQTT5-3.2.2-22]
/// A client that is silent for one and a half times its keep alive is closed, and not before.
#[test]
fn silent_client_is_closed() {
    everywhere(|world| {
        for version in VERSIONS {
            let client = world.connect(Connect {
                keep_alive_secs: 10,
                ..clean(version, "client")
            });
            world.pass(Duration::from_millis(14_900));
            assert!(world.client(client).is_connected());
            world.pass(Duration::from_millis(200));
            assert!(!world.client(client).is_connected());
            let told = (version == Version::V5).then_some(ReasonCode::KeepAliveTimeout);
            assert_eq!(world.client(client).disconnected(), told);
        }
    });
}

/// [MQTT5-3.1.2-22] [MQTT5-3.12.4-1] Any packet counts.
#[test]
fn any_packet_counts() {
    everywhere(|world| {
        let client = world.connect(Connect {
            keep_alive_secs: 10,
            ..clean(Version::V5, "client")
        });
        for at in 0..10 {
            world.pass(seconds(14));
            if at % 2 == 0 {
                world.send(client, &Packet::PingReq);
            } else {
                world.publish(client, "a", "", QoS::AtMostOnce);
            }
        }
        assert!(world.client(client).is_connected());
        assert_eq!(
            world
                .client(client)
                .packets()
                .filter(|packet| **packet == Packet::PingResp)
                .count(),
            5
        );
    });
}

/// [MQTT5-3.1.2-22] A keep alive of zero means that silence is no matter.
#[test]
fn zero_means_for_ever() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V5, "client"));
        world.pass(seconds(30 * 24 * 3600));
        assert!(world.client(client).is_connected());
    });
}

/// [MQTT5-3.2.2-22] The broker may set a shorter keep alive, and holds v5 clients to it.
#[test]
fn broker_may_shorten_it() {
    let settings = Settings::by(Entrance {
        keep_alive_max_secs: 20,
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        for asked in [0, 100] {
            let client = world.connect(Connect {
                keep_alive_secs: asked,
                ..clean(Version::V5, "client")
            });
            let Some(Packet::ConnAck(connack)) = world.client(client).packets().next() else {
                panic!("no CONNACK")
            };
            assert_eq!(connack.server_keep_alive_secs, Some(20));
            world.pass(seconds(29));
            assert!(world.client(client).is_connected());
            world.pass(seconds(2));
            assert!(!world.client(client).is_connected());
        }
    });
}

/// A client that the broker does not read cannot be heard, so its silence does not count.
#[test]
fn silence_does_not_count_while_the_broker_does_not_read() {
    everywhere(|world| {
        world.attach_link(LinkSpec {
            subscriptions: vec![("slow".into(), true)],
            ..LinkSpec::default()
        });
        world.link_answers = false;
        let connect = Connect {
            keep_alive_secs: 2,
            ..clean(Version::V311, "client")
        };
        let client = world.connect(connect);
        for _ in 0..Entrance::default().receive_maximum {
            world.publish(client, "slow", "", QoS::AtLeastOnce);
        }
        world.begin_send(client, &Packet::PingReq);
        world.pass(seconds(9));
        assert!(
            world.client(client).is_connected(),
            "it has sent PINGREQ, which nobody has read"
        );
    });
}

/// Links hear why it left.
#[test]
fn links_hear_of_the_silence() {
    everywhere(|world| {
        world.attach_link(LinkSpec {
            presence: true,
            ..LinkSpec::default()
        });
        world.connect(Connect {
            keep_alive_secs: 10,
            ..clean(Version::V5, "client")
        });
        world.pass(seconds(16));
        assert!(matches!(
            world.link_heard.last(),
            Some(LinkHeard::Told(Told::Departed {
                why: Departure::KeepAlive,
                ..
            }))
        ));
    });
}
