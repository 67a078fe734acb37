//! Which packet may carry which property, and reading a block under that rule.

use super::Property;
use crate::error::DecodeError;
use crate::read::Reader;

/// Property identifiers as bits; they are all below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PropertySet(u64);

const USER_PROPERTY: u64 = 1 << 0x26;
const SUBSCRIPTION_ID: u64 = 1 << 0x0b;
const REASON_STRING: u64 = 1 << 0x1f;
const AUTHENTICATION: u64 = 1 << 0x15 | 1 << 0x16;
/// What a message carries from its publisher to its receivers.
const MESSAGE: u64 = 1 << 0x01 | 1 << 0x02 | 1 << 0x03 | 1 << 0x08 | 1 << 0x09 | USER_PROPERTY;

impl PropertySet {
    pub(crate) const CONNECT: Self = Self(
        1 << 0x11
            | AUTHENTICATION
            | 1 << 0x17
            | 1 << 0x19
            | 1 << 0x21
            | 1 << 0x22
            | USER_PROPERTY
            | 1 << 0x27,
    );
    pub(crate) const WILL: Self = Self(MESSAGE | 1 << 0x18);
    pub(crate) const WILL_MESSAGE: Self = Self(MESSAGE);
    pub(crate) const CONNACK: Self = Self(
        1 << 0x11
            | 1 << 0x12
            | 1 << 0x13
            | AUTHENTICATION
            | 1 << 0x1a
            | 1 << 0x1c
            | REASON_STRING
            | 1 << 0x21
            | 1 << 0x22
            | 1 << 0x24
            | 1 << 0x25
            | USER_PROPERTY
            | 1 << 0x27
            | 1 << 0x28
            | 1 << 0x29
            | 1 << 0x2a,
    );
    pub(crate) const PUBLISH: Self = Self(MESSAGE | 1 << 0x23 | SUBSCRIPTION_ID);
    pub(crate) const SUBSCRIBE: Self = Self(SUBSCRIPTION_ID | USER_PROPERTY);
    pub(crate) const UNSUBSCRIBE: Self = Self(USER_PROPERTY);
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK.
    pub(crate) const ANSWER: Self = Self(REASON_STRING | USER_PROPERTY);
    pub(crate) const DISCONNECT: Self = Self(1 << 0x11 | 1 << 0x1c | REASON_STRING | USER_PROPERTY);
    pub(crate) const AUTH: Self = Self(AUTHENTICATION | REASON_STRING | USER_PROPERTY);

    const fn has(self, id: u32) -> bool {
        id < 64 && self.0 & 1 << id != 0
    }
}

/// Reads the properties of a block one by one and refuses those that do not belong there.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    rest: Reader<'a>,
    allowed: PropertySet,
    seen: u64,
    /// What may come more than once.
    many: u64,
}

impl<'a> Block<'a> {
    /// The block at the front of `r`, behind its length.
    pub(crate) fn open(r: &mut Reader<'a>, allowed: PropertySet) -> Result<Self, DecodeError> {
        let len = r.varint()?;
        let block = r.take(len as usize)?;
        Ok(Self::over(Reader::new(block, r.version()), allowed))
    }

    /// A block without its length.
    pub(crate) fn over(block: Reader<'a>, allowed: PropertySet) -> Self {
        // Only a PUBLISH may repeat the subscription identifier (MQTT5 3.3.2.3.8).
        let many = if allowed == PropertySet::PUBLISH {
            USER_PROPERTY | SUBSCRIPTION_ID
        } else {
            USER_PROPERTY
        };
        Self {
            rest: block,
            allowed,
            seen: 0,
            many,
        }
    }

    /// The next property, or `None` at the end of the block.
    pub(crate) fn next(&mut self) -> Result<Option<Property<'a>>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let id = self.rest.varint()?;
        if !self.allowed.has(id) {
            return Err(DecodeError::malformed(
                "MQTT5 2.2.2.2",
                "a property does not exist or not in this packet",
            ));
        }
        if self.seen & !self.many & 1 << id != 0 {
            return Err(DecodeError::protocol(
                "MQTT5 2.2.2.2",
                "a property stands twice in one packet",
            ));
        }
        self.seen |= 1 << id;
        Property::read_value(id, &mut self.rest).map(Some)
    }

    /// Checks all that is left, and says whether a subscription identifier was in the block.
    pub(crate) fn check(mut self) -> Result<bool, DecodeError> {
        while self.next()?.is_some() {}
        Ok(self.seen & SUBSCRIPTION_ID != 0)
    }
}
