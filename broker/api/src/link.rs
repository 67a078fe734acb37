//! Links: plugins that take part, as clients without a socket.

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use mqtt_wire::{ClientId, QoS, ReasonCode, TopicFilter, Version};

use crate::{Peer, Pending, Principal};

/// What a link wants to hear. Fixed when it is attached.
#[derive(Debug, Clone, Default)]
pub struct LinkSpec {
    /// The link's name, for logs and metrics.
    pub name: String,
    /// Which messages it receives.
    pub subscriptions: Vec<LinkSubscription>,
    /// Messages on these topics reach links only, whoever else subscribes to them.
    pub alone: Vec<TopicFilter>,
    /// It hears of every client subscription that overlaps one of these filters.
    pub watches: Vec<TopicFilter>,
    /// Whether it hears of clients that come and go.
    pub presence: bool,
}

/// One subscription of a link.
#[derive(Debug, Clone)]
pub struct LinkSubscription {
    /// Which topics.
    pub filter: TopicFilter,
    /// Whether the link takes these messages with responsibility: a publisher's acknowledgement then waits for the
    /// link's [`Answer`].
    pub responsible: bool,
}

/// Names a delivery that the link has to answer. Unique until the broker restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Which shard waits.
    pub shard: u16,
    /// Which of its deliveries.
    pub number: u64,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The link has taken it; the publisher may be told so.
    Taken,
    /// The link refuses it for this reason; an MQTT 5 publisher is told.
    Refused(ReasonCode),
}

/// A message for a link.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// To be answered exactly once, for every delivery: unanswered ones count against what may be outstanding.
    pub ticket: Ticket,
    /// The topic name.
    pub topic: Arc<str>,
    /// The application message.
    pub payload: Bytes,
    /// Forwardable MQTT 5 properties, as the raw property block of [`mqtt_wire::Properties`].
    pub properties: Bytes,
    /// The quality of service it was published with.
    pub qos: QoS,
    /// The client that published it.
    pub client_id: ClientId,
    /// Who that client is.
    pub principal: Arc<Principal>,
}

impl Delivery {
    /// A delivery of these parts.
    #[must_use]
    pub fn new(
        ticket: Ticket,
        topic: Arc<str>,
        payload: Bytes,
        properties: Bytes,
        qos: QoS,
        client_id: ClientId,
        principal: Arc<Principal>,
    ) -> Self {
        Self {
            ticket,
            topic,
            payload,
            properties,
            qos,
            client_id,
            principal,
        }
    }
}

/// Why a client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Departure {
    /// It sent DISCONNECT.
    Disconnected,
    /// The network connection ended without one.
    Lost,
    /// It was silent for longer than its keep alive allows.
    KeepAlive,
    /// Another connection took its client id over.
    TakenOver,
    /// It broke the protocol or a limit, or was disconnected by the broker.
    Expelled,
    /// The broker shut down.
    Shutdown,
}

impl Departure {
    /// The word users see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Lost => "lost",
            Self::KeepAlive => "keep_alive",
            Self::TakenOver => "taken_over",
            Self::Expelled => "expelled",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What a link hears.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LinkEvent {
    /// A message that matches one of its subscriptions.
    Message(Delivery),
    /// A client connected.
    Connected {
        /// The client.
        client_id: ClientId,
        /// Who it is.
        principal: Arc<Principal>,
        /// From where.
        peer: Peer,
        /// Which protocol it speaks.
        version: Version,
        /// When, by the broker's wall clock.
        at: SystemTime,
    },
    /// A client left.
    Departed {
        /// The client.
        client_id: ClientId,
        /// Who it was.
        principal: Arc<Principal>,
        /// Why.
        why: Departure,
        /// When, by the broker's wall clock.
        at: SystemTime,
    },
    /// A connected client holds a subscription that overlaps a watched filter: it subscribed, or resumed a session
    /// that has it. Told after CONNACK or SUBACK was queued for it.
    Subscribed {
        /// The client.
        client_id: ClientId,
        /// Who it is.
        principal: Arc<Principal>,
        /// Its filter.
        filter: TopicFilter,
        /// Whether it came with a resumed session.
        resumed: bool,
    },
    /// The client has acknowledged (or, at `QoS` 0, been sent) a message that was published with this key.
    Settled {
        /// The client.
        client_id: ClientId,
        /// The key of the message.
        key: ReplaceKey,
    },
}

/// Receives what a link hears.
pub trait Link: fmt::Debug + Send + Sync {
    /// Takes one event. Called on the thread of a shard: it must return at once and hand longer work elsewhere.
    /// Events about one client arrive in order.
    fn take(&self, event: LinkEvent);
}

/// A client's queue holds at most one unsent message of a key: a later one takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplaceKey(pub u64);

/// Which of the sessions with a matching subscription get a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// All of them.
    Everyone,
    /// Only this client's, and only while it is connected.
    Only(ClientId),
    /// All but this client's.
    Except(ClientId),
}

/// A message a link publishes.
#[derive(Debug, Clone)]
pub struct LinkPublish {
    /// The topic name; checked by the broker.
    pub topic: Arc<str>,
    /// The application message.
    pub payload: Bytes,
    /// Forwardable MQTT 5 properties as a raw block; checked by the broker.
    pub properties: Bytes,
    /// The quality of service.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Who gets it.
    pub to: To,
    /// Makes it replaceable. Such a message is kept only while its receiver is connected, at most at `QoS` 1.
    pub replace: Option<ReplaceKey>,
}

/// What a link may ask of the broker it is attached to.
pub trait Broker: fmt::Debug + Send + Sync {
    /// Publishes messages, in this order. Messages with the same `order` key are seen by every receiver in the order of
    /// these calls. Completes when the broker has taken them, which waits while its mailboxes are full.
    fn publish<'a>(&'a self, order: &'a str, messages: Vec<LinkPublish>) -> Pending<'a, ()>;

    /// Answers a delivery. An answer to an unknown ticket (one past its deadline) is ignored.
    fn answer(&self, ticket: Ticket, answer: Answer);
}
