//! Gates that decide at once, later, otherwise, or not at all.

use mqtt_wire::{Ack, QoS, ReasonCode, Version};

use crate::{
    client::{Client, Heard, id},
    house::{Gate, Plan},
};

fn stories(gate: Gate) {
    let forbidden = gate.forbidden.clone();
    forbidden.lock().unwrap().push("secret".into());
    let house = Plan {
        gate,
        ..Plan::default()
    }
    .open();
    let mut spy = Client::named(house.address(), Version::V5, "spy");
    assert_eq!(
        spy.subscribe("secret", QoS::AtLeastOnce),
        ReasonCode::NotAuthorized
    );
    assert_eq!(spy.subscribe("open", QoS::AtLeastOnce), ReasonCode::GrantedQoS1);
    spy.publish("secret", "?", QoS::AtLeastOnce, 1);
    assert_eq!(
        spy.hear(),
        Heard::PubAck(Ack::with(id(1), ReasonCode::NotAuthorized))
    );
    spy.publish("open", "!", QoS::AtMostOnce, 0);
    assert_eq!(spy.message().payload, "!");

    forbidden.lock().unwrap().clear();
    house.handle().policy_changed();
    spy.publish("secret", "?", QoS::AtLeastOnce, 2);
    assert_eq!(
        spy.hear(),
        Heard::PubAck(Ack::with(id(2), ReasonCode::NoMatchingSubscribers))
    );
}

#[test]
fn a_gate_that_answers_at_once_is_obeyed_and_asked_again_when_its_policy_changes() {
    stories(Gate::default());
}

#[test]
fn a_gate_that_thinks_first_is_obeyed_just_the_same() {
    stories(Gate {
        thinks: true,
        ..Gate::default()
    });
}

/// A gate that breaks down says no, and takes nobody else down with it.
#[test]
fn a_gate_that_panics_denies() {
    for thinks in [false, true] {
        let house = Plan {
            gate: Gate {
                thinks,
                panics: true,
                ..Gate::default()
            },
            ..Plan::default()
        }
        .open();
        let mut lamp = Client::named(house.address(), Version::V5, "lamp");
        assert_eq!(lamp.subscribe("t", QoS::AtLeastOnce), ReasonCode::NotAuthorized);
        lamp.hears_nothing();
    }
}

#[test]
fn a_gate_that_takes_too_long_denies() {
    let mut plan = Plan {
        gate: Gate {
            sleeps: true,
            ..Gate::default()
        },
        ..Plan::default()
    };
    plan.broker.gate_timeout = Some("1s".into());
    let house = plan.open();
    let mut lamp = Client::named(house.address(), Version::V5, "lamp");
    let mut other = Client::named(house.address(), Version::V5, "other");
    lamp.begin_subscribe("t", QoS::AtLeastOnce);
    other.hears_nothing();
    assert_eq!(lamp.end_subscribe(), ReasonCode::NotAuthorized);
}

#[test]
fn a_gate_learns_what_the_client_said_and_where_it_came_in() {
    let gate = Gate::default();
    let logins = gate.logins.clone();
    let house = Plan {
        gate,
        ..Plan::default()
    }
    .open();
    let mut login = crate::client::connect(Version::V311, "lamp");
    login.username = Some("hall".into());
    login.password = Some(b"\x00secret\xff".to_vec());
    let _lamp = Client::enter(house.address(), &login);
    let logins = logins.lock().unwrap();
    let seen = &logins[0];
    assert_eq!(
        (seen.client_id.as_str(), seen.username.as_deref()),
        ("lamp", Some("hall"))
    );
    assert_eq!(seen.password.as_ref().unwrap().expose(), b"\x00secret\xff");
    assert!(seen.loopback && seen.peer.is_loopback() && seen.certificate.is_none());
}
