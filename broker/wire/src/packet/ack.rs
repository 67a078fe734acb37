//! PUBACK, PUBREC, PUBREL, PUBCOMP: one shape, four names.

use crate::error::{DecodeError, EncodeError};
use crate::header::Kind;
use crate::ident::PacketId;
use crate::property::{Block, Property, PropertySet, user_properties};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::write::Sink;

/// One step in the acknowledgement of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// How it went; not on the wire in MQTT 3.1.1.
    pub reason: ReasonCode,
    /// The same for people.
    pub reason_string: Option<String>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

impl Ack {
    /// All went well.
    #[must_use]
    pub const fn new(packet_id: PacketId) -> Self {
        Self::with(packet_id, ReasonCode::Success)
    }

    /// An answer with a reason and nothing more.
    #[must_use]
    pub const fn with(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self {
            packet_id,
            reason,
            reason_string: None,
            user_properties: Vec::new(),
        }
    }

    pub(crate) fn decode(kind: Kind, mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let mut ack = Self::new(r.packet_id()?);
        if !r.is_empty() {
            ack.reason = read_reason(kind, r.u8()?)?;
        }
        if !r.is_empty() {
            let mut block = Block::open(&mut r, PropertySet::ANSWER)?;
            while let Some(property) = block.next()? {
                match property {
                    Property::ReasonString(text) => ack.reason_string = Some(text.to_owned()),
                    Property::UserProperty(k, v) => ack.user_properties.push((k.to_owned(), v.to_owned())),
                    _ => {} // not in PropertySet::ANSWER
                }
            }
        }
        r.finish()?;
        Ok(ack)
    }

    pub(crate) fn write(&self, kind: Kind, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.u16(self.packet_id.get());
        if version == Version::V311 {
            return Ok(());
        }
        if !may_carry(kind, self.reason) {
            return Err(EncodeError::forbidden(
                clause(kind),
                "the reason code does not belong to this packet",
            ));
        }
        let bare = self.reason_string.is_none() && self.user_properties.is_empty();
        if bare && self.reason == ReasonCode::Success {
            return Ok(());
        }
        out.u8(self.reason as u8);
        if bare {
            Ok(())
        } else {
            out.properties(self.properties())
        }
    }

    fn properties(&self) -> impl Iterator<Item = Property<'_>> + Clone {
        let reason = self.reason_string.as_deref().map(Property::ReasonString);
        reason.into_iter().chain(user_properties(&self.user_properties))
    }
}

fn read_reason(kind: Kind, byte: u8) -> Result<ReasonCode, DecodeError> {
    ReasonCode::try_from(byte)
        .ok()
        .filter(|reason| may_carry(kind, *reason))
        .ok_or(DecodeError::protocol(
            clause(kind),
            "the reason code does not belong to this packet",
        ))
}

const fn may_carry(kind: Kind, reason: ReasonCode) -> bool {
    use ReasonCode::{
        ImplementationSpecificError, NoMatchingSubscribers, NotAuthorized, PacketIdentifierInUse,
        PacketIdentifierNotFound, PayloadFormatInvalid, QuotaExceeded, Success, TopicNameInvalid,
        UnspecifiedError,
    };
    match kind {
        Kind::PubRel | Kind::PubComp => matches!(reason, Success | PacketIdentifierNotFound),
        _ => matches!(
            reason,
            Success
                | NoMatchingSubscribers
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicNameInvalid
                | PacketIdentifierInUse
                | QuotaExceeded
                | PayloadFormatInvalid
        ),
    }
}

const fn clause(kind: Kind) -> &'static str {
    match kind {
        Kind::PubRec => "MQTT-3.5.2-1",
        Kind::PubRel => "MQTT-3.6.2-1",
        Kind::PubComp => "MQTT-3.7.2-1",
        _ => "MQTT-3.4.2-1",
    }
}
