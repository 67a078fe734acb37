//! The protocol state of one live connection. Its verbs have files of their own beside this one.

mod acknowledge;
mod alias;
mod allowance;
pub(crate) mod ask;
mod authenticate;
pub(crate) mod connect;
mod farewell;
mod flights;
mod inbound;
mod outbound;
mod retained;
mod share;
pub(crate) mod subscribe;
mod write;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use mqtt_wire::{PacketId, QoS, ReasonCode, Version};

pub(crate) use acknowledge::Owed;
pub(crate) use alias::{Aliases, OutgoingAliases};
pub(crate) use allowance::Allowance;
pub(crate) use ask::{Asked, Verdicts};
pub(crate) use authenticate::Method;
pub(crate) use inbound::Publication;

use crate::{EntranceId, Moment, session::SessionId, topics::Route};

/// Why a client is not read at present. Several reasons may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Pause {
    /// Its CONNACK has not been sent.
    Connecting = 1,
    /// A gate has been asked.
    Asking = 2,
    /// The store is behind.
    Store = 4,
    /// A link is behind.
    Link = 8,
    /// It has as many messages unacknowledged as it may (MQTT 3.1.1 only).
    Unacknowledged = 16,
    /// It has published more than it may in so short a time.
    Allowance = 32,
    /// It has published more than it may while memory is short.
    Overload = 64,
}

/// What is remembered of the last topic a client published to, so that the next message on it costs no look-up.
#[derive(Debug, Clone)]
pub(crate) struct LastTopic {
    pub(crate) topic: Arc<str>,
    /// Where in it begins what the client says.
    pub(crate) name_starts: usize,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) policy: u64,
    pub(crate) epoch: u64,
    pub(crate) route: Arc<Route>,
}

/// A live connection that has a session.
#[derive(Debug)]
pub(crate) struct Client {
    /// Tells it from others that had the slot before.
    pub(crate) serial: u64,
    pub(crate) session: SessionId,
    pub(crate) version: Version,
    /// Where it came in.
    pub(crate) entrance: EntranceId,
    /// Whether it is another broker's bridge.
    pub(crate) is_bridge: bool,
    /// Whether CONNACK was sent.
    pub(crate) open: bool,
    pauses: u8,
    /// One and a half times the keep alive; zero if there is none.
    pub(crate) silence_max: Duration,
    pub(crate) last_heard: Moment,
    /// When it is looked whether it was silent for too long.
    pub(crate) silence_at: Moment,
    /// Messages above `QoS` 0 it takes at once.
    pub(crate) receive_maximum: u16,
    pub(crate) packet_bytes_max: u32,
    /// Messages above `QoS` 0 from it that count against its limit: in MQTT 5 until their last acknowledgement is sent, in
    /// MQTT 3.1.1 until the first, since a client that is not read could never release its messages.
    pub(crate) unacknowledged: u16,
    /// Acknowledgements that wait for their turn.
    pub(crate) owed: VecDeque<Owed>,
    /// What it may publish, if that is limited.
    pub(crate) allowance: Option<Box<Allowance>>,
    pub(crate) aliases: Option<Box<Aliases>>,
    pub(crate) outgoing_aliases: Option<Box<OutgoingAliases>>,
    pub(crate) last_topic: Option<Box<LastTopic>>,
    pub(crate) verdicts: Verdicts,
    pub(crate) asked: Option<Box<Asked>>,
    /// That it connected with; none if it did not.
    pub(crate) method: Option<Box<Method>>,
}

impl Client {
    pub(crate) const fn reads(&self) -> bool {
        self.pauses == 0
    }

    pub(crate) const fn pause(&mut self, why: Pause) {
        self.pauses |= why as u8;
    }

    pub(crate) const fn is_paused(&self, why: Pause) -> bool {
        self.pauses & why as u8 != 0
    }

    /// Ends one reason. Whether reading may go on now and could not before.
    pub(crate) const fn resume(&mut self, why: Pause) -> bool {
        let before = self.pauses;
        self.pauses &= !(why as u8);
        before != 0 && self.pauses == 0
    }
}

/// What an acknowledgement answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) id: PacketId,
    pub(crate) reason: ReasonCode,
}
