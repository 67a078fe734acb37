//! Peers that ask by ALPN for another protocol than MQTT, at the same port.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use broker::{
    Visitor, Visitors,
    settings::{RawListener, RawWebSocket},
};
use mqtt_wire::{ReasonCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    authority::{Authority, Session},
    client::{Client, SOON, connect},
    house::{Gate, House, Plan},
};

const KNITTING: &[&str] = &["knitting"];

/// Nothing is over by a time limit within a story.
fn plan(authority: &Authority, client_certificate: &str) -> Plan {
    let mut plan = Plan {
        tls: Some(authority.tls(client_certificate)),
        ..Plan::default()
    };
    plan.broker.tls_handshake_timeout = Some("5min".into());
    plan.broker.connect_timeout = Some("5min".into());
    plan
}

fn take(house: &House, visitors: &mut Visitors) -> Visitor {
    house.block_on(async { visitors.next().await.unwrap() })
}

/// Hears four letters of a visitor, and says them back.
fn echo(house: &House, visitor: Visitor) {
    house.block_on(async {
        let mut stream = visitor.into_stream();
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        stream.write_all(&heard).await.unwrap();
        stream.shutdown().await.unwrap();
    });
}

/// Says four letters and hears what comes.
fn say(wire: &mut Session) -> String {
    wire.write_all(b"purl").unwrap();
    let mut heard = String::new();
    wire.read_to_string(&mut heard).unwrap();
    heard
}

/// Whether a client gets in that asks for these protocols.
fn gets_in(authority: &Authority, house: &House, protocols: &[&str]) -> bool {
    let wire = authority.wire_for(protocols, house, None);
    !Client::over(Box::new(wire)).is_left_without_connack(&connect(Version::V5, "lamp"))
}

/// Shakes hands, and says nothing yet. The other side has finished too: until then the next visitor might overtake this one.
fn visit(authority: &Authority, house: &House) -> Session {
    let mut wire = authority.wire_for(KNITTING, house, None);
    while wire.conn.is_handshaking() || wire.conn.tls13_tickets_received() == 0 {
        wire.conn.complete_io(&mut wire.sock).unwrap();
    }
    wire
}

#[test]
fn one_port_serves_mqtt_and_another_protocol() {
    let authority = Authority::new();
    let (house, mut visitors) = plan(&authority, "none").with_visitors();
    for protocols in [
        &["mqtt"][..],
        &["x-amzn-mqtt-ca"],
        &[],
        // Who speaks both is here for MQTT.
        &["knitting", "mqtt"],
    ] {
        assert!(gets_in(&authority, &house, protocols), "{protocols:?}");
    }
    for protocols in [KNITTING, &["crochet", "knitting"]] {
        let mut wire = authority.wire_for(protocols, &house, None);
        let said = std::thread::spawn(move || say(&mut wire));
        let visitor = take(&house, &mut visitors);
        assert!(visitor.loopback && visitor.certificate.is_none());
        echo(&house, visitor);
        assert_eq!(said.join().unwrap(), "purl");
    }
}

#[test]
fn a_protocol_that_nobody_speaks_is_refused_in_the_handshake() {
    let authority = Authority::new();
    let (with, _visitors) = plan(&authority, "none").with_visitors();
    let without = plan(&authority, "none").open();
    for (house, protocol) in [(&with, "crochet"), (&without, "crochet"), (&without, "knitting")] {
        let mut wire = authority.wire_for(&[protocol], house, None);
        let refused = wire.write_all(b"purl").unwrap_err().to_string();
        assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    }
}

#[test]
fn certificates_hold_for_clients_and_visitors() {
    let authority = Authority::new();
    let gate = Gate::default();
    let logins = gate.logins.clone();
    let (house, mut visitors) = Plan {
        gate,
        ..plan(&authority, "required")
    }
    .with_visitors();
    let identity = authority.identify("lamp");
    let shown = identity.certificate.to_vec();
    let mut lamp = Client::over(Box::new(authority.wire_for(&["mqtt"], &house, Some(identity))));
    let connack = lamp.introduce(&connect(Version::V5, "lamp"));
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(logins.lock().unwrap()[0].certificate, Some(shown));

    // Whoever has none, or one of another authority, is no visitor.
    for stranger in [None, Some(Authority::new().identify("app"))] {
        let mut wire = authority.wire_for(KNITTING, &house, stranger);
        let mut heard = Vec::new();
        let refused = wire
            .write_all(b"purl")
            .and_then(|()| wire.read_to_end(&mut heard));
        assert!(refused.is_err());
    }
    let identity = authority.identify("app");
    let shown = identity.certificate.to_vec();
    let mut wire = authority.wire_for(KNITTING, &house, Some(identity));
    let said = std::thread::spawn(move || say(&mut wire));
    let visitor = take(&house, &mut visitors);
    assert_eq!(visitor.certificate.as_deref(), Some(&shown[..]));
    echo(&house, visitor);
    assert_eq!(said.join().unwrap(), "purl");
}

