//! What waits for something outside: for the store, another shard, or a link. Nothing in it may happen before.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use ahash::{HashMap, RandomState};
use mqtt_wire::{PacketId, QoS, ReasonCode};

use crate::{
    Batch, ConnectionId, ShardId, Shelf,
    group::Share,
    message::Message,
    record::{self, Waiting},
    session::{SessionId, Stage},
};

/// Names something that waits. Unique among all shards until a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HoldId {
    pub(crate) shard: ShardId,
    pub(crate) number: u64,
}

/// A connection as it was when something began to wait: its slot may have passed to another client since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) connection: ConnectionId,
    pub(crate) serial: u64,
}

/// The acknowledgement a publisher is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) line: Line,
    pub(crate) session: SessionId,
    pub(crate) id: PacketId,
    pub(crate) qos: QoS,
}

/// A queue entry that is to be kept with the message it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEntry {
    pub(crate) session: u64,
    pub(crate) seq: u64,
    pub(crate) waiting: Waiting,
}

/// A retained message that was set and is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) version: u64,
    /// Whether it goes to disk.
    pub(crate) durable: bool,
}

/// A session whose queue holds a message, and where it stands on disk, if it is to: session number and sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receiver {
    pub(crate) session: SessionId,
    pub(crate) stands: Option<(u64, u64)>,
}

/// Whether anybody got a message, or had no room for it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) took: bool,
    pub(crate) refused: bool,
}

impl Outcome {
    /// Adds what became of it at one receiver: whether there was room. `None`: it did not concern it.
    pub(crate) const fn add(&mut self, delivered: Option<bool>) {
        match delivered {
            Some(true) => self.took = true,
            Some(false) => self.refused = true,
            None => {}
        }
    }

    pub(crate) const fn merge(&mut self, other: Self) {
        self.took |= other.took;
        self.refused |= other.refused;
    }

    /// What an MQTT 5 publisher is told: 0x97 if every receiver's queue was full, 0x10 if there was none.
    pub(crate) const fn reason(self) -> ReasonCode {
        match (self.took, self.refused) {
            (true, _) => ReasonCode::Success,
            (false, true) => ReasonCode::QuotaExceeded,
            (false, false) => ReasonCode::NoMatchingSubscribers,
        }
    }
}

/// A message that may not be sent to anybody before it is kept.
#[derive(Debug)]
pub(crate) struct HeldMessage {
    pub(crate) message: Arc<Message>,
    pub(crate) due: Option<Due>,
    /// If links have to answer too: what waits for them and for this.
    pub(crate) answers: Option<u64>,
    /// The session whose will it is, and its number: its record goes without the will when the will is kept.
    pub(crate) will_of: Option<(SessionId, u64)>,
    /// Receivers of this shard whose queues hold it.
    pub(crate) receivers: Vec<Receiver>,
    /// Shards whose sessions' queues hold it, or that keep its topic's retained message.
    pub(crate) shards: Vec<ShardId>,
    /// Their contributions that are still to come.
    pub(crate) contributions_due: usize,
    /// Queue entries to be kept, of all shards.
    pub(crate) entries: Vec<NewEntry>,
    /// The version it is to be kept as on disk as its topic's retained message.
    pub(crate) retain: Option<u64>,
    /// If this shard is the keeper of the topic's retained message: the version it was set as.
    pub(crate) set: Option<Set>,
    /// The receipt to be kept: session number and packet id.
    pub(crate) receipt: Option<(u64, PacketId)>,
    /// The number of the stored body, once it has one.
    pub(crate) body: Option<u64>,
    pub(crate) outcome: Outcome,
}

impl HeldMessage {
    /// Whether keeping it makes the store grow by a message. A receipt, or the end of a retained message, is small and
    /// goes again, or makes room.
    fn grows(&self) -> bool {
        !self.entries.is_empty() || (self.retain.is_some() && !self.message.ends_retained())
    }

