//! Where encoded bytes go: into a buffer, or into a count, so that the size is known before writing.

use crate::error::EncodeError;
use crate::property::Property;
use crate::varint::{self, MAX_VARINT};

/// Takes bytes. A packet is given to a [`Length`] first: what that accepts, a `Vec` accepts as well.
pub(crate) trait Sink: Sized {
    fn bytes(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    fn varint(&mut self, value: usize) -> Result<(), EncodeError> {
        let fits = u32::try_from(value).ok().filter(|value| *value <= MAX_VARINT);
        let value = fits.ok_or(EncodeError::TooLarge(value))?;
        varint::write(value, |byte| self.u8(byte));
        Ok(())
    }

    fn binary(&mut self, what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
        let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong {
            what,
            len: bytes.len(),
        })?;
        self.u16(len);
        self.bytes(bytes);
        Ok(())
    }

    fn string(&mut self, what: &'static str, text: &str) -> Result<(), EncodeError> {
        if text.as_bytes().contains(&0) {
            return Err(EncodeError::Nul(what));
        }
        self.binary(what, text.as_bytes())
    }

    /// A property block with its length in front.
    fn properties<'a>(
        &mut self,
        properties: impl Iterator<Item = Property<'a>> + Clone,
    ) -> Result<(), EncodeError> {
        let mut length = Length::default();
        for property in properties.clone() {
            property.write(&mut length)?;
        }
        self.varint(length.0)?;
        for property in properties {
            property.write(self)?;
        }
        Ok(())
    }
}

impl Sink for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts.
#[derive(Debug, Default)]
pub(crate) struct Length(pub(crate) usize);

impl Sink for Length {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}
