//! Enhanced authentication: exchanges before CONNACK, and on a live connection.

use std::num::NonZeroU32;

use mqtt_wire::{Auth, Connect, Packet, QoS, ReasonCode, Version};

use crate::{
    client::{Client, Heard, bytes, connect},
    house::{House, Plan},
};

fn knocking(client_id: &str, data: Option<&str>) -> Connect {
    let mut connect = connect(Version::V5, client_id);
    connect.authentication_method = Some("KNOCK".into());
    connect.authentication_data = data.map(Into::into);
    connect
}

fn auth(reason: ReasonCode, method: &str, data: &str) -> Packet<'static> {
    Packet::Auth(Auth {
        reason,
        method: Some(method.into()),
        data: Some(data.into()),
        ..Auth::default()
    })
}

fn go_on(data: &str) -> Packet<'static> {
    auth(ReasonCode::ContinueAuthentication, "KNOCK", data)
}

fn again(data: &str) -> Packet<'static> {
    auth(ReasonCode::ReAuthenticate, "KNOCK", data)
}

fn begin(house: &House, connect: &Connect) -> Client {
    let mut client = Client::dial(house.address());
    client.send(&Packet::Connect(Box::new(connect.clone())));
    client
}

/// A client that has come in as `ada`.
fn ada(house: &House) -> Client {
    Client::enter(house.address(), &knocking("lamp", Some("I am ada")))
}

fn hears_auth(client: &mut Client, reason: ReasonCode, data: &str) {
    let Heard::Auth(heard) = client.hear() else {
        panic!("instead of AUTH")
    };
    assert_eq!(Packet::Auth(heard), auth(reason, "KNOCK", data));
}

fn is_refused(client: &mut Client, reason: ReasonCode) {
    match client.hear() {
        Heard::ConnAck(connack) => assert_eq!(connack.reason, reason),
        other => panic!("instead of CONNACK: {other:?}"),
    }
    assert_eq!(client.hear(), Heard::Closed);
}

/// [MQTT5-4.12.0-2] [MQTT5-4.12.0-5] [MQTT5-3.15.2-1] Each step is AUTH 0x18 with the method of CONNECT, and CONNACK has it
/// too, with the last data.
#[test]
fn a_client_says_who_it_is_in_as_many_steps_as_it_takes() {
    let house = House::open();
    let mut lamp = begin(&house, &knocking("lamp", None));
    hears_auth(
        &mut lamp,
        ReasonCode::ContinueAuthentication,
        "nothing: who is there?",
    );
    lamp.send(&go_on("me"));
    hears_auth(&mut lamp, ReasonCode::ContinueAuthentication, "me: who is there?");
    lamp.send(&go_on("I am ada"));
    let Heard::ConnAck(connack) = lamp.hear() else {
        panic!("instead of CONNACK")
    };
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(connack.authentication_method.as_deref(), Some("KNOCK"));
    assert_eq!(connack.authentication_data.as_deref(), Some(&b"welcome, ada"[..]));
    lamp.hears_nothing();
}

/// [MQTT5-4.12.0-6] Who names no method hears of none.
#[test]
fn a_client_without_a_method_hears_of_none() {
    let house = House::open();
    let connack = Client::dial(house.address()).introduce(&connect(Version::V5, "lamp"));
    assert_eq!(connack.authentication_method, None);
    assert_eq!(connack.authentication_data, None);
}

/// [MQTT5-4.12.0-1] A method that no gate offers.
#[test]
fn an_unknown_method_is_refused() {
    let house = House::open();
    let mut connect = knocking("lamp", None);
    connect.authentication_method = Some("knock".into());
    is_refused(&mut begin(&house, &connect), ReasonCode::BadAuthenticationMethod);
}

