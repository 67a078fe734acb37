//! The places for those who have not sent their CONNECT are all taken: who gets in, who gives way, who stays.

use mqtt_wire::{Packet, QoS, ReasonCode, Version, Will};

use crate::{
    client::{Client, Heard, SOON, connect},
    house::{Gate, House, Plan},
};

/// A place is never free by a time limit within a story.
fn plan(handshakes_max: i64) -> Plan {
    let mut plan = Plan::default();
    plan.broker.handshakes_max = Some(handshakes_max);
    plan.broker.connect_timeout = Some("5min".into());
    plan.broker.gate_timeout = Some("5min".into());
    plan
}

/// The first half of a CONNECT.
fn half(house: &House) -> Client {
    let mut client = Client::dial(house.address());
    client.write(b"\x10\x0d\x00\x04MQTT");
    client
}

#[test]
fn a_newcomer_gets_the_place_of_the_oldest_half_open_connection() {
    let house = plan(3).open();
    let mut halves: Vec<Client> = (0..3).map(|_| half(&house)).collect();
    let mut newcomer = Client::named(house.address(), Version::V5, "newcomer");
    assert_eq!(halves[0].hear(), Heard::Closed);
    // The newcomer needs its place no longer, so the others still have theirs.
    for half in &mut halves[1..] {
        half.write(b"\x05\x02\x00\x00\x00\x00\x00");
        assert!(matches!(half.hear(), Heard::ConnAck(_)));
    }
    newcomer.hears_nothing();
}

#[test]
fn a_crowd_of_half_open_connections_keeps_nobody_out() {
    let house = plan(200).open();
    // The first ones give way to the last ones already.
    let halves: Vec<Client> = (0..210)
        .map(|turn| {
            if turn % 2 == 0 {
                half(&house)
            } else {
                Client::dial(house.address())
            }
        })
        .collect();
    for name in 0..10 {
        Client::named(house.address(), Version::V5, &format!("newcomer-{name}")).hears_nothing();
    }
    drop(halves);
}

/// A gate that takes its time is our own slowness.
#[test]
fn whoever_is_being_judged_keeps_its_place() {
    let gate = Gate {
        sleeps: true,
        ..Gate::default()
    };
    let house = Plan {
        gate: gate.clone(),
        ..plan(2)
    }
    .open();
    let mut with_will = connect(Version::V5, "judged");
    with_will.will = Some(Will {
        topic: "alarm".into(),
        payload: Vec::new(),
        qos: QoS::AtMostOnce,
        retain: false,
        delay_secs: 0,
        properties: Vec::new(),
    });
    let mut judged = Client::dial(house.address());
    judged.send(&Packet::Connect(Box::new(with_will)));
    let since = std::time::Instant::now();
    while gate.logins.lock().unwrap().is_empty() {
        assert!(since.elapsed() < SOON, "nobody asks the gate");
        std::thread::yield_now();
    }
    let mut younger = half(&house);
    let _newcomer = Client::named(house.address(), Version::V5, "newcomer");
    // Older, it would have been the first to go.
    assert_eq!(younger.hear(), Heard::Closed);
}

/// A place on the way in is no seat, and giving it up frees none.
#[test]
fn those_who_are_in_keep_their_seats_whoever_crowds_the_door() {
    let house = Plan {
        connections_max: Some(1),
        ..plan(1)
    }
    .open();
    let mut inside = Client::named(house.address(), Version::V5, "inside");
    let mut halves = [half(&house), half(&house)];
    let mut late = Client::dial(house.address());
    assert_eq!(
        late.introduce(&connect(Version::V5, "late")).reason,
        ReasonCode::ServerBusy
    );
    assert_eq!(halves[0].hear(), Heard::Closed);
    assert_eq!(halves[1].hear(), Heard::Closed);
    inside.hears_nothing();
}