    /// All of it in one batch: receipt, retained message, body, and every queue entry.
    fn write(&mut self, batch: &mut Batch) {
        if let Some((session, id)) = self.receipt {
            batch.put(Shelf::Receipts, &record::packet_key(session, id), &[]);
        }
        if let Some(version) = self.retain {
            record::put_retained(batch, version, &self.message);
        }
        if let Some(body) = self.body {
            batch.put(
                Shelf::Bodies,
                &record::body_key(body),
                &record::write_body(&self.message),
            );
        }
        let mut value = Vec::new();
        for mut entry in self.entries.drain(..) {
            value.clear();
            entry.waiting.body = self.body;
            record::write_queue_entry(&mut value, &entry.waiting, &self.message);
            batch.put(Shelf::Queue, &record::queue_key(entry.session, entry.seq), &value);
        }
    }
}

/// A held message whose batch is complete, or that was declined.
#[derive(Debug)]
pub(crate) struct Submitted {
    /// How many queue entries it stands in.
    pub(crate) references: usize,
    pub(crate) will_of: Option<(SessionId, u64)>,
}

/// What is to happen when the wait is over.
#[derive(Debug)]
pub(crate) enum What {
    /// Send a message to its receivers and acknowledge it.
    Message(Box<HeldMessage>),
    /// Settle a retained message that nobody waits for.
    Retain { message: Arc<Message>, set: Set },
    /// Acknowledge a message that was handed to links.
    Acknowledge { due: Due },
    /// Refuse a message, now that the receipt that had been kept of it is gone.
    Decline { due: Due, reason: ReasonCode },
    /// Send bytes: a SUBACK, an UNSUBACK.
    Send {
        line: Line,
        bytes: Vec<u8>,
        then: Option<Subscribed>,
    },
    /// Send a PUBCOMP.
    Complete { line: Line, id: PacketId },
    /// Send CONNACK and open the client.
    Open {
        line: Line,
        bytes: Vec<u8>,
        resumed: bool,
    },
    /// Send the PUBLISHes and PUBRELs of a session that waited for their records.
    Outgoing {
        session: SessionId,
        steps: Vec<(PacketId, Stage)>,
    },
    /// Subscribe for a group whose record is kept now.
    Found { group: SessionId },
    /// Tell a member's home that its group's subscription is live.
    Join { home: ShardId, number: u64 },
    /// Give a message back to its group that was about to be its member's own, when this has put it back on disk.
    GiveBack(Box<GiveBack>),
}

/// A message that goes back to its group, out of a session it was moved to and not sent from.
#[derive(Debug)]
pub(crate) struct GiveBack {
    pub(crate) share: Share,
    pub(crate) session: SessionId,
    /// Where it stands under the session, if it does.
    pub(crate) seq: Option<u64>,
    /// What moves it on disk.
    pub(crate) batch: Batch,
}

/// What follows a SUBACK: retained messages and the telling of links.
#[derive(Debug)]
pub(crate) struct Subscribed {
    pub(crate) session: SessionId,
    pub(crate) filters: Vec<(mqtt_wire::TopicFilter, crate::subscription::Options, bool)>,
}

impl Subscribed {
    /// The shared filters among them.
    pub(crate) fn shared(
        &self,
    ) -> impl Iterator<Item = (mqtt_wire::TopicFilter, crate::subscription::Options)> {
        let shared = self
            .filters
            .iter()
            .filter(|(filter, ..)| filter.shared().is_some());
        shared.map(|(filter, options, _)| (filter.clone(), *options))
    }
}

/// One wait.
#[derive(Debug)]
pub(crate) struct Hold {
    /// How many things have to happen.
    pub(crate) waits: usize,
    /// What made it fail, if something did.
    pub(crate) refused: Option<ReasonCode>,
    pub(crate) what: What,
}

/// What a batch changes without anybody waiting for it. If the batch is refused it is done again later: a disk that
/// keeps what is over would bring it back after a restart.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// Sessions something was written of: what is true of them then is written again.
    pub(crate) sessions: Vec<SessionId>,
    /// Receipts that were removed.
    pub(crate) receipts: Vec<(SessionId, PacketId)>,
    /// Removals of what has a number that never comes again.
    pub(crate) removals: Batch,
    /// Messages that go back to their groups once this is written.
    pub(crate) give_backs: Vec<GiveBack>,
}

