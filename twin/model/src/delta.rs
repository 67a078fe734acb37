//! Delta: what desired asks for and reported does not show.

use serde_json::{Map, Value};

use crate::document::{content, same};
use crate::path::Place;
use crate::rejection::Rejections;
use crate::{Document, Path};

/// Every leaf of desired that is absent from reported or different there, below the keys that lead to it.
///
/// Numbers are compared by value, arrays whole. An empty object in desired asks that there be an object, so any
/// reported object satisfies it. What only reported has never appears.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta(Map<String, Value>);

impl Delta {
    /// Compares the two; an absent section is an empty one.
    #[must_use]
    pub fn between(desired: Option<&Document>, reported: Option<&Document>) -> Self {
        Self::without(desired, reported, &Rejections::NONE)
    }

    /// As `between`, leaving out the leaves that were refused.
    pub(crate) fn without(
        desired: Option<&Document>,
        reported: Option<&Document>,
        refused: &Rejections,
    ) -> Self {
        let empty = Map::new();
        let comparison = Comparison {
            refused,
            empty: &empty,
        };
        Self(comparison.differing(None, content(desired, &empty), content(reported, &empty)))
    }

    /// Whether device and wish agree.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The differing leaves.
    #[must_use]
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The differing leaves as a JSON value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The path of every differing leaf.
    #[must_use]
    pub fn leaves(&self) -> Vec<Path> {
        fn walk(at: &Path, map: &Map<String, Value>, found: &mut Vec<Path>) {
            for (key, value) in map {
                match value {
                    Value::Object(inner) if !inner.is_empty() => walk(&at.child(key), inner, found),
                    _ => found.push(at.child(key)),
                }
            }
        }
        let mut found = Vec::new();
        walk(&Path::root(), &self.0, &mut found);
        found
    }
}

struct Comparison<'a> {
    refused: &'a Rejections,
    empty: &'a Map<String, Value>,
}

impl Comparison<'_> {
    fn differing(
        &self,
        at: Option<&Place<'_>>,
        desired: &Map<String, Value>,
        reported: &Map<String, Value>,
    ) -> Map<String, Value> {
        let differs = |(key, wish): (&String, &Value)| {
            let missing = self.missing(&Place::of(at, key), wish, reported.get(key))?;
            Some((key.clone(), missing))
        };
        desired.iter().filter_map(differs).collect()
    }

    /// What is still to be told about one key of desired.
    fn missing(&self, at: &Place<'_>, wish: &Value, found: Option<&Value>) -> Option<Value> {
        match (wish, found) {
            (Value::Object(wish), Some(Value::Object(_))) if wish.is_empty() => None,
            (Value::Object(wish), found) if !wish.is_empty() => {
                let found = found.and_then(Value::as_object).unwrap_or(self.empty);
                let below = self.differing(Some(at), wish, found);
                (!below.is_empty()).then_some(Value::Object(below))
            }
            (wish, Some(found)) if same(wish, found) => None,
            (wish, _) => (self.refused.is_empty() || !self.refused.hold(&at.path())).then(|| wish.clone()),
        }
    }
}
