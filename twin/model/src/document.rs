//! Document: the content of one section, a JSON object within bounds.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Node;
use crate::number::{is_comparable, same_number};
use crate::path::Place;
use crate::{Limits, Path, Refused};

/// One section's content: a JSON object with no `null` anywhere, within the limits it came in under.
///
/// Keys keep their order and numbers their literal. When a key stands twice in the text, the last one counts.
/// Its serde form is for records: reading one back checks its shape, not today's limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Document(Map<String, Value>);

impl Document {
    /// Reads a document from the bytes of a request.
    ///
    /// # Errors
    /// `Refused` names what is wrong and where: not UTF-8, not JSON, not an object, too large, too deep, a `null`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Refused> {
        Self::from_value(read(bytes, limits)?, limits)
    }

    /// Checks a value that is already JSON.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn from_value(value: Value, limits: &Limits) -> Result<Self, Refused> {
        let map = object(value, Node::Desired)?;
        check(&map, Nulls::Refused, limits)?;
        Ok(Self(map))
    }

    /// The content.
    #[must_use]
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The content as a JSON value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its size as compact JSON.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut count = Count(0);
        // A map of strings to values cannot fail to be written, and counting cannot fail either.
        let _written = serde_json::to_writer(&mut count, &self.0);
        count.0
    }

    /// Trusts a map that rules have made from checked parts.
    pub(crate) const fn made(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

impl From<Document> for Map<String, Value> {
    fn from(document: Document) -> Self {
        document.0
    }
}

impl TryFrom<Map<String, Value>> for Document {
    type Error = Refused;

    fn try_from(map: Map<String, Value>) -> Result<Self, Refused> {
        check(&map, Nulls::Refused, &UNBOUNDED)?;
        Ok(Self(map))
    }
}

/// What holds for records: the limits of the day they were made have been kept already.
const UNBOUNDED: Limits = Limits {
    request_bytes_max: usize::MAX,
    section_bytes_max: usize::MAX,
    depth_max: usize::MAX,
    key_bytes_max: usize::MAX,
    string_bytes_max: usize::MAX,
    number_bytes_max: usize::MAX,
    device_name_bytes_max: usize::MAX,
    twin_name_bytes_max: usize::MAX,
    client_token_bytes_max: usize::MAX,
    reason_bytes_max: usize::MAX,
};

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether two values are the same to a twin: numbers by value, arrays element by element, keys in any order.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => same_number(l, r),
        (Value::Array(l), Value::Array(r)) => l.len() == r.len() && l.iter().zip(r).all(|(l, r)| same(l, r)),
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len() && l.iter().all(|(key, l)| r.get(key).is_some_and(|r| same(l, r)))
        }
        _ => left == right,
    }
}

/// The keys and values of a section that may be absent.
pub(crate) fn content<'a>(
    document: Option<&'a Document>,
    empty: &'a Map<String, Value>,
) -> &'a Map<String, Value> {
    document.map_or(empty, Document::as_map)
}

/// The path of every place at which the two differ, down to the leaf or the subtree that came or went.
/// Literally: `1` and `1.0` differ here, because a reader sees the difference.
pub(crate) fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Path> {
    fn walk(
        at: Option<&Place<'_>>,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        found: &mut Vec<Path>,
    ) {
        let gone = before.keys().filter(|key| !after.contains_key(*key));
        found.extend(gone.map(|key| Place::of(at, key).path()));
        for (key, new) in after {
            let place = Place::of(at, key);
            match (before.get(key), new) {
                (Some(Value::Object(old)), Value::Object(new)) => walk(Some(&place), old, new, found),
                (Some(old), new) if old == new => {}
                _ => found.push(place.path()),
            }
        }
    }
    let mut found = Vec::new();
    walk(None, before, after, &mut found);
    found
}

