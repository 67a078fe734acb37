//! Messages to a client between the giving of a packet id and the last acknowledgement.

use std::{collections::VecDeque, sync::Arc};

use mqtt_wire::{PacketId, QoS};

use crate::{
    Batch, Shelf,
    group::{Fate, Share},
    message::Message,
    record::{self, Outgoing, Waiting},
};

/// How far an outgoing message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has a packet id that is not yet kept on disk; nothing was sent.
    AwaitRecord,
    /// PUBLISH was sent, or would have been had the client been there.
    Published,
    /// PUBREC came, and is not yet kept on disk.
    AwaitReleaseRecord,
    /// PUBREL was sent.
    Released,
}

/// One outgoing message above `QoS` 0.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) id: PacketId,
    pub(crate) stage: Stage,
    /// Where it stands on disk, if it does.
    pub(crate) seq: Option<u64>,
    pub(crate) waiting: Waiting,
    /// What would be sent again; `None` where the session ends with its connection, or once it is released.
    pub(crate) message: Option<Arc<Message>>,
    pub(crate) replace: Option<u64>,
    /// Whether PUBLISH may have been sent before.
    pub(crate) dup: bool,
    /// Whether PUBLISH has still to be sent on this connection.
    pub(crate) unsent: bool,
    /// If it still belongs to a shared subscription's group.
    pub(crate) share: Option<Box<Share>>,
}

impl Flight {
    /// What is kept on disk of it, besides its place in the queue: only at `QoS` 2 does the packet id matter later.
    pub(crate) const fn outgoing(&self) -> Option<Outgoing> {
        match (self.waiting.qos, self.stage, self.seq) {
            (QoS::ExactlyOnce, Stage::AwaitReleaseRecord | Stage::Released, _) => Some(Outgoing::Released),
            (QoS::ExactlyOnce, Stage::AwaitRecord | Stage::Published, Some(seq)) => {
                Some(Outgoing::Published(seq))
            }
            _ => None,
        }
    }

    /// At `QoS` 2 a message is its receiver's own as soon as it is sent: others never get it [MQTT-4.8.2-5]. Answers what
    /// its group is to be told, if it had one.
    pub(crate) fn take_from_group(&mut self) -> Option<(Share, Fate)> {
        let share = *self.share.take_if(|_| self.waiting.qos == QoS::ExactlyOnce)?;
        if self.seq.is_none() {
            return Some((share, Fate::Done));
        }
        self.waiting.body = share.body;
        Some((share, Fate::Taken))
    }

    /// Before it is sent, moves what stands on disk under a group, at `QoS` 2, to this session, or off the disk if this
    /// session has no place there. Whether there is something to move.
    pub(crate) fn write_move(&self, session: u64, batch: &mut Batch) -> bool {
        let (Some(share), Some(message)) = (&self.share, &self.message) else {
            return false;
        };
        let Some(stands) = share.seq.filter(|_| self.stage == Stage::AwaitRecord) else {
            return false;
        };
        batch.delete(Shelf::Queue, &record::queue_key(share.group, stands));
        if let Some(seq) = self.seq {
            let mut value = Vec::new();
            let waiting = Waiting {
                body: share.body,
                ..self.waiting.clone()
            };
            record::write_queue_entry(&mut value, &waiting, message);
            batch.put(Shelf::Queue, &record::queue_key(session, seq), &value);
        }
        true
    }

    /// Puts what was moved, and was not sent, back to where it stood under its group. Whether it was moved.
    pub(crate) fn write_back(&self, batch: &mut Batch) -> bool {
        let (Some(share), Some(message)) = (&self.share, &self.message) else {
            return false;
        };
        let Some(stands) = share.seq.filter(|_| self.waiting.qos == QoS::ExactlyOnce) else {
            return false;
        };
        let mut value = Vec::new();
        let waiting = Waiting {
            qos: QoS::ExactlyOnce,
            retain: message.retain,
            subscription_ids: Vec::new(),
            body: share.body,
        };
        record::write_queue_entry(&mut value, &waiting, message);
        batch.put(Shelf::Queue, &record::queue_key(share.group, stands), &value);
        true
    }
}

/// A session's messages under way, oldest first.
#[derive(Debug)]
pub(crate) struct Inflight {
    flights: VecDeque<Flight>,
    next_id: PacketId,
    /// How many ids from the next one on are known not to be in use.
    free_ids: u16,
    /// Whether some may have still to be sent, and whether some may wait for their record: nobody has looked and found none.
    /// With many under way nobody looks at all of them for each message.
    may_be_unsent: bool,
    may_await_record: bool,
    /// Where messages stand on disk that go back to their groups, as long as they may still stand there alone.
    going_back: Vec<u64>,
}

impl Default for Inflight {
    fn default() -> Self {
        Self {
            flights: VecDeque::new(),
            next_id: PacketId::FIRST,
            free_ids: 0,
            may_be_unsent: false,
            may_await_record: false,
            going_back: Vec::new(),
        }
    }
}

