//! Metrics: what the service counts, by the names it is known by outside.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use twin_model::SyncStatus;

/// All metrics of the service with their meaning, for the metrics page.
pub(crate) fn describe() {
    metrics::describe_counter!("twin_updates_total", "Writes to twins, by section and result");
    metrics::describe_gauge!("twins", "Twins that exist, by sync status");
    metrics::describe_gauge!("twin_devices_connected", "Devices with a connected client");
    metrics::describe_counter!(
        "twin_deltas_total",
        "Deltas sent to devices: first, again; and twins given up: stalled"
    );
    metrics::describe_gauge!("twin_changes_committed", "Number of the last committed change");
    metrics::describe_gauge!("twin_watchers", "Open streams of changes");
    metrics::describe_histogram!(
        "twin_http_request_seconds",
        metrics::Unit::Seconds,
        "Time from request to response, by route, method and status"
    );
}

pub(crate) fn update(section: &'static str, result: &'static str) {
    counter!("twin_updates_total", "section" => section, "result" => result).increment(1);
}

/// A twin that came, went, or has another status.
pub(crate) fn moved(before: Option<SyncStatus>, after: Option<SyncStatus>) {
    if let Some(before) = before {
        gauge!("twins", "sync" => before.as_str()).decrement(1.0);
    }
    if let Some(after) = after {
        gauge!("twins", "sync" => after.as_str()).increment(1.0);
    }
}

/// How many twins of a status there are when the service starts.
pub(crate) fn found(status: &'static str, count: i64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; 2^53 twins are out of reach"
    )]
    gauge!("twins", "sync" => status).set(count as f64);
}

pub(crate) fn online(change: f64) {
    gauge!("twin_devices_connected").increment(change);
}

pub(crate) fn delta(kind: &'static str) {
    counter!("twin_deltas_total", "kind" => kind).increment(1);
}

pub(crate) fn committed(sequence: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; 2^53 changes are out of reach"
    )]
    gauge!("twin_changes_committed").set(sequence as f64);
}

pub(crate) fn watchers(change: f64) {
    gauge!("twin_watchers").increment(change);
}

pub(crate) fn request(route: String, method: &str, status: u16, took: Duration) {
    let labels = [
        ("route", route),
        ("method", method.to_owned()),
        ("status", status.to_string()),
    ];
    histogram!("twin_http_request_seconds", &labels).record(took.as_secs_f64());
}
