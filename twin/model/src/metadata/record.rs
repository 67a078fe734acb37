//! The record form of metadata: a table of distinct writes, and a tree of indexes into it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Branch, Entry, LeafMeta, Metadata, Writer};
use crate::{NodeId, Stamp, Timestamp};

/// In `tree` an object is a branch and a number an index into `writes`. An array with one number is kept free
/// for a leaf that is gone and whose removal must be remembered; a reader that does not know it refuses the record.
#[derive(Serialize, Deserialize)]
pub(crate) struct MetadataRecord {
    writes: Vec<Write>,
    tree: Map<String, Value>,
}

/// Wall part, counter, node, accepted at, writer.
#[derive(Clone, Serialize, Deserialize)]
struct Write(u64, u32, u64, u64, String);

/// A record that does not hold metadata.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damaged {
    #[error("the metadata of key {key:?} is neither a branch nor an index")]
    NotAnEntry { key: String },
    #[error("the metadata of key {key:?} points to write {index}, but there are only {writes}")]
    NoSuchWrite { key: String, index: u64, writes: usize },
}

impl From<Metadata> for MetadataRecord {
    fn from(metadata: Metadata) -> Self {
        let mut table = Table::default();
        let tree = table.tree(&metadata.0);
        Self {
            writes: table.writes,
            tree,
        }
    }
}

#[derive(Default)]
struct Table {
    writes: Vec<Write>,
    index_of: BTreeMap<Arc<LeafMeta>, usize>,
}

impl Table {
    fn tree(&mut self, branch: &Branch) -> Map<String, Value> {
        let entry = |(key, entry): (&String, &Entry)| {
            let value = match entry {
                Entry::Leaf(meta) => Value::from(self.index(meta)),
                Entry::Branch(inner) => Value::Object(self.tree(inner)),
            };
            (key.clone(), value)
        };
        branch.iter().map(entry).collect()
    }

    fn index(&mut self, meta: &Arc<LeafMeta>) -> usize {
        if let Some(index) = self.index_of.get(meta) {
            return *index;
        }
        let LeafMeta {
            stamp,
            accepted_at,
            writer,
        } = &**meta;
        let writer = writer.as_str().to_owned();
        let index = self.writes.len();
        self.writes.push(Write(
            stamp.wall_ms,
            stamp.counter,
            stamp.node.0,
            accepted_at.millis(),
            writer,
        ));
        self.index_of.insert(Arc::clone(meta), index);
        index
    }
}

impl TryFrom<MetadataRecord> for Metadata {
    type Error = Damaged;

    fn try_from(record: MetadataRecord) -> Result<Self, Damaged> {
        let writes: Vec<Arc<LeafMeta>> = record
            .writes
            .into_iter()
            .map(|write| Arc::new(write.into()))
            .collect();
        branch(&record.tree, &writes).map(Self)
    }
}

impl From<Write> for LeafMeta {
    fn from(Write(wall_ms, counter, node, accepted_at, writer): Write) -> Self {
        Self {
            stamp: Stamp {
                wall_ms,
                counter,
                node: NodeId(node),
            },
            accepted_at: Timestamp::from_millis(accepted_at),
            writer: Writer::from(writer),
        }
    }
}

fn branch(tree: &Map<String, Value>, writes: &[Arc<LeafMeta>]) -> Result<Branch, Damaged> {
    tree.iter()
        .map(|(key, value)| Ok((key.clone(), entry(key, value, writes)?)))
        .collect()
}

fn entry(key: &str, value: &Value, writes: &[Arc<LeafMeta>]) -> Result<Entry, Damaged> {
    if let Value::Object(inner) = value {
        return branch(inner, writes).map(Entry::Branch);
    }
    let index = value
        .as_u64()
        .ok_or_else(|| Damaged::NotAnEntry { key: key.to_owned() })?;
    let meta = usize::try_from(index).ok().and_then(|index| writes.get(index));
    let no_such = || Damaged::NoSuchWrite {
        key: key.to_owned(),
        index,
        writes: writes.len(),
    };
    Ok(Entry::Leaf(Arc::clone(meta.ok_or_else(no_such)?)))
}
