//! The closed list of things that can happen to a shard.

use std::sync::Arc;

use mqtt_wire::{ClientId, Connect, DecodeError, Packet, QoS, ReasonCode, TopicFilter};

use crate::{Badge, EntranceId, Judge, Overload, WallTime, mail::Mail, recall::Page};

/// A socket of this shard, by the slot the outside keeps it in. A slot is used again only after the connection that had
/// it was closed on both sides: by `Output::Close` or `Input::Lost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u32);

/// A shard, by its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The home of a name among so many shards: the same for the same name, also after a restart.
    #[must_use]
    pub fn of(name: &str, shards: u16) -> Self {
        // FNV-1a, whose values never change, and the finish of MurmurHash3: FNV alone leaves names that differ only at their
        // end together. A peer that picks names to load one shard gains nothing that it could not have by connecting often.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self(((hash >> 32) % u64::from(shards.max(1))) as u16)
    }
}

/// An attached link, by its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u8);

/// Which sessions with a matching subscription get a link's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// All.
    Everyone,
    /// Only this client's, and only while it is connected.
    Only(ClientId),
    /// All but this client's.
    Except(ClientId),
}

/// A message that a link publishes. Topic and properties have been checked by the outside.
#[derive(Debug, Clone)]
pub struct LinkMessage {
    /// The topic name.
    pub topic: Arc<str>,
    /// The application message.
    pub payload: Vec<u8>,
    /// A raw block of forwardable properties.
    pub properties: Vec<u8>,
    /// The quality of service.
    pub qos: QoS,
    /// Whether it is to be retained. Retained messages of links live in memory only.
    pub retain: bool,
    /// Who gets it.
    pub to: To,
    /// If set, at most one unsent message of this key waits for a receiver, and it is kept only while that is connected.
    pub replace: Option<u64>,
}

/// What a link did with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It took it.
    Taken,
    /// It refused it for this reason.
    Refused(ReasonCode),
}

/// What a gate said in a re-authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The client has to say more; it is told this.
    Continue(Option<Vec<u8>>),
    /// It is still the same client; it is told this.
    Known(Option<Vec<u8>>),
    /// It is not, or not any more.
    Refused,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// An authenticated connection came home. Its CONNECT was read on the way; the rest of what it sent follows.
    Connected {
        /// The slot it has from now on.
        connection: ConnectionId,
        /// What it sent. The client id is set: the outside assigns one where the client sent none. With an authentication
        /// method the data is what the client is told last.
        connect: Box<Connect>,
        /// Whether the client id was assigned by the outside.
        assigned: bool,
        /// Who it is.
        badge: Badge,
        /// Where it came in.
        entrance: EntranceId,
    },
    /// A packet arrived. Only while [`crate::Shard::reads`] says so.
    Packet {
        /// From whom.
        connection: ConnectionId,
        /// The packet.
        packet: Packet<'a>,
        /// Who can say what they may publish, if it is a PUBLISH.
        judge: &'a dyn Judge,
    },
    /// Bytes arrived that are no packet.
    Malformed {
        /// From whom.
        connection: ConnectionId,
        /// What is wrong with them.
        error: DecodeError,
    },
    /// The socket is gone, without our having asked for it.
    Lost {
        /// Whose.
        connection: ConnectionId,
    },
    /// An outbox that was above [`crate::Outbox::HIGH_WATER`] has been written out to below half of it.
    Drained {
        /// Whose.
        connection: ConnectionId,
    },
    /// The verdict on an `Output::Ask`.
    Verdict {
        /// The question's ticket.
        ticket: u64,
        /// Whether it is allowed.
        allow: bool,
    },
    /// The answer to an `Output::Authenticate`.
    Authenticated {
        /// The ticket of the re-authentication.
        ticket: u64,
        /// What the gate said.
        said: Authentication,
    },
    /// Every batch of this shard up to this ticket is kept.
    Remembered {
        /// The last of them.
        through: u64,
    },
    /// The batch with this ticket was not kept, and will not be; those before it were answered.
    Refused {
        /// Which batch.
        ticket: u64,
        /// What to tell peers.
        reason: ReasonCode,
    },
    /// The answer to an `Output::Recall`.
    Recalled {
        /// What was read.
        page: Page,
    },
    /// Another shard wrote.
    Mail {
        /// Which.
        from: ShardId,
        /// What.
        mail: Mail,
    },
    /// A link is attached. All shards are told, in the same order, before any client connects.
    LinkAttached {
        /// Which messages it gets, and whether with responsibility.
        subscriptions: Vec<(TopicFilter, bool)>,
        /// Messages on these topics reach links only.
        alone: Vec<TopicFilter>,
        /// Which client subscriptions it hears of.
        watches: Vec<TopicFilter>,
        /// Whether it hears of clients that come and go.
        presence: bool,
    },
    /// A link publishes.
    LinkPublished {
        /// What.
        message: LinkMessage,
    },
    /// A link answers an `Output::Deliver`.
    LinkAnswered {
        /// Which delivery.
        number: u64,
        /// Its answer.
        answer: Answer,
    },
    /// An operator wants a client gone.
    Expel {
        /// Which.
        client_id: ClientId,
        /// What to tell it.
        reason: ReasonCode,
    },
    /// Whether the store has room for what makes it grow. It is taken to have, until told.
    Room {
        /// If not, messages that would have to be kept are refused, and everything else goes on.
        enough: bool,
    },
    /// How near memory is to its ceiling. It is taken to be far, until told.
    Overload(Overload),
    /// The policy has changed: remembered verdicts no longer hold.
    PolicyChanged,
    /// The wall clock's reading. Told at the start, and then every few seconds.
    Wall {
        /// The wall time of now.
        now: WallTime,
    },
    /// The moment of [`crate::Shard::next_deadline`] has come.
    Tick,
    /// The broker shuts down: disconnect everybody in order.
    ShutDown,
}
