//! A cursor over the body of one packet that never reads past its end.

use std::fmt;

use crate::error::DecodeError;
use crate::ident::PacketId;
use crate::topic::{TopicError, TopicFilter};
use crate::varint::{self, Varint};
use crate::version::Version;

/// What is left of a packet's body.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    version: Version,
}

impl fmt::Debug for Reader<'_> {
    /// The length only: what is read may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes left)", self.rest.len())
    }
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(body: &'a [u8], version: Version) -> Self {
        Self { rest: body, version }
    }

    #[inline]
    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The same bytes under the rules of the version that CONNECT names.
    pub(crate) const fn with_version(self, version: Version) -> Self {
        Self {
            rest: self.rest,
            version,
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.cut_short())?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.cut_short())?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        match varint::read(self.rest) {
            Varint::Value(value, len) => self.take(len).map(|_| value),
            Varint::Incomplete => Err(self.cut_short()),
            Varint::Malformed => Err(DecodeError::malformed(
                "MQTT-1.5.5-1",
                "a variable byte integer has a fifth byte or is longer than its value needs",
            )),
        }
    }

    /// Two bytes of length, then as many bytes.
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Well-formed UTF-8 without U+0000.
    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let text = self.utf8()?;
        if text.as_bytes().contains(&0) {
            return Err(self.nul());
        }
        Ok(text)
    }

    /// Well-formed UTF-8; U+0000 is left to the caller, who looks at each byte anyway.
    #[inline]
    pub(crate) fn utf8(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        std::str::from_utf8(bytes).map_err(|_| {
            let clause = self.version.clause("MQTT-1.5.3-1", "MQTT-1.5.4-1");
            DecodeError::malformed(clause, "a string is not well-formed UTF-8")
        })
    }

    pub(crate) fn filter(&mut self) -> Result<TopicFilter, DecodeError> {
        let text = self.utf8()?;
        TopicFilter::parse(text).map_err(|error| self.bad_topic(error))
    }

    pub(crate) fn bad_topic(&self, error: TopicError) -> DecodeError {
        match error {
            TopicError::Nul => self.nul(),
            error => DecodeError::new(error.reason(), error.clause(self.version), error.what()),
        }
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        let id = self.u16()?;
        PacketId::new(id).ok_or_else(|| {
            let clause = self.version.clause("MQTT-2.3.1-1", "MQTT5 2.2.1");
            DecodeError::protocol(clause, "the packet identifier is 0")
        })
    }

    /// Refuses bytes behind the last field.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let clause = self.version.clause("MQTT-4.8.0-1", "MQTT5 4.13.1");
        Err(DecodeError::malformed(
            clause,
            "bytes are left over behind the last field",
        ))
    }

    #[cold]
    fn cut_short(&self) -> DecodeError {
        let clause = self.version.clause("MQTT-4.8.0-1", "MQTT5 4.13.1");
        DecodeError::malformed(
            clause,
            "a field runs past the end of its packet or property block",
        )
    }

    #[cold]
    fn nul(&self) -> DecodeError {
        let clause = self.version.clause("MQTT-1.5.3-2", "MQTT-1.5.4-2");
        DecodeError::malformed(clause, "a string holds U+0000")
    }
}
