//! SCRAM over a real socket: `twinmq passwd --scram`, the way in, and saying anew who one is.

use std::{io, net::SocketAddr, num::NonZeroU32};

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD};
use mqtt_wire::{Auth, Connect, Packet, ReasonCode, Version};

use super::{GUARDED, hello, may_publish, passwd, password, set_password, write_rules};
use crate::support::{Heard, House, Mqtt, PATIENCE};

const METHOD: &str = "SCRAM-SHA-256";

/// A house whose users can log in by SCRAM; each may publish below its name, as a user and as a device.
fn scrammed(users: &[&str]) -> House {
    let house = House::new(GUARDED);
    write_rules(
        &house,
        "pattern readwrite user/%u/#\npattern readwrite device/%d/#\n",
    );
    for user in users {
        assert_eq!(
            passwd(&house, &["--scram", "users", user], &password(user)),
            "added\n"
        );
    }
    house
}

fn first(user: &str) -> Vec<u8> {
    format!("n,,n={user},r=fyko+d2lbbFgONRv9qkxdawL").into_bytes()
}

/// What a client answers that knows this password.
fn last(user: &str, password: &str, asked: &[u8]) -> Vec<u8> {
    let asked = str::from_utf8(asked).unwrap();
    let field = |name| {
        asked
            .split(',')
            .find_map(|field| field.strip_prefix(name))
            .unwrap()
    };
    let iterations: NonZeroU32 = field("i=").parse().unwrap();
    let salt = STANDARD.decode(field("s=")).unwrap();
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        &salt,
        password.as_bytes(),
        &mut salted,
    );
    let sign = |key: &[u8], bytes: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes);
    let client_key = sign(&salted, b"Client Key");
    let without_proof = format!("c=biws,r={}", field("r="));
    let said = format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL,{asked},{without_proof}");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = sign(stored_key.as_ref(), said.as_bytes());
    let proof: Vec<u8> = signature
        .as_ref()
        .iter()
        .zip(client_key.as_ref())
        .map(|(a, b)| a ^ b)
        .collect();
    format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes()
}

pub(super) fn by_scram(client_id: &str, user: &str) -> Connect {
    let mut connect = hello(Version::V5, client_id, None);
    connect.authentication_method = Some(METHOD.into());
    connect.authentication_data = Some(first(user));
    connect
}

fn auth(reason: ReasonCode, data: Vec<u8>) -> Packet<'static> {
    Packet::Auth(Auth {
        reason,
        method: Some(METHOD.into()),
        data: Some(data),
        ..Auth::default()
    })
}

fn hear(client: &mut Mqtt) -> Packet<'static> {
    match client.hear(PATIENCE).unwrap() {
        Some(Heard::Packet(packet)) => packet,
        other => panic!("{other:?}"),
    }
}

/// What the broker asks.
fn asked(client: &mut Mqtt) -> Vec<u8> {
    let Packet::Auth(auth) = hear(client) else {
        panic!("instead of AUTH")
    };
    assert_eq!(auth.reason, ReasonCode::ContinueAuthentication);
    assert_eq!(auth.method.as_deref(), Some(METHOD));
    auth.data.unwrap()
}

/// A client that has said who it is, and what it was told.
fn knock(to: SocketAddr, client_id: &str, user: &str, password: &str) -> (Mqtt, Packet<'static>) {
    let mut client = Mqtt::begin(to, by_scram(client_id, user)).unwrap();
    let proof = last(user, password, &asked(&mut client));
    client
        .send(&auth(ReasonCode::ContinueAuthentication, proof))
        .unwrap();
    let told = hear(&mut client);
    (client, told)
}

pub(super) fn enter(to: SocketAddr, client_id: &str, user: &str) -> Mqtt {
    let (client, told) = knock(to, client_id, user, &password(user));
    let Packet::ConnAck(connack) = told else {
        panic!("instead of CONNACK")
    };
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(connack.authentication_method.as_deref(), Some(METHOD));
    assert!(connack.authentication_data.unwrap().starts_with(b"v="));
    client
}

/// Begins to say anew that it is this user, who has this password.
fn say_anew(client: &mut Mqtt, user: &str, password: &str) -> Packet<'static> {
    client
        .send(&auth(ReasonCode::ReAuthenticate, first(user)))
        .unwrap();
    let proof = last(user, password, &asked(client));
    client
        .send(&auth(ReasonCode::ContinueAuthentication, proof))
        .unwrap();
    hear(client)
}

