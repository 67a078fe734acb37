//! Metadata: when and by whom each leaf of a section was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::metadata::record::MetadataRecord;
use crate::{Stamp, Timestamp};

mod record;

/// Who wrote: the name of the authenticated principal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Writer(Arc<str>);

impl Writer {
    /// The writer with this principal name.
    #[must_use]
    pub fn new(principal: &str) -> Self {
        Self(principal.into())
    }

    /// The principal's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Writer {
    fn from(principal: String) -> Self {
        Self(principal.into())
    }
}

impl From<Writer> for String {
    fn from(writer: Writer) -> Self {
        writer.as_str().to_owned()
    }
}

/// The last write of one leaf.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeafMeta {
    /// Orders this write among all writes of the leaf, on whatever broker.
    pub stamp: Stamp,
    /// The wall time at which the write was accepted, for people.
    pub accepted_at: Timestamp,
    /// Who wrote.
    pub writer: Writer,
}

/// How metadata is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As shadow documents do: `{"timestamp": seconds}` per leaf, and one per element inside an array.
    Seconds,
    /// `{"at": milliseconds, "by": writer, "stamp": "wall.counter.node"}` per leaf; an array is one leaf.
    Full,
}

/// One `LeafMeta` for every leaf of a document, in the document's shape. A leaf is a value that is not an
/// object, or an empty object; an array is one leaf.
///
/// The leaves of one write share their `LeafMeta`. The serde form is for records: a table of the distinct
/// `LeafMeta`s and a tree of indexes into it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "MetadataRecord", into = "MetadataRecord")]
pub struct Metadata(Branch);

type Branch = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Leaf(Arc<LeafMeta>),
    Branch(Branch),
}

impl Metadata {
    /// Marks what a change named: `change` is the patch, `after` the document it made.
    pub(crate) fn touch(
        &mut self,
        change: &Map<String, Value>,
        after: &Map<String, Value>,
        meta: &Arc<LeafMeta>,
    ) {
        touch(&mut self.0, change, after, meta);
    }

    /// The metadata of one leaf; `None` where there is no leaf.
    #[must_use]
    pub fn at(&self, path: &crate::Path) -> Option<&LeafMeta> {
        let (last, above) = path.keys().split_last()?;
        let branch = above
            .iter()
            .try_fold(&self.0, |branch, key| match branch.get(key)? {
                Entry::Branch(inner) => Some(inner),
                Entry::Leaf(_) => None,
            })?;
        match branch.get(last)? {
            Entry::Leaf(meta) => Some(meta),
            Entry::Branch(_) => None,
        }
    }

    /// The metadata of those leaves that `shape` names, in its order: a document, a delta, or a patch
    /// (whose removals have none).
    #[must_use]
    pub fn shown(&self, shape: &Map<String, Value>, form: Form) -> Map<String, Value> {
        shown(&self.0, shape, form)
    }
}

fn touch(branch: &mut Branch, change: &Map<String, Value>, after: &Map<String, Value>, meta: &Arc<LeafMeta>) {
    for (key, change) in change {
        match (change, after.get(key)) {
            (_, None) => {
                branch.remove(key);
            }
            (Value::Object(change), Some(Value::Object(after))) if !after.is_empty() => {
                if !matches!(branch.get(key), Some(Entry::Branch(_))) {
                    branch.insert(key.clone(), Entry::Branch(Branch::new()));
                }
                if let Some(Entry::Branch(inner)) = branch.get_mut(key) {
                    touch(inner, change, after, meta);
                }
            }
            (_, Some(_)) => {
                branch.insert(key.clone(), Entry::Leaf(Arc::clone(meta)));
            }
        }
    }
}

fn shown(branch: &Branch, shape: &Map<String, Value>, form: Form) -> Map<String, Value> {
    let mut map = Map::new();
    for (key, value) in shape {
        match (branch.get(key), value) {
            (Some(Entry::Branch(inner)), Value::Object(shape)) => {
                let below = shown(inner, shape, form);
                if !below.is_empty() {
                    map.insert(key.clone(), Value::Object(below));
                }
            }
            (Some(Entry::Leaf(meta)), value) => {
                map.insert(key.clone(), leaf(value, meta, form));
            }
            (Some(Entry::Branch(_)) | None, _) => {}
        }
    }
    map
}

fn leaf(value: &Value, meta: &LeafMeta, form: Form) -> Value {
    match (form, value) {
        (Form::Seconds, Value::Array(elements)) => elements.iter().map(|each| element(each, meta)).collect(),
        (Form::Seconds, _) => seconds(meta),
        (Form::Full, _) => {
            let Stamp {
                wall_ms,
                counter,
                node,
            } = meta.stamp;
            json!({
                "at": meta.accepted_at.millis(),
                "by": meta.writer.as_str(),
                "stamp": format!("{wall_ms}.{counter}.{}", node.0),
            })
        }
    }
}

fn element(value: &Value, meta: &LeafMeta) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(|each| element(each, meta)).collect(),
        Value::Object(map) if !map.is_empty() => map
            .iter()
            .map(|(key, each)| (key.clone(), element(each, meta)))
            .collect(),
        _ => seconds(meta),
    }
}

fn seconds(meta: &LeafMeta) -> Value {
    json!({ "timestamp": meta.accepted_at.seconds() })
}
