//! Presence: whether a device is connected, since when, and what its last word was.

use std::time::Duration;

use plugin_api::Departure;
use serde_json::json;
use twin::Settings;

use crate::support::{BEGIN, World};

#[tokio::test]
async fn a_device_comes_uses_its_twin_and_goes() {
    let world = World::new();
    world.connect("lamp");
    world.catch_up("lamp").await;
    let connected = json!({
        "connected": true, "since": BEGIN * 1000, "last_seen": BEGIN * 1000, "client_id": "lamp",
        "address": "192.0.2.7:4711", "protocol": "mqtt 5.0",
    });
    assert_eq!(world.get("/v1/devices/lamp").await.body["presence"], connected);
    world.pass(Duration::from_secs(5));
    world
        .publish(
            "lamp",
            "$twin/lamp/update",
            r#"{"state":{"reported":{"on":true}}}"#,
        )
        .await;
    let seen = &world.get("/v1/devices/lamp/twin").await.body;
    assert_eq!(seen["presence"]["last_seen"], (BEGIN + 5) * 1000);
    assert_eq!(seen["version"], 1);
    world.pass(Duration::from_secs(5));
    world.depart("lamp", "lamp", Departure::KeepAlive);
    world.catch_up("lamp").await;
    let gone = world.get("/v1/devices/lamp/twin").await.body;
    assert_eq!(gone["presence"]["connected"], false);
    assert_eq!(gone["presence"]["since"], (BEGIN + 10) * 1000);
    assert_eq!(gone["presence"]["reason"], "keep_alive");
    assert_eq!(
        (&gone["version"], &gone["tags_version"]),
        (&json!(1), &json!(0)),
        "presence moves no version"
    );
}

#[tokio::test]
async fn a_device_is_connected_as_long_as_one_of_its_clients_is() {
    let world = World::new();
    world.connect_as("lamp-a", "lamp");
    world.connect_as("lamp-b", "lamp");
    world.depart("lamp-b", "lamp", Departure::Disconnected);
    world.catch_up("lamp").await;
    let presence = &world.get("/v1/devices/lamp").await.body["presence"];
    assert_eq!(
        (&presence["connected"], &presence["client_id"]),
        (&json!(true), &json!("lamp-a"))
    );
    world.depart("lamp-a", "lamp", Departure::Disconnected);
    world.catch_up("lamp").await;
    assert_eq!(
        world.get("/v1/devices/lamp").await.body["presence"]["connected"],
        false
    );
}

/// The end of the old connection may be told after the beginning of the new one.
#[tokio::test]
async fn a_client_that_takes_itself_over_stays_connected() {
    let world = World::new();
    world.connect("lamp");
    world.connect("lamp");
    world.depart("lamp", "lamp", Departure::TakenOver);
    world.catch_up("lamp").await;
    assert_eq!(
        world.get("/v1/devices/lamp").await.body["presence"]["connected"],
        true
    );
}

#[tokio::test]
async fn after_a_crash_nobody_is_shown_as_connected() {
    let world = World::new();
    world.connect("lamp");
    world
        .publish("app", "$twin/lamp/update", r#"{"state":{"desired":{"on":true}}}"#)
        .await;
    assert_eq!(
        world.get("/v1/devices/lamp/twin").await.body["sync"]["status"],
        "pending"
    );
    let store = world.store.clone();
    let later = World::on(store, Settings::default(), Duration::from_secs(60));
    for path in ["/v1/devices/lamp", "/v1/devices/lamp/twin"] {
        let presence = &later.get(path).await.body["presence"];
        assert_eq!(
            (&presence["connected"], &presence["reason"]),
            (&json!(false), &json!("lost")),
            "{path}"
        );
        assert_eq!(presence["since"], (BEGIN + 60) * 1000);
        assert_eq!(presence["last_seen"], BEGIN * 1000);
    }
    assert_eq!(
        later.get("/v1/devices/lamp/twin").await.body["sync"]["status"],
        "offline"
    );
    let listed = &later.get("/v1/devices").await.body["devices"][0];
    assert_eq!(listed["twins"][0]["sync"]["status"], "offline");
}