impl Inflight {
    pub(crate) fn recovered(flights: Vec<Flight>) -> Self {
        Self {
            flights: flights.into(),
            may_be_unsent: true,
            may_await_record: true,
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    /// Whether a message under way waits for its record, so that none behind it may be sent.
    pub(crate) fn awaits_record(&mut self) -> bool {
        let mut newest_first = self.flights.iter().rev();
        self.may_await_record =
            self.may_await_record && newest_first.any(|flight| flight.stage == Stage::AwaitRecord);
        self.may_await_record
    }

    /// Where its messages stand on disk.
    pub(crate) fn seqs(&self) -> impl Iterator<Item = u64> {
        let under_way = self.flights.iter().filter_map(|flight| flight.seq);
        under_way.chain(self.going_back.iter().copied())
    }

    /// Whether a message before this one still waits for its record.
    pub(crate) fn is_behind_refused(&self, id: PacketId) -> bool {
        let mut before = self.flights.iter().take_while(|flight| flight.id != id);
        before.any(|flight| flight.stage == Stage::AwaitRecord)
    }

    /// The first message that has still to be sent, if fewer than `window` others are with the client.
    pub(crate) fn next_unsent(&mut self, window: u16) -> Option<&mut Flight> {
        if !self.may_be_unsent {
            return None;
        }
        let is_with_client = |flight: &&Flight| !flight.unsent && flight.stage != Stage::AwaitRecord;
        let with_client = self.flights.iter().filter(is_with_client).count();
        let next = self.flights.iter_mut().find(|flight| flight.unsent);
        self.may_be_unsent = next.is_some();
        next.filter(|_| with_client < usize::from(window))
    }

    /// What waited for its record has it, and is to be sent.
    pub(crate) fn recorded(&mut self, id: PacketId) {
        self.may_be_unsent = true;
        if let Some(flight) = self.get_mut(id) {
            (flight.stage, flight.unsent) = (Stage::Published, true);
        }
    }

    /// What the last connection was sent is to be sent again. Answers what was released.
    pub(crate) fn resume(&mut self) -> Vec<PacketId> {
        self.may_be_unsent = true;
        let mut released = Vec::new();
        for flight in &mut self.flights {
            match flight.stage {
                Stage::Published if flight.unsent => {}
                Stage::Published => (flight.dup, flight.unsent) = (true, true),
                Stage::Released => released.push(flight.id),
                Stage::AwaitRecord | Stage::AwaitReleaseRecord => {}
            }
        }
        released
    }

    /// Gives out a packet id that is not in use. Call only while fewer than 65,535 messages are under way.
    pub(crate) fn take_id(&mut self) -> PacketId {
        while self.free_ids == 0 {
            let first = self.next_id;
            let ahead = self.flights.iter().map(|flight| steps(first, flight.id));
            self.free_ids = ahead.min().unwrap_or(u16::MAX);
            if self.free_ids == 0 {
                self.next_id = first.next();
            }
        }
        self.free_ids -= 1;
        let id = self.next_id;
        self.next_id = id.next();
        id
    }

    pub(crate) fn push(&mut self, flight: Flight) {
        self.may_be_unsent |= flight.unsent;
        self.may_await_record |= flight.stage == Stage::AwaitRecord;
        self.flights.push_back(flight);
    }

    /// The message with this packet id.
    pub(crate) fn get_mut(&mut self, id: PacketId) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|flight| flight.id == id)
    }

    /// Takes the message with this packet id out, if it is at `QoS` 1 (for PUBACK) or released (for PUBCOMP).
    pub(crate) fn finish(&mut self, id: PacketId, qos: QoS) -> Option<Flight> {
        let at = self.flights.iter().position(|flight| flight.id == id)?;
        let flight = self.flights.get(at)?;
        let due = match qos {
            QoS::ExactlyOnce => flight.waiting.qos == qos && flight.stage != Stage::AwaitRecord,
            _ => flight.waiting.qos == qos,
        };
        if !due {
            return None;
        }
        self.flights.remove(at)
    }

    /// A message that is under way no longer goes back to its group, and may stand on disk only here until it is there.
    pub(crate) fn goes_back(&mut self, seq: u64) {
        self.going_back.push(seq);
    }

    /// It stands under its group.
    pub(crate) fn is_back(&mut self, seq: u64) {
        self.going_back.retain(|going| *going != seq);
    }

    /// Takes out the messages that belong to groups.
    pub(crate) fn take_shared(&mut self) -> VecDeque<Flight> {
        let all = std::mem::take(&mut self.flights).into_iter();
        let (shared, own) = all.partition(|flight| flight.share.is_some());
        self.flights = own;
        shared
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.flights.iter()
    }
}

/// How many ids on from one the other comes, around the end.
const fn steps(from: PacketId, to: PacketId) -> u16 {
    let (from, to) = (from.get(), to.get());
    if to >= from {
        to - from
    } else {
        u16::MAX - from + to
    }
}
