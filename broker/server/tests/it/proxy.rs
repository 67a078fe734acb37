//! Connections that a proxy passes on: whose they are, and what is no header.

use std::io::Write;

use broker::settings::{RawListener, RawWebSocket};
use mqtt_wire::{Packet, ReasonCode, Version};

use crate::{
    authority::Authority,
    client::{Client, Heard, bytes, connect},
    frames::{Frames, socket},
    house::{Gate, House, Plan},
};

const HERE: &str = "127.0.0.0/8";

fn plan(networks: &str, gate: &Gate) -> Plan {
    Plan {
        more: RawListener {
            proxy_protocol: Some("required".into()),
            proxy_networks: Some(vec!["2001:db8::/32".into(), networks.into()]),
            ..RawListener::default()
        },
        gate: gate.clone(),
        ..Plan::shards(2)
    }
}

fn hello(client_id: &str) -> Vec<u8> {
    bytes(
        Version::V5,
        &Packet::Connect(Box::new(connect(Version::V5, client_id))),
    )
}

fn v1(source: &str) -> Vec<u8> {
    format!("PROXY TCP4 {source} 198.51.100.1 50000 1883\r\n").into_bytes()
}

/// From 192.0.2.7:50000, with these fields.
fn v2(fields: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0x07, 0x5b];
    let len = u16::try_from(addresses.len() + fields.len()).unwrap();
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11";
    [&start[..], &len.to_be_bytes(), &addresses, fields].concat()
}

fn dial(house: &House, header: &[u8]) -> Client {
    let mut client = Client::dial(house.address());
    client.write(header);
    client
}

fn enter(mut client: Client, client_id: &str) -> Client {
    let connack = client.introduce(&connect(Version::V5, client_id));
    assert_eq!(connack.reason, ReasonCode::Success);
    client
}

#[test]
fn the_gates_learn_where_a_connection_comes_from() {
    let gate = Gate::default();
    let house = plan(HERE, &gate).open();
    let headers = [
        v1("192.0.2.7"),
        v2(&[]),
        v1("127.0.0.1"),
        b"PROXY UNKNOWN\r\n".to_vec(),
    ];
    for header in headers {
        // All of it at once: nothing of what comes after the header is lost.
        let mut client = Client::dial(house.address());
        client.write(&[header, hello("lamp")].concat());
        assert!(matches!(client.hear(), Heard::ConnAck(_)));
    }
    let logins = gate.logins.lock().unwrap();
    let seen: Vec<_> = logins
        .iter()
        .map(|login| {
            (
                login.peer.ip().unwrap().to_string(),
                login.loopback && login.peer.is_loopback(),
            )
        })
        .collect();
    let expected = [
        ("192.0.2.7", false),
        ("192.0.2.7", false),
        ("127.0.0.1", true),
        ("127.0.0.1", false),
    ];
    assert_eq!(seen, expected.map(|(ip, here)| (ip.to_owned(), here)));
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let house = plan(HERE, &Gate::default()).open();
    for header in [v1("192.0.2.7"), v2(&[])] {
        let mut client = Client::dial(house.address());
        for byte in header {
            client.write(&[byte]);
        }
        enter(client, "lamp").hears_nothing();
    }
}

#[test]
fn tls_and_websocket_come_after_the_header() {
    let authority = Authority::new();
    let gate = Gate::default();
    let house = Plan {
        tls: Some(authority.tls("none")),
        websocket: Some(RawWebSocket::default()),
        ..plan(HERE, &gate)
    }
    .open();
    let mut wire = authority.wire(&house, None);
    wire.sock.write_all(&v1("192.0.2.7")).unwrap();
    enter(Frames::over(Box::new(wire)).client(), "lamp").hears_nothing();
    let seen = gate.logins.lock().unwrap()[0].peer;
    assert_eq!(seen.to_string(), "192.0.2.7:50000");
}

#[test]
fn whoever_is_no_trusted_proxy_is_not_served() {
    let gate = Gate::default();
    let house = plan("10.0.0.0/8", &gate).open();
    let mut stranger = Client::dial(house.address());
    let _reset = stranger.is_left_without_connack(&connect(Version::V5, "stranger"));
    let mut liar = socket(house.address());
    let _reset = liar.write_all(&[v1("10.0.0.1"), hello("liar")].concat());
    let mut liar = Client::over(Box::new(liar));
    liar.drain();
    assert!(gate.logins.lock().unwrap().is_empty());
}

#[test]
fn what_does_not_begin_with_a_header_is_cut_off() {
    let gate = Gate::default();
    let house = plan(HERE, &gate).open();
    let mut too_long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    too_long.extend(8000_u16.to_be_bytes());
    let wrong = [
        hello("a-client-without-a-proxy"),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 50000\r\n".to_vec(),
        vec![b'\r'; 12],
        [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat(),
        v2(&[1, 2, 3]),
        too_long,
    ];
    for header in wrong {
        let mut wire = socket(house.address());
        // The end may come before all is written.
        let _cut_off = wire.write_all(&[header, hello("liar")].concat());
        Client::over(Box::new(wire)).drain();
    }
    assert!(gate.logins.lock().unwrap().is_empty());
    enter(dial(&house, &v2(&[])), "lamp").hears_nothing();
}

#[test]
fn a_name_that_a_proxy_has_verified_is_believed_where_the_settings_say_so() {
    let name = [&[0x22, 0, 6][..], b"lamp-7"].concat();
    let tls = [&[0x20, 0, 14, 0x03, 0, 0, 0, 0][..], &name].concat();
    for (believed, seen) in [(None, None), (Some(true), Some("lamp-7"))] {
        let gate = Gate::default();
        let mut plan = plan(HERE, &gate);
        plan.more.proxy_common_names = believed;
        let house = plan.open();
        enter(dial(&house, &v2(&tls)), "lamp");
        let login = gate.logins.lock().unwrap()[0].clone();
        assert_eq!(login.common_name.as_deref(), seen);
        assert_eq!(login.certificate, None);
    }
}

/// Behind a proxy the crowd at the door is told apart by where it comes from.
#[test]
fn whoever_holds_most_places_through_a_proxy_gives_way_first() {
    let mut plan = plan(HERE, &Gate::default());
    plan.broker.handshakes_max = Some(3);
    plan.broker.connect_timeout = Some("5min".into());
    let house = plan.open();
    let half = |source: &str| {
        let mut client = dial(&house, &v1(source));
        client.write(b"\x10\x0d\x00\x04MQTT");
        client
    };
    let mut polite = half("192.0.2.1");
    let crowd = [half("192.0.2.9"), half("192.0.2.9")];
    enter(dial(&house, &v1("192.0.2.5")), "newcomer").hears_nothing();
    drop(crowd);
    polite.write(b"\x05\x02\x00\x00\x00\x00\x00");
    assert!(matches!(polite.hear(), Heard::ConnAck(_)));
}

/// The header is part of the way in.
#[test]
fn half_a_header_gives_way_and_has_its_time() {
    let mut plan = plan(HERE, &Gate::default());
    plan.broker.handshakes_max = Some(1);
    plan.broker.connect_timeout = Some("2s".into());
    let house = plan.open();
    let mut half = dial(&house, b"PROXY TCP4 ");
    enter(dial(&house, &v1("192.0.2.5")), "newcomer").hears_nothing();
    assert_eq!(half.hear(), Heard::Closed);
    assert_eq!(dial(&house, b"PROXY TCP4 ").hear(), Heard::Closed);
}
