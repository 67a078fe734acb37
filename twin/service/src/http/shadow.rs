//! Shadow: the data plane that shadow clients know, on their paths and in their words.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use plugin_api::{LinkPublish, QoS, Section, To, TopicName};
use serde::Deserialize;
use serde_json::{Value, json};
use twin_model::{
    ClientToken, Command, Condition, NoChange, SectionChange, TwinId, TwinName, Update, UpdateRequest,
};

use super::Api;
use super::caller::Caller;
use super::exchange::{Target, ask, body, query, read};
use super::fault::{Exception, Fault};
use crate::ask::{Wish, Work};
use crate::documents::{self, Stub};
use crate::http::devices::named_twins;
use crate::topics;

const PAGE_DEFAULT: usize = 25;
const PAGE_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Page {
    next_token: Option<String>,
    page_size: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sending {
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
}

/// `GET /things/{thing}/shadow`
pub(crate) async fn show(State(api): State<Api>, request: Request) -> Result<Response, Exception> {
    let (caller, id, _) = open(&api, request).await?;
    let sight = caller.must_see(&id.device).await?;
    if !(sight.desired && sight.reported) {
        return Err(Fault::forbidden().into());
    }
    let told = ask(&api, id, Work::Read).await?;
    Ok(json_answer(documents::get_accepted(
        &told.twin,
        &Stub {
            at: told.at,
            client_token: None,
        },
    )))
}

/// `POST /things/{thing}/shadow`
pub(crate) async fn update(State(api): State<Api>, request: Request) -> Result<Response, Exception> {
    let (caller, id, request) = open(&api, request).await?;
    let limits = &api.shared.settings.limits;
    let bytes = body(&api, request).await?;
    let UpdateRequest {
        update,
        echo,
        condition,
        client_token,
    } = UpdateRequest::parse(&bytes, limits)?;
    for section in written(&update) {
        caller.must_write(&id.device, *section).await?;
    }
    let command = Command::Update(update.clone());
    let wish = wish(&caller, command, condition, client_token.clone());
    let told = ask(&api, id, Work::Write(Box::new(wish))).await?;
    let stub = Stub {
        at: told.at,
        client_token,
    };
    Ok(json_answer(documents::update_accepted(
        &told.twin, &update, &echo, &stub,
    )))
}

/// `DELETE /things/{thing}/shadow`
pub(crate) async fn remove(State(api): State<Api>, request: Request) -> Result<Response, Exception> {
    let (caller, id, _) = open(&api, request).await?;
    caller.must_write(&id.device, Section::Whole).await?;
    let wish = wish(&caller, Command::Remove, Condition::None, None);
    let told = ask(&api, id, Work::Write(Box::new(wish))).await?;
    Ok(json_answer(documents::delete_accepted(
        told.before,
        &Stub {
            at: told.at,
            client_token: None,
        },
    )))
}

/// `GET /api/things/shadow/ListNamedShadowsForThing/{thing}`
pub(crate) async fn list(State(api): State<Api>, request: Request) -> Result<Json<Value>, Exception> {
    let (mut parts, _) = request.into_parts();
    let (caller, Target(id)) = caller_and_target(&mut parts, &api).await?;
    caller.must_see(&id.device).await?;
    let Page {
        next_token,
        page_size,
    } = query(&parts.uri)?;
    let limit = page_size.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Fault::bad_request(format!("pageSize is a number from 1 to {PAGE_MAX}")).into());
    }
    let after = match next_token {
        Some(token) => {
            TwinName::try_from(token.as_str()).map_err(|_| Fault::bad_request("nextToken is not ours"))?
        }
        None => TwinName::default_twin(),
    };
    let page = read(&api, move |shared| {
        named_twins(shared, &id.device, after.as_str(), limit)
    });
    let (names, is_more) = page.await?;
    let next = names.last().filter(|_| is_more).map(String::as_str);
    Ok(Json(documents::named(&names, next, api.shared.clock.wall())))
}

/// `POST /topics/{topic}`: publishes the body.
pub(crate) async fn publish(State(api): State<Api>, request: Request) -> Result<Json<Value>, Exception> {
    let (mut parts, content) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &api).await?;
    let topic = topic_of(&parts.uri)?;
    let Sending { qos, retain } = query(&parts.uri)?;
    let qos = match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => return Err(Fault::bad_request("qos is 0 or 1").into()),
    };
    if TopicName::parse(&topic).is_err() {
        return Err(Fault::bad_request("this is not a topic name").into());
    }
    if topics::is_reserved(&topic) {
        return Err(Fault::bad_request(
            "twin topics are not published to by HTTP; use /things/{thing}/shadow",
        )
        .into());
    }
    caller
        .must(plugin_api::Access::Publish {
            topic: topic.clone(),
            qos,
            retain,
        })
        .await?;
    let payload = body(&api, Request::from_parts(parts, content)).await?;
    let broker = api
        .shared
        .broker
        .get()
        .ok_or_else(|| Fault::unavailable("the broker is not running yet"))?;
    let message = LinkPublish {
        topic: topic.as_str().into(),
        payload,
        properties: Bytes::new(),
        qos,
        retain,
        to: To::Everyone,
        replace: None,
    };
    broker.publish(&topic, vec![message]).await;
    Ok(Json(json!({ "message": "OK" })))
}

/// Who asks, and about which twin.
async fn open(api: &Api, request: Request) -> Result<(Caller, TwinId, Request), Fault> {
    let (mut parts, content): (Parts, Body) = request.into_parts();
    let (caller, Target(mut id)) = caller_and_target(&mut parts, api).await?;
    if let Which { name: Some(name) } = query(&parts.uri)? {
        id.name = TwinName::new(&name, &api.shared.settings.limits)?;
    }
    Ok((caller, id, Request::from_parts(parts, content)))
}

async fn caller_and_target(parts: &mut Parts, api: &Api) -> Result<(Caller, Target), Fault> {
    Ok((
        Caller::from_request_parts(parts, api).await?,
        Target::from_request_parts(parts, api).await?,
    ))
}

/// The sections that an update writes. One that names none still makes a new version of both.
const fn written(update: &Update) -> &'static [Section] {
    match (&update.desired, &update.reported) {
        (SectionChange::Keep, SectionChange::Keep) => &[Section::Desired, Section::Reported],
        (_, SectionChange::Keep) => &[Section::Desired],
        (SectionChange::Keep, _) => &[Section::Reported],
        (_, _) => &[Section::Desired, Section::Reported],
    }
}

fn wish(caller: &Caller, command: Command, condition: Condition, client_token: Option<ClientToken>) -> Wish {
    let writer = std::sync::Arc::clone(&caller.principal.name);
    Wish {
        command,
        condition,
        no_change: NoChange::BumpVersion,
        writer,
        client_token,
    }
}

/// The topic behind `/topics/`, whether its slashes are encoded or not.
fn topic_of(uri: &Uri) -> Result<String, Fault> {
    let encoded = uri.path().strip_prefix("/topics/").unwrap_or_default();
    let topic = percent_encoding::percent_decode_str(encoded).decode_utf8();
    topic
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Fault::bad_request("the topic is not UTF-8"))
}

fn json_answer(document: Bytes) -> Response {
    (
        [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        document,
    )
        .into_response()
}
