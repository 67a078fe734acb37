//! What leaves the socket, byte by byte, and what is never said.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use mqtt_wire::{QoS, ReasonCode, Version};

use crate::{
    client::{Client, Heard, SOON, connect},
    house::{Gate, House, Plan},
};

/// A connection without any idea of MQTT.
struct Line(TcpStream);

impl Line {
    fn dial(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self(socket)
    }

    /// Sends bytes and hears exactly these.
    #[track_caller]
    fn exchange(&mut self, said: &[u8], expected: &[u8]) {
        self.0.write_all(said).unwrap();
        let mut heard = vec![0; expected.len()];
        self.0.read_exact(&mut heard).unwrap();
        assert_eq!(heard, expected, "in answer to {said:02x?}");
    }

    /// Sends bytes and hears all that comes until the end.
    fn last_exchange(&mut self, said: &[u8]) -> Vec<u8> {
        self.0.write_all(said).unwrap();
        let mut heard = Vec::new();
        match self.0.read_to_end(&mut heard) {
            Ok(_) => heard,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => heard,
            Err(error) => panic!("instead of the end: {error}"),
        }
    }
}

/// [MQTT311-2.2.2-1] [MQTT311-2.3.1-5] [MQTT311-2.3.1-6] [MQTT311-2.3.1-7] [MQTT311-3.1.4-4] [MQTT311-3.3.2-1]
/// [MQTT311-3.6.1-1] [MQTT311-3.10.4-4] [MQTT311-3.12.4-1] [MQTT311-4.3.1-1] [MQTT311-3.3.4-1]
#[test]
fn a_conversation_of_3_1_1_has_these_bytes() {
    let house = House::open();
    let mut lamp = Line::dial(house.address());
    lamp.exchange(
        b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04lamp",
        b"\x20\x02\x00\x00",
    );
    lamp.exchange(b"\x82\x06\x0a\x0b\x00\x01t\x02", b"\x90\x03\x0a\x0b\x02");
    let mut switch = Line::dial(house.address());
    switch.exchange(
        b"\x10\x12\x00\x04MQTT\x04\x02\x00\x00\x00\x06switch",
        b"\x20\x02\x00\x00",
    );
    switch.exchange(b"\x30\x04\x00\x01tx\xc0\x00", b"\xd0\x00");
    lamp.exchange(b"", b"\x30\x04\x00\x01tx");
    switch.exchange(b"\x32\x06\x00\x01t\x01\x05x", b"\x40\x02\x01\x05");
    lamp.exchange(b"", b"\x32\x06\x00\x01t\x00\x01x");
    switch.exchange(b"\x34\x06\x00\x01t\x01\x06x", b"\x50\x02\x01\x06");
    switch.exchange(b"\x62\x02\x01\x06", b"\x70\x02\x01\x06");
    lamp.exchange(b"\x40\x02\x00\x01", b"\x34\x06\x00\x01t\x00\x02x");
    lamp.exchange(b"\x50\x02\x00\x02", b"\x62\x02\x00\x02");
    lamp.exchange(b"\x70\x02\x00\x02\xa2\x05\x0a\x0c\x00\x01t", b"\xb0\x02\x0a\x0c");
    assert_eq!(lamp.last_exchange(b"\xe0\x00"), b"");
}

