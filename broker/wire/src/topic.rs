//! Topic names and what can be wrong with them and with topic filters.

mod filter;

pub use filter::{Share, TopicFilter};

use std::fmt;

use crate::reason::ReasonCode;
use crate::version::Version;

/// The longest topic name or filter in bytes [MQTT-4.7.3-3].
pub const MAX_TOPIC_LEN: usize = 65_535;

/// Where a message goes: 1 to 65535 bytes without wildcards and U+0000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks `name`; nothing is copied.
    ///
    /// # Errors
    /// Empty, too long, a wildcard or U+0000 inside.
    #[inline]
    pub fn parse(name: &'a str) -> Result<Self, TopicError> {
        // No early exit, so that the loop is done in wide registers.
        let flaws = name.bytes().fold(0, |flaws, byte| {
            flaws | u8::from(byte == b'#') | u8::from(byte == b'+') | u8::from(byte == 0) << 1
        });
        match name.len() {
            0 => Err(TopicError::Empty),
            1..=MAX_TOPIC_LEN if flaws == 0 => Ok(Self(name)),
            1..=MAX_TOPIC_LEN if flaws & 2 != 0 => Err(TopicError::Nul),
            1..=MAX_TOPIC_LEN => Err(TopicError::WildcardInName),
            _ => Err(TopicError::TooLong),
        }
    }

    /// The name as text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The parts between the slashes; there is at least one, and any may be empty.
    pub fn levels(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.split('/')
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a string is no topic name or no topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.what())]
pub enum TopicError {
    /// No character at all.
    Empty,
    /// More than [`MAX_TOPIC_LEN`] bytes.
    TooLong,
    /// U+0000 inside.
    Nul,
    /// `#` or `+` in a topic name.
    WildcardInName,
    /// `#` that is not the whole last level.
    MisplacedHash,
    /// `+` that is not a whole level.
    MisplacedPlus,
    /// `$share/` without a share name.
    NoShareName,
    /// A wildcard in a share name.
    WildcardInShareName,
    /// `$share/name` without a filter behind it, or with another share in it.
    ShareFilter,
}

impl TopicError {
    /// What is wrong, in words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Empty => "a topic name or filter is empty",
            Self::TooLong => "a topic name or filter has more than 65535 bytes",
            Self::Nul => "a topic name or filter holds U+0000",
            Self::WildcardInName => "a topic name holds a wildcard",
            Self::MisplacedHash => "'#' in a filter is not the whole last level",
            Self::MisplacedPlus => "'+' in a filter is not a whole level",
            Self::NoShareName => "a shared subscription has no share name",
            Self::WildcardInShareName => "a share name holds a wildcard",
            Self::ShareFilter => "a shared subscription has no topic filter, or one that is shared again",
        }
    }

    /// The clause that forbids it in `version`.
    #[must_use]
    pub const fn clause(self, version: Version) -> &'static str {
        match self {
            Self::Empty => "MQTT-4.7.3-1",
            Self::TooLong => "MQTT-4.7.3-3",
            Self::Nul => "MQTT-4.7.3-2",
            Self::WildcardInName => version.clause("MQTT-4.7.1-1", "MQTT-4.7.0-1"),
            Self::MisplacedHash => version.clause("MQTT-4.7.1-2", "MQTT-4.7.1-1"),
            Self::MisplacedPlus => version.clause("MQTT-4.7.1-3", "MQTT-4.7.1-2"),
            Self::NoShareName => version.clause("MQTT5 4.8.2", "MQTT-4.8.2-1"),
            Self::WildcardInShareName | Self::ShareFilter => version.clause("MQTT5 4.8.2", "MQTT-4.8.2-2"),
        }
    }

    /// The reason code to answer with.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Empty | Self::TooLong | Self::Nul => ReasonCode::MalformedPacket,
            Self::WildcardInName => ReasonCode::TopicNameInvalid,
            Self::MisplacedHash
            | Self::MisplacedPlus
            | Self::NoShareName
            | Self::WildcardInShareName
            | Self::ShareFilter => ReasonCode::TopicFilterInvalid,
        }
    }
}
