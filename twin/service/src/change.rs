//! Change: one entry of the feed, as JSON that watchers read.

use serde_json::{Map, Value, json};
use twin_model::{Document, Event, Path, Section, SyncStatus, Timestamp, Twin, TwinId};

use crate::presence::Presence;

/// What a write made of a twin, with the value at every place that is different now.
pub(crate) fn of_write(after: &Twin, events: &[Event], by: &str, at: Timestamp) -> Vec<u8> {
    let mut change = head(if after.exists() { "changed" } else { "removed" }, after.id(), at);
    change.insert("by".to_owned(), by.into());
    change.insert("version".to_owned(), after.version().number().into());
    change.insert("tags_version".to_owned(), after.tags_version().number().into());
    let mut places = Vec::new();
    for event in events {
        match event {
            Event::Created => {
                change.insert("created".to_owned(), true.into());
            }
            Event::DesiredChanged { changed } => describe("desired", changed, after.desired(), &mut places),
            Event::Reported { changed } => describe("reported", changed, after.reported(), &mut places),
            Event::TagsChanged { changed } => describe("tags", changed, after.tags(), &mut places),
            Event::SyncChanged { to, .. } => {
                change.insert("sync".to_owned(), to.as_str().into());
            }
            Event::Rejected { path, reason } => {
                places.push(json!({ "path": below("desired", path), "rejected": reason }));
            }
            Event::Converged | Event::DeltaPending { .. } | Event::Removed { .. } => {}
        }
    }
    if !places.is_empty() {
        change.insert("changes".to_owned(), places.into());
    }
    bytes(change)
}

/// A sync status that changed without a write: the device came, went, or was told often enough.
pub(crate) fn of_sync(id: &TwinId, status: SyncStatus, at: Timestamp) -> Vec<u8> {
    let mut change = head("sync", id, at);
    change.insert("sync".to_owned(), status.as_str().into());
    bytes(change)
}

/// A device that came or went.
pub(crate) fn of_presence(device: &str, presence: &Presence, at: Timestamp) -> Vec<u8> {
    json!({ "kind": "presence", "device": device, "at": at.millis(), "presence": presence })
        .to_string()
        .into_bytes()
}

fn head(kind: &str, id: &TwinId, at: Timestamp) -> Map<String, Value> {
    let words = [
        ("kind", kind.into()),
        ("device", id.device.as_str().into()),
        ("twin", id.name.as_str().into()),
        ("at", at.millis().into()),
    ];
    words
        .into_iter()
        .map(|(key, value): (&str, Value)| (key.to_owned(), value))
        .collect()
}

fn describe(name: &str, changed: &[Path], section: Option<&Section>, places: &mut Vec<Value>) {
    let document = section.map(|section| &section.document);
    places.extend(changed.iter().map(|path| {
        let place = ("path".to_owned(), Value::from(below(name, path)));
        let now = match document.and_then(|document| value_at(document, path)) {
            Some(value) => ("value".to_owned(), value),
            None => ("removed".to_owned(), true.into()),
        };
        Value::Object([place, now].into_iter().collect())
    }));
}

fn value_at(document: &Document, path: &Path) -> Option<Value> {
    if path.is_root() {
        Some(document.to_value())
    } else {
        path.find(document.as_map()).cloned()
    }
}

fn below(section: &str, path: &Path) -> String {
    path.below(&[section]).to_string()
}

fn bytes(change: Map<String, Value>) -> Vec<u8> {
    Value::Object(change).to_string().into_bytes()
}
