//! A client that says anew who it is, on its live connection.

use std::{cell::RefCell, rc::Rc};

use broker_core::{
    AsksFirst, Authentication, Badge, ConnectionId, EntranceId, Input, Moment, Output, Outputs, Settings,
    Shard, ShardId, WallTime, recover,
    testing::{ClientRef, Disk, Heard, World, clean},
};
use mqtt_wire::{Auth, Connect, Packet, Properties, Publish, QoS, ReasonCode, Version};

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

/// A verdict that was asked for before, and comes after, holds for the one message only: that of a client which has said
/// anew who it is, and that of a policy which has changed.
#[test]
fn a_verdict_that_comes_late_is_not_remembered() {
    let connection = ConnectionId(0);
    for (meanwhile, asked_again) in [("nothing", 0), ("another policy", 1), ("another login", 1)] {
        let Ok(mut shares) = recover(&Disk::default(), 1, WallTime(0));
        let share = shares.remove(0);
        let mut shard = Shard::new(ShardId(0), 1, Settings::default().into(), 1, share);
        let mut out = Outputs::default();
        let mut step = |input: Input<'_>| {
            shard.step(Moment::START, input, &mut out);
            std::mem::take(&mut out.duties)
        };
        let publish = || Input::Packet {
            connection,
            packet: Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: false,
                topic: "t",
                packet_id: None,
                properties: Properties::EMPTY,
                payload: b"",
            }),
            judge: &AsksFirst,
        };
        let is_asked = |duty: &Output| matches!(duty, Output::Ask { .. });
        step(Input::Connected {
            connection,
            connect: Box::new(by_method("a")),
            assigned: false,
            badge: Badge::named("a"),
            entrance: EntranceId::default(),
        });
        let duties = step(Input::Packet {
            connection,
            packet: Packet::Auth(auth(ReasonCode::ReAuthenticate, "M", "yes")),
            judge: &AsksFirst,
        });
        let [
            Output::Authenticate {
                ticket: exchange,
                begins: true,
                ..
            },
        ] = duties[..]
        else {
            panic!("{duties:?}");
        };
        let duties = step(publish());
        let Some(Output::Ask { ticket, .. }) = duties.iter().find(|duty| is_asked(duty)) else {
            panic!("{duties:?}");
        };
        match meanwhile {
            "another policy" => drop(step(Input::PolicyChanged)),
            "another login" => drop(step(Input::Authenticated {
                ticket: exchange,
                said: Authentication::Known(None),
            })),
            _ => {}
        }
        step(Input::Verdict {
            ticket: *ticket,
            allow: true,
        });
        let asked = step(publish()).iter().filter(|duty| is_asked(duty)).count();
        assert_eq!(asked, asked_again, "{meanwhile}");
    }
}
