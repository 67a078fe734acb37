//! Health, readiness and the metrics page of the whole house.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Extension, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use broker::Overload;
use metrics_exporter_prometheus::PrometheusHandle;
use plugin_api::{Access, Authorize, Decision, Principal};
use serde_json::json;
use store::Store;

/// What the pages are made of.
#[derive(Clone)]
pub(crate) struct Status {
    pub(crate) store: Store,
    pub(crate) broker: Arc<broker::Handle>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) authorize: Arc<dyn Authorize>,
}

/// Pages that tell nothing about anybody: whoever reaches the port may ask.
pub(crate) fn open_routes(status: Status) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(status)
}

/// Pages for operators.
pub(crate) fn operator_routes(status: Status) -> Router {
    Router::new()
        .route("/metrics", get(metrics_page))
        .with_state(status)
}

/// Ready, or degraded with what was set aside, what keeps the store from taking more and what is done because memory is
/// short. A degraded broker serves everything that was not damaged; where it takes no more, or nobody new, the status is 503,
/// so that others get the new work.
async fn readiness(State(status): State<Status>) -> Response {
    let problem = crate::alarm::problem(&status.store);
    let damage: Vec<_> = status
        .store
        .set_aside()
        .into_iter()
        .map(|item| json!({ "file": item.file, "reason": item.reason, "may_have_held": item.may_have_held }))
        .collect();
    let memory = status.broker.memory_problem();
    let is_well = damage.is_empty() && problem.is_none() && memory.is_none();
    let word = if is_well { "ready" } else { "degraded" };
    let code = if problem.is_some() || status.broker.overload() == Overload::Refusing {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let page = json!({ "status": word, "set_aside": damage, "store": problem, "memory": memory });
    (code, Json(page)).into_response()
}

async fn metrics_page(
    State(status): State<Status>,
    Extension(principal): Extension<Arc<Principal>>,
) -> Response {
    let allowed = status.authorize.authorize(&principal, &Access::Operate).await;
    if !matches!(allowed, Ok(Decision::Allow)) {
        return crate::http::problem(
            StatusCode::FORBIDDEN,
            "operators only: the ACL has no `operate` for this principal",
        );
    }
    status.broker.stats().await;
    crate::gauges::record(&status.store);
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        status.metrics.render(),
    )
        .into_response()
}
