//! Bytes to packets. "More bytes are needed" is an answer and not an error.

use crate::error::DecodeError;
use crate::header::{Header, Kind, Sender};
use crate::packet::connect::read_protocol;
use crate::packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe,
};
use crate::read::Reader;
use crate::version::Version;

/// Reads the packet at the front of what a client sent.
///
/// Answers the packet and how many bytes it took, or `None` when its last byte is not there yet. CONNECT
/// names its own version; for it `version` is ignored. `max_packet_size` counts the fixed header as well.
/// What is wrong with the fixed header is told before the body has come.
///
/// # Errors
/// Everything that the standard of that version forbids within one packet.
pub fn decode(
    buf: &[u8],
    version: Version,
    max_packet_size: u32,
) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    decode_from(buf, Sender::Client, version, max_packet_size)
}

/// Reads the packet at the front of what a server sent; otherwise like [`decode`].
///
/// # Errors
/// Everything that the standard of that version forbids within one packet.
pub fn decode_from_server(
    buf: &[u8],
    version: Version,
    max_packet_size: u32,
) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    decode_from(buf, Sender::Server, version, max_packet_size)
}

/// The length in bytes of the packet at the front of `buf`, known as soon as its fixed header is complete;
/// `None` before that. The body need not be there.
///
/// # Errors
/// A fixed header that no packet has, or a packet larger than `max_packet_size`.
pub fn frame_len(buf: &[u8], max_packet_size: u32) -> Result<Option<usize>, DecodeError> {
    let header = Header::read(buf, None, max_packet_size)?;
    Ok(header.map(|header| header.len + header.remaining))
}

/// The version that the CONNECT at the front of `buf` names, as far as it can be read: tells in which form
/// to answer a CONNECT that [`decode`] refused.
#[must_use]
pub fn connect_version(buf: &[u8]) -> Option<Version> {
    let header = Header::read(buf, None, u32::MAX).ok().flatten()?;
    if header.kind != Kind::Connect {
        return None;
    }
    let mut r = Reader::new(buf.get(header.len..)?, Version::V5);
    read_protocol(&mut r).ok().map(|protocol| protocol.version)
}

#[inline]
fn decode_from(
    buf: &[u8],
    sender: Sender,
    version: Version,
    max_packet_size: u32,
) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    let Some(header) = Header::read(buf, Some((sender, version)), max_packet_size)? else {
        return Ok(None);
    };
    let total = header.len + header.remaining;
    let Some(body) = buf.get(header.len..total) else {
        return Ok(None);
    };
    let packet = read_body(header, Reader::new(body, version), sender)?;
    Ok(Some((packet, total)))
}

#[inline]
fn read_body<'a>(header: Header, r: Reader<'a>, sender: Sender) -> Result<Packet<'a>, DecodeError> {
    Ok(match header.kind {
        Kind::Publish => Packet::Publish(Publish::decode(header.flags, r, sender)?),
        Kind::PubAck => Packet::PubAck(Ack::decode(header.kind, r)?),
        Kind::PubRec => Packet::PubRec(Ack::decode(header.kind, r)?),
        Kind::PubRel => Packet::PubRel(Ack::decode(header.kind, r)?),
        Kind::PubComp => Packet::PubComp(Ack::decode(header.kind, r)?),
        Kind::Connect => Packet::Connect(Box::new(Connect::decode(r)?)),
        Kind::ConnAck => Packet::ConnAck(ConnAck::decode(r)?),
        Kind::Subscribe => Packet::Subscribe(Subscribe::decode(r)?),
        Kind::SubAck => Packet::SubAck(SubAck::decode(r)?),
        Kind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(r)?),
        Kind::UnsubAck => Packet::UnsubAck(UnsubAck::decode(r)?),
        Kind::PingReq => Packet::PingReq,
        Kind::PingResp => Packet::PingResp,
        Kind::Disconnect => Packet::Disconnect(Disconnect::decode(r, sender)?),
        Kind::Auth => Packet::Auth(Auth::decode(r, sender)?),
    })
}
