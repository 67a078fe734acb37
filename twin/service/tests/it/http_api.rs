//! The HTTP API under `/v1`: reading, changing, conditions, lists, and how it says no.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_core::Stream;
use plugin_api::Principal;
use serde_json::{Value, json};
use tower::ServiceExt;
use twin::Settings;

use crate::support::{BEGIN, MERGE_PATCH, Reply, World, device_principal};

const TWIN: &str = "/v1/devices/pump-7/twin";

#[track_caller]
fn assert_problem(reply: &Reply, status: u16, kind: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        "application/problem+json",
        "{reply:?}"
    );
    assert_eq!(
        reply.body["type"],
        format!("urn:twinmq:problem:{kind}"),
        "{reply:?}"
    );
    assert_eq!(reply.body["status"], status);
    for key in ["title", "detail"] {
        assert!(
            reply.body[key].as_str().is_some_and(|text| text.len() > 5),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn a_wish_is_written_read_and_answered_with_the_twin() {
    let world = World::new();
    let written = world
        .patch(
            &format!("{TWIN}/desired"),
            r#"{"rpm":1200,"net":{"ip":"192.0.2.1"}}"#,
        )
        .await;
    assert_eq!(written.status, 200);
    assert_eq!(written.header("etag"), "\"1.0\"");
    assert_eq!(
        written.body,
        json!({
            "device": "pump-7", "twin": "", "version": 1, "tags_version": 0,
            "desired": {"rpm": 1200, "net": {"ip": "192.0.2.1"}}, "reported": {}, "tags": {},
            "delta": {"rpm": 1200, "net": {"ip": "192.0.2.1"}}, "rejected": [],
            "sync": {"status": "offline", "since": BEGIN * 1000}, "presence": null,
        })
    );
    let topics: Vec<String> = world
        .published()
        .iter()
        .map(|message| message.topic().to_owned())
        .collect();
    assert_eq!(
        topics,
        [
            "$aws/things/pump-7/shadow/update/delta",
            "$twin/pump-7/update/delta",
            "$aws/things/pump-7/shadow/update/documents",
            "$twin/pump-7/update/documents",
        ],
        "the device hears of it by MQTT"
    );
    let read = world.get(&format!("{TWIN}?metadata=true")).await;
    let leaf = &read.body["metadata"]["desired"]["net"]["ip"];
    assert_eq!((&leaf["at"], &leaf["by"]), (&json!(BEGIN * 1000), &json!("app")));
    assert_eq!(read.body["desired"], written.body["desired"]);
}

#[tokio::test]
async fn named_twins_put_and_reported_have_their_own_paths() {
    let world = World::new();
    let motor = "/v1/devices/pump-7/twins/motor";
    world.patch(&format!("{motor}/desired"), r#"{"a":1,"b":2}"#).await;
    let json_type = [("content-type", "application/json; charset=utf-8")];
    let replaced = world
        .http("PUT", &format!("{motor}/desired"), &json_type, r#"{"c":3}"#)
        .await;
    assert_eq!(replaced.body["desired"], json!({"c": 3}));
    let reported = world.patch(&format!("{motor}/reported"), r#"{"c":3}"#).await;
    assert_eq!(
        (&reported.body["sync"]["status"], &reported.body["version"]),
        (&json!("in_sync"), &json!(3))
    );
    assert_problem(&world.get(TWIN).await, 404, "not-found");
    assert_eq!(world.http("DELETE", motor, &[], "").await.status, 204);
    assert_problem(&world.get(motor).await, 404, "not-found");
    assert_problem(&world.http("DELETE", motor, &[], "").await, 404, "not-found");
    assert_eq!(
        world.patch(&format!("{motor}/desired"), "{}").await.body["version"],
        5
    );
}

#[tokio::test]
async fn a_patch_that_changes_nothing_moves_nothing() {
    let world = World::new();
    world.patch(&format!("{TWIN}/desired"), r#"{"rpm":1}"#).await;
    world.published();
    let changes = world.service.committed_changes();
    world.pass(Duration::from_secs(60));
    let again = world
        .patch(&format!("{TWIN}/desired"), r#"{"rpm":1,"gone":null}"#)
        .await;
    assert_eq!((again.status.as_u16(), again.header("etag")), (200, "\"1.0\""));
    assert!(world.published().is_empty());
    assert_eq!(world.service.committed_changes(), changes);
}

#[tokio::test]
async fn tags_have_a_version_of_their_own_and_devices_hear_nothing_of_them() {
    let world = World::new();
    world.patch(&format!("{TWIN}/desired"), r#"{"rpm":1}"#).await;
    world.published();
    let tagged = world.patch(&format!("{TWIN}/tags"), r#"{"plant":"north"}"#).await;
    assert_eq!(
        (tagged.header("etag"), &tagged.body["version"]),
        ("\"1.1\"", &json!(1))
    );
    assert!(world.published().is_empty());
    let own = world
        .http_as(
            device_principal("pump-7"),
            "GET",
            &format!("{TWIN}?metadata=true"),
            &[],
            "",
        )
        .await;
    assert_eq!(own.status, 200);
    assert_eq!(own.body["desired"], json!({"rpm": 1}));
    assert!(own.body.get("tags").is_none() && own.body["metadata"].get("tags").is_none());
    let messages = world.publish("pump-7", "$twin/pump-7/get", "").await;
    assert!(!messages[0].json().to_string().contains("north"));
}

#[tokio::test]
async fn conditions_hold_or_the_write_is_refused() {
    let world = World::new();
    let desired = format!("{TWIN}/desired");
    let write = async |header: (&'static str, &'static str)| {
        world
            .http("PATCH", &desired, &[MERGE_PATCH, header], r#"{"n":1}"#)
            .await
    };
    assert_problem(&write(("if-match", "*")).await, 412, "precondition-failed");
    assert_problem(&write(("if-match", "\"0.0\"")).await, 412, "precondition-failed");
    assert_eq!(write(("if-none-match", "*")).await.status, 200);
    assert_problem(&write(("if-none-match", "*")).await, 412, "precondition-failed");
    assert_problem(&write(("if-match", "\"2.0\"")).await, 412, "precondition-failed");
    assert_problem(&write(("if-match", "\"x\"")).await, 412, "precondition-failed");
    assert_problem(&write(("if-version", "7")).await, 412, "precondition-failed");
    assert_problem(&write(("if-version", "one")).await, 400, "invalid-request");
    assert_problem(&write(("if-match", "1.0")).await, 400, "invalid-request");
    assert_problem(&write(("if-none-match", "\"1.0\"")).await, 400, "invalid-request");
    assert_eq!(write(("if-match", "\"9.9\", \"1.0\"")).await.status, 200);
    assert_eq!(write(("if-version", "1")).await.status, 200);
    let both = [MERGE_PATCH, ("if-match", "*"), ("if-version", "1")];
    assert_problem(
        &world.http("PATCH", &desired, &both, "{}").await,
        400,
        "invalid-request",
    );
    let stale = [("if-match", "\"8.0\"")];
    assert_problem(
        &world.http("DELETE", TWIN, &stale, "").await,
        412,
        "precondition-failed",
    );
    assert_eq!(world.get(TWIN).await.body["version"], 1);
}

#[tokio::test]
async fn a_reader_that_is_up_to_date_gets_304() {
    let world = World::new();
    world.patch(&format!("{TWIN}/desired"), r#"{"n":1}"#).await;
    for (list, status) in [
        ("\"1.0\"", 304),
        ("\"7.7\", W/\"1.0\"", 304),
        ("*", 304),
        ("\"0.9\"", 200),
    ] {
        let reply = world.http("GET", TWIN, &[("if-none-match", list)], "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("etag")),
            (status, "\"1.0\""),
            "{list}"
        );
    }
}

#[tokio::test]
async fn bad_documents_are_refused_with_the_place_of_the_fault() {
    let world = World::new();
    let desired = format!("{TWIN}/desired");
    for (body, pointer) in [
        (r#"{"a":{"b":[1,null]}}"#, "/a/b/1"),
        (
            r#"{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":1}}}}}}}}}"#,
            "/a/b/c/d/e/f/g/h/i",
        ),
        (r#"{"$rejected":{}}"#, "/$rejected"),
        ("[1]", ""),
    ] {
        let reply = world.patch(&desired, body).await;
        assert_problem(&reply, 400, "invalid-document");
        assert_eq!(reply.body["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_problem(&world.patch(&desired, "{").await, 400, "invalid-document");
    assert_problem(&world.patch(&desired, "").await, 400, "invalid-document");
    let json_type = [("content-type", "application/json")];
    let wrong_type = world.http("PATCH", &desired, &json_type, "{}").await;
    assert_problem(&wrong_type, 415, "unsupported-media-type");
    assert_eq!(wrong_type.header("accept"), "application/merge-patch+json");
    assert_problem(
        &world.http("PATCH", &desired, &[], "{}").await,
        415,
        "unsupported-media-type",
    );
    let large = format!(r#"{{"a":["{0}","{0}"]}}"#, "x".repeat(60_000));
    let reply = world.patch(&desired, &large).await;
    assert_problem(&reply, 413, "too-large");
    assert!(
        reply.body["detail"]
            .as_str()
            .unwrap()
            .contains("section_bytes_max")
    );
    let reply = world.patch(&desired, &"x".repeat(300 * 1024)).await;
    assert_problem(&reply, 413, "too-large");
    assert!(
        reply.body["detail"]
            .as_str()
            .unwrap()
            .contains("request_bytes_max")
    );
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_a_problem_too() {
    let world = World::new();
    assert_problem(&world.get("/v1/nothing").await, 404, "not-found");
    assert_problem(&world.get("/").await, 404, "not-found");
    assert_problem(&world.get("/v1/devices/a/b").await, 404, "not-found");
    let wrong = world.http("POST", TWIN, &[], "").await;
    assert_problem(&wrong, 405, "method-not-allowed");
    let mut allowed: Vec<&str> = wrong.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD"]);
    assert_problem(
        &world.get(&format!("{TWIN}?wait=applied")).await,
        400,
        "invalid-request",
    );
    assert_problem(
        &world.get(&format!("{TWIN}?metadata=perhaps")).await,
        400,
        "invalid-request",
    );
    for device in ["a%20b", "a%2Fb", "me", "%FF", &"x".repeat(129)] {
        assert_problem(
            &world.get(&format!("/v1/devices/{device}/twin")).await,
            400,
            "invalid-request",
        );
    }
    assert_problem(
        &world.get("/v1/devices/a/twins/b%2Fc").await,
        400,
        "invalid-request",
    );
    assert_eq!(world.get("/openapi.json").await.body["openapi"], "3.1.0");
}

#[tokio::test]
async fn every_route_refuses_who_may_not() {
    let world = World::new();
    world.patch(&format!("{TWIN}/desired"), "{}").await;
    let nobody = || Arc::new(Principal::named("nobody"));
    let other = || device_principal("lamp");
    let all = [
        ("GET", "/v1/devices"),
        ("GET", "/v1/devices/pump-7"),
        ("GET", "/v1/changes"),
        ("GET", TWIN),
        ("DELETE", TWIN),
        ("PATCH", "/v1/devices/pump-7/twin/desired"),
        ("PUT", "/v1/devices/pump-7/twin/desired"),
        ("PATCH", "/v1/devices/pump-7/twin/reported"),
        ("PATCH", "/v1/devices/pump-7/twins/x/tags"),
    ];
    for (method, path) in all {
        for principal in [nobody(), other()] {
            assert_problem(
                &world.http_as(principal, method, path, &[], "").await,
                403,
                "forbidden",
            );
        }
    }
    let own = device_principal("pump-7");
    let patch = [MERGE_PATCH];
    let reported = format!("{TWIN}/reported");
    assert_eq!(
        world
            .http_as(Arc::clone(&own), "PATCH", &reported, &patch, r#"{"on":1}"#)
            .await
            .status,
        200
    );
    for part in ["desired", "tags"] {
        let reply = world
            .http_as(Arc::clone(&own), "PATCH", &format!("{TWIN}/{part}"), &patch, "{}")
            .await;
        assert_problem(&reply, 403, "forbidden");
    }
}

#[tokio::test]
async fn a_request_nobody_authenticated_is_refused() {
    let world = World::new();
    let router = world.service.router(world.service.gate());
    let response = router
        .oneshot(Request::get(TWIN).body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn the_fleet_is_listed_page_by_page() {
    let world = World::new();
    for device in ["d", "a", "c"] {
        world
            .patch(&format!("/v1/devices/{device}/twin/desired"), r#"{"n":1}"#)
            .await;
    }
    world
        .patch("/v1/devices/c/twins/motor/reported", r#"{"n":1}"#)
        .await;
    world.patch("/v1/devices/gone/twin/desired", "{}").await;
    world.http("DELETE", "/v1/devices/gone/twin", &[], "").await;
    world.connect("b");
    world.catch_up("b").await;
    let mut seen: Vec<Value> = Vec::new();
    let mut path = "/v1/devices?limit=2".to_owned();
    loop {
        let page = world.get(&path).await;
        assert_eq!(page.status, 200);
        seen.extend(page.body["devices"].as_array().unwrap().clone());
        let Some(cursor) = page.body["cursor"].as_str() else {
            break;
        };
        path = format!("/v1/devices?limit=2&cursor={cursor}");
    }
    let names: Vec<&str> = seen
        .iter()
        .map(|device| device["device"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!(seen[1]["presence"]["connected"], true);
    assert_eq!(seen[1]["twins"], json!([]));
    assert_eq!(seen[2]["twins"][0]["sync"]["status"], "offline");
    assert_eq!(seen[2]["twins"][1]["twin"], "motor");
    assert_eq!(seen[2]["twins"][1]["sync"]["status"], "in_sync");
    for bad in ["limit=0", "limit=101", "limit=x", "cursor=%21", "where=x"] {
        assert_problem(
            &world.get(&format!("/v1/devices?{bad}")).await,
            400,
            "invalid-request",
        );
    }
    assert_problem(&world.get("/v1/devices/gone").await, 404, "not-found");
}

#[tokio::test]
async fn more_requests_than_allowed_are_told_to_come_back() {
    let world = World::with(Settings {
        requests_max: 0,
        ..Settings::default()
    });
    let reply = world.get(TWIN).await;
    assert_problem(&reply, 503, "unavailable");
    assert_eq!(reply.header("retry-after"), "1");
}

/// A body that never comes.
struct Silence;

impl Stream for Silence {
    type Item = Result<Vec<u8>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Pending
    }
}

/// A sender that never finishes must not keep a place that others need.
#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let world = World::with(Settings {
        requests_max: 1,
        ..Settings::default()
    });
    let request = Request::patch(format!("{TWIN}/desired")).header(MERGE_PATCH.0, MERGE_PATCH.1);
    let request = request.body(Body::from_stream(Silence)).unwrap();
    let response = world.router(Arc::new(Principal::named("app"))).oneshot(request);
    tokio::pin!(response);
    let response = loop {
        tokio::select! {
            response = &mut response => break response.unwrap(),
            () = tokio::task::yield_now() => world.pass(Duration::from_secs(1)),
        }
    };
    assert_eq!(response.status(), 408);
    assert_eq!(world.patch(&format!("{TWIN}/desired"), "{}").await.status, 200);
}
