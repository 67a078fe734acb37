//! Clients that come in by different listeners: each obeys the limits of the one it came in by.

use std::{num::NonZeroU32, time::Duration};

use broker_core::{
    Entrance, EntranceId, Settings,
    testing::{ClientRef, World, clean, message, persistent},
};
use mqtt_wire::{ConnAck, Connect, Disconnect, Packet, Properties, Publish, QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere_with};

const WIDE: EntranceId = EntranceId(0);
const NARROW: EntranceId = EntranceId(1);

fn seconds(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn wide_and(narrow: Entrance) -> Settings {
    Settings {
        entrances: vec![Entrance::default(), narrow],
        ..Settings::default()
    }
}

fn narrow() -> Settings {
    wide_and(Entrance {
        packet_bytes_max: 2000,
        qos_max: QoS::AtLeastOnce,
        retain_available: false,
        receive_maximum: 2,
        messages_per_second_max: NonZeroU32::new(10),
        bytes_per_second_max: None,
        session_expiry_max: seconds(100),
        keep_alive_max_secs: 20,
        topic_alias_max: 3,
        subscriptions_max: 2,
        mount_point: None,
    })
}

fn connack(world: &World, client: ClientRef) -> ConnAck {
    let found = world.client(client).packets().find_map(|packet| match packet {
        Packet::ConnAck(connack) => Some(connack.clone()),
        _ => None,
    });
    found.expect("CONNACK")
}

/// Why a client that comes in there and sends this is disconnected.
fn end_of(world: &mut World, entrance: EntranceId, publish: Publish<'_>) -> Option<ReasonCode> {
    let client = world.connect_by(entrance, clean(Version::V5, "client"));
    world.message(client, publish);
    let end = world.client(client).disconnected();
    world.drop_connection(client);
    end
}

#[test]
fn connack_tells_the_limits_of_the_entrance() {
    everywhere_with(&narrow(), |world| {
        let asks = |client_id| Connect {
            keep_alive_secs: 60,
            ..persistent(Version::V5, client_id)
        };
        let wide = world.connect_by(WIDE, asks("wide"));
        let told = connack(world, wide);
        assert_eq!(told.max_packet_size, Some(1024 * 1024));
        assert_eq!((told.maximum_qos, told.retain_available), (None, None));
        assert_eq!(told.receive_maximum, Some(64));
        assert_eq!(told.session_expiry_secs, Some(7 * 24 * 3600));
        assert_eq!(told.server_keep_alive_secs, None);
        assert_eq!(told.topic_alias_maximum, Some(32));
        let narrow = world.connect_by(NARROW, asks("narrow"));
        let told = connack(world, narrow);
        assert_eq!(told.max_packet_size, Some(2000));
        assert_eq!(
            (told.maximum_qos, told.retain_available),
            (Some(QoS::AtLeastOnce), Some(false))
        );
        assert_eq!(told.receive_maximum, Some(2));
        assert_eq!(told.session_expiry_secs, Some(100));
        assert_eq!(told.server_keep_alive_secs, Some(20));
        assert_eq!(told.topic_alias_maximum, Some(3));
    });
}

#[test]
fn what_an_entrance_does_not_take_ends_its_clients_only() {
    everywhere_with(&narrow(), |world| {
        let payload = "x".repeat(2000);
        let retained = Publish {
            retain: true,
            ..message("room", "on", QoS::AtMostOnce)
        };
        let aliased = Publish {
            properties: Properties::parse_publish(&[0x23, 0, 4]).unwrap(),
            ..message("room", "on", QoS::AtMostOnce)
        };
        for (publish, reason) in [
            (
                message("room", &payload, QoS::AtMostOnce),
                ReasonCode::PacketTooLarge,
            ),
            (
                message("room", "on", QoS::ExactlyOnce),
                ReasonCode::QoSNotSupported,
            ),
            (retained, ReasonCode::RetainNotSupported),
            (aliased, ReasonCode::TopicAliasInvalid),
        ] {
            assert_eq!(end_of(world, WIDE, publish), None);
            assert_eq!(end_of(world, NARROW, publish), Some(reason));
        }
    });
}

#[test]
fn receive_maximum_is_that_of_the_entrance() {
    everywhere_with(&narrow(), |world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::AtLeastOnce);
        for (entrance, end) in [(WIDE, None), (NARROW, Some(ReasonCode::ReceiveMaximumExceeded))] {
            let client = world.connect_by(entrance, clean(Version::V5, "client"));
            world.store_answers = false;
            for _ in 0..3 {
                world.begin_publish(client, "room", "", QoS::AtLeastOnce);
            }
            assert_eq!(world.client(client).disconnected(), end);
            world.store_answers = true;
            world.settle();
        }
    });
}

