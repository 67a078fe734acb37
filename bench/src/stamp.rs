//! The first bytes of every payload: whose message it is, its number, and when it was sent.

/// Bytes of a [`Stamp`], and so the smallest payload.
pub(crate) const STAMP_BYTES: usize = 20;

/// Identifies one message of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u32,
    pub(crate) number: u64,
    /// Nanoseconds since the run began; 0 when latency is not measured.
    pub(crate) sent_at: u64,
}

impl Stamp {
    /// The bytes on the wire, numbers with the highest byte first.
    #[inline]
    pub(crate) fn bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        let (publisher, rest) = bytes.split_at_mut(4);
        let (number, sent_at) = rest.split_at_mut(8);
        publisher.copy_from_slice(&self.publisher.to_be_bytes());
        number.copy_from_slice(&self.number.to_be_bytes());
        sent_at.copy_from_slice(&self.sent_at.to_be_bytes());
        bytes
    }

    /// The stamp of a payload, or `None` for a payload that is too short to be ours.
    #[inline]
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (sent_at, _) = rest.split_first_chunk()?;
        Some(Self {
            publisher: u32::from_be_bytes(*publisher),
            number: u64::from_be_bytes(*number),
            sent_at: u64::from_be_bytes(*sent_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp {
            publisher: 7,
            number: u64::MAX - 1,
            sent_at: 123_456_789_000,
        };
        let mut payload = stamp.bytes().to_vec();
        payload.extend_from_slice(b"filler");
        assert_eq!(Stamp::read(&payload), Some(stamp));
    }

    #[test]
    fn a_short_payload_has_no_stamp() {
        assert_eq!(Stamp::read(&[0; STAMP_BYTES - 1]), None);
    }
}
