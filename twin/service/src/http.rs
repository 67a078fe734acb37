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
use axum::extract::{MatchedPath, Request, State};
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
use exchange::whole;
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
        .route_layer(from_fn_with_state(api.clone(), admit))
        .fallback(unknown)
        .with_state(api)
}

/// Answers every request of a route, and times it.
async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = api.shared.clock.elapsed();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(String::new, |path| path.as_str().to_owned());
    let response = answer(&api, request, next)
        .await
        .unwrap_or_else(|fault| told(&path, fault));
    let took = api.shared.clock.elapsed().saturating_sub(started);
    metrics::request(route, method.as_str(), response.status().as_u16(), took);
    response
}

/// Lets as many requests in as the settings allow. One whose body is still on its way is not in: a slow sender keeps
/// nobody out. Each connection has one body at a time, so the HTTP server's bound on connections bounds bodies, too.
async fn answer(api: &Api, request: Request, next: Next) -> Result<Response, Fault> {
    let request = whole(api, request).await?;
    let _permit = api
        .requests
        .try_acquire()
        .map_err(|_| Fault::unavailable("too many requests are under way (twin.http.requests)"))?;
    Ok(next.run(request).await)
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