/// [MQTT5-4.12.0-4] [MQTT5-3.1.4-2] The gate may say no at any step, and does so as well by failing or sleeping.
#[test]
fn who_is_not_known_is_refused() {
    let mut plan = Plan::default();
    plan.broker.gate_timeout = Some("1s".into());
    let house = plan.open();
    let told = [
        ("I am nobody", ReasonCode::NotAuthorized),
        ("fail", ReasonCode::ServerUnavailable),
        ("sleep", ReasonCode::ServerUnavailable),
    ];
    for (word, reason) in told {
        is_refused(&mut begin(&house, &knocking("lamp", Some(word))), reason);
        let mut late = begin(&house, &knocking("lamp", Some("me")));
        late.hear();
        late.send(&go_on(word));
        is_refused(&mut late, reason);
    }
    let mut panicking = begin(&house, &knocking("lamp", Some("panic")));
    assert_eq!(panicking.hear(), Heard::Closed);
    ada(&house).hears_nothing();
}

/// [MQTT5-4.12.0-3] [MQTT5-4.12.0-5] [MQTT5-3.1.2-30] Until CONNACK a client sends AUTH 0x18 with its method, or DISCONNECT.
#[test]
fn anything_but_the_next_step_is_a_protocol_error() {
    let house = House::open();
    let wrong = [
        again("I am ada"),
        auth(ReasonCode::ContinueAuthentication, "OTHER", "I am ada"),
        Packet::PingReq,
        Packet::Connect(Box::new(knocking("lamp", None))),
    ];
    for packet in wrong {
        let mut lamp = begin(&house, &knocking("lamp", None));
        lamp.hear();
        lamp.send(&packet);
        is_refused(&mut lamp, ReasonCode::ProtocolError);
    }
    let mut hasty = Client::dial(house.address());
    let mut hello = bytes(
        Version::V5,
        &Packet::Connect(Box::new(knocking("lamp", Some("I am ada")))),
    );
    hello.extend(bytes(Version::V5, &Packet::PingReq));
    hasty.write(&hello);
    is_refused(&mut hasty, ReasonCode::ProtocolError);

    let mut leaving = begin(&house, &knocking("lamp", None));
    leaving.hear();
    leaving.disconnect();
    assert_eq!(leaving.hear(), Heard::Closed);
}

/// [MQTT5-3.15.1-1] The flags of AUTH are zero; a server's reason and a missing method are no better.
#[test]
fn an_auth_that_cannot_be_one_is_refused() {
    let house = House::open();
    let told = [
        (&[0xf1, 0x02, 0x18, 0x00][..], ReasonCode::MalformedPacket),
        (&[0xf0, 0x00], ReasonCode::ProtocolError),
        (&[0xf0, 0x02, 0x18, 0x00], ReasonCode::ProtocolError),
        (&[0xf0, 0x02, 0x17, 0x00], ReasonCode::ProtocolError),
        (&[0xf0, 0xff, 0xff, 0xff, 0x7f], ReasonCode::PacketTooLarge),
    ];
    for (bytes, reason) in told {
        let mut lamp = begin(&house, &knocking("lamp", None));
        lamp.hear();
        lamp.write(bytes);
        is_refused(&mut lamp, reason);
    }
}

#[test]
fn an_exchange_has_bounds() {
    let mut plan = Plan::default();
    plan.broker.connect_timeout = Some("1s".into());
    let house = plan.open();
    let mut silent = begin(&house, &knocking("lamp", None));
    silent.hear();
    is_refused(&mut silent, ReasonCode::NotAuthorized);

    let mut talkative = begin(&house, &knocking("lamp", None));
    for _ in 0..8 {
        talkative.hear();
        talkative.send(&go_on("me"));
    }
    is_refused(&mut talkative, ReasonCode::NotAuthorized);

    let long = "x".repeat(16 * 1024 + 1);
    let mut verbose = begin(&house, &knocking("lamp", Some(&long)));
    is_refused(&mut verbose, ReasonCode::NotAuthorized);

    let mut small = knocking("lamp", Some("a word that makes the answer long"));
    small.max_packet_size = NonZeroU32::new(30);
    is_refused(&mut begin(&house, &small), ReasonCode::PacketTooLarge);
}

