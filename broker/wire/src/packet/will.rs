//! The will: a message that the server publishes when its client is lost.

use std::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::property::{Property, is_will_message, split_will};
use crate::qos::QoS;
use crate::read::Reader;
use crate::topic::TopicName;
use crate::version::Version;
use crate::write::{Length, Sink};

/// What is published on behalf of a lost client.
#[derive(Clone, PartialEq, Eq)]
pub struct Will {
    /// A valid topic name.
    pub topic: String,
    /// Any bytes, at most 65535.
    pub payload: Vec<u8>,
    /// How surely it is delivered.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Seconds between the loss and the publishing.
    pub delay_secs: u32,
    /// Checked property block of the message, message expiry included; fits
    /// [`Properties::parse_publish`](crate::Properties::parse_publish).
    pub properties: Vec<u8>,
}

impl Will {
    pub(crate) fn decode(r: &mut Reader<'_>, qos: QoS, retain: bool) -> Result<Self, DecodeError> {
        let (delay_secs, properties) = match r.version() {
            Version::V311 => (0, Vec::new()),
            Version::V5 => {
                let len = r.varint()?;
                split_will(r.take(len as usize)?)?
            }
        };
        let topic = TopicName::parse(r.utf8()?).map_err(|error| r.bad_topic(error))?;
        let payload = r.binary()?.to_vec();
        Ok(Self {
            topic: topic.as_str().to_owned(),
            payload,
            qos,
            retain,
            delay_secs,
            properties,
        })
    }

    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if version == Version::V5 {
            self.write_properties(out)?;
        }
        if let Err(error) = TopicName::parse(&self.topic) {
            return Err(EncodeError::forbidden(error.clause(version), error.what()));
        }
        out.string("will topic", &self.topic)?;
        out.binary("will payload", &self.payload)
    }

    fn write_properties(&self, out: &mut impl Sink) -> Result<(), EncodeError> {
        if !is_will_message(&self.properties) {
            return Err(EncodeError::forbidden(
                "MQTT5 3.1.3.2",
                "the properties of the will do not belong there",
            ));
        }
        let delay = Some(Property::WillDelayInterval(self.delay_secs)).filter(|_| self.delay_secs > 0);
        let mut length = Length::default();
        delay.map_or(Ok(()), |delay| delay.write(&mut length))?;
        out.varint(length.0 + self.properties.len())?;
        delay.map_or(Ok(()), |delay| delay.write(out))?;
        out.bytes(&self.properties);
        Ok(())
    }
}

impl fmt::Debug for Will {
    /// Without payload and properties, which are the users'.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("delay_secs", &self.delay_secs)
            .field("properties", &format_args!("{} bytes", self.properties.len()))
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}
