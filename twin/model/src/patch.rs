//! Patch: a change to a section by merging, where null removes.

use serde_json::{Map, Value};

use crate::document::{Nulls, check, object, read};
use crate::error::Node;
use crate::{Document, Limits, Path, Refused};

/// A JSON Merge Patch (RFC 7396) to one section: only what it names changes.
///
/// * `null` removes a key; removing what is not there is no fault.
/// * Arrays are one value and replaced whole.
/// * An empty object is stored where there is no object; onto an object it names nothing and changes nothing.
/// * A patch is an object: a section is removed by `SectionChange::Clear`, never by a patch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patch(Map<String, Value>);

impl Patch {
    /// Reads a patch from the bytes of a request.
    ///
    /// # Errors
    /// `Refused` names what is wrong and where.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Refused> {
        Self::from_value(read(bytes, limits)?, limits)
    }

    /// Checks a value that is already JSON.
    ///
    /// # Errors
    /// As [`Patch::parse`].
    pub fn from_value(value: Value, limits: &Limits) -> Result<Self, Refused> {
        Self::of(value, Node::Desired, limits)
    }

    pub(crate) fn of(value: Value, node: Node, limits: &Limits) -> Result<Self, Refused> {
        let map = object(value, node)?;
        check(&map, Nulls::Allowed, limits)?;
        Ok(Self(map))
    }

    /// What the patch says.
    #[must_use]
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Changes a document, and says at which places it is different now.
    pub fn apply(&self, document: &mut Document) -> Vec<Path> {
        let after = self.applied_to(document);
        let changed = crate::document::differences(document.as_map(), after.as_map());
        *document = after;
        changed
    }

    /// The document after the change.
    #[must_use]
    pub fn applied_to(&self, document: &Document) -> Document {
        let mut map = document.as_map().clone();
        merge(&mut map, &self.0);
        Document::made(map)
    }

    /// The same patch without one of its top-level keys, and what stood there.
    pub(crate) fn without(&self, key: &str) -> (Self, Option<Value>) {
        let mut map = self.0.clone();
        let taken = map.shift_remove(key);
        (Self(map), taken)
    }
}

fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    if patch.values().any(Value::is_null) {
        // One pass that keeps the order: removing many keys one by one would cost their number squared.
        target.retain(|key, _| !patch.get(key).is_some_and(Value::is_null));
    }
    for (key, change) in patch {
        match change {
            Value::Null => {}
            Value::Object(change) => {
                if !target.get(key).is_some_and(Value::is_object) {
                    target.insert(key.clone(), Value::Object(Map::new()));
                }
                if let Some(Value::Object(inner)) = target.get_mut(key) {
                    merge(inner, change);
                }
            }
            whole => {
                target.insert(key.clone(), whole.clone());
            }
        }
    }
}
