//! Twins: read, change and remove one twin.

use axum::extract::{Request, State};
use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::HeaderMap};
use plugin_api::Section;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use twin_model::{Command, Document, EntityTag, Form, NoChange, Patch, Rejection, Twin, TwinId};

use super::Api;
use super::caller::{Caller, Sight};
use super::exchange::{Target, ask, body, condition, is_known, must_be, query, read, under};
use super::fault::Fault;
use crate::ask::{Wish, Work};
use crate::presence::Presence;

const MERGE_PATCH: &str = "application/merge-patch+json";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    metadata: bool,
}

/// `GET`: the twin as the caller may see it.
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Target(id): Target,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let sight = caller.must_see(&id.device).await?;
    let options: Options = query(&uri)?;
    let told = ask(&api, id, Work::Read).await?;
    let tag = told.twin.entity_tag();
    if is_known(&headers, tag)? {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, quoted(tag))]).into_response());
    }
    shown(&api, &told.twin, sight, options).await
}

/// `PATCH .../desired`
pub(crate) async fn patch_desired(
    State(api): State<Api>,
    caller: Caller,
    Target(id): Target,
    request: Request,
) -> Result<Response, Fault> {
    patch(&api, &caller, id, Section::Desired, Command::SetDesired, request).await
}

/// `PATCH .../reported`, for those who report in the place of a device.
pub(crate) async fn patch_reported(
    State(api): State<Api>,
    caller: Caller,
    Target(id): Target,
    request: Request,
) -> Result<Response, Fault> {
    patch(&api, &caller, id, Section::Reported, Command::Report, request).await
}

/// `PATCH .../tags`
pub(crate) async fn patch_tags(
    State(api): State<Api>,
    caller: Caller,
    Target(id): Target,
    request: Request,
) -> Result<Response, Fault> {
    patch(&api, &caller, id, Section::Tags, Command::SetTags, request).await
}

/// `PUT .../desired`: the document takes the place of the section.
pub(crate) async fn replace_desired(
    State(api): State<Api>,
    caller: Caller,
    Target(id): Target,
    request: Request,
) -> Result<Response, Fault> {
    caller.must_write(&id.device, Section::Desired).await?;
    must_be(request.headers(), "application/json")?;
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let document = Document::parse(&body(&api, request).await?, &api.shared.settings.limits)?;
    write(
        &api,
        &caller,
        id,
        Command::ReplaceDesired(document),
        &uri,
        &headers,
    )
    .await
}

/// `DELETE`: the twin is gone; its version stays behind.
pub(crate) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Target(id): Target,
    headers: HeaderMap,
) -> Result<StatusCode, Fault> {
    caller.must_write(&id.device, Section::Whole).await?;
    let condition = condition(&headers)?;
    let wish = wish(&caller, Command::Remove, condition.clone());
    ask(&api, id, Work::Write(Box::new(wish)))
        .await
        .map_err(|failure| under(&condition, failure))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn patch(
    api: &Api,
    caller: &Caller,
    id: TwinId,
    section: Section,
    command: fn(Patch) -> Command,
    request: Request,
) -> Result<Response, Fault> {
    caller.must_write(&id.device, section).await?;
    must_be(request.headers(), MERGE_PATCH)?;
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let patch = Patch::parse(&body(api, request).await?, &api.shared.settings.limits)?;
    write(api, caller, id, command(patch), &uri, &headers).await
}

async fn write(
    api: &Api,
    caller: &Caller,
    id: TwinId,
    command: Command,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let (options, condition) = (query::<Options>(uri)?, condition(headers)?);
    let sight = caller.sight(&id.device).await;
    let wish = wish(caller, command, condition.clone());
    let told = ask(api, id, Work::Write(Box::new(wish)))
        .await
        .map_err(|failure| under(&condition, failure))?;
    shown(api, &told.twin, sight, options).await
}

fn wish(caller: &Caller, command: Command, condition: twin_model::Condition) -> Wish {
    let writer = std::sync::Arc::clone(&caller.principal.name);
    Wish {
        command,
        condition,
        no_change: NoChange::KeepVersion,
        writer,
        client_token: None,
    }
}

async fn shown(api: &Api, twin: &Twin, sight: Sight, options: Options) -> Result<Response, Fault> {
    let device = twin.id().device.clone();
    let presence = read(api, move |shared| Ok(shared.presences.of(&device)?)).await?;
    let twin_document = document(twin, sight, presence.as_ref(), options.metadata);
    Ok(([(ETAG, quoted(twin.entity_tag()))], Json(twin_document)).into_response())
}

/// A twin as JSON, with those sections that may be seen. A section that is not there is shown empty.
fn document(twin: &Twin, sight: Sight, presence: Option<&Presence>, with_metadata: bool) -> Value {
    let mut shown = json!({
        "device": twin.id().device.as_str(),
        "twin": twin.id().name.as_str(),
        "version": twin.version().number(),
        "tags_version": twin.tags_version().number(),
    });
    let Value::Object(map) = &mut shown else {
        return shown;
    };
    let mut metadata = Map::new();
    let sections = [
        ("desired", sight.desired, twin.desired()),
        ("reported", sight.reported, twin.reported()),
        ("tags", sight.tags, twin.tags()),
    ];
    for (name, _, section) in sections.into_iter().filter(|(_, is_seen, _)| *is_seen) {
        map.insert(
            name.to_owned(),
            section.map_or_else(|| json!({}), |section| section.document.to_value()),
        );
        if let Some(section) = section {
            let of_leaves = section.metadata.shown(section.document.as_map(), Form::Full);
            metadata.insert(name.to_owned(), Value::Object(of_leaves));
        }
    }
    if sight.desired {
        map.insert("delta".to_owned(), twin.delta().to_value());
        let rejected: Vec<Value> = twin.rejections().map(rejection).collect();
        map.insert("rejected".to_owned(), rejected.into());
    }
    map.insert("sync".to_owned(), sync(twin));
    map.insert("presence".to_owned(), json!(presence));
    if with_metadata {
        map.insert("metadata".to_owned(), Value::Object(metadata));
    }
    shown
}

/// How far a device is from what it should be.
pub(crate) fn sync(twin: &Twin) -> Value {
    json!({ "status": twin.sync().status.as_str(), "since": twin.sync().since.millis() })
}

fn rejection(rejection: &Rejection) -> Value {
    json!({ "path": rejection.path.to_string(), "reason": rejection.reason, "since": rejection.since.millis() })
}

fn quoted(tag: EntityTag) -> HeaderValue {
    HeaderValue::try_from(format!("\"{tag}\"")).expect("digits, a dot and quotes are a header value")
}
