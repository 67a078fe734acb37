//! Restart: what was said to be accepted is there again, and goes on where it was.

use std::time::Duration;

use serde_json::json;
use store::{Options, Store};
use twin::{Settings, keyspaces};

use crate::support::World;

fn open(folder: &std::path::Path) -> Store {
    Store::open(folder, &Options::default(), &keyspaces())
        .unwrap()
        .store
}

#[tokio::test]
async fn twins_changes_and_versions_survive_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on(open(folder.path()), Settings::default(), Duration::from_secs(100));
    world
        .publish(
            "app",
            "$twin/pump/update",
            r#"{"state":{"desired":{"rpm":1.50}}}"#,
        )
        .await;
    world
        .publish(
            "app",
            "$twin/pump/name/motor/update",
            r#"{"state":{"reported":{"on":true}}}"#,
        )
        .await;
    world.publish("app", "$twin/pump/name/motor/delete", "").await;
    world
        .patch("/v1/devices/pump/twin/tags", r#"{"plant":"north"}"#)
        .await;
    let before = world
        .http("GET", "/v1/devices/pump/twin?metadata=true", &[], "")
        .await;
    assert_eq!(before.body["tags"], json!({"plant": "north"}));
    let committed = world.service.committed_changes();
    world.service.stop().await;
    drop(world);

    // The clock of the machine went back meanwhile.
    let world = World::on(
        open(folder.path()),
        Settings {
            partitions: 5,
            ..Settings::default()
        },
        Duration::ZERO,
    );
    let after = world
        .http("GET", "/v1/devices/pump/twin?metadata=true", &[], "")
        .await;
    assert_eq!(after.body, before.body);
    assert_eq!(after.header("etag"), before.header("etag"));
    assert_eq!(world.service.committed_changes(), committed);
    assert_eq!(world.get("/v1/devices/pump/twins/motor").await.status, 404);
    let shown = world
        .patch("/v1/devices/pump/twin/desired?metadata=true", r#"{"rpm":2}"#)
        .await
        .body;
    assert_eq!(shown["version"], 2);
    let stamp = |body: &serde_json::Value| -> Vec<u64> {
        let text = body["metadata"]["desired"]["rpm"]["stamp"]
            .as_str()
            .unwrap()
            .to_owned();
        text.split('.').map(|part| part.parse().unwrap()).collect()
    };
    assert!(
        stamp(&shown)[..2] > stamp(&before.body)[..2],
        "stamps grow even when the clock went back"
    );
    assert_eq!(
        stamp(&shown)[2],
        stamp(&before.body)[2],
        "and they are from the same node"
    );
    let messages = world
        .publish("app", "$twin/pump/name/motor/update", r#"{"state":{}}"#)
        .await;
    assert_eq!(
        messages.last().unwrap().json()["version"],
        3,
        "a deleted twin goes on from its tombstone"
    );
    assert_eq!(world.service.committed_changes(), committed + 2);
    world.end().await;
}

#[tokio::test]
async fn a_delta_waits_through_a_restart() {
    let world = World::new();
    world
        .publish("app", "$twin/pump/update", r#"{"state":{"desired":{"rpm":1}}}"#)
        .await;
    let store = world.store.clone();
    world.service.stop().await;
    let world = World::on(store, Settings::default(), Duration::ZERO);
    world.connect("pump");
    world.subscribe("pump", "pump", "$aws/things/pump/shadow/update/delta", true);
    world.catch_up("pump").await;
    let messages = world.published();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].json()["state"], json!({"rpm": 1}));
}