/// A client that is read more slowly because of its entrance holds up nobody who came in by another.
#[test]
fn rates_are_those_of_the_entrance() {
    everywhere_with(&narrow(), |world| {
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "+", QoS::AtMostOnce);
        let slow = world.connect_by(NARROW, clean(Version::V5, "slow"));
        let fast = world.connect_by(WIDE, clean(Version::V5, "fast"));
        for _ in 0..100 {
            world.begin_publish(slow, "slow", "", QoS::AtMostOnce);
            world.begin_publish(fast, "fast", "", QoS::AtMostOnce);
        }
        world.settle();
        let come = |world: &World, from: &str| {
            let messages = world.client(listener).messages();
            messages.filter(|message| message.topic == from).count()
        };
        assert_eq!(come(world, "fast"), 100);
        assert!((10..=11).contains(&come(world, "slow")));
        world.pass(seconds(10));
        assert_eq!(come(world, "slow"), 100);
    });
}

/// A session that comes by a narrower way keeps what it has and gets nothing more; by the wider one it does again.
#[test]
fn resumed_session_obeys_the_entrance_it_came_in_by() {
    everywhere_with(&narrow(), |world| {
        for version in VERSIONS {
            let client = world.connect_by(WIDE, persistent(version, "client"));
            for topic in ["a", "b", "c"] {
                world.subscribe(client, topic, QoS::AtLeastOnce);
            }
            world.drop_connection(client);
            let client = world.connect_by(NARROW, persistent(version, "client"));
            assert_eq!(world.client(client).connack(), Some((ReasonCode::Success, true)));
            world.subscribe(client, "d", QoS::AtLeastOnce);
            let refused = match version {
                Version::V311 => ReasonCode::UnspecifiedError,
                Version::V5 => ReasonCode::QuotaExceeded,
            };
            assert_eq!(world.client(client).granted(), [refused]);
            world.subscribe(client, "c", QoS::AtLeastOnce);
            assert_eq!(world.client(client).granted(), [ReasonCode::GrantedQoS1]);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            for topic in ["a", "b", "c", "d"] {
                world.publish(publisher, topic, topic, QoS::AtLeastOnce);
            }
            assert_eq!(world.client(client).payloads(), ["a", "b", "c"]);
            world.drop_connection(client);
            let client = world.connect_by(WIDE, persistent(version, "client"));
            world.subscribe(client, "d", QoS::AtLeastOnce);
            assert_eq!(world.client(client).granted(), [ReasonCode::GrantedQoS1]);
            world.connect_by(WIDE, clean(version, "client"));
        }
    });
}

/// How long a session lasts is up to where its client was last.
#[test]
fn session_lasts_as_long_as_its_last_entrance_lets_it() {
    everywhere_with(&narrow(), |world| {
        for (version, entrance, away, present) in [
            (Version::V311, NARROW, 99, true),
            (Version::V311, NARROW, 101, false),
            (Version::V5, NARROW, 99, true),
            (Version::V5, NARROW, 101, false),
            (Version::V311, WIDE, 101, true),
            (Version::V5, WIDE, 101, true),
        ] {
            let other = if entrance == WIDE { NARROW } else { WIDE };
            let client = world.connect_by(other, persistent(version, "client"));
            world.drop_connection(client);
            let client = world.connect_by(entrance, persistent(version, "client"));
            world.drop_connection(client);
            world.pass(seconds(away));
            let client = world.connect_by(entrance, persistent(version, "client"));
            let came = world.client(client).connack();
            assert_eq!(
                came,
                Some((ReasonCode::Success, present)),
                "{version:?} after {away}"
            );
            world.connect(clean(version, "client"));
        }
    });
}

/// What DISCONNECT asks for is capped as what CONNECT asks for.
#[test]
fn disconnect_asks_for_no_more_than_the_entrance_grants() {
    everywhere_with(&narrow(), |world| {
        for (entrance, present) in [(WIDE, true), (NARROW, false)] {
            let connect = || Connect {
                session_expiry_secs: Some(10),
                ..persistent(Version::V5, "client")
            };
            let client = world.connect_by(entrance, connect());
            let told = Disconnect {
                session_expiry_secs: Some(1000),
                ..Disconnect::with(ReasonCode::Success)
            };
            world.send(client, &Packet::Disconnect(told));
            world.pass(seconds(500));
            let client = world.connect_by(entrance, connect());
            assert_eq!(
                world.client(client).connack(),
                Some((ReasonCode::Success, present))
            );
            world.connect(clean(Version::V5, "client"));
        }
    });
}

/// Keep alive is granted, and silence counted, by the entrance.
#[test]
fn keep_alive_is_that_of_the_entrance() {
    everywhere_with(&narrow(), |world| {
        let wide = world.connect_by(WIDE, clean(Version::V5, "wide"));
        let narrow = world.connect_by(NARROW, clean(Version::V5, "narrow"));
        world.pass(seconds(31));
        assert!(world.client(wide).is_connected());
        assert_eq!(
            world.client(narrow).disconnected(),
            Some(ReasonCode::KeepAliveTimeout)
        );
    });
}
