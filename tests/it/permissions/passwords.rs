//! Passwords: right, wrong, changed and taken away.

use mqtt_wire::{QoS, ReasonCode, Version};

use super::{assert_log_keeps_secrets, basic, enter, guarded, knock, may_publish, password, set_password};
use crate::support::{Running, eventually, run, twinmq};

const RULES: &str = "user ann\ntopic readwrite ann/#\nfleet read\nuser bob\ntopic readwrite bob/#\n";

/// What HTTP says to Basic credentials.
fn ask(broker: &Running, user: &str, password: &str) -> u16 {
    let header = format!("Basic {}", basic(user, password));
    broker
        .http()
        .ask("GET", "/v1/devices", &[("authorization", &header)], "")
        .unwrap()
        .status
}

#[test]
fn the_right_password_gets_in_and_a_wrong_one_does_not() {
    let house = guarded(RULES, &["ann"]);
    let broker = house.serve();
    let right = password("ann");
    for version in [Version::V311, Version::V5] {
        // The second time it is remembered, and must be as right.
        for _ in 0..2 {
            assert_eq!(
                knock(broker.mqtt(), version, Some(("ann", &right))),
                ReasonCode::Success
            );
        }
        for wrong in ["ann-opensesamf", "ann-opensesame ", ""] {
            let reason = knock(broker.mqtt(), version, Some(("ann", wrong)));
            assert_eq!(reason, ReasonCode::BadUserNameOrPassword, "{wrong:?}");
        }
        let stranger = knock(broker.mqtt(), version, Some(("eve", &right)));
        assert_eq!(stranger, ReasonCode::BadUserNameOrPassword);
        assert_eq!(knock(broker.mqtt(), version, None), ReasonCode::NotAuthorized);
    }
    assert_eq!(ask(&broker, "ann", &right), 200);
    assert_eq!(ask(&broker, "ann", "wrong"), 401);
    assert_eq!(ask(&broker, "eve", &right), 401);
    assert!(broker.stop().success());
    assert_log_keeps_secrets(&house, &["ann"]);
}

#[test]
fn a_changed_password_shuts_out_the_old_one_and_disturbs_nobody_else() {
    let house = guarded(RULES, &["ann", "bob"]);
    let broker = house.serve();
    let old = password("ann");
    let mut ann = enter(broker.mqtt(), Version::V5, "ann", "ann");
    let mut bob = enter(broker.mqtt(), Version::V5, "bob", "bob");
    assert_eq!(ask(&broker, "ann", &old), 200, "and remembered");

    set_password(&house, "ann", "other-opensesame");
    eventually("the old password is refused over HTTP", || {
        ask(&broker, "ann", &old) == 401
    });
    assert_eq!(
        knock(broker.mqtt(), Version::V5, Some(("ann", &old))),
        ReasonCode::BadUserNameOrPassword
    );
    assert_eq!(
        knock(broker.mqtt(), Version::V5, Some(("ann", "other-opensesame"))),
        ReasonCode::Success
    );
    assert_eq!(ask(&broker, "ann", "other-opensesame"), 200);
    eventually("who came in by the old password may do nothing more", || {
        !may_publish(&mut ann, "ann/x")
    });
    assert!(may_publish(&mut bob, "bob/x"), "nobody else is disturbed");
    assert_eq!(
        knock(broker.mqtt(), Version::V5, Some(("bob", &password("bob")))),
        ReasonCode::Success
    );
    assert!(broker.stop().success());
    assert_log_keeps_secrets(&house, &["ann", "bob"]);
}

#[test]
fn a_removed_user_publishes_and_subscribes_no_more_while_connected() {
    let house = guarded(RULES, &["ann", "bob"]);
    let broker = house.serve();
    let mut ann = enter(broker.mqtt(), Version::V5, "ann", "ann");
    let mut bob = enter(broker.mqtt(), Version::V5, "bob", "bob");
    assert!(may_publish(&mut ann, "ann/x"));
    bob.subscribe("bob/#", QoS::AtLeastOnce);

    let mut command = twinmq(["passwd", "users", "ann", "--delete"]);
    command.current_dir(house.folder.path());
    assert_eq!(run(command).0, 0);
    // Nobody logs in meanwhile: the file is watched.
    eventually("the removed user may do nothing more", || {
        !may_publish(&mut ann, "ann/x")
    });
    assert_eq!(super::subscribe(&mut ann, "ann/#"), ReasonCode::NotAuthorized);
    let credentials = Some(("ann", "ann-opensesame"));
    assert_eq!(
        knock(broker.mqtt(), Version::V5, credentials),
        ReasonCode::BadUserNameOrPassword
    );
    assert_eq!(ask(&broker, "ann", &password("ann")), 401);
    bob.publish("bob/x", b"still here", QoS::AtMostOnce, 0, false, false)
        .unwrap();
    assert_eq!(bob.message().topic, "bob/x", "nobody else is disturbed");
}

#[test]
fn users_are_added_changed_and_removed() {
    let house = guarded("", &[]);
    assert_eq!(set_password(&house, "ann", "one"), "added\n");
    assert_eq!(set_password(&house, "bob", "two"), "added\n");
    assert_eq!(set_password(&house, "ann", "three"), "changed\n");
    let remove = || {
        let mut command = twinmq(["passwd", "users", "ann", "--delete"]);
        command.current_dir(house.folder.path());
        run(command)
    };
    assert_eq!(remove(), (0, "removed\n".into(), String::new()));
    let (code, _, told) = remove();
    assert_eq!(code, 4);
    assert!(told.contains("ann"), "{told}");
}

#[test]
fn a_name_that_cannot_be_used_and_an_empty_password_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "a:b", "anonymous", "#x"] {
        let mut command = twinmq(["passwd", "users", name]);
        command.current_dir(folder.path());
        let (code, _, told) = run(command);
        assert_eq!(code, 4, "{name:?}: {told}");
    }
    let mut command = twinmq(["passwd", "users", "ann"]);
    command.current_dir(folder.path());
    let (code, _, told) = run(command);
    assert_eq!(code, 4);
    assert!(told.contains("empty"), "{told}");
    assert!(!folder.path().join("users").exists());
}