/// [MQTT5-4.12.1-1] [MQTT5-4.12.0-5] A client says anew who it is, and goes on with everything else meanwhile.
#[test]
fn a_live_client_says_anew_who_it_is() {
    let house = House::open();
    let mut lamp = ada(&house);
    for _ in 0..2 {
        lamp.send(&again("me"));
        hears_auth(&mut lamp, ReasonCode::ContinueAuthentication, "me: who is there?");
        lamp.hears_nothing();
        assert_eq!(lamp.subscribe("t", QoS::AtLeastOnce), ReasonCode::GrantedQoS1);
        lamp.publish("t", "!", QoS::AtMostOnce, 0);
        assert_eq!(lamp.message().payload, "!");
        lamp.send(&go_on("I am ada"));
        hears_auth(&mut lamp, ReasonCode::Success, "welcome, ada");
    }
    lamp.hears_nothing();
}

/// [MQTT5-4.12.1-2] Whoever fails, breaks the gate, or says that it is another is disconnected.
#[test]
fn a_live_client_that_fails_is_disconnected() {
    let mut plan = Plan::default();
    plan.broker.gate_timeout = Some("1s".into());
    let house = plan.open();
    for word in ["I am nobody", "I am eve", "fail", "panic", "sleep"] {
        let mut lamp = ada(&house);
        lamp.send(&again(word));
        assert_eq!(
            lamp.hear(),
            Heard::Disconnect(ReasonCode::NotAuthorized),
            "{word}"
        );
        assert_eq!(lamp.hear(), Heard::Closed);
    }
}

/// What is slow about one client's exchange is not slow for the same client's messages.
#[test]
fn a_gate_that_thinks_holds_nothing_up() {
    let house = House::open();
    let mut lamp = ada(&house);
    lamp.send(&again("sleep"));
    lamp.hears_nothing();
}

#[test]
fn a_live_client_that_does_not_go_on_is_disconnected() {
    let mut plan = Plan::default();
    plan.broker.connect_timeout = Some("1s".into());
    let house = plan.open();
    let mut lamp = ada(&house);
    lamp.send(&again("me"));
    lamp.hear();
    assert_eq!(lamp.hear(), Heard::Disconnect(ReasonCode::NotAuthorized));
    assert_eq!(lamp.hear(), Heard::Closed);
}

/// [MQTT5-4.12.0-7] [MQTT5-4.12.1-1] Without a method, and with another one.
#[test]
fn a_live_client_keeps_to_the_method_it_came_in_by() {
    let house = House::open();
    let mut plain = Client::named(house.address(), Version::V5, "plain");
    let mut other = ada(&house);
    plain.send(&again("I am plain"));
    other.send(&auth(ReasonCode::ReAuthenticate, "OTHER", "I am ada"));
    for mut client in [plain, other] {
        assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::ProtocolError));
        assert_eq!(client.hear(), Heard::Closed);
    }
}

/// A gate learns the same of a client that says anew who it is, but no password.
#[test]
fn a_gate_is_told_how_the_client_came_in() {
    let plan = Plan::default();
    let logins = plan.gate.logins.clone();
    let house = plan.open();
    let mut connect = knocking("lamp", Some("I am ada"));
    connect.username = Some("ada".into());
    connect.password = Some(b"secret".to_vec());
    let mut lamp = Client::enter(house.address(), &connect);
    lamp.send(&again("I am ada"));
    hears_auth(&mut lamp, ReasonCode::Success, "welcome, ada");
    let logins = logins.lock().unwrap();
    for (login, has_password) in logins.iter().zip([true, false]) {
        assert_eq!(
            (login.client_id.as_str(), login.username.as_deref()),
            ("lamp", Some("ada"))
        );
        assert_eq!(login.method.as_deref(), Some("KNOCK"));
        assert_eq!(login.password.is_some(), has_password);
        assert!(login.loopback);
    }
    assert_eq!(logins.len(), 2);
}

/// The end of a client or of the broker is the end of an exchange.
#[test]
fn an_exchange_under_way_keeps_nobody_from_leaving() {
    let house = House::open();
    let mut entering = begin(&house, &knocking("door", None));
    entering.hear();
    let mut lamp = ada(&house);
    lamp.send(&again("me"));
    lamp.hear();
    drop(lamp);
    let mut other = ada(&house);
    other.send(&again("me"));
    other.hear();
    house.drain().unwrap();
    assert_eq!(entering.hear(), Heard::Closed);
    assert_eq!(other.hear(), Heard::Disconnect(ReasonCode::ServerShuttingDown));
}