#[test]
fn a_proxy_says_where_a_visitor_comes_from() {
    let authority = Authority::new();
    let (house, mut visitors) = Plan {
        more: RawListener {
            proxy_protocol: Some("required".into()),
            proxy_networks: Some(vec!["127.0.0.0/8".into()]),
            ..RawListener::default()
        },
        ..plan(&authority, "none")
    }
    .with_visitors();
    for (header, peer, loopback) in [
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n",
            Some("192.0.2.7:50000"),
            true,
        ),
        // It may come from anywhere.
        ("PROXY UNKNOWN\r\n", None, false),
    ] {
        let mut wire = authority.wire_for(KNITTING, &house, None);
        wire.sock.write_all(header.as_bytes()).unwrap();
        let said = std::thread::spawn(move || say(&mut wire));
        let visitor = take(&house, &mut visitors);
        if let Some(peer) = peer {
            assert_eq!(visitor.peer.to_string(), peer);
        }
        assert_eq!(visitor.loopback, loopback);
        echo(&house, visitor);
        said.join().unwrap();
    }
}

/// One is on its way; the others are among those on their way in, and the first to give way.
#[test]
fn visitors_that_nobody_takes_keep_no_client_out() {
    let authority = Authority::new();
    let mut plan = plan(&authority, "none");
    plan.broker.handshakes_max = Some(2);
    let (house, mut visitors) = plan.with_visitors();
    let mut waiting: Vec<_> = (0..3).map(|_| visit(&authority, &house)).collect();
    assert!(gets_in(&authority, &house, &["mqtt"]));
    let gone = waiting[1].read(&mut [0; 1]).unwrap_err();
    assert_eq!(
        gone.kind(),
        ErrorKind::UnexpectedEof,
        "the oldest of those that wait"
    );
    for mut wire in [waiting.remove(0), waiting.pop().unwrap()] {
        let said = std::thread::spawn(move || say(&mut wire));
        let visitor = take(&house, &mut visitors);
        echo(&house, visitor);
        assert_eq!(said.join().unwrap(), "purl");
    }
}

#[test]
fn half_a_handshake_disturbs_neither_clients_nor_visitors() {
    let authority = Authority::new();
    let (house, mut visitors) = plan(&authority, "none").with_visitors();
    let mut halves: Vec<_> = (0..20)
        .map(|_| {
            let mut half = TcpStream::connect(house.address()).unwrap();
            half.set_read_timeout(Some(SOON)).unwrap();
            // The head of a ClientHello that never comes.
            half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").unwrap();
            half
        })
        .collect();
    assert!(gets_in(&authority, &house, &["mqtt"]));
    let mut wire = visit(&authority, &house);
    let said = std::thread::spawn(move || say(&mut wire));
    let visitor = take(&house, &mut visitors);
    echo(&house, visitor);
    assert_eq!(said.join().unwrap(), "purl");
    for half in &mut halves {
        half.write_all(&[0xff; 512]).unwrap();
        let mut end = Vec::new();
        // Cut off, with an alert or without.
        let _reset = half.read_to_end(&mut end);
    }
}

#[test]
fn a_visitor_that_is_not_taken_in_time_is_sent_away() {
    let authority = Authority::new();
    let mut plan = plan(&authority, "none");
    plan.broker.connect_timeout = Some("1s".into());
    let (house, mut visitors) = plan.with_visitors();
    let mut first = visit(&authority, &house);
    let mut second = visit(&authority, &house);
    let mut heard = [0; 1];
    assert!(second.read(&mut heard).is_err());
    let said = std::thread::spawn(move || say(&mut first));
    let visitor = take(&house, &mut visitors);
    echo(&house, visitor);
    assert_eq!(said.join().unwrap(), "purl");
}

#[test]
fn once_nobody_takes_visitors_they_are_sent_away_and_clients_are_not() {
    let authority = Authority::new();
    let (house, visitors) = plan(&authority, "none").with_visitors();
    drop(visitors);
    let mut heard = [0; 1];
    assert!(visit(&authority, &house).read(&mut heard).is_err());
    assert!(gets_in(&authority, &house, &["mqtt"]));
}

#[test]
fn a_drain_does_not_wait_for_visitors() {
    let authority = Authority::new();
    let (house, mut visitors) = plan(&authority, "none").with_visitors();
    let mut waiting: Vec<_> = (0..3).map(|_| visit(&authority, &house)).collect();
    let visitor = take(&house, &mut visitors);
    house.drain().unwrap();
    drop(visitor);
    drop(visitors);
    for wire in &mut waiting {
        assert!(wire.read(&mut [0; 1]).is_err());
    }
}

#[test]
fn only_a_listener_with_tls_and_without_websocket_has_visitors() {
    let authority = Authority::new();
    let attach = |plan: Plan, name: &str, times: usize| {
        let mut attached = Vec::new();
        plan.open_with(|broker| {
            attached = (0..times)
                .map(|_| broker.attach_visitors(name, KNITTING).is_some())
                .collect();
        });
        attached
    };
    assert_eq!(attach(plan(&authority, "none"), "test", 2), [true, false]);
    assert_eq!(attach(plan(&authority, "none"), "other", 1), [false]);
    assert_eq!(attach(Plan::default(), "test", 1), [false]);
    let websocket = Plan {
        websocket: Some(RawWebSocket::default()),
        ..plan(&authority, "none")
    };
    assert_eq!(attach(websocket, "test", 1), [false]);
}
