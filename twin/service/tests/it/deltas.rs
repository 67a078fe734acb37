//! Deltas: what a device is sent when it listens, how often, and when the service gives up.

use std::time::Duration;

use plugin_api::{Departure, ReplaceKey, To};
use serde_json::json;
use twin::Settings;
use twin_model::RetryPolicy;

use crate::support::{Message, World, client_id, received};

const DELTA: &str = "$twin/lamp/update/delta";

fn deltas<'a>(messages: &'a [Message], client: &str) -> Vec<&'a Message> {
    received(
        messages,
        client,
        &[
            "$twin/lamp/update/delta",
            "$twin/me/update/delta",
            "$aws/things/lamp/shadow/#",
        ],
    )
    .into_iter()
    .filter(|message| message.topic().ends_with("/delta"))
    .collect()
}

async fn wish(world: &World, level: u32) {
    let body = format!(r#"{{"state":{{"desired":{{"level":{level}}}}}}}"#);
    world.publish_quietly("app", "$twin/lamp/update", &body).await;
}

impl World {
    async fn publish_quietly(&self, device: &str, topic: &str, payload: &str) {
        let number = self.send(device, topic, payload, &[]);
        self.answer(number).await;
    }

    async fn status(&self) -> String {
        self.get("/v1/devices/lamp/twin").await.body["sync"]["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn retrying() -> Settings {
    let retry = RetryPolicy {
        first: Duration::from_secs(10),
        factor: 2,
        cap: Duration::from_secs(40),
        attempts_max: 3,
        ..RetryPolicy::default()
    };
    Settings {
        retry,
        ..Settings::default()
    }
}

#[tokio::test]
async fn an_offline_device_costs_one_pending_entry_and_gets_exactly_one_delta_on_return() {
    for resumed in [false, true] {
        let world = World::new();
        world.connect("lamp");
        world.subscribe("lamp", "lamp", DELTA, false);
        world.depart("lamp", "lamp", Departure::Lost);
        for level in 1..=1000 {
            wish(&world, level).await;
        }
        let meanwhile = world.published();
        assert!(
            deltas(&meanwhile, "lamp").is_empty(),
            "nothing queues in the device's own session"
        );
        assert_eq!(
            received(&meanwhile, "app", &[DELTA]).len(),
            1000,
            "an app hears of every one"
        );
        assert_eq!(world.count("twin.pending"), 1);
        assert_eq!(world.status().await, "offline");

        world.connect("lamp");
        if resumed {
            world.subscribe("lamp", "lamp", DELTA, true);
        }
        world.subscribe("lamp", "lamp", DELTA, false);
        world.catch_up("lamp").await;
        let on_return = world.published();
        let found = deltas(&on_return, "lamp");
        assert_eq!(found.len(), 1, "resumed: {resumed}");
        assert_eq!(found[0].json()["state"], json!({"level": 1000}));
        assert_eq!(found[0].json()["version"], 1000);
        assert!(matches!(&found[0].0.to, To::Only(client) if *client == client_id("lamp")));
        assert!(found[0].0.replace.is_some());
        assert_eq!(world.status().await, "pending");
    }
}

/// The client id of a device that never connected is taken to be its name.
#[tokio::test]
async fn a_device_that_was_never_seen_is_spared_as_well() {
    let world = World::new();
    wish(&world, 1).await;
    assert!(deltas(&world.published(), "lamp").is_empty());
}

/// What the service has to say to a device goes before the answer to what the device asks next.
#[tokio::test]
async fn the_delta_comes_before_the_answer_to_a_later_request() {
    let world = World::with(Settings {
        partitions: 1,
        ..Settings::default()
    });
    wish(&world, 1).await;
    for _ in 0..50 {
        world.published();
        world.connect("lamp");
        world.subscribe("lamp", "lamp", DELTA, false);
        world.publish_quietly("lamp", "$twin/lamp/get", "").await;
        let messages = world.published();
        let topics: Vec<&str> = messages.iter().map(Message::topic).collect();
        assert_eq!(topics, [DELTA, "$twin/lamp/get/accepted"]);
        world.depart("lamp", "lamp", Departure::Lost);
    }
}

#[tokio::test]
async fn a_device_in_sync_is_told_nothing_when_it_comes() {
    let world = World::new();
    wish(&world, 1).await;
    world
        .publish(
            "lamp",
            "$twin/lamp/update",
            r#"{"state":{"reported":{"level":1}}}"#,
        )
        .await;
    assert_eq!(world.count("twin.pending"), 0);
    world.connect("lamp");
    world.subscribe("lamp", "lamp", DELTA, false);
    world.catch_up("lamp").await;
    assert!(deltas(&world.published(), "lamp").is_empty());
}

#[tokio::test]
async fn changes_while_online_reach_the_device_once_under_one_key_and_apps_without() {
    let world = World::new();
    world.connect("lamp");
    world.subscribe("lamp", "lamp", DELTA, false);
    wish(&world, 1).await;
    wish(&world, 2).await;
    let messages = world.published();
    let device = deltas(&messages, "lamp");
    assert_eq!(device.len(), 2);
    assert!(device[0].0.replace.is_some());
    assert_eq!(device[0].0.replace, device[1].0.replace);
    let app = received(&messages, "app", &[DELTA]);
    assert_eq!(app.len(), 2);
    assert!(app.iter().all(|message| message.0.replace.is_none()));
}

#[tokio::test]
async fn a_device_that_listens_by_several_names_gets_one_delta_by_each() {
    let world = World::new();
    wish(&world, 1).await;
    world.published();
    world.connect("lamp");
    world.subscribe("lamp", "lamp", "$aws/things/lamp/shadow/update/delta", false);
    world.catch_up("lamp").await;
    world.subscribe("lamp", "lamp", "$twin/me/#", false);
    world.subscribe("lamp", "lamp", "$aws/things/lamp/shadow/update/+", false);
    world.catch_up("lamp").await;
    let messages = world.published();
    let topics: Vec<&str> = deltas(&messages, "lamp")
        .iter()
        .map(|message| message.topic())
        .collect();
    assert_eq!(
        topics,
        ["$aws/things/lamp/shadow/update/delta", "$twin/me/update/delta"]
    );
}

#[tokio::test]
async fn named_twins_that_wait_are_found_by_one_wildcard() {
    let world = World::new();
    for name in ["a", "b"] {
        let topic = format!("$twin/lamp/name/{name}/update");
        world
            .publish("app", &topic, r#"{"state":{"desired":{"x":1}}}"#)
            .await;
    }
    wish(&world, 1).await;
    world.published();
    world.connect("lamp");
    world.subscribe("lamp", "lamp", "$twin/lamp/name/+/update/delta", false);
    world.catch_up("lamp").await;
    let messages = world.published();
    let mut topics: Vec<&str> = messages.iter().map(Message::topic).collect();
    topics.sort_unstable();
    assert_eq!(
        topics,
        ["$twin/lamp/name/a/update/delta", "$twin/lamp/name/b/update/delta"]
    );
}

#[tokio::test]
async fn an_unanswered_delta_is_sent_again_later_and_later_until_the_twin_is_stalled() {
    let world = World::with(retrying());
    world.connect("lamp");
    world.subscribe("lamp", "lamp", DELTA, false);
    wish(&world, 1).await;
    let mut sent = Vec::new();
    for second in 0..200 {
        world.pass(Duration::from_secs(1));
        world.catch_up("lamp").await;
        for message in deltas(&world.published(), "lamp") {
            sent.push(second);
            world.settled("lamp", message.0.replace.unwrap());
        }
        if second == 0 {
            continue;
        }
    }
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert!(sent[1] - sent[0] >= 10 && sent[2] - sent[1] >= 20, "{sent:?}");
    assert_eq!(world.status().await, "stalled");

    wish(&world, 2).await;
    assert_eq!(world.status().await, "pending", "a new wish is a new chance");
    assert_eq!(deltas(&world.published(), "lamp").len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_again_while_a_delta_is_on_its_way() {
    let world = World::with(retrying());
    world.connect("lamp");
    world.subscribe("lamp", "lamp", DELTA, false);
    wish(&world, 1).await;
    let key: ReplaceKey = deltas(&world.published(), "lamp")[0].0.replace.unwrap();
    for _ in 0..3 {
        world.pass(Duration::from_secs(12));
        world.catch_up("lamp").await;
        assert!(deltas(&world.published(), "lamp").is_empty());
    }
    world.settled("lamp", key);
    world.catch_up("lamp").await;
    world.pass(Duration::from_secs(13));
    world.catch_up("lamp").await;
    assert_eq!(deltas(&world.published(), "lamp").len(), 1);
}

#[tokio::test]
async fn a_second_client_of_the_device_hears_as_an_app_does() {
    let world = World::new();
    world.connect("lamp");
    world.subscribe("lamp", "lamp", DELTA, false);
    world.connect_as("monitor", "lamp");
    wish(&world, 1).await;
    let messages = world.published();
    assert!(
        deltas(&messages, "lamp")[0].0.replace.is_some(),
        "who listens stays the device's own session"
    );
    assert!(
        deltas(&messages, "monitor")
            .iter()
            .all(|message| message.0.replace.is_none())
    );
    world.depart("lamp", "lamp", Departure::Disconnected);
    world.subscribe("monitor", "lamp", DELTA, false);
    world.catch_up("lamp").await;
    let messages = world.published();
    assert_eq!(deltas(&messages, "monitor").len(), 1);
}
