//! One model of a control packet for both protocol versions.

mod ack;
mod auth;
mod connack;
pub(crate) mod connect;
mod disconnect;
mod publish;
mod subscribe;
mod unsubscribe;
mod will;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::Connect;
pub use disconnect::Disconnect;
pub use publish::Publish;
pub use subscribe::{RetainHandling, SubAck, Subscribe, Subscription};
pub use unsubscribe::{UnsubAck, Unsubscribe};
pub use will::Will;

use crate::header::Kind;

/// A control packet. Fields that a version does not have are at their default after decoding and left out
/// when encoding. Everything is owned but PUBLISH, which borrows from the buffer it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client introduces itself.
    Connect(Box<Connect>),
    /// The server's answer to it.
    ConnAck(ConnAck),
    /// A message.
    Publish(Publish<'a>),
    /// The answer to a PUBLISH of QoS 1.
    PubAck(Ack),
    /// The first answer to a PUBLISH of QoS 2.
    PubRec(Ack),
    /// The answer to PUBREC.
    PubRel(Ack),
    /// The answer to PUBREL.
    PubComp(Ack),
    /// A client asks for messages.
    Subscribe(Subscribe),
    /// The answer to SUBSCRIBE.
    SubAck(SubAck),
    /// A client asks for no more of them.
    Unsubscribe(Unsubscribe),
    /// The answer to UNSUBSCRIBE.
    UnsubAck(UnsubAck),
    /// A client asks whether the server is there.
    PingReq,
    /// It is.
    PingResp,
    /// The last packet of a connection.
    Disconnect(Disconnect),
    /// A step of enhanced authentication; MQTT 5.0 only.
    Auth(Auth),
}

impl Packet<'_> {
    /// The name in the standard.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Packet::Connect(_) => "CONNECT",
            Packet::ConnAck(_) => "CONNACK",
            Packet::Publish(_) => "PUBLISH",
            Packet::PubAck(_) => "PUBACK",
            Packet::PubRec(_) => "PUBREC",
            Packet::PubRel(_) => "PUBREL",
            Packet::PubComp(_) => "PUBCOMP",
            Packet::Subscribe(_) => "SUBSCRIBE",
            Packet::SubAck(_) => "SUBACK",
            Packet::Unsubscribe(_) => "UNSUBSCRIBE",
            Packet::UnsubAck(_) => "UNSUBACK",
            Packet::PingReq => "PINGREQ",
            Packet::PingResp => "PINGRESP",
            Packet::Disconnect(_) => "DISCONNECT",
            Packet::Auth(_) => "AUTH",
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Packet::Connect(_) => Kind::Connect,
            Packet::ConnAck(_) => Kind::ConnAck,
            Packet::Publish(_) => Kind::Publish,
            Packet::PubAck(_) => Kind::PubAck,
            Packet::PubRec(_) => Kind::PubRec,
            Packet::PubRel(_) => Kind::PubRel,
            Packet::PubComp(_) => Kind::PubComp,
            Packet::Subscribe(_) => Kind::Subscribe,
            Packet::SubAck(_) => Kind::SubAck,
            Packet::Unsubscribe(_) => Kind::Unsubscribe,
            Packet::UnsubAck(_) => Kind::UnsubAck,
            Packet::PingReq => Kind::PingReq,
            Packet::PingResp => Kind::PingResp,
            Packet::Disconnect(_) => Kind::Disconnect,
            Packet::Auth(_) => Kind::Auth,
        }
    }
}
