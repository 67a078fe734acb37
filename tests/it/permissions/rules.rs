//! Rules of an ACL file, as clients meet them.

use mqtt_wire::{QoS, ReasonCode, Version};

use super::{enter, guarded, may_publish, subscribe, write_rules};
use crate::support::{Mqtt, eventually};

const RULES: &str = "\
user ann
topic readwrite plant/#
topic deny plant/secret/#
topic read news/+
user hub
topic read #
pattern readwrite home/%u/#
pattern readwrite client/%c/#
";

#[test]
fn what_a_rule_allows_is_granted_and_all_else_refused() {
    let house = guarded(RULES, &["ann", "hub"]);
    let broker = house.serve();
    // In 3.1.1 every refusal is 0x80.
    for (version, no) in [
        (Version::V311, ReasonCode::UnspecifiedError),
        (Version::V5, ReasonCode::NotAuthorized),
    ] {
        let mut ann = enter(broker.mqtt(), version, "tablet", "ann");
        for filter in [
            "plant/line/+",
            "news/+",
            "news/today",
            "home/ann/#",
            "client/tablet/x",
        ] {
            assert_eq!(
                subscribe(&mut ann, filter),
                ReasonCode::GrantedQoS1,
                "{version:?} {filter}"
            );
        }
        let beyond = [
            "#",
            "plant/#",
            "plant/secret/x",
            "+/line",
            "news/#",
            "home/+/x",
            "home/hub/x",
            "client/+/x",
            "$SYS/#",
        ];
        for filter in beyond {
            assert_eq!(subscribe(&mut ann, filter), no, "{version:?} {filter}");
        }
    }
}

#[test]
fn a_refused_publish_is_told_in_mqtt_5_and_delivered_in_neither() {
    let house = guarded(RULES, &["ann", "hub"]);
    let broker = house.serve();
    let mut hub = enter(broker.mqtt(), Version::V311, "hub", "hub");
    assert_eq!(subscribe(&mut hub, "#"), ReasonCode::GrantedQoS1);
    let mut ann = enter(broker.mqtt(), Version::V5, "tablet", "ann");
    for topic in ["news/today", "plant/secret/x", "home/hub/x", "client/phone/x"] {
        assert!(!may_publish(&mut ann, topic), "{topic}");
    }
    let mut old = enter(broker.mqtt(), Version::V311, "old", "ann");
    old.publish("news/today", b"x", QoS::AtMostOnce, 0, false, false)
        .unwrap();
    assert!(may_publish(&mut old, "plant/x"));
    let mut ann = enter(broker.mqtt(), Version::V5, "tablet", "ann");
    for topic in ["home/ann/x", "client/tablet/x"] {
        assert!(may_publish(&mut ann, topic), "{topic}");
    }
    let heard: Vec<String> = (0..3).map(|_| hub.message().topic).collect();
    assert_eq!(heard, ["plant/x", "home/ann/x", "client/tablet/x"]);
}

#[test]
fn a_will_needs_the_right_to_publish() {
    let house = guarded(RULES, &["ann"]);
    let broker = house.serve();
    let with_will = |topic: &str| {
        let mut hello = super::hello(Version::V5, "tablet", Some(("ann", "ann-opensesame")));
        hello.will = Some(mqtt_wire::Will {
            topic: topic.into(),
            payload: b"gone".to_vec(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay_secs: 0,
            properties: Vec::new(),
        });
        Mqtt::connect(broker.mqtt(), hello).unwrap().1.reason
    };
    assert_eq!(with_will("plant/x"), ReasonCode::Success);
    assert_eq!(with_will("news/today"), ReasonCode::NotAuthorized);
}

/// A client id may be anything; one that is a wildcard must not open what belongs to others.
#[test]
fn a_name_like_a_wildcard_opens_nothing() {
    let house = guarded(RULES, &["ann"]);
    let broker = house.serve();
    for client_id in ["+", "#", "a/b", "$SYS"] {
        let mut ann = enter(broker.mqtt(), Version::V5, client_id, "ann");
        let own = format!("client/{client_id}/x");
        assert_eq!(
            subscribe(&mut ann, "client/tablet/x"),
            ReasonCode::NotAuthorized,
            "{client_id}"
        );
        if !client_id.contains(['+', '#']) {
            assert!(!may_publish(&mut ann, &own), "{client_id}");
        }
    }
}

#[test]
fn changed_rules_hold_for_who_is_connected_and_broken_ones_change_nothing() {
    let house = guarded(RULES, &["ann"]);
    let broker = house.serve();
    let mut ann = enter(broker.mqtt(), Version::V5, "tablet", "ann");
    assert!(may_publish(&mut ann, "plant/x"));
    assert!(!may_publish(&mut ann, "farm/x"));

    write_rules(&house, "user ann\ntopic readwrite farm/#\n");
    eventually("the new rule holds", || may_publish(&mut ann, "farm/x"));
    assert!(!may_publish(&mut ann, "plant/x"), "the old one does not");

    write_rules(&house, "user ann\ntopics readwrite #\n");
    eventually("the mistake is told", || house.log().contains("acl:2"));
    assert!(
        may_publish(&mut ann, "farm/x"),
        "what it said before stays in force"
    );
    assert!(!may_publish(&mut ann, "plant/x"));
}