impl Upkeep {
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.receipts.is_empty()
            && self.removals.is_empty()
            && self.give_backs.is_empty()
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.sessions.append(&mut other.sessions);
        self.receipts.append(&mut other.receipts);
        self.removals.append(&other.removals);
        self.give_backs.append(&mut other.give_backs);
    }
}

/// A batch handed out and not answered.
#[derive(Debug)]
struct Unanswered {
    ticket: u64,
    bytes: usize,
    upkeep: Upkeep,
}

/// Everything that waits, and the round's batch.
#[derive(Debug)]
pub(crate) struct Holds {
    shard: ShardId,
    holds: HashMap<u64, Hold>,
    next: u64,
    /// Held messages that are in no batch yet, in order.
    unsubmitted: VecDeque<u64>,
    unsubmitted_bytes: usize,
    /// Whether the store has room for what makes it grow.
    pub(crate) has_room: bool,
    /// Held messages there was no room for, to be settled when the round ends.
    declined: Vec<u64>,
    /// The batch of this round.
    pub(crate) batch: Batch,
    upkeep: Upkeep,
    /// The ticket the batch of this round will have.
    ticket: u64,
    /// What waits for which ticket, in order.
    waiting: VecDeque<(u64, u64)>,
    unanswered: VecDeque<Unanswered>,
    unanswered_bytes: usize,
}

impl Holds {
    pub(crate) fn new(shard: ShardId, hasher: &RandomState) -> Self {
        Self {
            shard,
            holds: HashMap::with_hasher(hasher.clone()),
            next: 0,
            unsubmitted: VecDeque::new(),
            unsubmitted_bytes: 0,
            has_room: true,
            declined: Vec::new(),
            batch: Batch::default(),
            upkeep: Upkeep::default(),
            ticket: 1,
            waiting: VecDeque::new(),
            unanswered: VecDeque::new(),
            unanswered_bytes: 0,
        }
    }

    /// Begins a wait for `waits` things.
    pub(crate) fn begin(&mut self, waits: usize, what: What) -> HoldId {
        self.next += 1;
        if let What::Message(held) = &what {
            self.unsubmitted.push_back(self.next);
            self.unsubmitted_bytes += held.message.len_bytes();
        }
        self.holds.insert(
            self.next,
            Hold {
                waits,
                refused: None,
                what,
            },
        );
        HoldId {
            shard: self.shard,
            number: self.next,
        }
    }

    /// The number the next wait will have.
    pub(crate) const fn next_id(&self) -> HoldId {
        HoldId {
            shard: self.shard,
            number: self.next + 1,
        }
    }

    /// Makes a wait depend on the batch of this round. It must have been counted when the wait began.
    pub(crate) fn await_batch(&mut self, id: HoldId) {
        self.waiting.push_back((self.ticket, id.number));
    }

    pub(crate) fn what_mut(&mut self, number: u64) -> Option<&mut What> {
        self.holds.get_mut(&number).map(|hold| &mut hold.what)
    }

    /// A held message by its number.
    pub(crate) fn message_mut(&mut self, number: u64) -> Option<&mut HeldMessage> {
        match self.what_mut(number)? {
            What::Message(held) => Some(held),
            _ => None,
        }
    }

    /// One more thing has to happen before this wait is over.
    pub(crate) fn wait_for_one_more(&mut self, number: u64) {
        if let Some(hold) = self.holds.get_mut(&number) {
            hold.waits += 1;
        }
    }

    /// Notes that this round writes something of a session.
    pub(crate) fn touch(&mut self, session: SessionId) {
        if self.upkeep.sessions.last() != Some(&session) {
            self.upkeep.sessions.push(session);
        }
    }

    /// Removes a receipt: its packet id is free.
    pub(crate) fn remove_receipt(&mut self, session: SessionId, number: u64, id: PacketId) {
        self.batch
            .delete(Shelf::Receipts, &record::packet_key(number, id));
        self.upkeep.receipts.push((session, id));
    }

    /// Removes for good what has a number that never comes again.
    pub(crate) fn remove(&mut self, shelf: Shelf, key: &[u8]) {
        self.batch.delete(shelf, key);
        self.upkeep.removals.delete(shelf, key);
    }

