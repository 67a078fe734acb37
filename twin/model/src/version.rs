//! Version: the count of visible changes, and the conditions a write may depend on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many visible changes a twin has had. It grows by one per accepted change and never goes back,
/// also not when the twin is removed and made again. Zero means "never existed".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of a twin that never existed.
    pub const ZERO: Self = Self(0);

    /// The version with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The version after one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1)) // 2^64 changes do not happen; saturation only spares a panic
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an HTTP `ETag` of a twin stands for: its version and the version of its tags, written `version.tags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntityTag {
    /// The version of desired and reported.
    pub version: Version,
    /// The version of the tags.
    pub tags_version: Version,
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.tags_version)
    }
}

/// The text is not an entity tag of a twin (two decimal numbers with a dot between them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entity tag of a twin looks like 42.3: its version, a dot, the version of its tags")]
pub struct NotAnEntityTag;

impl FromStr for EntityTag {
    type Err = NotAnEntityTag;

    /// Reads the text between the quotes of an `ETag`; only the exact text `Display` writes is accepted.
    fn from_str(text: &str) -> Result<Self, NotAnEntityTag> {
        let (version, tags) = text.split_once('.').ok_or(NotAnEntityTag)?;
        let number = |digits: &str| digits.parse().map(Version).map_err(|_| NotAnEntityTag);
        let tag = Self {
            version: number(version)?,
            tags_version: number(tags)?,
        };
        if tag.to_string() == text {
            Ok(tag)
        } else {
            Err(NotAnEntityTag)
        }
    }
}

/// What must hold for a write to be applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing: the last writer wins.
    #[default]
    None,
    /// The version must be this one (the `version` of an update document, or `If-Version`).
    /// For a write of tags it is the version of the tags.
    IfVersion(Version),
    /// The entity tag must be one of these (`If-Match: "42.3", "42.4"`).
    IfMatch(Vec<EntityTag>),
    /// The twin must exist (`If-Match: *`).
    IfExists,
    /// The twin must not exist (`If-None-Match: *`).
    IfAbsent,
}
