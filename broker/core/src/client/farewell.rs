//! Leaving: DISCONNECT, loss, silence, expulsion; when the will is due, and when the session ends.

use std::{sync::Arc, time::Duration};

use mqtt_wire::{Disconnect, Packet, ReasonCode, Version};

use crate::{
    ConnectionId, Departure, Expiry, Output, Outputs, Shard, Shelf,
    client::Publication,
    mail::Keep,
    message::Message,
    output::Told,
    record,
    session::{CatchUp, Session, SessionId, Will},
    shard::{Purge, distribute::Way},
    timers::Timer,
};

/// A session that never expires.
const FOR_EVER: u32 = u32::MAX;

impl Shard {
    /// DISCONNECT has come.
    pub(crate) fn take_disconnect(
        &mut self,
        connection: ConnectionId,
        disconnect: &Disconnect,
        out: &mut Outputs,
    ) {
        let Some(client) = self.client(connection) else {
            return;
        };
        let (id, entrance) = (client.session, self.settings.entrance(client.entrance));
        let cap = entrance.session_expiry_max_secs();
        if let (Some(secs), Some(session)) = (disconnect.session_expiry_secs, self.sessions.get_mut(id)) {
            if session.expiry_secs == 0 && secs > 0 {
                // It may not turn into a session that is kept [MQTT-3.1.2-11].
                return self.expel(connection, ReasonCode::ProtocolError, out);
            }
            session.expiry_secs = secs.min(cap);
        }
        if disconnect.reason == ReasonCode::Success
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.will = None; // [MQTT-3.14.4-3]
        }
        self.depart(connection, Departure::Disconnected, out);
        out.duties.push(Output::Close { connection });
    }

    /// Ends a connection for a reason that its peer is told, where its version has a word for it.
    pub(crate) fn expel(&mut self, connection: ConnectionId, reason: ReasonCode, out: &mut Outputs) {
        self.expel_with(connection, Disconnect::with(reason), out);
    }

    /// The same with more to say about it.
    pub(crate) fn expel_with(&mut self, connection: ConnectionId, told: Disconnect, out: &mut Outputs) {
        let reason = told.reason;
        if self.client(connection).is_none() {
            return;
        }
        let why = match reason {
            ReasonCode::KeepAliveTimeout => Departure::KeepAlive,
            ReasonCode::ServerShuttingDown => Departure::Shutdown,
            _ => Departure::Expelled,
        };
        if why == Departure::Expelled {
            self.counters.protocol_errors += 1;
        }
        self.send_disconnect(connection, told, out);
        self.depart(connection, why, out);
        out.duties.push(Output::Close { connection });
    }

    /// Tells a client why it goes, without the words for people if they are too many for it [MQTT5-3.14.2-3].
    pub(crate) fn send_disconnect(&self, connection: ConnectionId, mut told: Disconnect, out: &mut Outputs) {
        let Some(client) = self.client(connection) else {
            return;
        };
        if client.version != Version::V5 || !client.open {
            return;
        }
        if told.reason == ReasonCode::ServerShuttingDown
            && let Some(other) = &self.settings.server_reference
        {
            told.reason = ReasonCode::UseAnotherServer;
            told.server_reference = Some(other.clone());
        }
        let bytes_max = client.packet_bytes_max as usize;
        let packet = Packet::Disconnect(told.clone());
        if packet.encoded_len(Version::V5).is_ok_and(|len| len > bytes_max) {
            told.reason_string = None;
        }
        self.send(connection, &Packet::Disconnect(told), out);
    }

    /// A client's connection is over, for us or for it.
    pub(crate) fn depart(&mut self, connection: ConnectionId, why: Departure, out: &mut Outputs) {
        let Some(client) = self.remove_client(connection) else {
            return;
        };
        let id = client.session;
        let wall = self.wall;
        if let Some(session) = self.sessions.get_mut(id) {
            session.connection = None;
        }
        self.join_all(id, out);
        self.give_back_shares(id, out);
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.left = Some(wall);
        // What waits was not sent. One that came from a group and stands behind it may have been.
        session.sent_before = session.sent_before.max(session.queue.first_seq());
        session.queue.unload();
        session.catch_ups.iter_mut().for_each(CatchUp::pause);
        self.catching_up.retain(|catching_up| *catching_up != id);
        let (client_id, badge) = (session.client_id.clone(), session.badge.clone());
        if client.open {
            self.counters.clients_connected -= 1;
            self.tell_presence(
                &Told::Departed {
                    client_id,
                    badge,
                    why,
                },
                out,
            );
        }
        self.set_deadlines(id, out);
    }

    /// A session has lost its connection: its will is published or waits for its moment, and so does its end.
    pub(crate) fn set_deadlines(&mut self, id: SessionId, out: &mut Outputs) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        // The will is sent when its delay is over or the session ends, whichever is first [MQTT-3.1.3-9].
        let delay = session
            .will
            .as_ref()
            .map(|will| will.delay_secs.min(session.expiry_secs));
        let expiry_secs = session.expiry_secs;
        if expiry_secs == 0 {
            return self.end_session(id, out);
        }
        if expiry_secs < FOR_EVER {
            let at = now + seconds(expiry_secs);
            session.ends_at = Some(at);
            self.timers.set(at, Timer::SessionExpiry { session: id });
        }
        if let Some(secs @ 1..) = delay {
            let at = now + seconds(secs);
            session.will_at = Some(at);
            self.timers.set(at, Timer::Will { session: id });
            self.record_session(id);
        } else if !self.publish_will(id, out) {
            self.record_session(id);
        }
    }

    /// A session's client is back, or the session is over.
    pub(crate) fn unset_deadlines(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if let Some(at) = session.will_at.take() {
            self.timers.unset(at, Timer::Will { session: id });
        }
        if let Some(at) = session.ends_at.take() {
            self.timers.unset(at, Timer::SessionExpiry { session: id });
        }
    }

    /// The will's delay is over.
    pub(crate) fn will_due(&mut self, id: SessionId, out: &mut Outputs) {
        if !self.publish_will(id, out) {
            self.record_session(id);
        }
    }

    /// The session's time is over.
    pub(crate) fn session_due(&mut self, id: SessionId, out: &mut Outputs) {
        self.counters.sessions_expired += 1;
        self.end_session(id, out);
    }

    /// Publishes a session's will, if it has one. Answers whether the will has to be kept first: then the session's record
    /// follows with it, so that a will is neither lost nor published twice if the process ends here.
    fn publish_will(&mut self, id: SessionId, out: &mut Outputs) -> bool {
        let now = self.steady;
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        if session.will_held {
            session.will_at = None; // This one is next.
            return true;
        }
        if let Some(at) = session.will_at.take() {
            self.timers.unset(at, Timer::Will { session: id });
        }
        let Some(Will {
            message, expiry_secs, ..
        }) = session.will.take()
        else {
            return false;
        };
        let message = Arc::new(Message {
            expires: expiry_secs.map(|secs| Expiry::after(now, secs)),
            publisher: self.publisher(id),
            ..(*message).clone()
        });
        let route = self.topics.route(&message.topic);
        let keep = Keep::asked(message.retain, &message.topic);
        let mut publication = Publication::of(&message);
        let way = Way {
            from: Some(id),
            will: true,
            keep,
            ..Way::along(&route)
        };
        // It may be in a batch when this returns.
        self.hold_will(id, true);
        let held = self.send_on_its_way(&mut publication, way, out);
        if !held {
            self.hold_will(id, false);
        }
        held
    }

    fn hold_will(&mut self, id: SessionId, held: bool) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.will_held = held;
        }
    }

    /// A session's will is in this round's batch: so is its record without it, or its end. Who came meanwhile is answered when
    /// that is kept.
    pub(crate) fn will_submitted(&mut self, id: SessionId, number: u64) {
        self.hold_will(id, false);
        self.ended_before_wills.remove(&id);
        let is_late = |session: &Session| {
            session.will.is_some() && session.will_at.is_none() && !session.is_connected()
        };
        if self.sessions.get(id).is_some_and(is_late) {
            // That of a connection which ended while this one waited.
            self.timers.set(self.now, Timer::Will { session: id });
        }
        let goes_on = |session: &Session| session.durable() || session.will.is_some();
        if self.sessions.get(id).is_some_and(goes_on) {
            self.record_session(id);
        } else {
            self.holds.remove(Shelf::Sessions, &record::session_key(number));
        }
        for (_, hold) in self
            .opens_behind_wills
            .extract_if(.., |(session, _)| *session == id)
        {
            self.holds.await_batch(hold);
        }
    }

    /// Ends a session: nothing of it stays, on no shard and not on disk. A will that still waits is published now.
    pub(crate) fn end_session(&mut self, id: SessionId, out: &mut Outputs) {
        self.unset_deadlines(id);
        let wall = self.wall;
        if let Some(session) = self.sessions.get_mut(id) {
            let lasted = std::mem::take(&mut session.expiry_secs) > 0;
            if lasted && session.will.is_some() {
                // The record goes with the will, and until then nobody may find a session that goes on.
                session.left.get_or_insert(wall);
                self.record_session(id);
            }
        }
        let will_is_kept = self.publish_will(id, out);
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        if session.will_held {
            self.ended_before_wills.insert(id);
        }
        self.counters.subscriptions -= session.subscriptions.len() as u64;
        self.leave_all(&session, out);
        for (filter, _) in session
            .subscriptions
            .iter()
            .filter(|(filter, _)| filter.shared().is_none())
        {
            if let Some(interest) = self.topics.unsubscribe(filter, id) {
                self.tell_interest(filter, interest, out);
            }
        }
        for body in session.bodies() {
            self.release_body(body, out);
        }
        if !session.recorded {
            return;
        }
        if !will_is_kept {
            self.holds
                .remove(Shelf::Sessions, &record::session_key(session.number));
        }
        // A range that is removed costs the store memory until it is compacted away, even if nothing was in it.
        if session.was_durable {
            self.erase(&session, out);
        }
    }

    /// Removes everything of an ended session but its record.
    fn erase(&mut self, session: &Session, out: &mut Outputs) {
        let (from, to) = (
            record::session_key(session.number),
            record::session_end(session.number),
        );
        self.holds.remove(Shelf::Cursors, &from);
        for shelf in [Shelf::Subscriptions, Shelf::Inflight, Shelf::Receipts] {
            self.holds.remove_range(shelf, &from, &to);
        }
        let on_disk = session.queue.on_disk();
        match session.queue.unloaded_from() {
            // What is only on disk may refer to shared bodies: they are looked up before it goes.
            Some(from) => {
                let spared = session.queue.others_seqs().collect();
                let asked = session.queue.is_recalling();
                self.begin_purge(session.number, from, Purge { on_disk, spared }, asked, out);
            }
            None => self.holds.remove_messages(session.number, on_disk),
        }
    }
}

const fn seconds(secs: u32) -> Duration {
    Duration::from_secs(secs as u64)
}
