//! Exchange: the parts of a request read strictly, and asks carried to partitions.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use twin_model::{Condition, EntityTag, TwinId, Version};

use super::Api;
use super::fault::Fault;
use crate::ask::{Ask, Failure, Told, Work};
use crate::shared::Shared;
use crate::topics;
use crate::worker::Mail;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// The twin that a path names: `{device}` (or `{thing}`) and, for named twins, `{name}`.
#[derive(Debug)]
pub(crate) struct Target(pub(crate) TwinId);

impl FromRequestParts<Api> for Target {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Fault> {
        let params = RawPathParams::from_request_parts(parts, api).await;
        let params = params.map_err(|_| Fault::bad_request("the path is not UTF-8"))?;
        let param = |name: &str| {
            params
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        let limits = &api.shared.settings.limits;
        let device = topics::device_name(
            param("device").or_else(|| param("thing")).unwrap_or_default(),
            limits,
        )?;
        let Some(name) = param("name") else {
            return Ok(Self(TwinId::default_of(device)));
        };
        Ok(Self(TwinId {
            device,
            name: twin_model::TwinName::new(name, limits)?,
        }))
    }
}

/// The query of a request; keys it does not know are refused by the type.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Fault> {
    match Query::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(error) => Err(Fault::bad_request(format!(
            "the query cannot be used: {}",
            error.body_text()
        ))),
    }
}

/// The same request once its body is here, up to the limit of requests. A sender has only so much time.
pub(crate) async fn whole(api: &Api, request: Request) -> Result<Request, Fault> {
    let bytes_max = api.shared.settings.limits.request_bytes_max;
    let (parts, content) = request.into_parts();
    let mut content = Request::new(content);
    DefaultBodyLimit::max(bytes_max).apply(&mut content);
    let deadline = api.shared.clock.elapsed() + BODY_PATIENCE;
    let read = tokio::select! {
        read = Bytes::from_request(content, api) => read,
        () = api.shared.clock.reach(deadline) => return Err(Fault::too_slow(BODY_PATIENCE)),
    };
    match read {
        Ok(bytes) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Fault::too_large(bytes_max))
        }
        Err(_) => Err(Fault::bad_request("the body ended early")),
    }
}

/// The body of a request that is whole.
pub(crate) async fn body(api: &Api, request: Request) -> Result<Bytes, Fault> {
    let bytes_max = api.shared.settings.limits.request_bytes_max;
    let read = to_bytes(request.into_body(), bytes_max).await;
    read.map_err(|_| Fault::too_large(bytes_max))
}

/// Goes on only if the body is of this type; parameters such as a charset are ignored.
pub(crate) fn must_be(headers: &HeaderMap, wanted: &'static str) -> Result<(), Fault> {
    let found = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) {
        Ok(())
    } else {
        Err(Fault::unsupported(found, wanted))
    }
}

/// What a write depends on, by its headers: at most one of `If-Match`, `If-None-Match: *` and `If-Version`.
pub(crate) fn condition(headers: &HeaderMap) -> Result<Condition, Fault> {
    let conditions: Vec<Condition> = [
        text(headers, IF_MATCH.as_str())?.map(if_match).transpose()?,
        text(headers, IF_NONE_MATCH.as_str())?
            .map(if_none_match)
            .transpose()?,
        text(headers, "if-version")?.map(if_version).transpose()?,
    ]
    .into_iter()
    .flatten()
    .collect();
    match <[Condition; 1]>::try_from(conditions) {
        Ok([condition]) => Ok(condition),
        Err(none) if none.is_empty() => Ok(Condition::None),
        Err(_) => Err(Fault::bad_request(
            "give one of If-Match, If-None-Match and If-Version",
        )),
    }
}

/// Whether a reader has this already (`If-None-Match`).
pub(crate) fn is_known(headers: &HeaderMap, current: EntityTag) -> Result<bool, Fault> {
    let Some(list) = text(headers, IF_NONE_MATCH.as_str())? else {
        return Ok(false);
    };
    Ok(list == "*" || tags(&list)?.contains(&current))
}

fn if_match(list: String) -> Result<Condition, Fault> {
    if list == "*" {
        Ok(Condition::IfExists)
    } else {
        tags(&list).map(Condition::IfMatch)
    }
}

fn if_none_match(list: String) -> Result<Condition, Fault> {
    if list == "*" {
        return Ok(Condition::IfAbsent);
    }
    Err(Fault::bad_request(
        "If-None-Match of a write can only be *; to write to what you have read use If-Match",
    ))
}

fn if_version(number: String) -> Result<Condition, Fault> {
    let number = number
        .parse()
        .map_err(|_| Fault::bad_request("If-Version is a whole number"))?;
    Ok(Condition::IfVersion(Version::new(number)))
}

/// The entity tags of a list. One that no twin can have is no fault: it matches nothing.
fn tags(list: &str) -> Result<Vec<EntityTag>, Fault> {
    let mut tags = Vec::new();
    for item in list.split(',').map(str::trim) {
        let quoted = item.strip_prefix("W/").unwrap_or(item);
        let text = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let text = text
            .ok_or_else(|| Fault::bad_request("an entity tag stands in double quotes, such as \"42.3\""))?;
        tags.extend(text.parse::<EntityTag>().ok());
    }
    Ok(tags)
}

/// The one value of a header.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Fault::bad_request(format!("the header {name} is there twice")));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(_) => Err(Fault::bad_request(format!("the header {name} is not text"))),
    }
}

/// Brings an ask to the partition of its device, and waits for the answer.
pub(crate) async fn ask(api: &Api, id: TwinId, work: Work) -> Result<Told, Failure> {
    let (reply, answer) = oneshot::channel();
    let mailbox = api.link.mailbox_of(id.device.as_str());
    mailbox.put(Mail::Ask(Ask { id, work, reply }));
    answer.await.unwrap_or(Err(Failure::Stopping))
}

/// Runs what reads the store where it delays nobody.
pub(crate) async fn read<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&Shared) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let shared = std::sync::Arc::clone(&api.shared);
    tokio::task::spawn_blocking(move || work(&shared))
        .await
        .unwrap_or_else(|_| Err(Fault::internal()))
}

/// The status of a fault that a condition of the headers has caused.
pub(crate) fn under(condition: &Condition, failure: Failure) -> Fault {
    use twin_model::Refused::{AlreadyExists, EntityTagConflict, InvalidVersion, NotFound, VersionConflict};
    match (condition, failure) {
        (
            Condition::IfVersion(_) | Condition::IfMatch(_) | Condition::IfExists | Condition::IfAbsent,
            Failure::Refused(
                refused @ (NotFound { .. }
                | AlreadyExists { .. }
                | EntityTagConflict { .. }
                | VersionConflict { .. }
                | InvalidVersion { .. }),
            ),
        ) => Fault::precondition(&refused),
        (_, failure) => failure.into(),
    }
}
