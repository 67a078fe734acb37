//! PUBLISH: a message, read and written without a copy of its parts.

use std::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::header::{Flags, Sender};
use crate::ident::PacketId;
use crate::property::Properties;
use crate::qos::QoS;
use crate::read::Reader;
use crate::topic::TopicName;
use crate::varint;
use crate::version::Version;
use crate::write::Sink;

/// A message on its way. Its parts stand in the buffer it was read from, or in one of the sender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before and perhaps received; never with QoS 0.
    pub dup: bool,
    /// How surely it is delivered.
    pub qos: QoS,
    /// Kept for later subscribers, or sent because it was kept.
    pub retain: bool,
    /// A valid topic name; empty only in MQTT 5.0 where a topic alias stands for it.
    pub topic: &'a str,
    /// Present exactly when the QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// Empty in MQTT 3.1.1.
    pub properties: Properties<'a>,
    /// Any bytes. Whether they are text is not checked, whatever the Payload Format Indicator says.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    #[inline]
    pub(crate) fn decode(flags: Flags, mut r: Reader<'a>, sender: Sender) -> Result<Self, DecodeError> {
        let topic = r.utf8()?;
        let packet_id = match flags.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(r.packet_id()?),
        };
        let properties = match r.version() {
            Version::V311 => Properties::EMPTY,
            Version::V5 => read_properties(&mut r, sender)?,
        };
        if !topic.is_empty() || r.version() == Version::V311 {
            TopicName::parse(topic).map_err(|error| r.bad_topic(error))?;
        } else if properties.topic_alias().is_none() {
            return Err(DecodeError::protocol(
                "MQTT5 3.3.2.1",
                "a PUBLISH has neither a topic nor a topic alias",
            ));
        }
        let Flags { dup, qos, retain } = flags;
        Ok(Self {
            dup,
            qos,
            retain,
            topic,
            packet_id,
            properties,
            payload: r.rest(),
        })
    }

    /// Refuses what `decode` would refuse.
    #[inline]
    pub(crate) fn check(&self, version: Version) -> Result<(), EncodeError> {
        if self.packet_id.is_some() != (self.qos > QoS::AtMostOnce) {
            return Err(EncodeError::forbidden(
                version.clause("MQTT-2.3.1-5", "MQTT-2.2.1-2"),
                "a packet identifier belongs to QoS 1 and 2 only",
            ));
        }
        if self.dup && self.qos == QoS::AtMostOnce {
            return Err(EncodeError::forbidden(
                "MQTT-3.3.1-2",
                "DUP is set in a PUBLISH of QoS 0",
            ));
        }
        if self.topic.is_empty() && version == Version::V5 && self.properties.topic_alias().is_some() {
            return Ok(());
        }
        match TopicName::parse(self.topic) {
            Ok(_) => Ok(()),
            Err(error) => Err(EncodeError::forbidden(error.clause(version), error.what())),
        }
    }

    #[inline]
    pub(crate) fn flag_bits(&self) -> u8 {
        u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain)
    }

    #[inline]
    pub(crate) fn body_len(&self, version: Version) -> usize {
        let id = if self.packet_id.is_some() { 2 } else { 0 };
        let properties = match version {
            Version::V311 => 0,
            Version::V5 => {
                let len = self.properties.as_bytes().len();
                varint::len(len) + len
            }
        };
        2 + self.topic.len() + id + properties + self.payload.len()
    }

    #[inline]
    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.binary("topic", self.topic.as_bytes())?;
        if let Some(id) = self.packet_id {
            out.u16(id.get());
        }
        if version == Version::V5 {
            out.varint(self.properties.as_bytes().len())?;
            out.bytes(self.properties.as_bytes());
        }
        out.bytes(self.payload);
        Ok(())
    }
}

#[inline]
fn read_properties<'a>(r: &mut Reader<'a>, sender: Sender) -> Result<Properties<'a>, DecodeError> {
    match r.varint()? {
        0 => Ok(Properties::EMPTY),
        len => {
            let (properties, has_subscription_id) = Properties::checked(r.take(len as usize)?)?;
            if has_subscription_id && sender == Sender::Client {
                return Err(DecodeError::protocol(
                    "MQTT-3.3.4-6",
                    "a PUBLISH from a client has a Subscription Identifier",
                ));
            }
            Ok(properties)
        }
    }
}

impl fmt::Debug for Publish<'_> {
    /// Without the payload, which is the users' and may be large.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("dup", &self.dup)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("packet_id", &self.packet_id)
            .field("properties", &self.properties)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}
