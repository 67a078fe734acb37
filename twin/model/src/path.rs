//! Path: the way from the top of a section to one place in it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Keys from the top of a section downward; the empty path is the section itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Path(Vec<String>);

/// A place on the way down a section. It becomes a path only where somebody wants one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    above: Option<&'a Self>,
    key: &'a str,
}

impl<'a> Place<'a> {
    /// The place of a key; `above` is the object it is in, `None` for the section itself.
    pub(crate) const fn of(above: Option<&'a Self>, key: &'a str) -> Self {
        Self { above, key }
    }

    pub(crate) fn path(&self) -> Path {
        let mut keys: Vec<String> = std::iter::successors(Some(self), |place| place.above)
            .map(|place| place.key.to_owned())
            .collect();
        keys.reverse();
        Path(keys)
    }
}

impl Path {
    /// The section itself.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Reads a path as people write it: with a leading slash it is a JSON Pointer (RFC 6901: `/a/b`, `~1` for a
    /// slash, `~0` for a tilde); without one it is dotted (`a.b`), for keys that hold no dot. Empty is the root.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::root();
        }
        match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(unescaped).collect(),
            None => text.split('.').map(str::to_owned).collect(),
        }
    }

    /// The keys, outermost first.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// Whether this is the section itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of a key below this one.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        self.0
            .iter()
            .map(String::as_str)
            .chain([key])
            .map(str::to_owned)
            .collect()
    }

    /// This path as seen from `above`, the keys that lead to where it starts.
    #[must_use]
    pub fn below(&self, above: &[&str]) -> Self {
        above
            .iter()
            .copied()
            .chain(self.0.iter().map(String::as_str))
            .map(str::to_owned)
            .collect()
    }

    /// Whether `other` is this path or lies below it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The value at this path; arrays are not entered. `None` for the root, which is not a value but a section.
    #[must_use]
    pub fn find<'a>(&self, section: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter()
            .try_fold(section.get(first)?, |value, key| value.as_object()?.get(key))
    }
}

impl FromIterator<String> for Path {
    fn from_iter<I: IntoIterator<Item = String>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl fmt::Display for Path {
    /// As a JSON Pointer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|key| write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")))
    }
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~") // this order: RFC 6901 section 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_and_dotted_name_the_same_place() {
        assert_eq!(Path::parse("/net/ip"), Path::parse("net.ip"));
        assert_eq!(Path::parse("/a.b").keys(), ["a.b"]);
    }

    #[test]
    fn pointer_escapes_survive_the_way_there_and_back() {
        let path: Path = ["a/b".to_owned(), "~1".to_owned(), String::new()]
            .into_iter()
            .collect();
        assert_eq!(path.to_string(), "/a~1b/~01/");
        assert_eq!(Path::parse(&path.to_string()), path);
    }

    #[test]
    fn the_root_covers_everything_and_a_sibling_nothing() {
        assert!(Path::root().covers(&Path::parse("a.b")));
        assert!(Path::parse("a").covers(&Path::parse("a.b")));
        assert!(!Path::parse("a").covers(&Path::parse("ab")));
    }
}
