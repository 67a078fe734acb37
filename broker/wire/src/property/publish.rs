//! The properties of a message: checked once, kept as the bytes they came in.

use std::borrow::Cow;
use std::fmt;

use super::{Block, Property, PropertySet};
use crate::error::DecodeError;
use crate::read::Reader;
use crate::version::Version;

/// A checked property block of a PUBLISH, without the length in front of it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Properties<'static> = Properties(&[]);

    /// Checks a block that a PUBLISH may carry; topic alias and subscription identifiers may be in it.
    ///
    /// # Errors
    /// What [`decode_from_server`](crate::decode_from_server) would refuse in a PUBLISH.
    pub fn parse_publish(block: &'a [u8]) -> Result<Self, DecodeError> {
        Self::checked(block).map(|(properties, _)| properties)
    }

    /// Also says whether subscription identifiers are in the block.
    pub(crate) fn checked(block: &'a [u8]) -> Result<(Self, bool), DecodeError> {
        let found = Block::over(Reader::new(block, Version::V5), PropertySet::PUBLISH).check()?;
        Ok((Self(block), found))
    }

    /// The bytes of the block.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether there is no property.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The properties in their order.
    #[must_use]
    pub const fn iter(&self) -> PropertyIter<'a> {
        PropertyIter {
            rest: Reader::new(self.0, Version::V5),
        }
    }

    /// The number that stands for the topic on this connection.
    #[must_use]
    pub fn topic_alias(&self) -> Option<u16> {
        self.iter().find_map(|property| match property {
            Property::TopicAlias(alias) => Some(alias),
            _ => None,
        })
    }

    /// How many seconds the message may wait for a receiver; `None` means forever.
    #[must_use]
    pub fn message_expiry_secs(&self) -> Option<u32> {
        self.iter().find_map(|property| match property {
            Property::MessageExpiryInterval(seconds) => Some(seconds),
            _ => None,
        })
    }

    /// The identifiers of the subscriptions that the message was sent for.
    pub fn subscription_ids(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        })
    }

    /// Where an answer to the message goes.
    #[must_use]
    pub fn response_topic(&self) -> Option<&'a str> {
        self.iter().find_map(|property| match property {
            Property::ResponseTopic(topic) => Some(topic),
            _ => None,
        })
    }

    /// What the requester knows its answer by.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.iter().find_map(|property| match property {
            Property::CorrelationData(data) => Some(data),
            _ => None,
        })
    }

    /// What the payload is said to be.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a str> {
        self.iter().find_map(|property| match property {
            Property::ContentType(text) => Some(text),
            _ => None,
        })
    }

    /// Whether the payload is said to be UTF-8 text.
    #[must_use]
    pub fn payload_is_text(&self) -> bool {
        self.iter()
            .any(|property| property == Property::PayloadFormatIndicator(true))
    }

    /// Names and values in their order; a name may come several times.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// The block as it goes on to receivers: without topic alias, message expiry and subscription
    /// identifiers, which each receiver gets its own of. Borrowed when none of these is in it.
    #[must_use]
    pub fn forwardable(&self) -> Cow<'a, [u8]> {
        let hop = |property| {
            use Property::{MessageExpiryInterval, SubscriptionIdentifier, TopicAlias};
            matches!(
                property,
                TopicAlias(_) | MessageExpiryInterval(_) | SubscriptionIdentifier(_)
            )
        };
        if !self.iter().any(hop) {
            return Cow::Borrowed(self.0);
        }
        Cow::Owned(strip(*self, hop))
    }
}

/// The bytes of all properties of a checked block for which `unwanted` says no.
fn strip<'a>(block: Properties<'a>, unwanted: impl Fn(Property<'a>) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(block.0.len());
    let mut iter = block.iter();
    loop {
        let before = iter.rest.rest();
        let Some(property) = iter.next() else { return kept };
        let len = before.len() - iter.rest.rest().len();
        if !unwanted(property) {
            kept.extend_from_slice(before.get(..len).unwrap_or_default());
        }
    }
}

/// Checks the block of a will and takes the delay out of it: the rest goes out with the message.
pub(crate) fn split_will(block: &[u8]) -> Result<(u32, Vec<u8>), DecodeError> {
    Block::over(Reader::new(block, Version::V5), PropertySet::WILL).check()?;
    let block = Properties(block);
    let delay = block.iter().find_map(|property| match property {
        Property::WillDelayInterval(seconds) => Some(seconds),
        _ => None,
    });
    let message = strip(block, |property| {
        matches!(property, Property::WillDelayInterval(_))
    });
    Ok((delay.unwrap_or(0), message))
}

/// Whether `block` is what [`split_will`] leaves.
pub(crate) fn is_will_message(block: &[u8]) -> bool {
    Block::over(Reader::new(block, Version::V5), PropertySet::WILL_MESSAGE)
        .check()
        .is_ok()
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertyIter<'a>;

    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Properties<'_> {
    /// The length only: properties are the users' data and do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Properties({} bytes)", self.0.len())
    }
}

/// The properties of a checked block, one by one.
#[derive(Debug, Clone)]
pub struct PropertyIter<'a> {
    rest: Reader<'a>,
}

impl<'a> Iterator for PropertyIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        // The block was checked when it was made, so that neither step fails.
        let id = self.rest.varint().ok()?;
        Property::read_value(id, &mut self.rest).ok()
    }
}
