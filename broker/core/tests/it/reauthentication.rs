//! A client that says anew who it is, on its live connection.

use std::{cell::RefCell, rc::Rc};

use broker_core::{
    Authentication,
    testing::{ClientRef, Heard, World, clean},
};
use mqtt_wire::{Auth, Connect, Packet, QoS, ReasonCode, Version};

use crate::everywhere;

fn by_method(client_id: &str) -> Connect {
    Connect {
        authentication_method: Some("M".into()),
        authentication_data: Some(b"last word".to_vec()),
        ..clean(Version::V5, client_id)
    }
}

fn auth(reason: ReasonCode, method: &str, data: &str) -> Auth {
    Auth {
        reason,
        method: Some(method.into()),
        data: Some(data.into()),
        ..Auth::default()
    }
}

fn say(world: &mut World, client: ClientRef, reason: ReasonCode, method: &str, data: &str) {
    world.send(client, &Packet::Auth(auth(reason, method, data)));
}

/// Knows whoever says `yes` at last, asks on after `more`, and refuses everything else.
fn yes_or_no(data: Option<Vec<u8>>) -> Authentication {
    match data.as_deref() {
        Some(b"more") => Authentication::Continue(Some(b"go on".to_vec())),
        Some(b"yes") => Authentication::Known(Some(b"welcome".to_vec())),
        _ => Authentication::Refused,
    }
}

fn heard_auth(world: &World, client: ClientRef) -> Vec<Auth> {
    let auths = world.client(client).heard.iter().filter_map(|heard| match heard {
        Heard::Packet(Packet::Auth(auth)) => Some(auth.clone()),
        _ => None,
    });
    auths.collect()
}

/// [MQTT5-4.12.0-5] [MQTT5-4.12.0-6] CONNACK names the method of CONNECT, with the last data; none if there was none.
#[test]
fn connack_names_the_method_of_connect() {
    everywhere(|world| {
        let by_method = world.connect(by_method("a"));
        let plain = world.connect(clean(Version::V5, "b"));
        let named = |world: &World, client| {
            let found = world.client(client).packets().find_map(|packet| match packet {
                Packet::ConnAck(connack) => Some((
                    connack.authentication_method.clone(),
                    connack.authentication_data.clone(),
                )),
                _ => None,
            });
            found.expect("a CONNACK")
        };
        assert_eq!(
            named(world, by_method),
            (Some("M".into()), Some(b"last word".to_vec()))
        );
        assert_eq!(named(world, plain), (None, None));
    });
}

/// [MQTT5-4.12.1-1] [MQTT5-4.12.0-2] [MQTT5-4.12.0-5] [MQTT5-3.15.2-1] AUTH 0x19 begins, 0x18 goes on, 0x00 ends it, all
/// with the method of CONNECT; and there is no second CONNACK [MQTT5-3.2.0-2].
#[test]
fn a_client_says_anew_who_it_is_as_often_as_it_likes() {
    everywhere(|world| {
        world.set_exchange(yes_or_no);
        let client = world.connect(by_method("a"));
        for _ in 0..3 {
            say(world, client, ReasonCode::ReAuthenticate, "M", "more");
            world.publish(client, "t", "meanwhile", QoS::AtLeastOnce);
            say(world, client, ReasonCode::ContinueAuthentication, "M", "yes");
        }
        let again = auth(ReasonCode::ContinueAuthentication, "M", "go on");
        let done = auth(ReasonCode::Success, "M", "welcome");
        let all: Vec<_> = [again, done].into_iter().cycle().take(6).collect();
        assert_eq!(heard_auth(world, client), all);
        assert_eq!(world.client(client).acks().count(), 3);
        let connacks = world.client(client).packets();
        let is_connack = |packet: &&Packet<'_>| matches!(packet, Packet::ConnAck(_));
        assert_eq!(connacks.filter(is_connack).count(), 1);
    });
}

