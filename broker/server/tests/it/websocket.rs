//! MQTT inside WebSocket: the upgrade, frames in every shape, and peers that send what is no frame.

use broker::settings::RawWebSocket;
use mqtt_wire::{Packet, QoS, ReasonCode, Version, Will};

use crate::{
    authority::Authority,
    client::{Client, Heard, bytes, connect, publication},
    frames::{BINARY, CLOSE, FIN, Frames, MORE, PING, PONG, TEXT, ask, frame, header, request, socket},
    house::{Gate, House, Plan},
};

const OFFER: &str = "Sec-WebSocket-Protocol: mqtt\r\n";

fn plan() -> Plan {
    Plan {
        websocket: Some(RawWebSocket::default()),
        ..Plan::shards(2)
    }
}

fn hello(client_id: &str) -> Vec<u8> {
    bytes(
        Version::V5,
        &Packet::Connect(Box::new(connect(Version::V5, client_id))),
    )
}

/// A client that is in, frame by frame.
fn inside(house: &House, client_id: &str) -> Frames {
    let mut frames = Frames::dial(house.address());
    frames.send(FIN | BINARY, &hello(client_id));
    let (first, connack) = frames.hear().unwrap();
    assert_eq!((first, connack[0]), (FIN | BINARY, 0x20));
    frames
}

fn is_served(house: &House, client_id: &str) {
    let mut client = Frames::dial(house.address()).client();
    let connack = client.introduce(&connect(Version::V5, client_id));
    assert_eq!(connack.reason, ReasonCode::Success);
    client.hears_nothing();
}

