//! Rules in a file.

use std::fs;

use plugin_api::{Access, Principal};
use plugin_auth::{ANONYMOUS, AuthError, Gates};

use crate::support::{House, may, principal, publish, read_twin, subscribe, write_twin};

fn gates(rules: &str) -> Gates {
    House::closed().with_rules(rules).gates()
}

#[tokio::test]
async fn what_no_rule_speaks_of_is_denied() {
    for rules in [
        "",
        "# nothing\n\n",
        "user bob\ntopic #\ntwin +\nfleet read\noperate\n",
    ] {
        let gates = gates(rules);
        let ada = principal("ada", "c1");
        for access in [
            publish("a"),
            subscribe("a"),
            read_twin("ada"),
            write_twin("ada"),
            Access::ReadFleet,
            Access::Operate,
        ] {
            assert!(!may(&gates, &ada, access.clone()).await, "{rules:?} {access:?}");
        }
    }
}

#[tokio::test]
async fn reading_and_writing_are_different_rights() {
    let gates = gates("user ada\ntopic read in/#\ntopic write out/+\ntopic readwrite both\ntopic plain\n");
    let ada = principal("ada", "c1");
    for (access, allowed) in [
        (subscribe("in/x/y"), true),
        (publish("in/x/y"), false),
        (publish("out/x"), true),
        (publish("out/x/y"), false),
        (subscribe("out/x"), false),
        (subscribe("both"), true),
        (publish("both"), true),
        (subscribe("plain"), true),
        (publish("plain"), true),
    ] {
        assert_eq!(may(&gates, &ada, access.clone()).await, allowed, "{access:?}");
    }
}

/// A subscription is judged by everything it could match, not by how it looks.
#[tokio::test]
async fn a_subscription_is_allowed_only_if_one_rule_contains_it() {
    let gates = gates("user ada\ntopic read house/+/light\ntopic read garden/#\n");
    let ada = principal("ada", "c1");
    for (filter, allowed) in [
        ("house/hall/light", true),
        ("house/+/light", true),
        ("house/+/+", false),
        ("house/#", false),
        ("+/hall/light", false),
        ("#", false),
        ("garden", true),
        ("garden/+/bed/#", true),
        ("+/#", false),
    ] {
        assert_eq!(may(&gates, &ada, subscribe(filter)).await, allowed, "{filter}");
    }
}

#[tokio::test]
async fn deny_wins_wherever_it_stands_and_whatever_it_overlaps() {
    let gates = gates(
        "pattern deny office/safe/#\nuser ada\ntopic deny house/cellar\ntopic readwrite house/#\ntopic readwrite office/#\n",
    );
    let ada = principal("ada", "c1");
    for (access, allowed) in [
        (publish("house/hall"), true),
        (publish("house/cellar"), false),
        (subscribe("house/hall"), true),
        (subscribe("house/cellar"), false),
        (subscribe("house/+"), false),
        (subscribe("house/#"), false),
        (subscribe("house/+/lamp"), true),
        (publish("office/desk"), true),
        (publish("office/safe/left"), false),
        (subscribe("office/+/left"), false),
    ] {
        assert_eq!(may(&gates, &ada, access.clone()).await, allowed, "{access:?}");
    }
}

/// As in mosquitto: what stands before the first `user` line is for those without a name, and not for everybody.
#[tokio::test]
async fn rules_before_the_first_user_are_for_anonymous_clients_only() {
    let gates = gates(
        "topic read news/#\nuser ada\ntopic read mail/#\nuser bob\ntopic read post/#\nuser ada\ntopic read more\n",
    );
    let (anonymous, ada, bob) = (
        principal(ANONYMOUS, "c1"),
        principal("ada", "c2"),
        principal("bob", "c3"),
    );
    for (filter, allowed) in [
        ("news/x", [true, false, false]),
        ("mail/x", [false, true, false]),
        ("post/x", [false, false, true]),
        ("more", [false, true, false]),
    ] {
        for (principal, allowed) in [&anonymous, &ada, &bob].into_iter().zip(allowed) {
            assert_eq!(
                may(&gates, principal, subscribe(filter)).await,
                allowed,
                "{filter} {}",
                principal.name
            );
        }
    }
}

/// [MQTT-4.7.2-1] A rule that says everything does not say the broker's own topics.
#[tokio::test]
async fn wildcards_do_not_open_the_topics_of_the_broker() {
    let gates = gates("user ada\ntopic readwrite #\ntopic readwrite +/lamp/#\nuser op\ntopic read $SYS/#\n");
    let (ada, op) = (principal("ada", "c1"), principal("op", "c2"));
    for access in [
        publish("$twin/lamp/update"),
        subscribe("$SYS/#"),
        subscribe("$twin/lamp/#"),
        subscribe("$aws/#"),
    ] {
        assert!(!may(&gates, &ada, access.clone()).await, "{access:?}");
    }
    assert!(may(&gates, &ada, subscribe("#")).await);
    assert!(may(&gates, &op, subscribe("$SYS/broker/#")).await);
}