/// [MQTT5-4.12.1-2] Who fails is told so and goes.
#[test]
fn a_client_that_fails_is_disconnected() {
    everywhere(|world| {
        world.set_exchange(yes_or_no);
        for data in ["more", "no"] {
            let client = world.connect(by_method("a"));
            say(world, client, ReasonCode::ReAuthenticate, "M", data);
            if data == "more" {
                say(world, client, ReasonCode::ContinueAuthentication, "M", "no");
            }
            assert_eq!(
                world.client(client).disconnected(),
                Some(ReasonCode::NotAuthorized)
            );
            assert!(!world.client(client).is_connected());
        }
    });
}

/// [MQTT5-4.12.0-7] Without a method in CONNECT there is no AUTH; [MQTT5-4.12.0-5] [MQTT5-4.12.1-1] and none with another.
#[test]
fn a_method_that_was_not_in_connect_is_an_error() {
    everywhere(|world| {
        world.set_exchange(yes_or_no);
        let plain = world.connect(clean(Version::V5, "a"));
        let other = world.connect(by_method("b"));
        say(world, plain, ReasonCode::ReAuthenticate, "M", "yes");
        say(world, other, ReasonCode::ReAuthenticate, "N", "yes");
        for client in [plain, other] {
            assert_eq!(
                world.client(client).disconnected(),
                Some(ReasonCode::ProtocolError)
            );
        }
        let switching = world.connect(by_method("c"));
        say(world, switching, ReasonCode::ReAuthenticate, "M", "more");
        say(world, switching, ReasonCode::ContinueAuthentication, "N", "yes");
        assert_eq!(
            world.client(switching).disconnected(),
            Some(ReasonCode::ProtocolError)
        );
    });
}

/// [MQTT5-4.12.0-3] A client goes on only when it was told to, and begins only when it is done.
#[test]
fn a_step_out_of_turn_is_an_error() {
    everywhere(|world| {
        world.set_exchange(yes_or_no);
        let early = world.connect(by_method("a"));
        say(world, early, ReasonCode::ContinueAuthentication, "M", "yes");
        let twice = world.connect(by_method("b"));
        say(world, twice, ReasonCode::ReAuthenticate, "M", "more");
        say(world, twice, ReasonCode::ReAuthenticate, "M", "more");
        let late = world.connect(by_method("c"));
        say(world, late, ReasonCode::ReAuthenticate, "M", "yes");
        say(world, late, ReasonCode::ContinueAuthentication, "M", "yes");
        for client in [early, twice, late] {
            assert_eq!(
                world.client(client).disconnected(),
                Some(ReasonCode::ProtocolError)
            );
        }
    });
}

/// What the gate allowed to whom the client was before is asked again.
#[test]
fn verdicts_are_not_remembered_beyond_a_re_authentication() {
    everywhere(|world| {
        let asked = Rc::new(RefCell::new(0));
        let count = Rc::clone(&asked);
        world.set_gate(move |_, _| {
            *count.borrow_mut() += 1;
            true
        });
        world.set_exchange(yes_or_no);
        let client = world.connect(by_method("a"));
        for number in 1..=3 {
            world.publish(client, "t", "", QoS::AtMostOnce);
            world.publish(client, "t", "", QoS::AtMostOnce);
            assert_eq!(*asked.borrow(), number);
            say(world, client, ReasonCode::ReAuthenticate, "M", "yes");
        }
    });
}

/// [MQTT5-3.1.2-24] A step that is larger than the client takes ends the connection: it would wait for it in vain.
#[test]
fn a_step_that_the_client_cannot_take_ends_its_connection() {
    everywhere(|world| {
        world.set_exchange(|_| Authentication::Continue(Some(vec![0; 200])));
        let client = world.connect(Connect {
            max_packet_size: std::num::NonZeroU32::new(100),
            ..by_method("a")
        });
        say(world, client, ReasonCode::ReAuthenticate, "M", "more");
        assert_eq!(
            world.client(client).disconnected(),
            Some(ReasonCode::PacketTooLarge)
        );
    });
}
