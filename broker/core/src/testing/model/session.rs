//! What the model knows of a session, its connection, and the messages that it is due.

use mqtt_wire::{QoS, ReasonCode, Version};

use super::topic::is_shared;
use crate::testing::operation::{Testament, Wish};

/// An application message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: &'static str,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// From when on nobody new gets it, in milliseconds.
    pub(super) expires: Option<u64>,
    /// Who published it.
    pub(super) publisher: usize,
}

/// A message that a session is due, and has not been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) message: Message,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) ids: Vec<u32>,
    /// Whether it is owed, or only allowed.
    pub(super) must: bool,
    /// Whether it may have been sent before, so that DUP says nothing.
    pub(super) maybe_sent: bool,
    /// The filter of the new subscription that it is sent for, if it is an old one.
    pub(super) brought_by: Option<&'static str>,
    /// Whether it is a group's, so that it has no order.
    pub(super) shared: bool,
}

/// How far a message is that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// On an earlier connection; on this one it has to be sent again.
    Again,
    /// On this connection.
    Sent,
    /// It had PUBREC.
    Released,
}

/// A message above `QoS` 0 that was sent and is not acknowledged to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) id: u16,
    pub(super) step: Step,
    pub(super) due: Due,
    /// Whether its PUBLISH or PUBREL went out on this connection.
    pub(super) counts: bool,
    /// Which group's it still is, and which of its parts.
    pub(super) share: Option<(&'static str, usize)>,
    /// Whether it outlives the process.
    pub(super) kept: bool,
}

/// A message that a group is due. Kept until a member has it for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) message: Message,
    /// How many messages there were before.
    pub(super) number: usize,
    /// The highest level of all members then, those about to end among them.
    pub(super) qos: QoS,
    /// The highest level of those that stayed.
    pub(super) qos_staying: QoS,
    pub(super) must: bool,
    /// Whether it outlives the process.
    pub(super) kept: bool,
    /// Whether a member had it before.
    pub(super) handed: bool,
    /// Whether a member has it now.
    pub(super) away: bool,
}

/// What is due to all members of a shared subscription together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) filter: &'static str,
    pub(super) parts: Vec<Part>,
}

/// A subscription: what was wished for, and under which identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) wish: Wish,
    pub(super) id: Option<u32>,
}

/// A will, and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Will {
    pub(super) testament: Testament,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) client: usize,
    pub(super) expiry_secs: u32,
    /// Its connection's number.
    pub(super) line: Option<usize>,
    pub(super) will: Option<Will>,
    pub(super) will_at: Option<u64>,
    pub(super) ends_at: Option<u64>,
    pub(super) subscriptions: Vec<Subscription>,
    /// Shared subscriptions that were replaced or ended, with how many messages there were before.
    pub(super) past: Vec<(Subscription, usize)>,
    pub(super) due: Vec<Due>,
    pub(super) flights: Vec<Flight>,
    /// Ids of messages at `QoS` 2 that the client has not released.
    pub(super) receipts: Vec<u16>,
}

impl Session {
    pub(super) const fn of(client: usize) -> Self {
        Self {
            client,
            expiry_secs: 0,
            line: None,
            will: None,
            will_at: None,
            ends_at: None,
            subscriptions: Vec::new(),
            past: Vec::new(),
            due: Vec::new(),
            flights: Vec::new(),
            receipts: Vec::new(),
        }
    }

    pub(super) const fn durable(&self) -> bool {
        self.expiry_secs > 0
    }

    /// A subscription ends or is replaced. What a group has handed over may still come as it was granted.
    pub(super) fn forget(&mut self, filter: &str, sent: usize) {
        let gone = self.subscription(filter).copied();
        let gone = gone.filter(|gone| is_shared(gone.wish.filter));
        self.past.extend(gone.map(|gone| (gone, sent)));
        self.subscriptions.retain(|known| known.wish.filter != filter);
    }

    /// A message is retained while the client is away. What a subscription still brings may be that when they are back.
    pub(super) fn may_find_retained(&mut self, message: &Message, matching: &[Subscription]) {
        for Subscription { wish, id } in matching {
            let qos = message.qos.min(wish.qos);
            let mut brought = self.due.iter().filter(|due| due.brought_by == Some(wish.filter));
            if qos > QoS::AtMostOnce || brought.next().is_none() {
                continue;
            }
            self.due.push(Due {
                message: message.clone(),
                qos,
                retain: true,
                ids: id.iter().copied().collect(),
                must: false,
                maybe_sent: false,
                brought_by: Some(wish.filter),
                shared: false,
            });
        }
    }

    pub(super) fn subscription(&self, filter: &str) -> Option<&Subscription> {
        self.subscriptions
            .iter()
            .find(|subscription| subscription.wish.filter == filter)
    }
}

/// Something a client has to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    ConnAck { present: bool },
    SubAck(u16, Vec<ReasonCode>),
    UnsubAck(u16, Vec<ReasonCode>),
    PubAck(u16, Reach),
    PubRec(u16, Reach),
    PubRel(u16, ReasonCode),
    PubComp(u16),
    Disconnect(ReasonCode),
    Closed,
}

/// Whom a message was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody subscribes.
    Nobody,
    /// There are subscriptions, and none of them brings it to anybody.
    Perhaps,
    /// Somebody gets it.
    Somebody,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) client: usize,
    pub(super) version: Version,
    /// What the client takes at once.
    pub(super) window: usize,
    /// What it may still send at once.
    pub(super) quota: u16,
    pub(super) automatic: bool,
    pub(super) greeted: bool,
    pub(super) over: bool,
    pub(super) expected: Vec<Expected>,
}
