//! Rejection: a device's refusal of a leaf, told through `$rejected` in what it reports.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Limits, Path, Refused, Timestamp};

/// The reported key through which a device refuses: `{"$rejected": {"/net/ip": "not my subnet"}}`.
///
/// The paths are JSON Pointers or dotted, see [`Path::parse`]; one that names an object refuses every leaf below,
/// one that leads into an array refuses the array. A `null` reason, or `null` for the whole key, takes the refusal
/// back. The key itself is not kept in the reported document, and no other section may hold it.
pub const REJECTED_KEY: &str = "$rejected";

/// A leaf of desired that the device refused. It is left out of what is sent until its wish changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which leaf.
    pub path: Path,
    /// The device's reason, cut to `reason_bytes_max`.
    pub reason: String,
    /// When it was told.
    pub since: Timestamp,
}

/// The refused leaves of one twin, in the order of their paths.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Rejection>", into = "Vec<Rejection>")]
pub struct Rejections(BTreeMap<Path, Rejection>);

impl Rejections {
    /// Nothing refused.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Whether nothing is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this leaf is refused.
    #[must_use]
    pub fn hold(&self, leaf: &Path) -> bool {
        self.0.contains_key(leaf)
    }

    /// The refused leaves.
    pub fn iter(&self) -> impl Iterator<Item = &Rejection> {
        self.0.values()
    }

    /// Drops the refusals of leaves for which `keep` does not hold.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Path) -> bool) {
        self.0.retain(|leaf, _| keep(leaf));
    }

    /// The refusals that are not in `before`, or have another reason there.
    pub(crate) fn new_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Rejection> {
        self.iter().filter(|each| {
            before
                .0
                .get(&each.path)
                .is_none_or(|old| old.reason != each.reason)
        })
    }

    /// Applies what the device says to the leaves that differ now. A path that names none of them is out of date
    /// and changes nothing.
    pub(crate) fn judge(&mut self, verdicts: Vec<Verdict>, differing: &BTreeSet<Path>, now: Timestamp) {
        for Verdict { path, reason } in verdicts {
            for leaf in named(&path, differing) {
                match &reason {
                    None => {
                        self.0.remove(leaf);
                    }
                    Some(reason) if self.0.get(leaf).is_some_and(|known| known.reason == *reason) => {}
                    Some(reason) => {
                        let rejection = Rejection {
                            path: leaf.clone(),
                            reason: reason.clone(),
                            since: now,
                        };
                        self.0.insert(leaf.clone(), rejection);
                    }
                }
            }
        }
    }
}

impl From<Vec<Rejection>> for Rejections {
    fn from(list: Vec<Rejection>) -> Self {
        Self(list.into_iter().map(|each| (each.path.clone(), each)).collect())
    }
}

impl From<Rejections> for Vec<Rejection> {
    fn from(rejections: Rejections) -> Self {
        rejections.0.into_values().collect()
    }
}

/// What a device says about one path: a reason, or `None` to take its refusal back.
#[derive(Debug)]
pub(crate) struct Verdict {
    path: Path,
    reason: Option<String>,
}

/// Reads the value of `$rejected`.
pub(crate) fn verdicts(value: &Value, limits: &Limits) -> Result<Vec<Verdict>, Refused> {
    let invalid = |at: Path, problem| Refused::InvalidNode {
        at: at.below(&[REJECTED_KEY]),
        problem,
    };
    match value {
        Value::Null => Ok(vec![Verdict {
            path: Path::root(),
            reason: None,
        }]),
        Value::Object(map) => map
            .iter()
            .map(|(text, reason)| {
                let reason = match reason {
                    Value::Null => None,
                    Value::String(reason) => Some(cut(reason, limits.reason_bytes_max).to_owned()),
                    _ => return Err(invalid(Path::root().child(text), "a reason is a string")),
                };
                Ok(Verdict {
                    path: Path::parse(text),
                    reason,
                })
            })
            .collect(),
        _ => Err(invalid(Path::root(), "it maps paths to reasons")),
    }
}

/// Refuses the key in a section that devices do not write refusals to.
pub(crate) fn forbid(map: &Map<String, Value>) -> Result<(), Refused> {
    if !map.contains_key(REJECTED_KEY) {
        return Ok(());
    }
    let problem = "this key is reserved for what a device refuses, in its reported section";
    Err(Refused::InvalidNode {
        at: Path::root().child(REJECTED_KEY),
        problem,
    })
}

/// The leaves at or below the path, or else the one leaf the path leads into.
fn named<'a>(path: &'a Path, leaves: &'a BTreeSet<Path>) -> impl Iterator<Item = &'a Path> {
    let below = leaves.range(path..).take_while(|leaf| path.covers(leaf)); // a path sorts right before all it covers
    let above = leaves.range(..path).next_back().filter(|leaf| leaf.covers(path));
    below.chain(above)
}

fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}