/// [MQTT5-1.5.5-1] [MQTT5-2.1.3-1] [MQTT5-2.2.1-2] [MQTT5-2.2.1-5] [MQTT5-2.2.1-6] [MQTT5-2.2.2-1]
/// [MQTT5-3.1.4-5] [MQTT5-3.2.2-1] [MQTT5-3.3.2-1] [MQTT5-3.3.4-1] [MQTT5-3.6.1-1] [MQTT5-3.12.4-1]
/// [MQTT5-3.14.4-2] [MQTT5-4.3.1-1]
#[test]
fn a_conversation_of_5_has_these_bytes() {
    let house = House::open();
    let mut lamp = Line::dial(house.address());
    let hello = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x04lamp";
    let mut connack = [0; 5];
    lamp.0.write_all(hello).unwrap();
    lamp.0.read_exact(&mut connack).unwrap();
    let [kind, length, flags, reason, properties] = connack;
    assert_eq!((kind, flags, reason), (0x20, 0, 0));
    assert_eq!(length, 3 + properties, "lengths of one byte");
    lamp.0.read_exact(&mut vec![0; usize::from(properties)]).unwrap();
    lamp.exchange(b"\x82\x07\x0a\x0b\x00\x00\x01t\x02", b"\x90\x04\x0a\x0b\x00\x02");
    let mut switch = Client::named(house.address(), Version::V311, "switch");
    switch.publish("t", "x", QoS::AtMostOnce, 0);
    lamp.exchange(b"", b"\x30\x05\x00\x01t\x00x");
    switch.publish("t", "x", QoS::AtLeastOnce, 5);
    lamp.exchange(b"", b"\x32\x07\x00\x01t\x00\x01\x00x");
    switch.publish("t", "x", QoS::ExactlyOnce, 6);
    lamp.exchange(b"\x40\x02\x00\x01", b"\x34\x07\x00\x01t\x00\x02\x00x");
    lamp.exchange(b"\x50\x02\x00\x02", b"\x62\x02\x00\x02");
    lamp.exchange(
        b"\x70\x02\x00\x02\xa2\x06\x0a\x0c\x00\x00\x01t",
        b"\xb0\x04\x0a\x0c\x00\x00",
    );
    lamp.exchange(b"\x32\x07\x00\x01t\x01\x05\x00x", b"\x40\x03\x01\x05\x10");
    lamp.exchange(b"\x34\x07\x00\x01t\x01\x06\x00x", b"\x50\x03\x01\x06\x10");
    lamp.exchange(b"\x62\x02\x01\x06", b"\x70\x02\x01\x06");
    lamp.exchange(b"\xc0\x00", b"\xd0\x00");
    let why = format!(
        "the reserved flags of the fixed header are wrong [{}]",
        "MQTT-2.1.3-1"
    );
    let told = [b"\xe0\x44\x81\x42\x1f\x00\x3f", why.as_bytes()].concat();
    assert_eq!(lamp.last_exchange(b"\xc1\x00"), told);
}

