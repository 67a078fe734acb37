//! MQTT 5.0 properties: the 27 there are, and how one is read and written.

mod publish;
mod set;

pub use publish::{Properties, PropertyIter};
pub(crate) use publish::{is_will_message, split_will};
pub(crate) use set::{Block, PropertySet};

use crate::error::{DecodeError, EncodeError};
use crate::qos::QoS;
use crate::read::Reader;
use crate::topic::TopicName;
use crate::varint::MAX_VARINT;
use crate::write::{Length, Sink};

/// One property (MQTT5 2.2.2.2). Strings hold no U+0000, numbers that may not be zero are not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property<'a> {
    /// 0x01: whether the payload is said to be UTF-8 text. The codec does not look at the payload.
    PayloadFormatIndicator(bool),
    /// 0x02, in seconds.
    MessageExpiryInterval(u32),
    /// 0x03
    ContentType(&'a str),
    /// 0x08: a valid topic name.
    ResponseTopic(&'a str),
    /// 0x09
    CorrelationData(&'a [u8]),
    /// 0x0B: 1 to 268435455.
    SubscriptionIdentifier(u32),
    /// 0x11, in seconds; `u32::MAX` means never.
    SessionExpiryInterval(u32),
    /// 0x12
    AssignedClientIdentifier(&'a str),
    /// 0x13, in seconds.
    ServerKeepAlive(u16),
    /// 0x15
    AuthenticationMethod(&'a str),
    /// 0x16
    AuthenticationData(&'a [u8]),
    /// 0x17
    RequestProblemInformation(bool),
    /// 0x18, in seconds.
    WillDelayInterval(u32),
    /// 0x19
    RequestResponseInformation(bool),
    /// 0x1A
    ResponseInformation(&'a str),
    /// 0x1C
    ServerReference(&'a str),
    /// 0x1F
    ReasonString(&'a str),
    /// 0x21: not zero.
    ReceiveMaximum(u16),
    /// 0x22
    TopicAliasMaximum(u16),
    /// 0x23: not zero.
    TopicAlias(u16),
    /// 0x24: QoS 0 or 1; the absence of the property means 2.
    MaximumQoS(QoS),
    /// 0x25
    RetainAvailable(bool),
    /// 0x26: name and value.
    UserProperty(&'a str, &'a str),
    /// 0x27, in bytes; not zero.
    MaximumPacketSize(u32),
    /// 0x28
    WildcardSubscriptionAvailable(bool),
    /// 0x29
    SubscriptionIdentifiersAvailable(bool),
    /// 0x2A
    SharedSubscriptionAvailable(bool),
}

/// Appends one property to a block; nothing is appended on error.
///
/// # Errors
/// A field longer than 65535 bytes, U+0000 in a string, a value that the standard forbids.
pub fn put_property(out: &mut Vec<u8>, property: &Property<'_>) -> Result<(), EncodeError> {
    property.write(&mut Length::default())?;
    property.write(out)
}

impl<'a> Property<'a> {
    /// The identifier on the wire.
    #[must_use]
    pub const fn id(&self) -> u8 {
        match self {
            Self::PayloadFormatIndicator(_) => 0x01,
            Self::MessageExpiryInterval(_) => 0x02,
            Self::ContentType(_) => 0x03,
            Self::ResponseTopic(_) => 0x08,
            Self::CorrelationData(_) => 0x09,
            Self::SubscriptionIdentifier(_) => 0x0b,
            Self::SessionExpiryInterval(_) => 0x11,
            Self::AssignedClientIdentifier(_) => 0x12,
            Self::ServerKeepAlive(_) => 0x13,
            Self::AuthenticationMethod(_) => 0x15,
            Self::AuthenticationData(_) => 0x16,
            Self::RequestProblemInformation(_) => 0x17,
            Self::WillDelayInterval(_) => 0x18,
            Self::RequestResponseInformation(_) => 0x19,
            Self::ResponseInformation(_) => 0x1a,
            Self::ServerReference(_) => 0x1c,
            Self::ReasonString(_) => 0x1f,
            Self::ReceiveMaximum(_) => 0x21,
            Self::TopicAliasMaximum(_) => 0x22,
            Self::TopicAlias(_) => 0x23,
            Self::MaximumQoS(_) => 0x24,
            Self::RetainAvailable(_) => 0x25,
            Self::UserProperty(..) => 0x26,
            Self::MaximumPacketSize(_) => 0x27,
            Self::WildcardSubscriptionAvailable(_) => 0x28,
            Self::SubscriptionIdentifiersAvailable(_) => 0x29,
            Self::SharedSubscriptionAvailable(_) => 0x2a,
        }
    }

    /// Reads the value that belongs to `id`.
    pub(crate) fn read_value(id: u32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match id {
            0x01 => Self::PayloadFormatIndicator(flag(r, "MQTT5 3.3.2.3.2")?),
            0x02 => Self::MessageExpiryInterval(r.u32()?),
            0x03 => Self::ContentType(r.string()?),
            0x08 => Self::ResponseTopic(response_topic(r)?),
            0x09 => Self::CorrelationData(r.binary()?),
            0x0b => Self::SubscriptionIdentifier(subscription_id(r)?),
            0x11 => Self::SessionExpiryInterval(r.u32()?),
            0x12 => Self::AssignedClientIdentifier(r.string()?),
            0x13 => Self::ServerKeepAlive(r.u16()?),
            0x15 => Self::AuthenticationMethod(r.string()?),
            0x16 => Self::AuthenticationData(r.binary()?),
            0x17 => Self::RequestProblemInformation(flag(r, "MQTT5 3.1.2.11.7")?),
            0x18 => Self::WillDelayInterval(r.u32()?),
            0x19 => Self::RequestResponseInformation(flag(r, "MQTT5 3.1.2.11.6")?),
            0x1a => Self::ResponseInformation(r.string()?),
            0x1c => Self::ServerReference(r.string()?),
            0x1f => Self::ReasonString(r.string()?),
            0x21 => Self::ReceiveMaximum(not_zero(
                r.u16()?,
                "MQTT5 3.1.2.11.3",
                "the Receive Maximum is 0",
            )?),
            0x22 => Self::TopicAliasMaximum(r.u16()?),
            0x23 => Self::TopicAlias(topic_alias(r)?),
            0x24 => Self::MaximumQoS(maximum_qos(r)?),
            0x25 => Self::RetainAvailable(flag(r, "MQTT5 3.2.2.3.5")?),
            0x26 => Self::UserProperty(r.string()?, r.string()?),
            0x27 => Self::MaximumPacketSize(not_zero(
                r.u32()?,
                "MQTT5 3.1.2.11.4",
                "the Maximum Packet Size is 0",
            )?),
            0x28 => Self::WildcardSubscriptionAvailable(flag(r, "MQTT5 3.2.2.3.11")?),
            0x29 => Self::SubscriptionIdentifiersAvailable(flag(r, "MQTT5 3.2.2.3.12")?),
            0x2a => Self::SharedSubscriptionAvailable(flag(r, "MQTT5 3.2.2.3.13")?),
            _ => {
                return Err(DecodeError::malformed(
                    "MQTT5 2.2.2.2",
                    "a property identifier does not exist",
                ));
            }
        })
    }

    /// Writes identifier and value.
    pub(crate) fn write(&self, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.u8(self.id());
        match *self {
            Self::PayloadFormatIndicator(on)
            | Self::RequestProblemInformation(on)
            | Self::RequestResponseInformation(on)
            | Self::RetainAvailable(on)
            | Self::WildcardSubscriptionAvailable(on)
            | Self::SubscriptionIdentifiersAvailable(on)
            | Self::SharedSubscriptionAvailable(on) => out.u8(u8::from(on)),
            Self::MaximumQoS(QoS::ExactlyOnce) => {
                return Err(EncodeError::forbidden(
                    "MQTT5 3.2.2.3.4",
                    "a Maximum QoS of 2 is said by leaving it out",
                ));
            }
            Self::MaximumQoS(qos) => out.u8(qos as u8),
            Self::ReceiveMaximum(0) | Self::TopicAlias(0) | Self::MaximumPacketSize(0) => {
                return Err(EncodeError::forbidden(
                    "MQTT5 2.2.2.2",
                    "this property may not be 0",
                ));
            }
            Self::ServerKeepAlive(value)
            | Self::ReceiveMaximum(value)
            | Self::TopicAliasMaximum(value)
            | Self::TopicAlias(value) => out.u16(value),
            Self::MessageExpiryInterval(value)
            | Self::SessionExpiryInterval(value)
            | Self::WillDelayInterval(value)
            | Self::MaximumPacketSize(value) => out.u32(value),
            Self::SubscriptionIdentifier(id @ 1..=MAX_VARINT) => out.varint(id as usize)?,
            Self::SubscriptionIdentifier(_) => {
                return Err(EncodeError::forbidden(
                    "MQTT5 3.8.2.1.2",
                    "a Subscription Identifier is 0 or too large",
                ));
            }
            Self::ResponseTopic(topic) => {
                if TopicName::parse(topic).is_err() {
                    return Err(EncodeError::forbidden(
                        "MQTT-3.3.2-14",
                        "the Response Topic is no topic name",
                    ));
                }
                out.string("Response Topic", topic)?;
            }
            Self::ContentType(text) => out.string("Content Type", text)?,
            Self::AssignedClientIdentifier(text) => out.string("Assigned Client Identifier", text)?,
            Self::AuthenticationMethod(text) => out.string("Authentication Method", text)?,
            Self::ResponseInformation(text) => out.string("Response Information", text)?,
            Self::ServerReference(text) => out.string("Server Reference", text)?,
            Self::ReasonString(text) => out.string("Reason String", text)?,
            Self::CorrelationData(bytes) => out.binary("Correlation Data", bytes)?,
            Self::AuthenticationData(bytes) => out.binary("Authentication Data", bytes)?,
            Self::UserProperty(name, value) => {
                out.string("User Property name", name)?;
                out.string("User Property value", value)?;
            }
        }
        Ok(())
    }
}

fn flag(r: &mut Reader<'_>, clause: &'static str) -> Result<bool, DecodeError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::protocol(
            clause,
            "a property that is 0 or 1 has another value",
        )),
    }
}

fn not_zero<T: Default + PartialEq>(
    value: T,
    clause: &'static str,
    what: &'static str,
) -> Result<T, DecodeError> {
    if value == T::default() {
        Err(DecodeError::protocol(clause, what))
    } else {
        Ok(value)
    }
}

fn topic_alias(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
    match r.u16()? {
        0 => Err(DecodeError::new(
            crate::ReasonCode::TopicAliasInvalid,
            "MQTT-3.3.2-8",
            "the Topic Alias is 0",
        )),
        alias => Ok(alias),
    }
}

fn subscription_id(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    not_zero(r.varint()?, "MQTT5 3.8.2.1.2", "the Subscription Identifier is 0")
}

fn maximum_qos(r: &mut Reader<'_>) -> Result<QoS, DecodeError> {
    let on = flag(r, "MQTT5 3.2.2.3.4")?;
    Ok(if on { QoS::AtLeastOnce } else { QoS::AtMostOnce })
}

fn response_topic<'a>(r: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let text = r.utf8()?;
    match TopicName::parse(text) {
        Ok(topic) => Ok(topic.as_str()),
        Err(crate::TopicError::WildcardInName) => Err(DecodeError::protocol(
            "MQTT-3.3.2-14",
            "the Response Topic holds a wildcard",
        )),
        Err(error) => Err(r.bad_topic(error)),
    }
}

/// The user properties of an owned packet, in their order.
pub(crate) fn user_properties(pairs: &[(String, String)]) -> impl Iterator<Item = Property<'_>> + Clone {
    pairs
        .iter()
        .map(|(name, value)| Property::UserProperty(name, value))
}
