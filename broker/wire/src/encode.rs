//! Packets to bytes. The size is known before the first byte is written.

use crate::error::EncodeError;
use crate::header::Kind;
use crate::packet::{Packet, Publish};
use crate::varint::{self, MAX_VARINT};
use crate::version::Version;
use crate::write::{Length, Sink};

impl Packet<'_> {
    /// Appends the packet to `out`; nothing is appended on error.
    ///
    /// In MQTT 3.1.1 properties and reason codes are left out, and the reasons of CONNACK and SUBACK become
    /// the nearest return code.
    ///
    /// # Errors
    /// The packet is too large, does not exist in this version, or is one that [`decode`](crate::decode())
    /// would refuse.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let Packet::Publish(publish) = self {
            return publish.encode(version, out);
        }
        let body_len = self.body_len(version)?;
        out.reserve(1 + varint::len(body_len) + body_len);
        out.u8(self.kind().first_byte());
        out.varint(body_len)?;
        self.write_body(version, out)
    }

    /// How many bytes [`encode`](Self::encode) would append.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode).
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        let body_len = self.body_len(version)?;
        Ok(1 + varint::len(body_len) + body_len)
    }

    fn body_len(&self, version: Version) -> Result<usize, EncodeError> {
        let mut length = Length::default();
        self.write_body(version, &mut length)?;
        fits(length.0)
    }

    fn write_body(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        match self {
            Packet::Connect(packet) => packet.write(out),
            Packet::ConnAck(packet) => packet.write(version, out),
            Packet::Publish(packet) => {
                packet.check(version)?;
                packet.write(version, out)
            }
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                ack.write(self.kind(), version, out)
            }
            Packet::Subscribe(packet) => packet.write(version, out),
            Packet::SubAck(packet) => packet.write(version, out),
            Packet::Unsubscribe(packet) => packet.write(version, out),
            Packet::UnsubAck(packet) => packet.write(version, out),
            Packet::PingReq | Packet::PingResp => Ok(()),
            Packet::Disconnect(packet) => packet.write(version, out),
            Packet::Auth(packet) => packet.write(version, out),
        }
    }
}

impl Publish<'_> {
    /// Appends the packet to `out`, with at most one allocation, that of `out` itself; nothing is appended on
    /// error.
    ///
    /// # Errors
    /// As for [`Packet::encode`].
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.check(version)?;
        let body_len = fits(self.body_len(version))?;
        out.reserve(1 + varint::len(body_len) + body_len);
        out.u8(Kind::Publish.first_byte() | self.flag_bits());
        out.varint(body_len)?;
        self.write(version, out)
    }

    /// How many bytes [`encode`](Self::encode) would append.
    #[must_use]
    pub fn encoded_len(&self, version: Version) -> usize {
        let body_len = self.body_len(version);
        1 + varint::len(body_len) + body_len
    }
}

const fn fits(body_len: usize) -> Result<usize, EncodeError> {
    if body_len > MAX_VARINT as usize {
        Err(EncodeError::TooLarge(body_len))
    } else {
        Ok(body_len)
    }
}
