//! The names of things on the wire: packet identifiers, which are never zero, and client identifiers.

use std::borrow::Borrow;
use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

/// Names a packet that waits for an answer. Never zero [MQTT-2.3.1-1], [MQTT5 2.2.1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The identifier 1.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// The identifier with this number, or `None` for 0.
    #[must_use]
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The identifier after this one; 1 follows 65535.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(id) => Self(id),
            None => Self::FIRST,
        }
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a session: 1 to 65535 bytes of UTF-8 without U+0000. Cloning is cheap.
///
/// CONNECT may leave it empty; then the broker makes one, so the empty string is no `ClientId`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

/// Why a string is no client identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// No character at all.
    #[error("the client identifier is empty")]
    Empty,
    /// More bytes than a string on the wire can have.
    #[error("the client identifier has {0} bytes, at most 65535 are possible")]
    TooLong(usize),
    /// U+0000 inside.
    #[error("the client identifier holds U+0000")]
    Nul,
}

impl ClientId {
    /// Checks `id` and keeps a copy.
    ///
    /// # Errors
    /// Empty, longer than 65535 bytes, or with U+0000 inside.
    pub fn parse(id: &str) -> Result<Self, ClientIdError> {
        match id.len() {
            0 => Err(ClientIdError::Empty),
            len if len > usize::from(u16::MAX) => Err(ClientIdError::TooLong(len)),
            _ if id.as_bytes().contains(&0) => Err(ClientIdError::Nul),
            _ => Ok(Self(id.into())),
        }
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ClientId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
