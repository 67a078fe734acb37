//! An app: sets the level that a device shall have, over HTTP, one change after the other.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Record, Signals};
use crate::http::HttpClient;

/// Sets levels until the signal to stop.
pub(super) fn run(address: SocketAddr, device: &str, signals: &Signals) -> Result<Record> {
    let path = format!("/v1/devices/{device}/twin/desired");
    let mut client = HttpClient::open(address)?;
    let mut record = Record::new()?;
    let mut last_version = 0;
    while !signals.stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let level = record.last_value + 1;
        let patch = format!(r#"{{"level":{level}}}"#);
        let answer = client.request("PATCH", &path, Some(("application/merge-patch+json", &patch)))?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            (200..300).contains(&answer.status),
            "PATCH {path} answered {}: {text}",
            answer.status
        );
        let twin: Value = serde_json::from_slice(&answer.body).context("a twin that is no JSON")?;
        let version = twin
            .pointer("/version")
            .and_then(Value::as_u64)
            .context("a twin without version")?;
        record
            .latency
            .saturating_record(begun.elapsed().as_nanos() as u64);
        record.versions_back += u64::from(version <= last_version);
        (record.last_value, last_version) = (level, version);
        signals.confirmed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(record)
}
