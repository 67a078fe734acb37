//! Publishes to a client: at once, or from its queue as far as its window and outbox have room.

use std::sync::Arc;

use mqtt_wire::{PacketId, QoS};

use super::{
    Publication,
    write::{Sending, Unsent, write_publish},
};
use crate::{
    ConnectionId, Counters, Outbox, Outputs, Shard, Shelf,
    record::{self, Outgoing, Waiting},
    session::{Entry, Flight, SessionId, Stage},
    topics::Target,
};

impl Shard {
    /// Delivers a message that nothing has to wait for to one session. `None`: it does not concern it; otherwise whether
    /// there was room.
    pub(crate) fn deliver(
        &mut self,
        target: &Target,
        publication: &mut Publication<'_>,
        replace: Option<u64>,
        out: &mut Outputs,
    ) -> Option<bool> {
        let qos = publication.qos.min(target.qos);
        let retain = publication.retain && target.retain_as_published;
        let session = self.sessions.get_mut(target.session)?;
        if session.group.is_some() {
            return self.deliver_to_group(target, publication, out);
        }
        let connection = session.connection?;
        let client = self.clients.get_mut(connection.0 as usize)?.as_mut()?;
        let unsent = out.outbox(connection).map_or(0, Outbox::len);
        if qos == QoS::AtMostOnce && unsent > self.lag_bytes_max {
            self.counters
                .drop_for_lag(unsent > self.settings.unsent_bytes_max);
            return Some(false);
        }
        let window = usize::from(client.receive_maximum);
        let has_turn = client.open && session.queue.is_empty() && !session.inflight.awaits_record();
        let has_room =
            qos == QoS::AtMostOnce || (session.inflight.len() < window && unsent <= Outbox::HIGH_WATER);
        if !has_turn || !has_room {
            return Some(self.queue(target, publication, qos, retain, replace));
        }
        let id = (qos > QoS::AtMostOnce).then(|| session.inflight.take_id());
        let sending = Sending {
            qos,
            retain,
            dup: false,
            id,
            subscription_ids: &target.subscription_ids,
        };
        let mount = self.settings.entrance(client.entrance).mount_point.as_ref();
        let written = write_publish(publication, &sending, client, mount, self.steady, connection, out);
        let sent = count(&mut self.counters, publication, written);
        if !sent || id.is_none() {
            let client_id = replace.map(|_| session.client_id.clone());
            self.settled(client_id, replace, out);
            return Some(true);
        }
        if let Some(id) = id {
            let keeps = session.durable();
            let subscription_ids = target.subscription_ids.clone();
            session.inflight.push(Flight {
                id,
                stage: Stage::Published,
                seq: None,
                waiting: Waiting {
                    qos,
                    retain,
                    subscription_ids,
                    body: None,
                },
                message: keeps.then(|| publication.share()),
                replace,
                dup: false,
                unsent: false,
                share: None,
            });
        }
        Some(true)
    }

    /// Queues a message that is not kept on disk. Whether there was room.
    pub(crate) fn queue(
        &mut self,
        target: &Target,
        publication: &mut Publication<'_>,
        qos: QoS,
        retain: bool,
        replace: Option<u64>,
    ) -> bool {
        if qos == QoS::AtMostOnce && replace.is_none() && self.lags_in_overload(target.session) {
            self.counters.drop_for_lag(false);
            return false;
        }
        let message = publication.share();
        let Some(session) = self.sessions.get_mut(target.session) else {
            return false;
        };
        let waiting = Waiting {
            qos,
            retain,
            subscription_ids: target.subscription_ids.clone(),
            body: None,
        };
        let mut entry = Entry {
            seq: None,
            waiting,
            message,
            hold: None,
            replace,
            dup: false,
            share: None,
        };
        if replace.is_some() {
            match session.queue.replace(entry) {
                None => return true,
                Some(back) => entry = back,
            }
        }
        if session.queue.is_full(
            &entry.message,
            self.settings.queue_messages_max,
            self.settings.queue_bytes_max,
        ) {
            self.counters.dropped_queue_full += 1;
            return false;
        }
        session.queue.push(entry, 0);
        true
    }

    /// Sends what waits for a session, as far as its client's window and outbox have room and nothing is held.
    pub(crate) fn pump(&mut self, id: SessionId, out: &mut Outputs) {
        if !self.is_client(id) {
            return self.hand_out_later(id);
        }
        self.send_flights(id, out);
        while let Some(entry) = self.next_to_send(id, out) {
            self.send_entry(id, entry, out);
        }
        // Before retained messages: one at QoS 0 queues behind what is on disk, and nothing is asked for while it waits.
        self.recall(id, out);
        self.catch_up(id, out);
    }

