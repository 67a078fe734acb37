//! Who is asking over HTTP, and what is served to them.

use super::{assert_log_keeps_secrets, basic, guarded, password};
use crate::support::{House, Http};

const RULES: &str = "\
user reader
twin read pump-1
user app
twin readwrite +
fleet read
user operator
operate
";
const USERS: [&str; 3] = ["reader", "app", "operator"];
const TWIN: &str = "/v1/devices/pump-1/twin";
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
/// As an AWS SDK sends it. Signatures are not verified, and say nothing about who asks.
const SIGNED: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/iotdata/aws4_request, SignedHeaders=host, Signature=00",
);

fn ask(http: Http, user: &str, method: &str, path: &str, body: &str) -> u16 {
    let header = format!("Basic {}", basic(user, &password(user)));
    http.ask(method, path, &[("authorization", &header), MERGE], body)
        .unwrap()
        .status
}

#[test]
fn each_user_gets_what_a_rule_allows_and_no_more() {
    let house = guarded(RULES, &USERS);
    let broker = house.serve();
    let http = broker.http();
    assert_eq!(
        ask(http, "app", "PATCH", &format!("{TWIN}/desired"), "{\"rpm\":900}"),
        200
    );
    let expected = [
        // path, reader, app, operator
        (TWIN, 200, 200, 403),
        ("/v1/devices/pump-1", 200, 200, 403),
        ("/v1/devices/lamp-1/twin", 403, 404, 403),
        ("/things/pump-1/shadow", 200, 200, 403),
        ("/v1/devices", 403, 200, 403),
        ("/metrics", 403, 403, 200),
    ];
    for (path, reader, app, operator) in expected {
        for (user, status) in USERS.into_iter().zip([reader, app, operator]) {
            assert_eq!(ask(http, user, "GET", path, ""), status, "{user} {path}");
        }
    }
    for section in ["desired", "reported", "tags"] {
        let path = format!("{TWIN}/{section}");
        for (user, status) in [("reader", 403), ("operator", 403), ("app", 200)] {
            assert_eq!(
                ask(http, user, "PATCH", &path, "{\"a\":1}"),
                status,
                "{user} {section}"
            );
        }
    }
    assert_eq!(ask(http, "reader", "DELETE", TWIN, ""), 403);
    assert_eq!(ask(http, "reader", "GET", "/v1/changes", ""), 403);
    assert_eq!(
        ask(http, "app", "POST", "/topics/plant%2Fx", "hi"),
        403,
        "no rule lets it publish"
    );
    assert_eq!(ask(http, "app", "DELETE", TWIN, ""), 204);
    assert!(broker.stop().success());
    assert_log_keeps_secrets(&house, &USERS);
}

#[test]
fn what_is_no_credential_is_told_as_such() {
    let house = guarded(RULES, &["app"]);
    let broker = house.serve();
    for value in ["Bearer abc", "Basic !", "Basic YW5u", "Basic", "Digest x=y"] {
        let answer = broker
            .http()
            .ask("GET", "/v1/devices", &[("authorization", value)], "")
            .unwrap();
        assert_eq!(answer.status, 400, "{value}: {answer:?}");
        assert_eq!(answer.json()["status"], 400);
    }
    let signed = broker
        .http()
        .ask("GET", "/things/pump-1/shadow", &[SIGNED], "")
        .unwrap();
    assert_eq!(
        signed.status, 401,
        "a signature that nobody verified lets nobody in"
    );
}

/// A page elsewhere can make a browser ask this machine, by a name of its own that leads here.
#[test]
fn without_credentials_only_this_machine_is_served_by_its_own_names() {
    let house = House::open();
    let broker = house.serve();
    let ask = |host: &str, origin: Option<&str>| {
        let mut headers = vec![MERGE, ("host", host)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let path = "/v1/devices/lamp-1/twin/desired";
        broker
            .http()
            .ask("PATCH", path, &headers, "{\"on\":true}")
            .unwrap()
            .status
    };
    for host in ["localhost", "localhost:8080", "127.0.0.1", "[::1]:8080"] {
        assert_eq!(ask(host, None), 200, "{host}");
    }
    assert_eq!(ask("localhost", Some("http://localhost:3000")), 200);
    for (host, origin) in [
        ("twins.example.org", None),
        ("localhost.example.org", None),
        ("localhost", Some("https://example.org")),
        ("localhost", Some("null")),
    ] {
        assert_eq!(ask(host, origin), 401, "{host} {origin:?}");
    }
}

#[test]
fn a_signed_shadow_request_is_served_in_development() {
    let house = House::open();
    let broker = house.serve();
    let update = "{\"state\":{\"desired\":{\"rpm\":900}},\"clientToken\":\"t1\"}";
    let answer = broker
        .http()
        .ask("POST", "/things/pump-1/shadow", &[SIGNED], update)
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["clientToken"], "t1");
    let answer = broker
        .http()
        .ask("GET", "/things/pump-1/shadow", &[SIGNED], "")
        .unwrap();
    assert_eq!(answer.json()["state"]["desired"]["rpm"], 900);
}
