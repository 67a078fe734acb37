//! Refused: why a name, a document or a command was not accepted, in words a caller can act on.

use std::fmt;

use crate::version::{EntityTag, Version};
use crate::{Path, TwinId};

/// A part of an update document that must be a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// `state`
    State,
    /// `desired`
    Desired,
    /// `reported`
    Reported,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "State",
            Self::Desired => "Desired",
            Self::Reported => "Reported",
        })
    }
}

/// Why something was not accepted. Nothing has changed when one of these is returned.
///
/// The text of `Display` is for logs and problem details; [`Refused::shadow_message`] is what shadow documents carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A name that cannot stand in a topic or a path.
    #[error("this is not a name for a {what}: {problem}")]
    InvalidName {
        /// "device" or "twin".
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes are not UTF-8.
    #[error("the document is not UTF-8: the first wrong byte is at offset {offset}")]
    NotUtf8 {
        /// How many bytes before it are fine.
        offset: usize,
    },
    /// The text is not JSON.
    #[error("the document is not JSON: {problem}")]
    InvalidJson {
        /// What the reader found, and where (line and column).
        problem: String,
    },
    /// An update document without `state`.
    #[error("the document has no `state`; an update looks like {{\"state\":{{\"reported\":{{...}}}}}}")]
    MissingState,
    /// A part that must be an object is something else.
    #[error("{} must be a JSON object, found {found}", place(at))]
    NotAnObject {
        /// Which part.
        node: Node,
        /// Where it stands in the document; empty for the document itself.
        at: Path,
        /// What stands there.
        found: &'static str,
    },
    /// `version` is not a whole number, or names a version a twin that does not exist cannot have.
    #[error("`version` cannot be used: {problem}")]
    InvalidVersion {
        /// What is wrong with it.
        problem: String,
    },
    /// `clientToken` is not a string, or too long.
    #[error("`clientToken` cannot be used: {problem}")]
    InvalidClientToken {
        /// What is wrong with it.
        problem: String,
    },
    /// More levels than allowed.
    #[error("`{at}` lies too deep: at most {depth_max} levels are allowed below a section")]
    TooDeep {
        /// The first place that is too deep.
        at: Path,
        /// The limit.
        depth_max: usize,
    },
    /// A value that a document cannot hold.
    #[error("`{at}` cannot be stored: {problem}")]
    InvalidNode {
        /// Where it stands.
        at: Path,
        /// Why it cannot be stored.
        problem: &'static str,
    },
    /// A key, string or number longer than its limit.
    #[error("`{at}` has a {what} of {bytes} bytes, at most {bytes_max} are allowed ({limit})")]
    TooLong {
        /// Where it stands.
        at: Path,
        /// "key", "string" or "number".
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit's value.
        bytes_max: usize,
        /// The limit's name.
        limit: &'static str,
    },
    /// The request, or the section as it would be after the change, is larger than its limit.
    #[error("{what} would have {bytes} bytes, at most {bytes_max} are allowed ({limit})")]
    TooLarge {
        /// "the request", "desired", "reported" or "tags".
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit's value.
        bytes_max: usize,
        /// The limit's name.
        limit: &'static str,
    },
    /// There is no such twin.
    #[error("there is no twin {id}")]
    NotFound {
        /// Which one was asked for.
        id: TwinId,
    },
    /// The write asked for another version than the stored one.
    #[error(
        "the write is for version {expected}, the stored version is {found}: read the twin again and retry"
    )]
    VersionConflict {
        /// The version the write asked for.
        expected: Version,
        /// The stored one.
        found: Version,
    },
    /// The write asked for another entity tag than the current one.
    #[error("the twin is now at entity tag \"{found}\": read it again and retry")]
    EntityTagConflict {
        /// The current one.
        found: EntityTag,
    },
    /// The write asked for a twin that does not exist yet.
    #[error("the twin {id} exists already")]
    AlreadyExists {
        /// Which one.
        id: TwinId,
    },
}

fn place(at: &Path) -> String {
    if at.is_root() {
        "the document".to_owned()
    } else {
        format!("`{at}`")
    }
}

impl Refused {
    /// The code of the shadow error document, which is also the HTTP status of the shadow data plane.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::InvalidName { .. }
            | Self::InvalidJson { .. }
            | Self::MissingState
            | Self::NotAnObject { .. }
            | Self::InvalidVersion { .. }
            | Self::InvalidClientToken { .. }
            | Self::TooDeep { .. }
            | Self::InvalidNode { .. }
            | Self::TooLong { .. } => 400,
            Self::NotFound { .. } => 404,
            Self::VersionConflict { .. } | Self::EntityTagConflict { .. } | Self::AlreadyExists { .. } => 409,
            Self::TooLarge { .. } => 413,
            Self::NotUtf8 { .. } => 415,
        }
    }

    /// The message of the shadow error document, in the words device libraries know.
    #[must_use]
    pub fn shadow_message(&self) -> String {
        match self {
            Self::InvalidName { .. } => self.to_string(),
            Self::InvalidJson { .. } => "Invalid JSON".to_owned(),
            Self::MissingState => "Missing required node: state".to_owned(),
            Self::NotAnObject { node, .. } => format!("{node} node must be an object"),
            Self::InvalidVersion { .. } => "Invalid version".to_owned(),
            Self::InvalidClientToken { .. } => "Invalid clientToken".to_owned(),
            Self::TooDeep { depth_max, .. } => {
                format!("JSON contains too many levels of nesting; maximum is {depth_max}")
            }
            Self::InvalidNode { .. } | Self::TooLong { .. } => "State contains an invalid node".to_owned(),
            Self::NotFound { id } => {
                let name = if id.name.is_default() {
                    id.device.as_str()
                } else {
                    id.name.as_str()
                };
                format!("No shadow exists with name: {name}")
            }
            Self::VersionConflict { .. } | Self::EntityTagConflict { .. } | Self::AlreadyExists { .. } => {
                "Version conflict".to_owned()
            }
            Self::TooLarge { .. } => "The payload exceeds the maximum size allowed".to_owned(),
            Self::NotUtf8 { .. } => "Unsupported documented encoding; supported encoding is UTF-8".to_owned(),
        }
    }

    /// Where the document is at fault, as a path whose text is a JSON Pointer; `None` when no single place is.
    #[must_use]
    pub fn at(&self) -> Option<Path> {
        match self {
            Self::NotAnObject { at, .. }
            | Self::TooDeep { at, .. }
            | Self::InvalidNode { at, .. }
            | Self::TooLong { at, .. } => Some(at.clone()),
            Self::InvalidVersion { .. } => Some(Path::root().child("version")),
            Self::InvalidClientToken { .. } => Some(Path::root().child("clientToken")),
            Self::InvalidName { .. }
            | Self::NotUtf8 { .. }
            | Self::InvalidJson { .. }
            | Self::MissingState
            | Self::TooLarge { .. }
            | Self::NotFound { .. }
            | Self::VersionConflict { .. }
            | Self::EntityTagConflict { .. }
            | Self::AlreadyExists { .. } => None,
        }
    }

    /// The same refusal, seen from a document in which the faulty part stands below these keys.
    #[must_use]
    pub(crate) fn below(mut self, above: &[&str]) -> Self {
        if let Self::NotAnObject { at, .. }
        | Self::TooDeep { at, .. }
        | Self::InvalidNode { at, .. }
        | Self::TooLong { at, .. } = &mut self
        {
            *at = at.below(above);
        }
        self
    }
}