#[tokio::test]
async fn twins_the_fleet_and_operation_need_rules_of_their_own() {
    let gates = gates(
        "user app\ntwin read +\ntwin write lamp-1\nfleet read\nuser ops\noperate\ntwin +\ntwin deny vault\nuser mqtt\ntopic #\n",
    );
    let (app, ops, mqtt) = (
        Principal::named("app"),
        Principal::named("ops"),
        Principal::named("mqtt"),
    );
    for (access, allowed) in [
        (read_twin("lamp-1"), [true, true, false]),
        (read_twin("lamp-2"), [true, true, false]),
        (write_twin("lamp-1"), [true, true, false]),
        (write_twin("lamp-2"), [false, true, false]),
        (read_twin("vault"), [true, false, false]),
        (write_twin("vault"), [false, false, false]),
        (Access::ReadFleet, [true, false, false]),
        (Access::Operate, [false, true, false]),
        (publish("a"), [false, false, true]),
    ] {
        for (principal, allowed) in [&app, &ops, &mqtt].into_iter().zip(allowed) {
            assert_eq!(
                may(&gates, principal, access.clone()).await,
                allowed,
                "{access:?} {}",
                principal.name
            );
        }
    }
}

/// As in mosquitto, `topic` lines fill nothing in; what looks like a placeholder as a whole level is a mistake.
#[tokio::test]
async fn a_percent_sign_within_a_level_of_a_topic_line_is_just_that() {
    let gates = gates("user ada\ntopic read wool/100%cotton\n");
    assert!(may(&gates, &principal("ada", "c1"), subscribe("wool/100%cotton")).await);
}

#[tokio::test]
async fn a_filter_may_hold_spaces_and_a_line_may_be_indented() {
    let gates = gates("user the operator\n\ttopic  read   living room/#  \r\n");
    assert!(
        may(
            &gates,
            &principal("the operator", "c1"),
            subscribe("living room/lamp")
        )
        .await
    );
}

/// [MQTT311-4.7.1-1] [MQTT5-4.7.0-1] A publish to something that is no topic name is nobody's right.
#[tokio::test]
async fn a_publish_to_a_wildcard_is_not_allowed_by_any_rule() {
    let gates = gates("user ada\ntopic readwrite #\n");
    for topic in ["#", "a/+", ""] {
        assert!(
            !may(&gates, &principal("ada", "c1"), publish(topic)).await,
            "{topic:?}"
        );
    }
}

#[test]
fn every_mistake_is_told_with_its_line_what_was_found_and_what_is_allowed() {
    let house = House::closed().with_rules(
        "topic\ntopic red a/b\ntopic read\ntopic read a/#/b\ntopic read %u/x\npattern read x%u/y\nuser\nuser anonymous\n\
         twin read a/b\ntwin %d\npattern twin read x%d\nfleet\nfleet write\noperate all\nallow everything\nTopic read a\n",
    );
    let file = house.acl_file().display().to_string();
    let AuthError::Problems(problems) = house.try_gates().unwrap_err() else {
        panic!("problems")
    };
    let shown: Vec<String> = problems
        .iter()
        .map(|problem| problem.to_string().replace(&file, "FILE"))
        .collect();
    let topic = "[read|write|readwrite|deny] and a topic filter";
    let twin = "[read|write|readwrite|deny] and a device: its name, or + for all";
    let lines = "user, topic, pattern, twin, fleet or operate at the beginning of a line, or # and a comment";
    assert_eq!(
        shown,
        [
            format!("FILE:1: found \"\" where the access stands, allowed: {topic}"),
            format!("FILE:2: found \"red\" where the access stands, allowed: {topic}"),
            format!("FILE:3: found \"read\" without anything behind it, allowed: {topic}"),
            format!("FILE:4: found \"a/#/b\": '#' in a filter is not the whole last level, allowed: {topic}"),
            "FILE:5: found %u outside of a `pattern` line, allowed: placeholders in `pattern` lines only"
                .into(),
            "FILE:6: found the level \"x%u\", allowed: %u, %c and %d as whole levels only".into(),
            "FILE:7: found the user \"\": it is empty, allowed: user, and a name".into(),
            "FILE:8: found the user \"anonymous\": it is the name of those who have none, \
             allowed: their rules before the first `user` line"
                .into(),
            format!("FILE:9: found the device \"a/b\", allowed: {twin}"),
            "FILE:10: found %d outside of a `pattern` line, allowed: placeholders in `pattern` lines only"
                .into(),
            "FILE:11: found the level \"x%d\", allowed: %u, %c and %d as whole levels only".into(),
            "FILE:12: found \"fleet\", allowed: fleet read".into(),
            "FILE:13: found \"fleet write\", allowed: fleet read".into(),
            "FILE:14: found \"operate all\", allowed: operate, with nothing behind it".into(),
            format!("FILE:15: found \"allow\", allowed: {lines}"),
            format!("FILE:16: found \"Topic\", allowed: {lines}"),
        ]
    );
}

#[test]
fn a_file_that_is_no_text_or_no_file_is_told() {
    let house = House::closed().with_rules("");
    fs::write(house.acl_file(), [0xff, 0xfe]).unwrap();
    let error = house.try_gates().unwrap_err().to_string();
    assert!(
        error.starts_with("auth.acl_file: found ") && error.contains("UTF-8"),
        "{error}"
    );
    fs::remove_file(house.acl_file()).unwrap();
    fs::create_dir(house.acl_file()).unwrap();
    let error = house.try_gates().unwrap_err().to_string();
    assert!(error.contains("it is no file"), "{error}");
}
