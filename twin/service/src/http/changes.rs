//! Changes: the feed as a stream of server-sent events, which goes on where a reader left off.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_core::Stream;
use plugin_api::Access;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Api;
use super::caller::Caller;
use super::exchange::{query, text};
use super::fault::Fault;
use crate::feed::{Entry, FeedError};
use crate::metrics;
use crate::shared::{Shared, Stage};

/// Pages of changes that may wait for one watcher. A watcher that is slower is read to from the store, at its pace.
const PAGES_MAX: usize = 2;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    since: Option<u64>,
}

/// `GET /v1/changes`: every change after `Last-Event-ID` or `since`, or from now on.
pub(crate) async fn watch(
    State(api): State<Api>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    caller.must(Access::ReadFleet).await?;
    let start: Start = query(&uri)?;
    let after = match text(&headers, "last-event-id")? {
        Some(id) => Some(
            id.parse()
                .map_err(|_| Fault::bad_request("Last-Event-ID is the number of a change"))?,
        ),
        None => start.since,
    };
    let feed = &api.shared.feed;
    let after = after.unwrap_or_else(|| feed.committed());
    if after.saturating_add(1) < feed.oldest() {
        return Err(gone(feed.oldest()));
    }
    if after > feed.committed() {
        let detail = format!(
            "there is no change {after} yet, the last one is {}",
            feed.committed()
        );
        return Err(Fault::bad_request(detail));
    }
    let Ok(permit) = Arc::clone(&api.watchers).try_acquire_owned() else {
        let detail = "as many watch already as twin.changes.watchers allows";
        return Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, "too-many", detail));
    };
    let (pages, stream) = mpsc::channel(PAGES_MAX);
    tokio::spawn(follow(Arc::clone(&api.shared), after, pages, permit));
    let head = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(Pages(stream))).into_response())
}

fn gone(oldest: u64) -> Fault {
    let detail = format!("the oldest change that is kept is {oldest}; read the twins and watch from now on");
    Fault::new(StatusCode::GONE, "gone", detail)
}

/// Reads the feed to one watcher until it hangs up, falls behind what is kept, or the service stops.
async fn follow(
    shared: Arc<Shared>,
    mut after: u64,
    pages: mpsc::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
) {
    let _open = Open::new();
    let (mut news, mut ending) = (shared.feed.follow(), shared.stage.subscribe());
    let mut heartbeat = shared.clock.elapsed() + shared.settings.heartbeat;
    // The first line tells the watcher that it is connected, before anything changes.
    let mut page = Bytes::from_static(b": watching\n\n");
    loop {
        if !page.is_empty() {
            tokio::select! {
                sent = pages.send(page) => if sent.is_err() { return },
                _ = ending.wait_for(|stage| *stage >= Stage::EndingStreams) => return,
            }
            heartbeat = shared.clock.elapsed() + shared.settings.heartbeat;
        }
        if *news.borrow_and_update() <= after {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = shared.clock.reach(heartbeat) => {
                    page = Bytes::from_static(b": still here\n\n");
                    continue;
                }
                () = pages.closed() => return,
                _ = ending.wait_for(|stage| *stage >= Stage::EndingStreams) => return,
            }
        }
        let feed = Arc::clone(&shared.feed);
        match tokio::task::spawn_blocking(move || feed.read(after)).await {
            Ok(Ok((entries, reached))) => {
                after = reached;
                page = events(&entries);
            }
            Ok(Err(error @ FeedError::Gone { .. })) => {
                // It hangs up if it cannot take even this; nothing more could be told it then.
                drop(pages.send(format!("event: gone\ndata: {error}\n\n").into()).await);
                return;
            }
            Ok(Err(error @ FeedError::Unreadable(_))) => {
                return tracing::error!(%error, "the feed cannot be read");
            }
            Err(_) => return, // the runtime is going down
        }
    }
}

/// Changes as events: the number is the id, the JSON of the change is the data.
fn events(entries: &VecDeque<Entry>) -> Bytes {
    let mut page = Vec::new();
    for Entry { sequence, change } in entries {
        page.extend_from_slice(format!("id: {sequence}\ndata: ").as_bytes());
        page.extend_from_slice(change); // compact JSON holds no line break
        page.extend_from_slice(b"\n\n");
    }
    page.into()
}

/// The pages of one watcher as a body.
struct Pages(mpsc::Receiver<Bytes>);

impl Stream for Pages {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|page| page.map(Ok))
    }
}

/// Counts a watcher as long as it lives.
struct Open;

impl Open {
    fn new() -> Self {
        metrics::watchers(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::watchers(-1.0);
    }
}