/// Reads JSON strictly: its size and its encoding first, then its syntax; the reader stops at 128 levels.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Value, Refused> {
    if bytes.len() > limits.request_bytes_max {
        return Err(Refused::TooLarge {
            what: "the request",
            bytes: bytes.len(),
            bytes_max: limits.request_bytes_max,
            limit: "request_bytes_max",
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Refused::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    serde_json::from_str(text).map_err(|error| Refused::InvalidJson {
        problem: error.to_string(),
    })
}

/// The object a value must be.
pub(crate) fn object(value: Value, node: Node) -> Result<Map<String, Value>, Refused> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(not_an_object(node, &other)),
    }
}

pub(crate) const fn not_an_object(node: Node, found: &Value) -> Refused {
    Refused::NotAnObject {
        node,
        at: Path::root(),
        found: kind(found),
    }
}

pub(crate) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Whether `null` may stand as the value of a key. Inside an array it never may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    Allowed,
    Refused,
}

/// Holds a section or a patch to the limits.
pub(crate) fn check(map: &Map<String, Value>, nulls: Nulls, limits: &Limits) -> Result<(), Refused> {
    Check {
        limits,
        at: Vec::new(),
    }
    .object(map, nulls)
}

/// JSON numbers travel through serde as a map with this single key. As a key of a peer's own it would be read
/// back from a record as a number, or make the record unreadable.
const NUMBER_KEY: &str = "$serde_json::private::Number";

struct Check<'a> {
    limits: &'a Limits,
    at: Vec<Step<'a>>,
}

enum Step<'a> {
    Key(&'a str),
    Element(usize),
}

impl<'a> Check<'a> {
    fn object(&mut self, map: &'a Map<String, Value>, nulls: Nulls) -> Result<(), Refused> {
        for (key, value) in map {
            self.at.push(Step::Key(key));
            self.key(key)?;
            self.value(value, nulls)?;
            self.at.pop();
        }
        Ok(())
    }

    fn key(&self, key: &str) -> Result<(), Refused> {
        if key == NUMBER_KEY {
            return Err(self.invalid("this key is reserved"));
        }
        self.length("key", key.len(), self.limits.key_bytes_max, "key_bytes_max")
    }

    fn value(&mut self, value: &'a Value, nulls: Nulls) -> Result<(), Refused> {
        if self.at.len() > self.limits.depth_max {
            return Err(Refused::TooDeep {
                at: self.path(),
                depth_max: self.limits.depth_max,
            });
        }
        match value {
            Value::Null if nulls == Nulls::Allowed => Ok(()),
            Value::Null => {
                Err(self.invalid("null stands for removal and is not a value; leave the key or element out"))
            }
            Value::Bool(_) => Ok(()),
            Value::Number(number) => {
                self.length(
                    "number",
                    number.as_str().len(),
                    self.limits.number_bytes_max,
                    "number_bytes_max",
                )?;
                if is_comparable(number) {
                    Ok(())
                } else {
                    Err(self.invalid("its exponent is out of range"))
                }
            }
            Value::String(text) => self.length(
                "string",
                text.len(),
                self.limits.string_bytes_max,
                "string_bytes_max",
            ),
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.at.push(Step::Element(index));
                    self.value(element, Nulls::Refused)?;
                    self.at.pop();
                }
                Ok(())
            }
            Value::Object(map) => self.object(map, nulls),
        }
    }

    fn length(
        &self,
        what: &'static str,
        bytes: usize,
        bytes_max: usize,
        limit: &'static str,
    ) -> Result<(), Refused> {
        if bytes <= bytes_max {
            return Ok(());
        }
        Err(Refused::TooLong {
            at: self.path(),
            what,
            bytes,
            bytes_max,
            limit,
        })
    }

    fn invalid(&self, problem: &'static str) -> Refused {
        Refused::InvalidNode {
            at: self.path(),
            problem,
        }
    }

    fn path(&self) -> Path {
        let text = |step: &Step<'_>| match step {
            Step::Key(key) => (*key).to_owned(),
            Step::Element(index) => index.to_string(),
        };
        self.at.iter().map(text).collect()
    }
}