fn is_closed(client: &mut Mqtt) -> bool {
    client
        .hear(PATIENCE)
        .is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// [MQTT5-4.12.0-4] [MQTT5-3.1.4-2] Who cannot prove it, and who is not there to prove anything.
#[test]
fn a_wrong_password_and_an_unknown_user_are_refused_in_the_same_way() {
    let house = scrammed(&["ada"]);
    let broker = house.serve();
    for user in ["ada", "eve"] {
        let (mut client, told) = knock(broker.mqtt(), "lamp", user, "guess");
        assert!(
            matches!(told, Packet::ConnAck(connack) if connack.reason == ReasonCode::NotAuthorized
                && connack.reason_string.is_none() && connack.authentication_data.is_none())
        );
        assert!(is_closed(&mut client));
    }
    assert!(!house.log().contains("opensesame"));
    assert!(broker.stop().success());
}

/// [MQTT5-4.12.0-1] What is offered follows the file while the broker runs.
#[test]
fn a_method_is_offered_as_soon_as_a_user_can_use_it() {
    let house = scrammed(&[]);
    set_password(&house, "ada", "x");
    let broker = house.serve();
    let refused = Mqtt::connect(broker.mqtt(), by_scram("lamp", "ada")).unwrap().1;
    assert_eq!(refused.reason, ReasonCode::BadAuthenticationMethod);
    assert_eq!(refused.authentication_method, None);
    passwd(&house, &["--scram", "users", "ada"], &password("ada"));
    let offered = || {
        let mut client = Mqtt::begin(broker.mqtt(), by_scram("lamp", "ada")).unwrap();
        matches!(hear(&mut client), Packet::Auth(_))
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    while !offered() {
        assert!(
            std::time::Instant::now() < deadline,
            "the file was not read again"
        );
    }
    enter(broker.mqtt(), "lamp", "ada");
    assert!(broker.stop().success());
}

/// [MQTT5-4.12.1-1] A client is the user and the device that it would be by password, and stays so.
#[test]
fn a_client_comes_in_and_says_anew_who_it_is() {
    let house = scrammed(&["ada"]);
    let broker = house.serve();
    let mut lamp = enter(broker.mqtt(), "lamp", "ada");
    for _ in 0..2 {
        assert!(may_publish(&mut lamp, "user/ada/x"));
        assert!(may_publish(&mut lamp, "device/ada/x"));
        assert!(!may_publish(&mut lamp, "device/lamp/x"));
        let told = say_anew(&mut lamp, "ada", &password("ada"));
        assert!(
            matches!(told, Packet::Auth(auth) if auth.reason == ReasonCode::Success
            && auth.method.as_deref() == Some(METHOD)
            && auth.data.as_ref().is_some_and(|data| data.starts_with(b"v=")))
        );
    }
    assert!(broker.stop().success());
}

/// [MQTT5-4.12.1-2] A session does not change hands, and a client that fails does not stay.
#[test]
fn a_client_that_is_another_or_cannot_prove_it_is_disconnected() {
    let house = scrammed(&["ada", "eve"]);
    let broker = house.serve();
    for (user, password) in [
        ("eve", password("eve")),
        ("ada", "guess".into()),
        ("nobody", "guess".into()),
    ] {
        let mut lamp = enter(broker.mqtt(), "lamp", "ada");
        let told = say_anew(&mut lamp, user, &password);
        assert!(
            matches!(told, Packet::Disconnect(disconnect) if disconnect.reason == ReasonCode::NotAuthorized),
            "{user}"
        );
        assert!(is_closed(&mut lamp));
    }
    assert!(broker.stop().success());
}

/// A client whose rights have gone with its old password gets them back by saying anew who it is.
#[test]
fn a_new_password_is_proven_without_a_new_connection() {
    let house = scrammed(&["ada"]);
    let broker = house.serve();
    let mut lamp = enter(broker.mqtt(), "lamp", "ada");
    assert!(may_publish(&mut lamp, "user/ada/x"));
    set_password(&house, "ada", "changed");
    let deadline = std::time::Instant::now() + PATIENCE;
    while may_publish(&mut lamp, "user/ada/x") {
        assert!(
            std::time::Instant::now() < deadline,
            "the old password is still good"
        );
    }
    let told = say_anew(&mut lamp, "ada", "changed");
    assert!(matches!(told, Packet::Auth(auth) if auth.reason == ReasonCode::Success));
    assert!(may_publish(&mut lamp, "user/ada/x"));
    assert!(broker.stop().success());
}
