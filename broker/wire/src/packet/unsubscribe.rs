//! UNSUBSCRIBE and UNSUBACK.

use super::subscribe::{NO_REASON, WRONG_REASON, answer_properties, read_answer, read_reasons};
use crate::error::{DecodeError, EncodeError};
use crate::ident::PacketId;
use crate::property::{Block, Property, PropertySet, user_properties};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::topic::TopicFilter;
use crate::version::Version;
use crate::write::Sink;

/// A client asks for no more messages of some subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// UNSUBACK repeats it.
    pub packet_id: PacketId,
    /// At least one; compared character by character with those of the session.
    pub filters: Vec<TopicFilter>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

/// The answer to UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// That of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One per filter, in the same order; not on the wire in MQTT 3.1.1.
    pub reasons: Vec<ReasonCode>,
    /// The reason for people.
    pub reason_string: Option<String>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

impl Unsubscribe {
    pub(crate) fn decode(mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = r.packet_id()?;
        let mut unsubscribe = Self {
            packet_id,
            filters: Vec::new(),
            user_properties: Vec::new(),
        };
        if r.version() == Version::V5 {
            let mut block = Block::open(&mut r, PropertySet::UNSUBSCRIBE)?;
            while let Some(property) = block.next()? {
                if let Property::UserProperty(k, v) = property {
                    unsubscribe.user_properties.push((k.to_owned(), v.to_owned()));
                }
            }
        }
        if r.is_empty() {
            return Err(DecodeError::protocol("MQTT-3.10.3-2", NO_FILTER));
        }
        while !r.is_empty() {
            unsubscribe.filters.push(r.filter()?);
        }
        Ok(unsubscribe)
    }

    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::forbidden("MQTT-3.10.3-2", NO_FILTER));
        }
        out.u16(self.packet_id.get());
        if version == Version::V5 {
            out.properties(user_properties(&self.user_properties))?;
        }
        self.filters
            .iter()
            .try_for_each(|filter| out.string("topic filter", filter.as_str()))
    }
}

const NO_FILTER: &str = "an UNSUBSCRIBE has no topic filter";

impl UnsubAck {
    /// An answer with these reasons and nothing more.
    #[must_use]
    pub const fn new(packet_id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Self {
            packet_id,
            reasons,
            reason_string: None,
            user_properties: Vec::new(),
        }
    }

    pub(crate) fn decode(mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let mut unsuback = Self::new(r.packet_id()?, Vec::new());
        match r.version() {
            Version::V311 => r.finish()?,
            Version::V5 => {
                (unsuback.reason_string, unsuback.user_properties) = read_answer(&mut r)?;
                unsuback.reasons = read_reasons(r.rest(), "MQTT-3.11.3-2", may_carry)?;
            }
        }
        Ok(unsuback)
    }

    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.u16(self.packet_id.get());
        if version == Version::V311 {
            return Ok(());
        }
        if self.reasons.is_empty() {
            return Err(EncodeError::forbidden("MQTT-3.11.3-2", NO_REASON));
        }
        out.properties(answer_properties(
            self.reason_string.as_deref(),
            &self.user_properties,
        ))?;
        for reason in &self.reasons {
            if !may_carry(*reason) {
                return Err(EncodeError::forbidden("MQTT-3.11.3-2", WRONG_REASON));
            }
            out.u8(*reason as u8);
        }
        Ok(())
    }
}

const fn may_carry(reason: ReasonCode) -> bool {
    use ReasonCode::{
        ImplementationSpecificError, NoSubscriptionExisted, NotAuthorized, PacketIdentifierInUse, Success,
        TopicFilterInvalid, UnspecifiedError,
    };
    matches!(
        reason,
        Success
            | NoSubscriptionExisted
            | UnspecifiedError
            | ImplementationSpecificError
            | NotAuthorized
            | TopicFilterInvalid
            | PacketIdentifierInUse
    )
}
