//! What outlives a connection: subscriptions, messages that wait or are under way, receipts, the will.

pub(crate) mod catch_up;
pub(crate) mod inflight;
pub(crate) mod queue;
mod table;

use std::sync::Arc;

use mqtt_wire::{ClientId, PacketId, TopicFilter};

pub(crate) use catch_up::CatchUp;
pub(crate) use inflight::{Flight, Inflight, Stage};
pub(crate) use queue::{Entry, Queue};
pub(crate) use table::{SessionId, Sessions};

use crate::{
    Badge, ConnectionId, Moment, MountPoint, WallTime, group::Group, message::Message, record::SessionRecord,
    subscription::Options,
};

/// A message to be published when its client is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) message: Arc<Message>,
    pub(crate) delay_secs: u32,
    /// How long the message lives once it is published.
    pub(crate) expiry_secs: Option<u32>,
}

/// A `QoS` 2 message that was taken from the client and not yet released by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) id: PacketId,
    /// Whether PUBREC may be sent: what the message has to wait for has happened.
    pub(crate) settled: bool,
}

/// A session. Lives on the shard its client id hashes to.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its number on disk: never used again for another session, so it also tells this session from an earlier one of
    /// the same client.
    pub(crate) number: u64,
    pub(crate) client_id: ClientId,
    pub(crate) badge: Badge,
    /// That its client came in by: what it subscribes to lies below it.
    pub(crate) mount_point: Option<MountPoint>,
    pub(crate) connection: Option<ConnectionId>,
    /// If it is no client's, but that of a shared subscription's group.
    pub(crate) group: Option<Box<Group>>,
    /// How long it outlives its connection, in seconds; `u32::MAX` is for ever.
    pub(crate) expiry_secs: u32,
    pub(crate) subscriptions: Vec<(TopicFilter, Options)>,
    /// Retained messages that are still to be sent, by subscription, in order.
    pub(crate) catch_ups: Vec<CatchUp>,
    pub(crate) queue: Queue,
    pub(crate) inflight: Inflight,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) will: Option<Will>,
    /// Whether its will is published and not in a batch yet. Until it is, the record on disk holds it, and is not written.
    pub(crate) will_held: bool,
    pub(crate) left: Option<WallTime>,
    /// Messages that stand on disk before this number may have been sent, on an earlier connection.
    pub(crate) sent_before: u64,
    /// When its will is published, unless its client comes back.
    pub(crate) will_at: Option<Moment>,
    /// When it ends, unless its client comes back.
    pub(crate) ends_at: Option<Moment>,
    /// Whether a record of it is on disk.
    pub(crate) recorded: bool,
    /// Whether it ever was one that outlives its connection, so that more than its record may be on disk.
    pub(crate) was_durable: bool,
    /// Whether its cursor has moved since it was last recorded.
    pub(crate) cursor_moved: bool,
}

impl Session {
    pub(crate) fn new(number: u64, client_id: ClientId, badge: Badge) -> Self {
        Self {
            number,
            client_id,
            badge,
            mount_point: None,
            connection: None,
            group: None,
            expiry_secs: 0,
            subscriptions: Vec::new(),
            catch_ups: Vec::new(),
            queue: Queue::default(),
            inflight: Inflight::default(),
            receipts: Vec::new(),
            will: None,
            will_held: false,
            left: None,
            sent_before: 0,
            will_at: None,
            ends_at: None,
            recorded: false,
            was_durable: false,
            cursor_moved: false,
        }
    }

    /// Whether it outlives its connection, and so what it waits for is kept on disk.
    pub(crate) const fn durable(&self) -> bool {
        self.expiry_secs > 0
    }

    /// Whether what waits can be sent: its client is connected, or a member of its group.
    pub(crate) fn is_connected(&self) -> bool {
        match &self.group {
            Some(group) => group.is_connected(),
            None => self.connection.is_some(),
        }
    }

    /// How many messages wait to be sent.
    pub(crate) fn waiting(&self) -> u64 {
        let returned = self.group.as_ref().map_or(0, |group| group.returned().count());
        self.queue.len() + returned as u64
    }

    pub(crate) fn has_receipt(&self, id: PacketId) -> bool {
        self.receipts.iter().any(|receipt| receipt.id == id)
    }

    /// What is kept of it on disk.
    pub(crate) fn record(&self) -> SessionRecord {
        SessionRecord {
            client_id: self.client_id.clone(),
            badge: self.badge.clone(),
            mount_point: self.mount_point.clone(),
            expiry_secs: self.expiry_secs,
            left: self.left,
            will: self.will.clone(),
            sent_before: self.sent_before,
        }
    }

    /// The shared bodies that its messages in memory refer to, one entry for each reference.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = u64> {
        let under_way = self.inflight.iter().filter_map(|flight| flight.waiting.body);
        let returned = self.group.iter().flat_map(|group| group.returned());
        let returned = returned.filter_map(|entry| entry.waiting.body);
        under_way.chain(returned).chain(self.queue.bodies())
    }

    /// The first sequence number of its queue that is still needed.
    pub(crate) fn cursor(&self) -> u64 {
        let under_way = self.inflight.seqs().min();
        let handed_out = self.group.as_ref().and_then(|group| group.first_seq());
        let queued = self.queue.first_seq();
        under_way.into_iter().chain(handed_out).fold(queued, u64::min)
    }
}
