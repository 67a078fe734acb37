//! The `[auth]` section.

use std::time::Duration;

use plugin_api::Problem;
use plugin_auth::{Anonymous, Auth, Authorization, CertificateName, DeviceFrom, RawAuth};

fn check(text: &str) -> Result<Auth, Vec<Problem>> {
    let raw: RawAuth = toml::from_str(text).unwrap();
    let mut problems = Vec::new();
    let auth = raw.check(&mut problems);
    if problems.is_empty() {
        Ok(auth)
    } else {
        Err(problems)
    }
}

#[test]
fn all_mistakes_are_told_at_once_with_key_what_was_found_and_what_is_allowed() {
    let problems = check(
        r#"
        password_file = ""
        certificate_name = "cn"
        device_from = ""
        anonymous = "yes"
        authorize = "all"
        gate_deadline = "5"
        hashing_at_once = 0
        hashing_waiting_max = -1
        remembered_logins_max = 99999999999
        "#,
    )
    .unwrap_err();
    let shown: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(
        shown,
        [
            r#"auth.password_file: found "", allowed: the path of a file, or no such key"#,
            r#"auth.certificate_name: found "cn", allowed: "common_name", "uri", "dns", "none""#,
            r#"auth.device_from: found "", allowed: "auto", "client_id", "username", "certificate", "none""#,
            r#"auth.anonymous: found "yes", allowed: "never", "loopback", "allow_anonymous_on_public_address""#,
            r#"auth.authorize: found "all", allowed: "acl_file", "allow_all_on_loopback""#,
            r#"auth.gate_deadline: found "5", allowed: a time with its unit, from "10ms" to "1min""#,
            "auth.hashing_at_once: found 0, allowed: 1 to 256",
            "auth.hashing_waiting_max: found -1, allowed: 0 to 100000",
            "auth.remembered_logins_max: found 99999999999, allowed: 0 to 10000000",
        ]
    );
}

#[test]
fn authenticators_are_those_that_can_let_somebody_in() {
    for (text, named) in [
        ("", &["certificate"][..]),
        ("certificate_name = \"none\"", &[]),
        (
            "password_file = \"users\"\nanonymous = \"loopback\"",
            &["password_file", "certificate", "anonymous"],
        ),
    ] {
        assert_eq!(check(text).unwrap().authenticators(), named, "{text}");
    }
}

#[test]
fn a_device_cannot_come_from_certificates_that_are_not_read() {
    let problems = check("device_from = \"certificate\"\ncertificate_name = \"none\"").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "auth.device_from");
}

#[test]
fn deadlines_out_of_bounds_are_refused() {
    for text in [
        "9ms",
        "61s",
        "0s",
        "-1s",
        "s",
        "1.5s",
        "1m",
        "99999999999999999999s",
        "18446744073709551615s",
    ] {
        assert!(check(&format!("gate_deadline = {text:?}")).is_err(), "{text}");
    }
    assert_eq!(
        check("gate_deadline = \"250ms\"").unwrap().gate_deadline,
        Duration::from_millis(250)
    );
}

#[test]
fn an_unknown_key_is_refused() {
    let error = toml::from_str::<RawAuth>("allow_anonymous = true")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("allow_anonymous") && error.contains("expected one of"),
        "{error}"
    );
}

#[test]
fn without_settings_everything_is_shut() {
    let auth = check("").unwrap();
    assert_eq!(auth.anonymous, Anonymous::Never);
    assert_eq!(auth.authorize, Authorization::AclFile);
    assert_eq!((auth.password_file, auth.acl_file), (None, None));
    assert_eq!(auth.certificate_name, Some(CertificateName::CommonName));
    assert_eq!(auth.device_from, DeviceFrom::Auto);
    assert_eq!(auth.gate_deadline, Duration::from_secs(5));
    assert_eq!(
        (auth.hashing.waiting_max, auth.remembered_logins_max),
        (128, 10_000)
    );
}