#[test]
fn messages_pass_through_websocket_and_large_ones_too() {
    let house = plan().open();
    let mut lamp = Frames::dial(house.address()).client();
    assert_eq!(
        lamp.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
    lamp.subscribe("t", QoS::AtLeastOnce);
    let mut switch = Frames::dial(house.address()).client();
    assert_eq!(
        switch.introduce(&connect(Version::V311, "switch")).reason,
        ReasonCode::Success
    );
    let large = "x".repeat(500_000);
    for (number, payload) in (1..).zip(["on", &large, "off"]) {
        switch.publish("t", payload, QoS::AtLeastOnce, number);
        assert!(matches!(switch.hear(), Heard::PubAck(_)));
        assert_eq!(lamp.message().payload, payload);
    }
    switch.disconnect();
    assert_eq!(switch.hear(), Heard::Closed);
}

/// [MQTT-6.0.0-2]
#[test]
fn where_a_frame_ends_means_nothing() {
    let house = plan().open();
    let mut frames = Frames::dial(house.address());
    for byte in hello("lamp") {
        frames.send(FIN | BINARY, &[byte]);
    }
    assert_eq!(frames.hear().unwrap().1[0], 0x20);
    let pings = b"\xc0\x00".repeat(3);
    frames.send(FIN | BINARY, &pings);
    let mut heard = Vec::new();
    while heard.len() < 6 {
        heard.extend(frames.hear().unwrap().1);
    }
    assert_eq!(heard, b"\xd0\x00".repeat(3));
}

/// [MQTT-6.0.0-2] Nothing is put together, so that a message may hold more than the largest packet.
#[test]
fn a_message_may_hold_any_number_of_packets() {
    let house = plan().open();
    let mut lamp = Frames::dial(house.address()).client();
    lamp.introduce(&connect(Version::V5, "lamp"));
    lamp.subscribe("t", QoS::AtMostOnce);
    let mut frames = inside(&house, "switch");
    let payload = "x".repeat(700_000);
    let packet = bytes(
        Version::V5,
        &publication("t", &payload, QoS::AtMostOnce, 0, false),
    );
    frames.send(FIN | BINARY, &packet.repeat(3));
    for _ in 0..3 {
        assert_eq!(lamp.message().payload, payload);
    }
}

#[test]
fn a_message_may_come_in_fragments_with_a_ping_between_them() {
    let house = plan().open();
    let mut frames = inside(&house, "lamp");
    frames.send(BINARY, b"\xc0");
    frames.send(MORE, b"");
    frames.send(FIN | PING, b"still there?");
    assert_eq!(frames.hear().unwrap(), (FIN | PONG, b"still there?".to_vec()));
    frames.send(FIN | MORE, b"\x00");
    assert_eq!(frames.hear().unwrap(), (FIN | BINARY, b"\xd0\x00".to_vec()));
}

/// What the frames already hold moves home with them.
#[test]
fn a_client_need_not_wait_for_connack_over_websocket_either() {
    let house = plan().open();
    let mut frames = Frames::dial(house.address());
    let mut stream = frame(FIN | BINARY, &hello("lamp"));
    stream.extend(frame(FIN | BINARY, b"\xc0"));
    stream.extend(frame(FIN | BINARY, b"\x00\xc0\x00"));
    frames.send_raw(&stream);
    let mut lamp = frames.client();
    lamp.speak(Version::V5);
    assert!(matches!(lamp.hear(), Heard::ConnAck(_)));
    assert_eq!(lamp.hear(), Heard::PingResp);
    assert_eq!(lamp.hear(), Heard::PingResp);
}

#[test]
fn frames_inside_tls_work_and_the_gates_see_the_certificate() {
    let authority = Authority::new();
    let gate = Gate::default();
    let house = Plan {
        tls: Some(authority.tls("required")),
        gate: gate.clone(),
        ..plan()
    }
    .open();
    let identity = authority.identify("lamp");
    let shown = identity.certificate.to_vec();
    let wire = authority.wire(&house, Some(identity));
    let mut lamp = Frames::over(Box::new(wire)).client();
    assert_eq!(
        lamp.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
    assert_eq!(gate.logins.lock().unwrap()[0].certificate, Some(shown));
    lamp.subscribe("t", QoS::AtMostOnce);
    let large = "x".repeat(300_000);
    lamp.publish("t", &large, QoS::AtMostOnce, 0);
    assert_eq!(lamp.message().payload, large);
}

#[test]
fn a_refused_client_hears_why_inside_its_frames() {
    let house = Plan {
        gate: Gate::with_user("ann", "right"),
        ..plan()
    }
    .open();
    let mut stranger = Frames::dial(house.address()).client();
    assert_eq!(
        stranger.introduce(&connect(Version::V5, "x")).reason,
        ReasonCode::NotAuthorized
    );
    assert_eq!(stranger.hear(), Heard::Closed);
}

#[test]
fn a_client_that_is_taken_over_hears_so_and_then_the_close() {
    let house = plan().open();
    let mut old = inside(&house, "lamp");
    is_served(&house, "lamp");
    let (first, disconnect) = old.hear().unwrap();
    assert_eq!((first, disconnect[0]), (FIN | BINARY, 0xe0));
    let (first, _) = old.hear().unwrap();
    assert_eq!(first, FIN | CLOSE);
    old.send(FIN | CLOSE, b"\x03\xe8");
    assert_eq!(old.hear(), None);
}

/// The peer's good-bye to WebSocket is none to MQTT.
#[test]
fn a_close_is_answered_and_the_will_is_published() {
    let house = plan().open();
    let mut watcher = Frames::dial(house.address()).client();
    watcher.introduce(&connect(Version::V5, "watcher"));
    watcher.subscribe("wills", QoS::AtMostOnce);
    let mut with_will = connect(Version::V5, "lamp");
    with_will.will = Some(Will {
        topic: "wills".into(),
        payload: b"gone".to_vec(),
        qos: QoS::AtMostOnce,
        retain: false,
        delay_secs: 0,
        properties: Vec::new(),
    });
    let mut frames = Frames::dial(house.address());
    frames.send(
        FIN | BINARY,
        &bytes(Version::V5, &Packet::Connect(Box::new(with_will))),
    );
    assert_eq!(frames.hear().unwrap().1[0], 0x20);
    frames.send(FIN | CLOSE, b"\x03\xe8");
    assert_eq!(frames.hear_close(), Some(1000));
    assert_eq!(frames.hear(), None);
    assert_eq!(watcher.message().payload, "gone");
}

/// [MQTT-6.0.0-3] [MQTT-6.0.0-4]
#[test]
fn a_client_offers_mqtt_among_others_and_hears_it() {
    let house = plan().open();
    for (offer, chosen) in [
        ("mqtt", "mqtt"),
        ("mqttv3.1", "mqttv3.1"),
        ("chat, mqttv3.1,mqtt", "mqtt"),
        ("chat\r\nSec-WebSocket-Protocol: mqtt", "mqtt"),
    ] {
        let offer = format!("Sec-WebSocket-Protocol: {offer}\r\n");
        let answer = ask(&mut socket(house.address()), &request("/mqtt", &offer)).to_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        assert!(
            answer.contains(&format!("\r\nsec-websocket-protocol: {chosen}\r\n")),
            "{answer}"
        );
        assert!(answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    }
}

#[test]
fn whoever_asks_for_something_else_is_told_with_a_status() {
    let house = Plan {
        websocket: Some(RawWebSocket {
            path: Some("/broker".into()),
            origins: Some(vec!["https://app.example.org".into()]),
        }),
        ..plan()
    }
    .open();
    let foreign = format!("{OFFER}Origin: https://example.org\r\n");
    let own = format!("{OFFER}Origin: https://app.example.org\r\n");
    let cookies = format!("Cookie: {}\r\n", "c".repeat(30_000));
    for (request, status) in [
        (request("/broker", OFFER), 101),
        (request("/broker?x=1", OFFER), 101),
        (request("/broker", &own), 101),
        (request("/broker", &foreign), 403),
        (request("/broker", ""), 400),
        (request("/broker", "Sec-WebSocket-Protocol: MQTT\r\n"), 400),
        (request("/broker", "Sec-WebSocket-Protocol: chat, mqtt5\r\n"), 400),
        (request("/mqtt", OFFER), 404),
        (request("/broker", &cookies), 431),
        ("GET /broker HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), 400),
        (
            request("/broker", OFFER).replace("Version: 13", "Version: 8"),
            400,
        ),
        (request("/broker", OFFER).replace("GET", "POST"), 400),
        ("\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\r\n\r\n".into(), 400),
    ] {
        let answer = ask(&mut socket(house.address()), &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}\n{answer}"
        );
    }
}

/// A page of another site, or one whose own name points here, is not whoever sits at this machine.
#[test]
fn only_what_was_opened_here_counts_as_loopback() {
    let gate = Gate::default();
    let house = Plan {
        gate: gate.clone(),
        ..plan()
    }
    .open();
    let own = format!("{OFFER}Origin: http://localhost:3000\r\n");
    let foreign = format!("{OFFER}Origin: https://example.org\r\n");
    for request in [
        request("/mqtt", OFFER),
        request("/mqtt", &own),
        request("/mqtt", &foreign),
        request("/mqtt", OFFER).replace("localhost", "rebound.example.org"),
    ] {
        let mut wire = socket(house.address());
        assert!(ask(&mut wire, &request).starts_with("HTTP/1.1 101 "));
        let mut client = Client::over(Box::new(wire));
        client.write(&frame(FIN | BINARY, &hello("page")));
        client.write(&frame(FIN | BINARY, b"\xe0\x00"));
        client.drain();
    }
    let loopback: Vec<bool> = gate
        .logins
        .lock()
        .unwrap()
        .iter()
        .map(|login| login.loopback)
        .collect();
    assert_eq!(loopback, [true, true, false, false]);
}

/// [MQTT-6.0.0-1] and RFC 6455: each mistake ends that connection with its code, and harms nobody else.
#[test]
fn what_is_no_frame_of_mqtt_ends_the_connection_with_its_code() {
    let house = plan().open();
    let ping = b"\xc0\x00";
    let unmasked = [header(FIN | BINARY, 2, 0), ping.to_vec()].concat();
    for (mistake, code) in [
        (frame(FIN | TEXT, b"hello"), 1003),
        (frame(FIN | TEXT, b"\xff\xfe"), 1003),
        (unmasked, 1002),
        (frame(FIN | 0x40 | BINARY, ping), 1002),
        (frame(FIN | 0x3, ping), 1002),
        (frame(FIN | 0xb, ping), 1002),
        (frame(FIN | MORE, ping), 1002),
        (frame(PING, b"in parts"), 1002),
        (frame(FIN | PING, &[0; 126]), 1002),
        (
            [header(FIN | BINARY, usize::MAX, 0x80), vec![0; 4]].concat(),
            1002,
        ),
    ] {
        let mut frames = inside(&house, "hostile");
        let shown = mistake.iter().take(12).copied().collect::<Vec<_>>();
        frames.send_raw(&mistake);
        assert_eq!(frames.hear_close(), Some(code), "{shown:x?}");
        assert_eq!(frames.hear(), None, "{shown:x?}");
    }
    is_served(&house, "lamp");
}

/// Nobody who has not sent a CONNECT makes the broker hold more than one may have.
#[test]
fn before_connect_a_frame_is_no_larger_than_a_connect() {
    let house = plan().open();
    let mut frames = Frames::dial(house.address());
    let mut large = header(FIN | BINARY, 1024 * 1024, 0x80);
    large.resize(4, 0);
    let mut sent = 0;
    while sent < 16 * 1024 * 1024 && frames.try_send(&large) {
        sent += large.len();
        large.resize(64 * 1024, 0);
    }
    assert!(sent < 16 * 1024 * 1024, "all of it was read");
    is_served(&house, "lamp");
}

/// Whoever pings and does not read, or never ends a message, does not keep its shard from others.
#[test]
fn a_flood_of_frames_that_say_nothing_harms_nobody() {
    let house = Plan {
        websocket: Some(RawWebSocket::default()),
        ..Plan::shards(1)
    }
    .open();
    let floods = [
        frame(FIN | PING, &[7; 125]),
        frame(MORE, b""),
        frame(FIN | PONG, b""),
    ];
    let busy: Vec<_> = floods
        .into_iter()
        .enumerate()
        .map(|(number, flood)| {
            let mut frames = inside(&house, &format!("flood-{number}"));
            frames.send(BINARY, b"");
            let flood = flood.repeat(1000);
            std::thread::spawn(move || (0..2000).take_while(|_| frames.try_send(&flood)).count())
        })
        .collect();
    for number in 0..20 {
        is_served(&house, &format!("lamp-{number}"));
    }
    drop(house);
    for flood in busy {
        flood.join().unwrap();
    }
}

/// The upgrade is part of the way in.
#[test]
fn half_an_upgrade_gives_way_to_a_newcomer() {
    let mut plan = plan();
    plan.broker.handshakes_max = Some(1);
    plan.broker.connect_timeout = Some("5min".into());
    let house = plan.open();
    let mut half = Client::dial(house.address());
    half.write(b"GET /mqtt HTTP/1.1\r\n");
    is_served(&house, "newcomer");
    assert_eq!(half.hear(), Heard::Closed);
    let mut without_connect = Frames::dial(house.address());
    is_served(&house, "newcomer");
    assert_eq!(without_connect.hear(), None);
}

#[test]
fn a_client_that_says_nothing_is_cut_off_in_time() {
    let mut plan = plan();
    plan.broker.connect_timeout = Some("1s".into());
    let house = plan.open();
    let mut silent = Frames::dial(house.address());
    let mut half = Client::dial(house.address());
    half.write(b"GET /mqtt HTTP/1.1\r\n");
    assert_eq!(silent.hear(), None);
    assert_eq!(half.hear(), Heard::Closed);
}

/// More waits for it than the system takes at once, so that frames are cut where the socket stops taking.
#[test]
fn a_slow_reader_gets_everything_in_order() {
    let house = plan().open();
    let mut slow = Frames::dial(house.address()).client();
    slow.introduce(&connect(Version::V5, "slow"));
    slow.subscribe("t", QoS::AtLeastOnce);
    let mut fast = Frames::dial(house.address()).client();
    fast.introduce(&connect(Version::V5, "fast"));
    for number in 1..=32 {
        let payload = format!("{number:06}").repeat(20_000);
        fast.send(&publication("t", &payload, QoS::AtLeastOnce, number, false));
        assert!(matches!(fast.hear(), Heard::PubAck(_)));
    }
    for number in 1..=32 {
        let message = slow.message();
        assert!(message.payload.starts_with(&format!("{number:06}")));
        assert_eq!(message.payload.len(), 120_000);
    }
}
