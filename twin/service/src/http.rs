//! HTTP: the routes on one page, and what holds for all of them.

mod caller;
mod changes;
mod devices;
mod exchange;
mod fault;
mod shadow;
mod twins;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use plugin_api::Authorize;
use tokio::sync::Semaphore;

use crate::metrics;
use crate::service::TwinLink;
use crate::shared::Shared;
use fault::Fault;

/// What every route works with.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    shared: Arc<Shared>,
    link: Arc<TwinLink>,
    authorize: Arc<dyn Authorize>,
    requests: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
}

type Route = (&'static str, &'static str, MethodRouter<Api>);

/// Every route: method, path, handler. The OpenAPI document is held against this list.
fn routes() -> Vec<Route> {
    let mut routes: Vec<Route> = vec![
        ("GET", "/v1/devices", get(devices::list)),
        ("GET", "/v1/devices/{device}", get(devices::show)),
        ("GET", "/v1/changes", get(changes::watch)),
        ("GET", "/things/{thing}/shadow", get(shadow::show)),
        ("POST", "/things/{thing}/shadow", post(shadow::update)),
        ("DELETE", "/things/{thing}/shadow", delete(shadow::remove)),
        (
            "GET",
            "/api/things/shadow/ListNamedShadowsForThing/{thing}",
            get(shadow::list),
        ),
        ("POST", "/topics/{*topic}", post(shadow::publish)),
        ("GET", "/openapi.json", get(openapi)),
    ];
    routes.extend(twin_routes([
        "/v1/devices/{device}/twin",
        "/v1/devices/{device}/twin/desired",
        "/v1/devices/{device}/twin/reported",
        "/v1/devices/{device}/twin/tags",
    ]));
    routes.extend(twin_routes([
        "/v1/devices/{device}/twins/{name}",
        "/v1/devices/{device}/twins/{name}/desired",
        "/v1/devices/{device}/twins/{name}/reported",
        "/v1/devices/{device}/twins/{name}/tags",
    ]));
    routes
}

/// The routes of the default twin or of a named one.
fn twin_routes([whole, desired, reported, tags]: [&'static str; 4]) -> [Route; 6] {
    [
        ("GET", whole, get(twins::show)),
        ("DELETE", whole, delete(twins::remove)),
        ("PATCH", desired, patch(twins::patch_desired)),
        ("PUT", desired, put(twins::replace_desired)),
        ("PATCH", reported, patch(twins::patch_reported)),
        ("PATCH", tags, patch(twins::patch_tags)),
    ]
}

pub(crate) fn router(shared: Arc<Shared>, link: Arc<TwinLink>, authorize: Arc<dyn Authorize>) -> Router {
    let requests = Arc::new(Semaphore::new(shared.settings.requests_max));
    let watchers = Arc::new(Semaphore::new(shared.settings.watchers_max));
    let api = Api {
        shared,
        link,
        authorize,
        requests,
        watchers,
    };
    let router = routes()
        .into_iter()
        .fold(Router::new(), |router, (_, path, handler)| {
            router.route(path, handler)
        });
    router
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(
            api.shared.settings.limits.request_bytes_max,
        ))
        .route_layer(from_fn_with_state(api.clone(), admit))
        .fallback(unknown)
        .with_state(api)
}

/// Lets as many requests in as the settings allow, and times them.
async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = api.shared.clock.elapsed();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(String::new, |path| path.as_str().to_owned());
    let response = match Arc::clone(&api.requests).try_acquire_owned() {
        Ok(_permit) => next.run(request).await,
        Err(_) => told(
            &path,
            Fault::unavailable("too many requests are under way (twin.http.requests)"),
        ),
    };
    let took = api.shared.clock.elapsed().saturating_sub(started);
    metrics::request(route, method.as_str(), response.status().as_u16(), took);
    response
}

async fn openapi() -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        include_str!("http/openapi.json"),
    )
        .into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    told(uri.path(), Fault::wrong_method(&method, uri.path()))
}

async fn unknown(uri: Uri) -> Response {
    told(
        uri.path(),
        Fault::not_found(format!(
            "there is nothing at {}; /openapi.json lists what there is",
            uri.path()
        )),
    )
}

/// A fault in the words of the path it happened on.
fn told(path: &str, fault: Fault) -> Response {
    let is_shadow = ["/things/", "/api/things/", "/topics/"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    if is_shadow {
        fault.as_exception()
    } else {
        fault.into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    #[test]
    fn the_openapi_document_describes_exactly_these_routes() {
        let document: Value = serde_json::from_str(include_str!("http/openapi.json")).expect("JSON");
        let paths = document.get("paths").and_then(Value::as_object).expect("paths");
        let operations = |(path, item): (&String, &Value)| -> Vec<(String, String)> {
            let item = item.as_object().expect("an object");
            let methods = item.keys().filter(|key| *key != "parameters");
            methods
                .map(|method| (method.to_uppercase(), path.clone()))
                .collect()
        };
        let described: BTreeSet<(String, String)> = paths.iter().flat_map(operations).collect();
        let served = super::routes();
        let served = served
            .iter()
            .map(|(method, path, _)| ((*method).to_owned(), path.replace("{*", "{")));
        assert_eq!(described, served.collect());
    }
}
