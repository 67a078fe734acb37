//! What follows the addresses in a PROXY header of version 2: a type, a length and a value each.

use super::Malformed;

const CHECKSUM: u8 = 0x03;
const TLS: u8 = 0x20;
const TLS_COMMON_NAME: u8 = 0x22;
/// What a proxy says of TLS: a byte of flags and four of the verdict on the certificate, then fields again.
const TLS_FIXED_BYTES: usize = 5;
/// The client has shown a certificate on this connection, or on the one whose session it resumes.
const SHOWN: u8 = 0x02 | 0x04;

/// Fields that have not been looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn of(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The common name of a certificate that the proxy has verified, if there is one. Checks all fields, and the checksum
    /// of the `whole` header if it has one.
    pub(super) fn common_name(mut self, whole: &[u8]) -> Result<Option<String>, Malformed> {
        let (mut tls, mut name) = (false, None);
        while let Some((kind, value)) = self.next()? {
            match kind {
                CHECKSUM => check(value, self.rest.len(), whole)?,
                TLS if tls => return Err(Malformed("its PROXY header speaks of TLS twice")),
                TLS => {
                    tls = true;
                    name = verified_name(value)?;
                }
                // What nobody here asks for.
                _ => {}
            }
        }
        Ok(name)
    }

    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        let cut = Malformed("a field of its PROXY header is cut short");
        if self.rest.is_empty() {
            return Ok(None);
        }
        let ([kind, high, low], rest) = self.rest.split_first_chunk().ok_or(cut)?;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(len).ok_or(cut)?;
        self.rest = rest;
        Ok(Some((*kind, value)))
    }
}

fn verified_name(value: &[u8]) -> Result<Option<String>, Malformed> {
    let ([flags, verdict @ ..], rest) = value
        .split_first_chunk::<TLS_FIXED_BYTES>()
        .ok_or(Malformed("what its PROXY header says of TLS is cut short"))?;
    let verified = flags & SHOWN != 0 && *verdict == [0; TLS_FIXED_BYTES - 1];
    let mut fields = Fields::of(rest);
    let mut name = None;
    while let Some((kind, value)) = fields.next()? {
        if kind != TLS_COMMON_NAME {
            continue;
        }
        let text =
            std::str::from_utf8(value).map_err(|_| Malformed("a name in its PROXY header is no text"))?;
        if name.replace(text).is_some() {
            return Err(Malformed("its PROXY header has two common names"));
        }
    }
    Ok(name.filter(|_| verified).map(str::to_owned))
}

/// Checks the CRC-32C of a header in which its own value, before `after` bytes, counts as zeros.
fn check(value: &[u8], after: usize, whole: &[u8]) -> Result<(), Malformed> {
    let wrong = Malformed("the checksum of its PROXY header is wrong");
    let told = u32::from_be_bytes(value.try_into().map_err(|_| wrong)?);
    let end = whole.len().saturating_sub(after);
    let own = end.saturating_sub(value.len())..end;
    let bytes = whole
        .iter()
        .enumerate()
        .map(|(at, byte)| if own.contains(&at) { 0 } else { *byte });
    if crc32c(bytes) == told { Ok(()) } else { Err(wrong) }
}

/// Headers are short, so one bit at a time will do.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let bit = |crc: u32| {
        if crc & 1 == 1 {
            (crc >> 1) ^ POLYNOMIAL
        } else {
            crc >> 1
        }
    };
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| bit(crc))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    }
}
