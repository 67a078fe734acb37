//! The fixed header: which packet it is, who may send it, and how long it is.

use crate::error::DecodeError;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::varint::{self, Varint};
use crate::version::Version;

/// Who sent what is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

/// The upper four bits of the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Connect = 1,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
    Auth,
}

impl Kind {
    const fn of(first: u8) -> Option<Self> {
        Some(match first >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The first byte of a packet of this kind; of PUBLISH without its flags.
    pub(crate) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.reserved_flags()
    }

    /// The lower four bits, which are fixed for every kind but PUBLISH.
    const fn reserved_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    const fn may_come_from(self, sender: Sender, version: Version) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => {
                matches!(sender, Sender::Client)
            }
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => {
                matches!(sender, Sender::Server)
            }
            Self::Disconnect => matches!(sender, Sender::Client) || matches!(version, Version::V5),
            Self::Auth => matches!(version, Version::V5),
            Self::Publish | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp => true,
        }
    }

    /// The length of the body, where only one is possible.
    const fn fixed_length(self, version: Version) -> Option<u32> {
        match (self, version) {
            (Self::PingReq | Self::PingResp, _) | (Self::Disconnect, Version::V311) => Some(0),
            (
                Self::ConnAck | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp | Self::UnsubAck,
                Version::V311,
            ) => Some(2),
            _ => None,
        }
    }
}

/// The first byte, taken apart, and the length of what follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
    /// Bytes of the header itself.
    pub(crate) len: usize,
    /// Bytes of the body.
    pub(crate) remaining: usize,
}

/// What the lower four bits of PUBLISH say; of all other packets they are fixed and all of this is off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flags {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

/// Whom the bytes come from and what that allows; without, only what holds for everyone is checked.
pub(crate) type Rules = Option<(Sender, Version)>;

impl Header {
    /// Reads the header at the front of `buf`; `None` when it is not complete. Each byte is judged as soon
    /// as it is there.
    #[inline]
    pub(crate) fn read(buf: &[u8], rules: Rules, max_packet_size: u32) -> Result<Option<Self>, DecodeError> {
        let Some((first, lengths)) = buf.split_first() else {
            return Ok(None);
        };
        let version = rules.map_or(Version::V5, |(_, version)| version);
        let kind = Kind::of(*first).ok_or_else(|| no_such_type(version))?;
        let flags = flags(kind, first & 0x0f).ok_or_else(|| bad_flags(kind, first & 0x0f, version))?;
        if let Some((sender, version)) = rules {
            check_sender(kind, sender, version)?;
        }
        let (remaining, digits) = match varint::read(lengths) {
            Varint::Value(value, digits) => (value, digits),
            Varint::Incomplete => return Ok(None),
            Varint::Malformed => return Err(bad_length(version)),
        };
        check_length(kind, rules, remaining)?;
        let len = 1 + digits;
        let remaining = remaining as usize;
        if len + remaining > max_packet_size as usize {
            return Err(too_large(rules));
        }
        Ok(Some(Self {
            kind,
            flags,
            len,
            remaining,
        }))
    }
}

/// What the lower four bits say; `None` when they may not stand there.
#[inline]
fn flags(kind: Kind, bits: u8) -> Option<Flags> {
    if kind != Kind::Publish {
        return (bits == kind.reserved_flags()).then(Flags::default);
    }
    let qos = QoS::try_from(bits >> 1 & 0b11).ok()?;
    let (dup, retain) = (bits & 0b1000 != 0, bits & 1 != 0);
    (!dup || qos > QoS::AtMostOnce).then_some(Flags { dup, qos, retain })
}

#[cold]
fn bad_flags(kind: Kind, bits: u8, version: Version) -> DecodeError {
    let (clause, what) = match kind {
        Kind::Publish if bits & 0b0110 == 0b0110 => ("MQTT-3.3.1-4", "the QoS of a PUBLISH is 3"),
        Kind::Publish => ("MQTT-3.3.1-2", "DUP is set in a PUBLISH of QoS 0"),
        Kind::PubRel => ("MQTT-3.6.1-1", RESERVED),
        Kind::Subscribe => ("MQTT-3.8.1-1", RESERVED),
        Kind::Unsubscribe => ("MQTT-3.10.1-1", RESERVED),
        Kind::Disconnect => ("MQTT-3.14.1-1", RESERVED),
        Kind::Auth => (version.clause("MQTT-2.2.2-2", "MQTT-3.15.1-1"), RESERVED),
        _ => (version.clause("MQTT-2.2.2-2", "MQTT-2.1.3-1"), RESERVED),
    };
    DecodeError::malformed(clause, what)
}

const RESERVED: &str = "the reserved flags of the fixed header are wrong";

#[cold]
fn no_such_type(version: Version) -> DecodeError {
    let clause = version.clause("MQTT311 2.2.1", "MQTT5 2.1.2");
    DecodeError::malformed(clause, "packet type 0 does not exist")
}

#[cold]
fn bad_length(version: Version) -> DecodeError {
    let clause = version.clause("MQTT311 2.2.3", "MQTT-1.5.5-1");
    DecodeError::malformed(
        clause,
        "the Remaining Length has a fifth byte or is longer than it needs to be",
    )
}

#[cold]
fn too_large(rules: Rules) -> DecodeError {
    let clause = match rules {
        Some((_, Version::V311)) => "MQTT311 2.2.3",
        Some((Sender::Server, Version::V5)) => "MQTT-3.1.2-24",
        Some((Sender::Client, Version::V5)) | None => "MQTT-3.2.2-15",
    };
    DecodeError::new(
        ReasonCode::PacketTooLarge,
        clause,
        "the packet is larger than the maximum packet size",
    )
}

#[inline]
fn check_sender(kind: Kind, sender: Sender, version: Version) -> Result<(), DecodeError> {
    if kind.may_come_from(sender, version) {
        return Ok(());
    }
    if kind == Kind::Auth {
        return Err(DecodeError::malformed(
            "MQTT311 2.2.1",
            "packet type 15 does not exist in MQTT 3.1.1",
        ));
    }
    let what = match sender {
        Sender::Client => "a packet that only servers send came from a client",
        Sender::Server => "a packet that only clients send came from a server",
    };
    Err(DecodeError::protocol(
        version.clause("MQTT311 2.2.1", "MQTT5 2.1.2"),
        what,
    ))
}

#[inline]
fn check_length(kind: Kind, rules: Rules, remaining: u32) -> Result<(), DecodeError> {
    let Some((_, version)) = rules else { return Ok(()) };
    match kind.fixed_length(version) {
        Some(fixed) if fixed != remaining => {
            let clause = version.clause("MQTT311 2.2.3", "MQTT5 2.1.4");
            Err(DecodeError::malformed(
                clause,
                "a packet of fixed size has another Remaining Length",
            ))
        }
        _ => Ok(()),
    }
}
