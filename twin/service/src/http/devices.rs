//! Devices: who there is, whether it is connected, and how its twins are.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plugin_api::Access;
use serde::Deserialize;
use serde_json::{Value, json};
use twin_model::{DeviceName, TwinId};

use super::Api;
use super::caller::Caller;
use super::exchange::{Target, query, read};
use super::fault::Fault;
use super::twins::sync;
use crate::shared::Shared;
use crate::worker::as_found;
use crate::{keys, record};

const LIMIT_DEFAULT: usize = 25;
const LIMIT_MAX: usize = 100;
/// Twins shown of one device; more are found by the list of its named twins.
const TWINS_SHOWN_MAX: usize = 100;
/// Bytes of records read for one page; a page that needs more ends early, and its cursor goes on.
const PAGE_BYTES: usize = 8 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /v1/devices`
pub(crate) async fn list(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Json<Value>, Fault> {
    caller.must(Access::ReadFleet).await?;
    let page: Page = query(&uri)?;
    let limit = page.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Fault::bad_request(format!(
            "limit is a number from 1 to {LIMIT_MAX}"
        )));
    }
    let after = page.cursor.map(|cursor| after(&cursor)).transpose()?;
    let (devices, next) = read(&api, move |shared| devices(shared, after, limit)).await?;
    let cursor = next.map(|last| URL_SAFE_NO_PAD.encode(last.as_str()));
    Ok(Json(json!({ "devices": devices, "cursor": cursor })))
}

/// `GET /v1/devices/{device}`
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Target(TwinId { device, .. }): Target,
) -> Result<Json<Value>, Fault> {
    caller.must_see(&device).await?;
    let shown = read(&api, move |shared| {
        let mut room = PAGE_BYTES;
        let shown = summary(shared, &device, &mut room)?;
        shown.ok_or_else(|| Fault::not_found(format!("nothing is known of a device {device}")))
    });
    shown.await.map(Json)
}

/// The names of a device's named twins, in order, after one of them: the shadow data plane's list.
pub(crate) fn named_twins(
    shared: &Shared,
    device: &DeviceName,
    after: &str,
    limit: usize,
) -> Result<(Vec<String>, bool), Fault> {
    let (start, end) = keys::twins_of(device);
    let from = [start.as_slice(), after.as_bytes()].concat();
    let mut names = Vec::new();
    shared.store.scan(
        shared.spaces.state,
        Bound::Excluded(&from),
        Bound::Excluded(&end),
        &mut |key, bytes| {
            if let Some(id) = keys::twin_of(key).filter(|id| !id.name.is_default())
                && record::to_twin(id.clone(), bytes).is_ok_and(|twin| twin.exists())
            {
                names.push(id.name.to_string());
            }
            if names.len() > limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )?;
    let is_more = names.len() > limit;
    names.truncate(limit);
    Ok((names, is_more))
}

/// The device that a cursor stands for.
fn after(cursor: &str) -> Result<DeviceName, Fault> {
    let name = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let device = name.and_then(|name| DeviceName::try_from(name).ok());
    device.ok_or_else(|| Fault::bad_request("the cursor is not one that this list gave"))
}

/// One page of devices with a twin or a presence, and the last of them if there are more.
fn devices(
    shared: &Shared,
    after: Option<DeviceName>,
    limit: usize,
) -> Result<(Vec<Value>, Option<DeviceName>), Fault> {
    let (mut shown, mut last, mut room) = (Vec::new(), after, PAGE_BYTES);
    loop {
        let Some(device) = next_device(shared, last.as_ref())? else {
            return Ok((shown, None));
        };
        if shown.len() == limit || room == 0 {
            return Ok((shown, last));
        }
        shown.extend(summary(shared, &device, &mut room)?);
        last = Some(device);
    }
}

/// The first device after this one.
fn next_device(shared: &Shared, after: Option<&DeviceName>) -> Result<Option<DeviceName>, Fault> {
    let (past_twins, past_presence) = match after {
        Some(device) => (
            keys::twins_of(device).1,
            [device.as_str().as_bytes(), &[0]].concat(),
        ),
        None => (Vec::new(), Vec::new()),
    };
    let mut found = BTreeSet::new();
    shared.store.scan(
        shared.spaces.state,
        Bound::Included(&past_twins),
        Bound::Unbounded,
        &mut |key, _| match keys::twin_of(key) {
            Some(id) => {
                found.insert(id.device);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        },
    )?;
    shared.store.scan(
        shared.spaces.presence,
        Bound::Included(&past_presence),
        Bound::Unbounded,
        &mut |key, _| match std::str::from_utf8(key)
            .ok()
            .and_then(|name| DeviceName::try_from(name).ok())
        {
            Some(device) => {
                found.insert(device);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        },
    )?;
    Ok(found.pop_first())
}

/// A device with its presence and its twins; `None` when there is neither.
fn summary(shared: &Shared, device: &DeviceName, room: &mut usize) -> Result<Option<Value>, Fault> {
    let presence = shared.presences.of(device)?;
    let is_online = presence.as_ref().is_some_and(|presence| presence.connected);
    let (mut twins, mut is_more) = (Vec::new(), false);
    let span = keys::twins_of(device);
    let (from, to) = keys::span(&span);
    shared
        .store
        .scan(shared.spaces.state, from, to, &mut |key, bytes| {
            *room = room.saturating_sub(bytes.len());
            let twin = keys::twin_of(key)
                .and_then(|id| record::to_twin(id, bytes).ok())
                .filter(twin_model::Twin::exists);
            if let Some(twin) = twin.map(|twin| as_found(twin, is_online, shared.started)) {
                is_more = twins.len() == TWINS_SHOWN_MAX;
                if is_more {
                    return ControlFlow::Break(());
                }
                twins.push(json!({
                    "twin": twin.id().name.as_str(),
                    "version": twin.version().number(),
                    "sync": sync(&twin),
                }));
            }
            ControlFlow::Continue(())
        })?;
    if presence.is_none() && twins.is_empty() {
        return Ok(None);
    }
    let mut shown = json!({ "device": device.as_str(), "presence": presence, "twins": twins });
    if let (Value::Object(shown), true) = (&mut shown, is_more) {
        shown.insert("more_twins".to_owned(), true.into());
    }
    Ok(Some(shown))
}