    /// Takes the next message out of the queue, if it may be sent now.
    fn next_to_send(&mut self, id: SessionId, out: &Outputs) -> Option<Entry> {
        let session = self.sessions.get_mut(id)?;
        let connection = session.connection?;
        let client = self.clients.get(connection.0 as usize)?.as_ref()?;
        if !client.open
            || out
                .outbox(connection)
                .is_some_and(|outbox| outbox.len() > Outbox::HIGH_WATER)
        {
            return None;
        }
        let entry = session.queue.front()?;
        if !entry.needs_record() && session.inflight.awaits_record() {
            return None;
        }
        if entry.waiting.qos > QoS::AtMostOnce
            && session.inflight.len() >= usize::from(client.receive_maximum)
        {
            return None;
        }
        session.queue.pop()
    }

    fn send_entry(&mut self, id: SessionId, mut entry: Entry, out: &mut Outputs) {
        let now = self.steady;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(connection) = session.connection else {
            return;
        };
        if entry.message.expires.is_some_and(|expires| expires.is_over(now)) {
            self.counters.dropped_expired += 1;
            self.consumed(id, entry.seq, entry.waiting.body, out);
            self.done(entry.share, out);
            return;
        }
        if entry.waiting.qos == QoS::AtMostOnce {
            let client_id = entry.replace.map(|_| session.client_id.clone());
            self.send_message(connection, &entry.message, &entry.waiting, false, None, out);
            self.settled(client_id, entry.replace, out);
            self.done(entry.share, out);
            return;
        }
        let packet_id = session.inflight.take_id();
        let needs_record = entry.needs_record();
        if needs_record && entry.share.is_some() && session.durable() {
            entry.seq = Some(session.queue.take_seq_under_way());
        }
        // At QoS 2 it is the member's from here on.
        let let_go = entry
            .share
            .take_if(|_| !needs_record && entry.waiting.qos == QoS::ExactlyOnce);
        let flight = Flight {
            id: packet_id,
            stage: if needs_record {
                Stage::AwaitRecord
            } else {
                Stage::Published
            },
            seq: entry.seq,
            waiting: entry.waiting.clone(),
            message: Some(Arc::clone(&entry.message)),
            replace: entry.replace,
            dup: entry.dup,
            unsent: false,
            share: entry.share,
        };
        if needs_record {
            self.holds.touch(id);
            flight.write_move(session.number, &mut self.holds.batch);
            if let Some(seq) = entry.seq {
                let key = record::packet_key(session.number, packet_id);
                let outgoing = record::write_outgoing(Outgoing::Published(seq));
                self.holds.batch.put(Shelf::Inflight, &key, &outgoing);
            }
            session.inflight.push(flight);
            self.await_outgoing_record(id, packet_id, Stage::AwaitRecord);
            return;
        }
        session.inflight.push(flight);
        self.done(let_go, out);
        if !self.send_message(
            connection,
            &entry.message,
            &entry.waiting,
            entry.dup,
            Some(packet_id),
            out,
        ) {
            self.finish_flight(id, packet_id, entry.waiting.qos, out);
        }
    }

    /// A message on disk is needed no longer by this session.
    pub(crate) fn consumed(&mut self, id: SessionId, seq: Option<u64>, body: Option<u64>, out: &mut Outputs) {
        if let Some(seq) = seq
            && let Some(session) = self.sessions.get_mut(id)
        {
            if seq > session.cursor() {
                // One before it is still needed, so that the cursor does not pass it.
                let key = record::queue_key(session.number, seq);
                self.holds.remove(Shelf::Queue, &key);
            } else if !session.cursor_moved {
                session.cursor_moved = true;
                self.cursors_moved.push(id);
            }
        }
        if let Some(body) = body {
            self.release_body(body, out);
        }
    }

    pub(super) fn send_message(
        &mut self,
        connection: ConnectionId,
        message: &Arc<crate::message::Message>,
        waiting: &Waiting,
        dup: bool,
        id: Option<PacketId>,
        out: &mut Outputs,
    ) -> bool {
        let client = self.clients.get_mut(connection.0 as usize);
        let Some(client) = client.and_then(Option::as_mut) else {
            return true;
        };
        let sending = Sending {
            qos: waiting.qos,
            retain: waiting.retain,
            dup,
            id,
            subscription_ids: &waiting.subscription_ids,
        };
        let publication = Publication::of(message);
        let mount = self.settings.entrance(client.entrance).mount_point.as_ref();
        let written = write_publish(
            &publication,
            &sending,
            client,
            mount,
            self.steady,
            connection,
            out,
        );
        count(&mut self.counters, &publication, written)
    }
}

/// Counts a message that was written or not. Whether it was.
const fn count(counters: &mut Counters, publication: &Publication<'_>, written: Result<(), Unsent>) -> bool {
    match written {
        Ok(()) => {
            counters.messages_sent += 1;
            counters.payload_bytes_sent += publication.payload.len() as u64;
        }
        Err(Unsent::TooLarge) => counters.dropped_too_large += 1,
        Err(Unsent::Unnamed) => counters.dropped_unnamed += 1,
    }
    written.is_ok()
}