/// CONNECTs with a mistake: the version, and the bytes behind the fixed header.
const BROKEN: [(Version, &[u8]); 9] = [
    (Version::V311, b"\x00\x04MQTT\x04\x03\x00\x00\x00\x01a"), // the reserved flag
    (Version::V311, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x02a"), // too short
    (Version::V311, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x01ab"), // too long
    (Version::V311, b"\x00\x04MQTT\x04\x42\x00\x00\x00\x01a\x00\x01b"), // a password without a user name
    (Version::V311, b"\x00\x04MQTT\x04\x0a\x00\x00\x00\x01a"), // will QoS without a will
    (Version::V5, b"\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x02a"), // too short
    (Version::V5, b"\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01ab"), // too long
    (Version::V5, b"\x00\x04MQTT\x05\x1e\x00\x00\x00\x00\x01a"), // will QoS 3
    (
        Version::V5,
        b"\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x01a",
    ), // receive maximum 0
];

/// A CONNECT of these bytes.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x10, u8::try_from(body.len()).unwrap()];
    bytes.extend_from_slice(body);
    bytes
}

/// [MQTT311-3.1.4-1] [MQTT311-3.2.2-6] [MQTT5-3.1.4-1] [MQTT5-3.2.2-7] [MQTT5-3.14.0-1] [MQTT5-4.13.2-1]
/// A broken CONNECT of 3.1.1 is not answered; one of 5.0 by a CONNACK with its reason, and by no DISCONNECT.
#[test]
fn a_broken_connect_ends_its_connection() {
    let house = House::open();
    for (version, body) in BROKEN {
        let heard = Line::dial(house.address()).last_exchange(&framed(body));
        match version {
            Version::V311 => assert_eq!(heard, b"", "{body:02x?}"),
            Version::V5 => {
                let [0x20, len, 0, reason, ..] = heard[..] else {
                    panic!("{heard:02x?} for {body:02x?}")
                };
                assert!(reason >= 0x80, "{heard:02x?} for {body:02x?}");
                assert_eq!(heard.len(), 2 + usize::from(len), "{heard:02x?} for {body:02x?}");
            }
        }
    }
}

/// [MQTT-3.1.0-1] [MQTT5-3.14.0-1] Whoever does not begin with CONNECT hears nothing at all.
#[test]
fn a_stranger_hears_nothing() {
    let house = House::open();
    for said in [
        &b"\xc0\x00"[..],
        b"\x82\x06\x00\x01\x00\x01t\x00",
        b"\x30\x03\x00\x01t",
        b"\xe0\x00",
        b"\xf0\x00",
    ] {
        assert_eq!(
            Line::dial(house.address()).last_exchange(said),
            b"",
            "{said:02x?}"
        );
    }
}

/// [MQTT311-3.1.2-1] [MQTT311-3.1.2-2] [MQTT5-3.1.2-1] [MQTT5-3.1.2-2]
/// Another protocol, or another level of this one, hears return code 1, which every version has at the same place.
#[test]
fn another_protocol_is_not_served() {
    let house = House::open();
    for body in [
        &b"\x00\x04MQTX\x04\x02\x00\x00\x00\x01a"[..],
        b"\x00\x04MQTX\x05\x02\x00\x00\x00\x00\x01a",
        b"\x00\x06MQIsdp\x04\x02\x00\x00\x00\x01a",
        b"\x00\x04MQTT\x63\x02\x00\x00\x00\x01a",
    ] {
        let heard = Line::dial(house.address()).last_exchange(&framed(body));
        assert_eq!(heard, b"\x20\x02\x00\x01", "{body:02x?}");
    }
}

/// [MQTT311-3.1.4-5] [MQTT5-3.1.4-6] What follows a refused CONNECT in the same segment is neither done nor answered.
#[test]
fn nothing_is_done_for_who_was_refused() {
    let house = Plan {
        gate: Gate::with_user("ada", "secret"),
        ..Plan::default()
    }
    .open();
    let mut login = connect(Version::V5, "watcher");
    login.username = Some("ada".into());
    login.password = Some(b"secret".to_vec());
    let mut watcher = Client::enter(house.address(), &login);
    watcher.subscribe("#", QoS::AtMostOnce);
    for (body, rest, connack) in [
        (
            &b"\x00\x04MQTT\x04\x02\x00\x00\x00\x01a"[..],
            &b"\x32\x06\x00\x01t\x00\x01x\xc0\x00"[..],
            &b"\x20\x02\x00\x05"[..],
        ),
        (
            b"\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01a",
            b"\x32\x07\x00\x01t\x00\x01\x00x\xc0\x00",
            b"\x20\x03\x00\x87\x00",
        ),
    ] {
        let said = [framed(body), rest.to_vec()].concat();
        assert_eq!(Line::dial(house.address()).last_exchange(&said), connack);
    }
    watcher.hears_nothing();
}

/// [MQTT-3.1.3-5] [MQTT311-3.1.3-9] [MQTT5-3.1.3-8] [MQTT311-3.2.2-5] [MQTT5-3.2.2-7]
/// Client ids of 1 to 23 letters and digits are taken; one of more bytes than allowed is refused with its code.
#[test]
fn client_ids_are_taken_up_to_a_length() {
    let house = House::open();
    for version in [Version::V311, Version::V5] {
        for name in ["a", "Z", "0", "0123456789abcdefghijkLM", &"x".repeat(256)] {
            let connack = Client::dial(house.address()).introduce(&connect(version, name));
            assert_eq!(connack.reason, ReasonCode::Success, "{name}");
        }
        let mut client = Client::dial(house.address());
        let connack = client.introduce(&connect(version, &"x".repeat(257)));
        assert_eq!(connack.reason, ReasonCode::ClientIdentifierNotValid);
        assert_eq!(client.hear(), Heard::Closed);
    }
}

/// [MQTT5-3.1.3-7] [MQTT5-3.2.2-16] The id that a nameless client is given is its own from then on.
#[test]
fn an_assigned_id_leads_back_to_its_session() {
    let house = House::open();
    let mut nameless = connect(Version::V5, "");
    nameless.clean_start = false;
    nameless.session_expiry_secs = Some(3600);
    let mut lamp = Client::dial(house.address());
    let given = lamp.introduce(&nameless).assigned_client_id.unwrap();
    lamp.subscribe("t", QoS::AtLeastOnce);
    lamp.disconnect();
    assert_eq!(lamp.hear(), Heard::Closed);
    nameless.client_id = given;
    let connack = Client::dial(house.address()).introduce(&nameless);
    assert!(connack.session_present && connack.assigned_client_id.is_none());
}

/// [MQTT311-3.2.2-4] [MQTT5-3.2.2-6] [MQTT5-3.1.4-2] A refusal tells nothing of the session that its client id has.
#[test]
fn a_refusal_says_nothing_of_a_session() {
    let house = Plan {
        gate: Gate::with_user("ada", "secret"),
        ..Plan::default()
    }
    .open();
    for (version, refusal) in [
        (Version::V311, &b"\x20\x02\x00\x04"[..]),
        (Version::V5, b"\x20\x03\x00\x86\x00"),
    ] {
        let mut login = connect(version, "lamp");
        login.username = Some("ada".into());
        login.password = Some(b"secret".to_vec());
        login.clean_start = false;
        login.session_expiry_secs = (version == Version::V5).then_some(3600);
        let mut lamp = Client::enter(house.address(), &login);
        lamp.disconnect();
        assert_eq!(lamp.hear(), Heard::Closed);
        assert!(Client::dial(house.address()).introduce(&login).session_present);
        login.password = Some(b"guess".to_vec());
        let packet = mqtt_wire::Packet::Connect(Box::new(login));
        let said = crate::client::bytes(version, &packet);
        assert_eq!(Line::dial(house.address()).last_exchange(&said), refusal);
    }
}

/// [MQTT5-4.12.0-1] [MQTT5-4.13.2-1] A method of authentication that is not offered ends the connection, after its code.
#[test]
fn a_method_that_is_not_offered_ends_the_connection() {
    let house = House::open();
    let said = framed(b"\x00\x04MQTT\x05\x02\x00\x00\x11\x15\x00\x0eno-such-method\x00\x01a");
    let heard = Line::dial(house.address()).last_exchange(&said);
    assert!(matches!(heard[..], [0x20, _, 0, 0x8c, ..]), "{heard:02x?}");
}

/// [MQTT5-3.1.2-24] [MQTT5-3.2.2-19] A refusal leaves its words out, or is not said at all, where its client takes no more.
#[test]
fn a_refusal_is_no_larger_than_its_client_takes() {
    let house = House::open();
    for (takes, heard) in [(400, 2..=400), (20, 5..=5), (5, 5..=5), (4, 0..=0)] {
        let mut connect = connect(Version::V5, &"x".repeat(257));
        connect.max_packet_size = std::num::NonZeroU32::new(takes);
        let said = crate::client::bytes(Version::V5, &mqtt_wire::Packet::Connect(Box::new(connect)));
        let refusal = Line::dial(house.address()).last_exchange(&said);
        assert!(
            heard.contains(&refusal.len()),
            "{refusal:02x?} to one that takes {takes}"
        );
        assert_eq!(takes == 400, refusal.len() > 5, "there are words to leave out");
    }
}
