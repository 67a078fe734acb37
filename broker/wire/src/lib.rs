//! MQTT packets to bytes and back: 3.1.1 and 5.0, strict, without IO, clock and state.
//!
//! * Words: [`Version`], [`QoS`], [`PacketId`], [`ClientId`], [`TopicName`], [`TopicFilter`], [`ReasonCode`],
//!   [`Property`] and [`Properties`]. Each is checked when it is made and right from then on.
//! * Packets: [`Packet`], one model for both versions. Everything is owned but [`Publish`], which borrows from
//!   the buffer it was read from.
//! * Bytes to packets: [`decode()`] for what clients send, [`decode_from_server`] for what servers send,
//!   [`frame_len`] to know how many bytes to wait for. What is wrong is a [`DecodeError`] with the clause and
//!   the reason code to answer with.
//! * Packets to bytes: [`Packet::encode`] and, for the way of a message, [`Publish::encode`]. Nothing is
//!   written that `decode` would refuse.
//! * What may stand before all packets: the header of a proxy, in [`proxy`]. What may stand around them: the frames of a
//!   WebSocket, in [`websocket`].
//!
//! Rules that need more than one packet (a second CONNECT, an unknown topic alias, identifiers in use, the
//! receive maximum) are not here but with the session.

mod decode;
mod encode;
mod error;
mod header;
mod ident;
mod packet;
mod property;
pub mod proxy;
mod qos;
mod read;
mod reason;
mod topic;
mod varint;
mod version;
pub mod websocket;
mod write;

pub use decode::{connect_version, decode, decode_from_server, frame_len};
pub use error::{DecodeError, EncodeError};
pub use ident::{ClientId, ClientIdError, PacketId};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Publish, RetainHandling, SubAck, Subscribe,
    Subscription, UnsubAck, Unsubscribe, Will,
};
pub use property::{Properties, Property, PropertyIter, put_property};
pub use qos::{QoS, UnknownQoS};
pub use reason::{ReasonCode, UnknownReasonCode, connack_return_code};
pub use topic::{MAX_TOPIC_LEN, Share, TopicError, TopicFilter, TopicName};
pub use varint::MAX_VARINT;
pub use version::Version;
