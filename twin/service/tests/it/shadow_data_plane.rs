//! The data plane of shadow clients: their paths, their documents, their exceptions.

use std::sync::Arc;

use plugin_api::{Principal, QoS, To};
use serde_json::json;

use crate::support::{BEGIN, Reply, World, device_principal};

const SHADOW: &str = "/things/pump-7/shadow";

#[track_caller]
fn assert_exception(reply: &Reply, status: u16, name: &str, message: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("x-amzn-errortype"), name);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.body, json!({ "message": message }));
}

#[tokio::test]
async fn a_shadow_is_updated_read_and_deleted() {
    let world = World::new();
    let update = r#"{"state":{"desired":{"rpm":1,"x":null}},"clientToken":"t"}"#;
    let stamp = json!({"timestamp": BEGIN});
    let reply = world.http("POST", SHADOW, &[], update).await;
    assert_eq!(
        (reply.status.as_u16(), reply.body),
        (
            200,
            json!({"state": {"desired": {"rpm": 1, "x": null}}, "metadata": {"desired": {"rpm": stamp}},
                   "version": 1, "timestamp": BEGIN, "clientToken": "t"})
        )
    );
    let messages = world.published();
    assert_eq!(messages[0].topic(), "$aws/things/pump-7/shadow/update/delta");
    assert_eq!(messages[0].json()["clientToken"], "t");
    let shown = world.get(SHADOW).await.body;
    assert_eq!(
        shown["state"],
        json!({"desired": {"rpm": 1}, "delta": {"rpm": 1}})
    );
    let again = world
        .http("POST", SHADOW, &[], r#"{"state":{"desired":{"rpm":1}}}"#)
        .await;
    assert_eq!(
        again.body["version"], 2,
        "here the version grows even when nothing changes"
    );
    let deleted = world.http("DELETE", SHADOW, &[], "").await;
    assert_eq!(deleted.body, json!({"version": 2, "timestamp": BEGIN}));
    assert_exception(
        &world.get(SHADOW).await,
        404,
        "ResourceNotFoundException",
        "No shadow exists with name: pump-7",
    );
}

#[tokio::test]
async fn faults_have_the_names_that_clients_know() {
    let world = World::new();
    let post = async |body: &str| world.http("POST", SHADOW, &[], body).await;
    assert_exception(&post("{").await, 400, "InvalidRequestException", "Invalid JSON");
    assert_exception(
        &post("{}").await,
        400,
        "InvalidRequestException",
        "Missing required node: state",
    );
    post(r#"{"state":{"desired":{"a":1}}}"#).await;
    let conflict = post(r#"{"state":{"desired":{"a":1}},"version":9}"#).await;
    assert_exception(&conflict, 409, "ConflictException", "Version conflict");
    let large = format!(r#"{{"state":{{"desired":{{"a":"{}"}}}}}}"#, "x".repeat(65_536));
    let too_large = "The payload exceeds the maximum size allowed";
    assert_exception(
        &post(&large).await,
        413,
        "RequestEntityTooLargeException",
        too_large,
    );
    assert_exception(
        &post(&"x".repeat(300_000)).await,
        413,
        "RequestEntityTooLargeException",
        too_large,
    );
    let wrong = world.http("PUT", SHADOW, &[], "").await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.header("x-amzn-errortype")),
        (405, "MethodNotAllowedException")
    );
    assert!(wrong.header("allow").contains("POST"));
    let nobody = Arc::new(Principal::named("nobody"));
    for (method, path) in [("GET", SHADOW), ("DELETE", SHADOW), ("POST", "/topics/a%2Fb")] {
        let reply = world.http_as(Arc::clone(&nobody), method, path, &[], "").await;
        assert_exception(&reply, 403, "ForbiddenException", "Forbidden");
    }
    let unknown = world.get("/things/pump-7/nothing").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.header("x-amzn-errortype")),
        (404, "ResourceNotFoundException")
    );
}

#[tokio::test]
async fn a_device_reports_about_itself_and_wishes_nothing() {
    let world = World::new();
    let own = device_principal("pump-7");
    let report = r#"{"state":{"reported":{"rpm":1}}}"#;
    assert_eq!(
        world
            .http_as(Arc::clone(&own), "POST", SHADOW, &[], report)
            .await
            .status,
        200
    );
    assert_eq!(
        world
            .http_as(Arc::clone(&own), "GET", SHADOW, &[], "")
            .await
            .status,
        200
    );
    for body in [
        r#"{"state":{"desired":{"rpm":1}}}"#,
        r#"{"state":null}"#,
        r#"{"state":{}}"#,
    ] {
        assert_eq!(
            world
                .http_as(Arc::clone(&own), "POST", SHADOW, &[], body)
                .await
                .status,
            403,
            "{body}"
        );
    }
}

#[tokio::test]
async fn named_shadows_are_listed_without_the_classic_one() {
    let world = World::new();
    world.http("POST", SHADOW, &[], r#"{"state":{}}"#).await;
    for name in ["c", "a", "b"] {
        world
            .http(
                "POST",
                &format!("{SHADOW}?name={name}"),
                &[],
                r#"{"state":{"reported":{}}}"#,
            )
            .await;
    }
    world.http("DELETE", &format!("{SHADOW}?name=b"), &[], "").await;
    let list = "/api/things/shadow/ListNamedShadowsForThing/pump-7";
    assert_eq!(
        world.get(list).await.body,
        json!({"results": ["a", "c"], "timestamp": BEGIN})
    );
    let page = world.get(&format!("{list}?pageSize=1")).await.body;
    assert_eq!(
        page,
        json!({"results": ["a"], "nextToken": "a", "timestamp": BEGIN})
    );
    let page = world.get(&format!("{list}?pageSize=1&nextToken=a")).await.body;
    assert_eq!(page, json!({"results": ["c"], "timestamp": BEGIN}));
    let other = "/api/things/shadow/ListNamedShadowsForThing/unknown";
    assert_eq!(
        world.get(other).await.body,
        json!({"results": [], "timestamp": BEGIN})
    );
    assert_eq!(world.get(&format!("{list}?pageSize=0")).await.status, 400);
}

#[tokio::test]
async fn a_message_is_published_to_any_topic_but_the_twins() {
    let world = World::new();
    let reply = world
        .http("POST", "/topics/plant%2Fnorth?qos=1", &[], "hello")
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.body),
        (200, json!({"message": "OK"}))
    );
    world
        .http("POST", "/topics/plant/south?retain=true", &[], "hi")
        .await;
    let messages = world.published();
    assert_eq!(
        (messages[0].topic(), &*messages[0].0.payload),
        ("plant/north", &b"hello"[..])
    );
    assert_eq!(
        (messages[0].0.qos, messages[0].0.retain, &messages[0].0.to),
        (QoS::AtLeastOnce, false, &To::Everyone)
    );
    assert_eq!(
        (messages[1].topic(), messages[1].0.qos, messages[1].0.retain),
        ("plant/south", QoS::AtMostOnce, true)
    );
    for path in [
        "/topics/a%2F%2B",
        "/topics/%24twin%2Fa%2Fupdate",
        "/topics/a?qos=2",
        "/topics/%FF",
    ] {
        assert_eq!(world.http("POST", path, &[], "x").await.status, 400, "{path}");
    }
    assert!(world.published().is_empty());
}