    /// Removes a range of such for good.
    pub(crate) fn remove_range(&mut self, shelf: Shelf, from: &[u8], to: &[u8]) {
        self.batch.delete_range(shelf, from, to);
        self.upkeep.removals.delete_range(shelf, from, to);
    }

    /// Removes messages of a session's queue for good.
    pub(crate) fn remove_messages(&mut self, session: u64, seqs: Range<u64>) {
        self.batch.delete_messages(session, seqs.clone());
        self.upkeep.removals.delete_messages(session, seqs);
    }

    /// Puts removals that were refused into this round's batch.
    pub(crate) fn remove_again(&mut self, removals: &Batch) {
        self.batch.append(removals);
        self.upkeep.removals.append(removals);
    }

    /// Puts all that is to be kept of a held message into this round's batch, if every shard has contributed: that of the
    /// first of those that were not yet, since after a crash nobody may find a message without the one before it. If several
    /// queue entries refer to its body, that is stored under this number. What the store has no room for is declined.
    pub(crate) fn submit_next(&mut self, body: u64) -> Option<Submitted> {
        let number = *self.unsubmitted.front()?;
        let Some(What::Message(held)) = self.holds.get_mut(&number).map(|hold| &mut hold.what) else {
            unreachable!("a held message waits until it was submitted")
        };
        if held.contributions_due > 0 {
            return None;
        }
        self.unsubmitted.pop_front();
        self.unsubmitted_bytes -= held.message.len_bytes();
        let will_of = held.will_of;
        if !self.has_room && held.grows() {
            self.declined.push(number);
            return Some(Submitted {
                references: 0,
                will_of,
            });
        }
        self.waiting.push_back((self.ticket, number));
        let references = held.entries.len();
        held.body = (references > 1).then_some(body);
        held.write(&mut self.batch);
        Some(Submitted { references, will_of })
    }

    /// One thing happened (or failed for a reason). The wait is given back if it is over.
    pub(crate) fn happened(&mut self, number: u64, refused: Option<ReasonCode>) -> Option<Hold> {
        let hold = self.holds.get_mut(&number)?;
        hold.waits = hold.waits.saturating_sub(1);
        hold.refused = hold.refused.or(refused);
        if hold.waits > 0 {
            return None;
        }
        self.holds.remove(&number)
    }

    /// The numbers of held messages that were declined since the last call.
    pub(crate) fn take_declined(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.declined)
    }

    /// Ends the round: its batch with its ticket, if it has anything in it or something waits for it.
    pub(crate) fn take_batch(&mut self) -> Option<(u64, Batch)> {
        let awaited = self
            .waiting
            .back()
            .is_some_and(|(ticket, _)| *ticket == self.ticket);
        if self.batch.is_empty() && !awaited {
            return None;
        }
        let ticket = self.ticket;
        self.ticket += 1;
        let batch = std::mem::take(&mut self.batch);
        let bytes = batch.len_bytes();
        self.unanswered.push_back(Unanswered {
            ticket,
            bytes,
            upkeep: std::mem::take(&mut self.upkeep),
        });
        self.unanswered_bytes += bytes;
        Some((ticket, batch))
    }

    /// The numbers of what waited for tickets up to this one, and what the batch of this one changed besides.
    pub(crate) fn answered(&mut self, through: u64) -> (Vec<u64>, Upkeep) {
        let mut last = Upkeep::default();
        while let Some(answered) = self.unanswered.pop_front_if(|batch| batch.ticket <= through) {
            self.unanswered_bytes -= answered.bytes;
            last = answered.upkeep;
        }
        let count = self.waiting.partition_point(|(ticket, _)| *ticket <= through);
        let numbers = self.waiting.drain(..count).map(|(_, number)| number).collect();
        (numbers, last)
    }

    /// Bytes handed to the store, or about to be, that it has not answered for.
    pub(crate) fn unanswered_bytes(&self) -> usize {
        self.unanswered_bytes + self.batch.len_bytes() + self.unsubmitted_bytes
    }

    /// Whether something waits, or is to be kept.
    pub(crate) fn is_idle(&self) -> bool {
        self.holds.is_empty() && self.batch.is_empty() && self.unanswered.is_empty()
    }
}
