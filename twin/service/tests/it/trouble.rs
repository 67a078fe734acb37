//! Trouble: a store that refuses, and records that cannot be read. Nobody is told what did not happen.

use std::time::Duration;

use plugin_api::{Answer, ReasonCode};
use serde_json::json;
use store::{Batch, Durability, Options, Store};
use twin::{Settings, keyspaces};

use crate::support::World;

const UPDATE: &str = "$twin/pump/update";

#[tokio::test]
async fn what_cannot_be_stored_is_not_accepted_by_anyone() {
    let world = World::new();
    world
        .publish("app", UPDATE, r#"{"state":{"desired":{"n":1}}}"#)
        .await;
    world.store.clone().close(); // from now on nothing is stored
    let number = world.send(
        "app",
        UPDATE,
        r#"{"state":{"desired":{"n":2}},"clientToken":"t"}"#,
        &[],
    );
    assert_eq!(
        world.answer(number).await,
        Answer::Refused(ReasonCode::ServerShuttingDown)
    );
    let messages = world.published();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].topic(), "$twin/pump/update/rejected");
    let rejected = messages[0].json();
    assert_eq!(
        (&rejected["code"], &rejected["clientToken"]),
        (&json!(500), &json!("t"))
    );
    let reply = world.patch("/v1/devices/pump/twin/desired", r#"{"n":3}"#).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["type"]),
        (503, &json!("urn:twinmq:problem:unavailable"))
    );
    let shown = world.get("/v1/devices/pump/twin").await.body;
    assert_eq!(
        (&shown["version"], &shown["desired"]),
        (&json!(1), &json!({"n": 1})),
        "memory went back to the store"
    );
}

#[tokio::test]
async fn a_damaged_record_is_told_and_harms_no_other_twin() {
    let world = World::new();
    let state = world.store.keyspace("twin.state").unwrap();
    let mut batch = Batch::new();
    batch.put(state, b"pump\0", b"\x01{\"life\":");
    batch.put(state, b"lamp\0", b"\x07{}");
    world.store.commit_blocking(batch, Durability::Memory).unwrap();
    for device in ["pump", "lamp"] {
        let topic = format!("$twin/{device}/update");
        let number = world.send("app", &topic, r#"{"state":{"desired":{"n":2}}}"#, &[]);
        assert_eq!(world.answer(number).await, Answer::Taken);
        let messages = world.published();
        assert_eq!(messages[0].json()["code"], 500);
        assert_eq!(world.get(&format!("/v1/devices/{device}/twin")).await.status, 500);
    }
    assert_eq!(
        world.patch("/v1/devices/other/twin/desired", "{}").await.status,
        200
    );
    assert_eq!(
        world.store.get(state, b"lamp\0").unwrap().unwrap(),
        b"\x07{}",
        "what cannot be read is not overwritten"
    );
}

/// The store refuses when too much waits for it; the service slows down before that.
#[tokio::test]
async fn a_flood_of_large_updates_is_slowed_down_and_not_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        backlog_bytes_max: 12 << 20,
        ..Options::default()
    };
    let store = Store::open(folder.path(), &options, &keyspaces()).unwrap().store;
    let world = World::on(store, Settings::default(), Duration::ZERO);
    let large = "x".repeat(60_000);
    let flood = (0..600).map(|n| {
        let body = format!(r#"{{"state":{{"reported":{{"n":{n},"text":"{large}"}}}}}}"#);
        world.send("app", &format!("$twin/d{}/update", n % 10), body, &[])
    });
    for number in flood.collect::<Vec<u64>>() {
        assert_eq!(world.answer(number).await, Answer::Taken);
    }
    assert!(
        !world
            .published()
            .iter()
            .any(|message| message.topic().ends_with("rejected"))
    );
    world.end().await;
}
