//! Without a word about it in the settings, nobody gets in.

use mqtt_wire::{ReasonCode, Version};

use super::{basic, enter, guarded, knock, may_publish, subscribe};
use crate::support::House;

const SOMEBODY: Option<(&str, &str)> = Some(("root", "root"));

#[test]
fn without_settings_nobody_gets_in() {
    let house = House::new("");
    let broker = house.serve();
    for version in [Version::V311, Version::V5] {
        assert_eq!(
            knock(broker.mqtt(), version, None),
            ReasonCode::NotAuthorized,
            "{version:?}"
        );
        assert_eq!(
            knock(broker.mqtt(), version, SOMEBODY),
            ReasonCode::BadUserNameOrPassword,
            "{version:?}"
        );
    }
    for path in ["/v1/devices", "/v1/changes", "/metrics", "/things/pump/shadow"] {
        let answer = broker.http().get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(
            answer.head.contains("www-authenticate: basic"),
            "{path}: {}",
            answer.head
        );
        let header = format!("Basic {}", basic("root", "root"));
        let answer = broker
            .http()
            .ask("GET", path, &[("authorization", &header)], "")
            .unwrap();
        assert_eq!(answer.status, 401, "{path}");
    }
    assert_eq!(
        broker.http().get("/healthz").status,
        200,
        "health tells nothing about anybody"
    );
}

#[test]
fn who_came_in_may_do_nothing_without_a_rule() {
    let house = guarded("", &["ann"]);
    let broker = house.serve();
    let mut ann = enter(broker.mqtt(), Version::V5, "ann", "ann");
    assert!(!may_publish(&mut ann, "a"));
    assert_eq!(subscribe(&mut ann, "a"), ReasonCode::NotAuthorized);
    assert_eq!(subscribe(&mut ann, "$SYS/#"), ReasonCode::NotAuthorized);
}
