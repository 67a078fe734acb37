//! The change feed: complete, in order, resumable, and harmless to slow readers and their host.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Request;
use plugin_api::Principal;
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use tower::ServiceExt;
use twin::Settings;

use crate::support::World;

/// A stream of changes as a client reads it.
struct Watcher {
    body: Body,
    text: String,
}

impl Watcher {
    async fn open(world: &World, path: &str, last_event_id: Option<u64>) -> Self {
        let mut request = Request::get(path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = world
            .router(Arc::new(Principal::named("app")))
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    async fn chunk(&mut self) -> Option<String> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
        let frame = tokio::time::timeout(Duration::from_secs(20), frame)
            .await
            .expect("a chunk")?;
        Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
    }

    /// The next change and its number.
    async fn next(&mut self) -> (u64, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name).map(str::to_owned))
                };
                let Some(id) = field("id: ") else { continue };
                return (
                    id.parse().unwrap(),
                    serde_json::from_str(&field("data: ").unwrap()).unwrap(),
                );
            }
            let chunk = self.chunk().await.expect("the stream goes on");
            self.text.push_str(&chunk);
        }
    }
}

async fn wish(world: &World, device: &str, n: u64) {
    world
        .patch(
            &format!("/v1/devices/{device}/twin/desired"),
            &format!(r#"{{"n":{n}}}"#),
        )
        .await;
}

#[tokio::test]
async fn a_watcher_sees_what_changed_and_by_whom() {
    let world = World::new();
    wish(&world, "before", 1).await;
    let mut watcher = Watcher::open(&world, "/v1/changes", None).await;
    world
        .patch("/v1/devices/pump/twin/desired", r#"{"a":{"b":1},"c":[2]}"#)
        .await;
    let (first, change) = watcher.next().await;
    assert_eq!(change["kind"], "changed");
    assert_eq!(
        (&change["device"], &change["twin"], &change["by"]),
        (&json!("pump"), &json!(""), &json!("app"))
    );
    assert_eq!(
        (&change["version"], &change["created"], &change["sync"]),
        (&json!(1), &json!(true), &json!("offline"))
    );
    assert_eq!(
        change["changes"],
        json!([{"path": "/desired/a", "value": {"b": 1}}, {"path": "/desired/c", "value": [2]}])
    );
    world
        .patch("/v1/devices/pump/twin/desired", r#"{"a":{"b":null}}"#)
        .await;
    let (second, change) = watcher.next().await;
    assert_eq!(second, first + 1);
    assert_eq!(
        change["changes"],
        json!([{"path": "/desired/a/b", "removed": true}])
    );
    world.patch("/v1/devices/pump/twin/tags", r#"{"t":1}"#).await;
    assert_eq!(watcher.next().await.1["changes"][0]["path"], "/tags/t");
    world.connect("pump");
    let (_, presence) = watcher.next().await;
    assert_eq!(
        (&presence["kind"], &presence["presence"]["connected"]),
        (&json!("presence"), &json!(true))
    );
    let (_, sync) = watcher.next().await;
    assert_eq!(
        (&sync["kind"], &sync["sync"]),
        (&json!("sync"), &json!("pending"))
    );
    world.http("DELETE", "/v1/devices/pump/twin", &[], "").await;
    let (_, removed) = watcher.next().await;
    assert_eq!(
        (&removed["kind"], &removed["version"]),
        (&json!("removed"), &json!(3))
    );
}

#[tokio::test]
async fn a_watcher_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let world = World::with(Settings {
        partitions: 3,
        ..Settings::default()
    });
    let writers = (0..300_u64).map(|n| {
        let topic = format!("$twin/d{}/update", n % 7);
        world.send(
            &format!("app{n}"),
            &topic,
            format!(r#"{{"state":{{"reported":{{"n":{n}}}}}}}"#),
            &[],
        )
    });
    let sent: Vec<u64> = writers.collect();
    let mut seen = Vec::new();
    let mut last = 0;
    for read in [1, 50, 100, 149] {
        let mut watcher = match last {
            0 => Watcher::open(&world, "/v1/changes?since=0", None).await,
            _ => Watcher::open(&world, "/v1/changes?since=0", Some(last)).await,
        };
        for _ in 0..read {
            let (id, change) = watcher.next().await;
            assert_eq!(id, last + 1, "in order, without a gap");
            last = id;
            seen.push((change["device"].to_string(), change["version"].as_u64().unwrap()));
        }
    }
    for number in sent {
        world.answer(number).await;
    }
    seen.sort();
    let mut expected: Vec<(String, u64)> = (0..300_u64)
        .map(|n| (format!("\"d{}\"", n % 7), n / 7 + 1))
        .collect();
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_too_old_is_gone_and_what_is_not_there_yet_is_refused() {
    let world = World::with(Settings {
        changes_kept_max: 20,
        partitions: 1,
        ..Settings::default()
    });
    for n in 0..100 {
        wish(&world, "a", n).await;
    }
    let kept = world.count("twin.feed");
    assert!((20..=23).contains(&kept), "{kept}");
    let reply = world.get("/v1/changes?since=1").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["type"]),
        (410, &json!("urn:twinmq:problem:gone"))
    );
    assert_eq!(
        world
            .http("GET", "/v1/changes", &[("last-event-id", "1")], "")
            .await
            .status,
        410
    );
    assert_eq!(world.get("/v1/changes?since=101").await.status, 400);
    assert_eq!(world.get("/v1/changes?since=yesterday").await.status, 400);
    assert_eq!(
        world
            .http("GET", "/v1/changes", &[("last-event-id", "x")], "")
            .await
            .status,
        400
    );
    let mut watcher = Watcher::open(&world, "/v1/changes?since=99", None).await;
    assert_eq!(watcher.next().await.0, 100);
    let world = World::on(world.store.clone(), Settings::default(), Duration::ZERO);
    assert_eq!(
        world.get("/v1/changes?since=1").await.status,
        410,
        "also after a restart"
    );
    assert_eq!(world.service.committed_changes(), 100);
}

/// Nothing is kept for a watcher but two pages; the rest stays in the store until it is read.
#[tokio::test]
async fn a_slow_watcher_is_read_to_from_the_store_at_its_own_pace() {
    let world = World::new();
    let mut watcher = Watcher::open(&world, "/v1/changes", None).await;
    let large = "x".repeat(30_000);
    for n in 0..200 {
        world
            .patch(
                "/v1/devices/a/twin/desired",
                &format!(r#"{{"n":{n},"text":"{large}{n}"}}"#),
            )
            .await;
    }
    for n in 1..=200 {
        assert_eq!(watcher.next().await.0, n);
    }
}

#[tokio::test]
async fn a_watcher_that_falls_behind_what_is_kept_is_told_so() {
    let world = World::with(Settings {
        changes_kept_max: 100,
        partitions: 1,
        ..Settings::default()
    });
    let mut watcher = Watcher::open(&world, "/v1/changes", None).await;
    for n in 0..2000 {
        wish(&world, "a", n).await;
    }
    let mut last = String::new();
    while let Some(chunk) = watcher.chunk().await {
        last = chunk;
    }
    assert!(last.starts_with("event: gone\ndata: changes up to 1"), "{last}");
}

#[tokio::test]
async fn a_silent_stream_says_that_it_is_alive_and_ends_when_told() {
    let world = World::new();
    let mut watcher = Watcher::open(&world, "/v1/changes", None).await;
    assert_eq!(watcher.chunk().await.unwrap(), ": watching\n\n");
    for _ in 0..3 {
        let next = watcher.chunk();
        tokio::pin!(next);
        let beat = loop {
            tokio::select! {
                chunk = &mut next => break chunk,
                () = tokio::task::yield_now() => world.pass(Duration::from_secs(1)),
            }
        };
        assert_eq!(beat.unwrap(), ": still here\n\n");
    }
    world.service.end_streams();
    assert_eq!(watcher.chunk().await, None);
    assert_eq!(
        world.patch("/v1/devices/a/twin/desired", "{}").await.status,
        200,
        "all else goes on"
    );
}

#[tokio::test]
async fn there_are_only_so_many_watchers() {
    let world = World::with(Settings {
        watchers_max: 1,
        ..Settings::default()
    });
    let watcher = Watcher::open(&world, "/v1/changes", None).await;
    assert_eq!(world.get("/v1/changes").await.status, 429);
    drop(watcher);
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    Watcher::open(&world, "/v1/changes", None).await;
}
