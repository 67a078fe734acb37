//! TLS and mutual TLS, with certificates made for the story.

use broker::settings::{RawNamed, RawTls};
use mqtt_wire::{Auth, Packet, QoS, ReasonCode, Version};
use rcgen::KeyPair;

use crate::{
    authority::Authority,
    client::{Client, Heard, bytes, connect, publication},
    house::{Gate, Plan},
};

#[test]
fn messages_pass_through_tls_and_large_ones_too() {
    let authority = Authority::new();
    let house = Plan {
        tls: Some(authority.tls("none")),
        ..Plan::shards(2)
    }
    .open();
    let mut lamp = authority.dial(&house, None);
    assert_eq!(
        lamp.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
    lamp.subscribe("t", QoS::AtMostOnce);
    let mut switch = authority.dial(&house, None);
    assert_eq!(
        switch.introduce(&connect(Version::V311, "switch")).reason,
        ReasonCode::Success
    );
    let large = "x".repeat(500_000);
    for payload in ["on", &large, "off"] {
        switch.publish("t", payload, QoS::AtMostOnce, 0);
        assert_eq!(lamp.message().payload, payload);
    }
    drop(lamp);
    switch.disconnect();
    assert_eq!(switch.hear(), Heard::Closed);
}

/// What the TLS session has already decrypted moves home with it.
#[test]
fn a_client_need_not_wait_for_connack_over_tls_either() {
    let authority = Authority::new();
    let house = Plan {
        tls: Some(authority.tls("none")),
        ..Plan::shards(2)
    }
    .open();
    let mut lamp = authority.dial(&house, None);
    assert_eq!(
        lamp.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
    lamp.subscribe("t", QoS::AtMostOnce);
    let mut hasty = authority.dial(&house, None);
    let mut stream = bytes(
        Version::V5,
        &Packet::Connect(Box::new(connect(Version::V5, "hasty"))),
    );
    for number in 0..200 {
        let payload = number.to_string();
        stream.extend(bytes(
            Version::V5,
            &publication("t", &payload, QoS::AtMostOnce, 0, false),
        ));
    }
    hasty.write(&stream);
    for number in 0..200 {
        assert_eq!(lamp.message().payload, number.to_string());
    }
}

#[test]
fn the_last_word_is_heard_over_tls() {
    let authority = Authority::new();
    let house = Plan {
        tls: Some(authority.tls("none")),
        ..Plan::default()
    }
    .open();
    let mut old = authority.dial(&house, None);
    assert_eq!(
        old.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
    let mut new = authority.dial(&house, None);
    assert_eq!(
        new.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
    assert_eq!(old.hear(), Heard::Disconnect(ReasonCode::SessionTakenOver));
    assert_eq!(old.hear(), Heard::Closed);
}

/// [MQTT5-4.12.0-2] Each step leaves at once, and what is read of the TLS session in an exchange moves home with it.
#[test]
fn a_client_says_who_it_is_in_steps_over_tls() {
    let authority = Authority::new();
    let house = Plan {
        tls: Some(authority.tls("none")),
        ..Plan::shards(2)
    }
    .open();
    let mut lamp = authority.dial(&house, None);
    let mut knocking = connect(Version::V5, "lamp");
    knocking.authentication_method = Some("KNOCK".into());
    lamp.send(&Packet::Connect(Box::new(knocking)));
    let step = |reason, data: &str| {
        Packet::Auth(Auth {
            reason,
            method: Some("KNOCK".into()),
            data: Some(data.into()),
            ..Auth::default()
        })
    };
    for word in ["me", "still me"] {
        assert!(matches!(lamp.hear(), Heard::Auth(_)));
        lamp.send(&step(ReasonCode::ContinueAuthentication, word));
    }
    assert!(matches!(lamp.hear(), Heard::Auth(_)));
    lamp.send(&step(ReasonCode::ContinueAuthentication, "I am ada"));
    assert!(matches!(lamp.hear(), Heard::ConnAck(connack) if connack.reason == ReasonCode::Success));
    lamp.send(&step(ReasonCode::ReAuthenticate, "I am ada"));
    assert!(matches!(lamp.hear(), Heard::Auth(auth) if auth.reason == ReasonCode::Success));
    lamp.hears_nothing();
}

#[test]
fn the_gates_see_the_certificate_that_a_client_has_shown() {
    let authority = Authority::new();
    let gate = Gate::default();
    let logins = gate.logins.clone();
    let house = Plan {
        tls: Some(authority.tls("required")),
        gate,
        ..Plan::default()
    }
    .open();
    let identity = authority.identify("lamp");
    let shown = identity.certificate.to_vec();
    let mut lamp = authority.dial(&house, Some(identity));
    assert_eq!(
        lamp.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
    assert_eq!(logins.lock().unwrap()[0].certificate, Some(shown));
}

#[test]
fn where_a_certificate_is_required_nobody_gets_in_without_one() {
    let authority = Authority::new();
    let gate = Gate::default();
    let logins = gate.logins.clone();
    let house = Plan {
        tls: Some(authority.tls("required")),
        gate,
        ..Plan::default()
    }
    .open();
    assert!(
        authority
            .dial(&house, None)
            .is_left_without_connack(&connect(Version::V5, "lamp"))
    );
    let stranger = Authority::new().identify("lamp");
    assert!(
        authority
            .dial(&house, Some(stranger))
            .is_left_without_connack(&connect(Version::V5, "lamp"))
    );
    assert!(logins.lock().unwrap().is_empty());
}

#[test]
fn where_a_certificate_is_optional_one_gets_in_without() {
    let authority = Authority::new();
    let house = Plan {
        tls: Some(authority.tls("optional")),
        ..Plan::default()
    }
    .open();
    let mut lamp = authority.dial(&house, None);
    assert_eq!(
        lamp.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
}

/// Each client checks that the certificate is for the name it has asked for.
#[test]
fn a_client_gets_the_certificate_for_the_name_it_asks_for() {
    let authority = Authority::new();
    let mut tls = authority.tls("none");
    tls.named = vec![
        authority.named("a.example.org", None),
        authority.named("*.b.example.org", None),
        authority.named("x.c.example.org", Some(&["*.C.example.org"])),
        authority.named("d.example.org", Some(&["e.example.org"])),
    ];
    let house = Plan {
        tls: Some(tls),
        ..Plan::default()
    }
    .open();
    let gets_in = |name: &str| {
        let wire = authority.wire_to(name, &house, None);
        !Client::over(Box::new(wire)).is_left_without_connack(&connect(Version::V5, "lamp"))
    };
    for name in [
        "localhost",
        "a.example.org",
        "A.EXAMPLE.org",
        "x.b.example.org",
        "x.c.example.org",
    ] {
        assert!(gets_in(name), "{name}");
    }
    // The first certificate is not for these, and the last one is kept for another name than its own.
    for name in [
        "b.example.org",
        "x.y.b.example.org",
        "elsewhere.org",
        "d.example.org",
    ] {
        assert!(!gets_in(name), "{name}");
    }
}

#[test]
fn a_peer_that_does_not_speak_tls_harms_nobody() {
    let authority = Authority::new();
    let house = Plan {
        tls: Some(authority.tls("none")),
        ..Plan::default()
    }
    .open();
    let mut plain = Client::dial(house.address());
    assert!(plain.is_left_without_connack(&connect(Version::V311, "plain")));
    let mut lamp = authority.dial(&house, None);
    assert_eq!(
        lamp.introduce(&connect(Version::V5, "lamp")).reason,
        ReasonCode::Success
    );
}

#[test]
fn files_that_do_not_fit_are_named_with_their_key() {
    let authority = Authority::new();
    let right = authority.tls("required");
    let other = KeyPair::generate().unwrap().serialize_pem();
    let stray = RawNamed {
        key: right.key.clone(),
        ..authority.named("a.example.org", None)
    };
    let wrong: [(&str, &str, RawTls); 5] = [
        (
            "tls.named.key",
            "does not belong",
            RawTls {
                named: vec![stray],
                ..right.clone()
            },
        ),
        (
            "tls.certificate",
            "cannot be read",
            RawTls {
                certificate: "/nowhere/server.pem".into(),
                ..right.clone()
            },
        ),
        (
            "tls.certificate",
            "no certificate in this file",
            RawTls {
                certificate: right.key.clone(),
                ..right.clone()
            },
        ),
        (
            "tls.key",
            "does not belong",
            RawTls {
                key: authority.file("other.key", &other),
                ..right.clone()
            },
        ),
        (
            "tls.client_ca",
            "no certificate",
            RawTls {
                client_ca: Some(right.key.clone()),
                ..right
            },
        ),
    ];
    for (key, why, tls) in wrong {
        let error = Plan {
            tls: Some(tls),
            ..Plan::default()
        }
        .try_open()
        .unwrap_err()
        .to_string();
        assert!(
            error.contains(key) && error.contains(why) && !error.contains('\n'),
            "{error}"
        );
    }
}
