//! Which MQTT a connection speaks.

/// A protocol version that this codec reads and writes.
///
/// MQTT 3.1 (`MQIsdp`, level 3) is spoken like 3.1.1; see [`Connect::is_31`](crate::Connect::is_31).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

impl Version {
    /// The protocol level byte of CONNECT.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// The version with this protocol level, if it is served.
    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            4 => Some(Self::V311),
            5 => Some(Self::V5),
            _ => None,
        }
    }

    /// Picks the clause of this version where the two standards number a rule differently.
    pub(crate) const fn clause(self, v311: &'static str, v5: &'static str) -> &'static str {
        match self {
            Self::V311 => v311,
            Self::V5 => v5,
        }
    }
}
