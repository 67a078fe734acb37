//! What can be wrong with bytes from a peer, and with a packet of ours.

use crate::reason::ReasonCode;

/// What the peer did wrong, the clause that forbids it, and the reason code to answer with.
///
/// After this error nothing more can be read from the connection: the caller closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} [{clause}], to be answered by {reason}")]
pub struct DecodeError {
    /// The numbered statement (`MQTT-3.8.3-3`) of the connection's version, or the section (`MQTT5 2.2.2.2`).
    pub clause: &'static str,
    /// The reason code for CONNACK or DISCONNECT of MQTT 5.0; in 3.1.1 see
    /// [`connack_return_code`](crate::connack_return_code).
    pub reason: ReasonCode,
    /// What is wrong, in words for the log.
    pub what: &'static str,
}

impl DecodeError {
    /// What is wrong and the clause that says so, in words for the peer.
    #[must_use]
    pub fn rule_broken(&self) -> String {
        format!("{} [{}]", self.what, self.clause)
    }

    pub(crate) const fn new(reason: ReasonCode, clause: &'static str, what: &'static str) -> Self {
        Self { clause, reason, what }
    }

    pub(crate) const fn malformed(clause: &'static str, what: &'static str) -> Self {
        Self::new(ReasonCode::MalformedPacket, clause, what)
    }

    pub(crate) const fn protocol(clause: &'static str, what: &'static str) -> Self {
        Self::new(ReasonCode::ProtocolError, clause, what)
    }
}

/// Why a packet cannot be written. Always a fault of the caller; nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// More bytes than a Remaining Length can say.
    #[error("the packet needs {0} bytes after its fixed header, at most 268435455 are possible")]
    TooLarge(usize),
    /// A string or binary field beyond 65535 bytes.
    #[error("the {what} has {len} bytes, at most 65535 are possible")]
    FieldTooLong {
        /// Which field.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// U+0000 in a string.
    #[error("the {0} holds U+0000")]
    Nul(&'static str),
    /// The packet does not exist in this version.
    #[error("{0} does not exist in MQTT 3.1.1")]
    NotInVersion(&'static str),
    /// Fields that may not stand together, or a value that is not allowed.
    #[error("{what} [{clause}]")]
    Forbidden {
        /// The clause that forbids it.
        clause: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

impl EncodeError {
    pub(crate) const fn forbidden(clause: &'static str, what: &'static str) -> Self {
        Self::Forbidden { clause, what }
    }
}
