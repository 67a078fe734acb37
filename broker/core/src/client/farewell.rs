//! Leaving: DISCONNECT, loss, silence, expulsion; when the will is due, and when the session ends.

use std::{sync::Arc, time::Duration};

use mqtt_wire::{Disconnect, Packet, ReasonCode, Version};

use crate::{
    ConnectionId, Departure, Moment, Output, Outputs, Shard, Shelf, WallTime,
    client::Publication,
    mail::{Keep, Receivers},
    message::Message,
    output::Told,
    recall::Recall,
    record,
    session::{Session, SessionId, Will},
    shard::Purge,
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
        let cap = u32::try_from(self.settings.session_expiry_max.as_secs()).unwrap_or(u32::MAX);
        let Some(id) = self.client(connection).map(|client| client.session) else {
            return;
        };
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
        self.send_disconnect(connection, reason, out);
        self.depart(connection, why, out);
        out.duties.push(Output::Close { connection });
    }

    pub(crate) fn send_disconnect(&self, connection: ConnectionId, reason: ReasonCode, out: &mut Outputs) {
        let speaks = self
            .client(connection)
            .is_some_and(|client| client.version == Version::V5 && client.open);
        if speaks {
            self.send(connection, &Packet::Disconnect(Disconnect::with(reason)), out);
        }
    }

    /// A client's connection is over, for us or for it.
    pub(crate) fn depart(&mut self, connection: ConnectionId, why: Departure, out: &mut Outputs) {
        let Some(client) = self.remove_client(connection) else {
            return;
        };
        let id = client.session;
        let wall = self.wall;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.connection = None;
        session.left = Some(wall);
        session.queue.unload();
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
        let (now, wall) = (self.now, self.wall);
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let number = session.number;
        // The will is sent when its delay is over or the session ends, whichever is first [MQTT-3.1.3-9].
        let delay = session
            .will
            .as_ref()
            .map(|will| will.delay_secs.min(session.expiry_secs));
        if let Some(secs @ 1..) = delay {
            let at = now + seconds(secs);
            session.will_due = Some(WallTime(wall.0 + u64::from(secs) * 1000));
            session.will_at = Some(at);
            self.timers.set(at, Timer::Will { session: id, number });
        } else {
            self.publish_will(id, out);
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        match session.expiry_secs {
            0 => self.end_session(id, out),
            FOR_EVER => {
                self.record_session(id);
            }
            secs => {
                let at = now + seconds(secs);
                session.ends_at = Some(at);
                self.timers.set(at, Timer::SessionExpiry { session: id, number });
                self.record_session(id);
            }
        }
    }

    /// The will's delay is over.
    pub(crate) fn will_due(&mut self, id: SessionId, number: u64, out: &mut Outputs) {
        if self.is_due(id, number, |session| session.will_at) {
            self.publish_will(id, out);
            self.record_session(id);
        }
    }

    /// The session's time is over.
    pub(crate) fn session_due(&mut self, id: SessionId, number: u64, out: &mut Outputs) {
        if self.is_due(id, number, |session| session.ends_at) {
            self.counters.sessions_expired += 1;
            self.end_session(id, out);
        }
    }

    /// Whether the client has not come back, or left again, since a timer was set.
    fn is_due(&self, id: SessionId, number: u64, deadline: impl FnOnce(&Session) -> Option<Moment>) -> bool {
        self.sessions.get(id).is_some_and(|session| {
            session.number == number
                && session.connection.is_none()
                && deadline(session).is_some_and(|at| at <= self.now)
        })
    }

    fn publish_will(&mut self, id: SessionId, out: &mut Outputs) {
        let wall = self.wall;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.will_due = None;
        session.will_at = None;
        let Some(Will {
            message, expiry_secs, ..
        }) = session.will.take()
        else {
            return;
        };
        let message = match expiry_secs {
            None => message,
            Some(secs) => Arc::new(Message {
                expires: Some(WallTime(wall.0 + u64::from(secs) * 1000)),
                ..(*message).clone()
            }),
        };
        let route = self.topics.route(&message.topic);
        let keep = if message.retain { Keep::Durable } else { Keep::No };
        let mut publication = Publication::of(&message);
        self.send_on_its_way(
            &mut publication,
            &route,
            Some(id),
            None,
            &Receivers::All,
            keep,
            None,
            out,
        );
    }

    /// Ends a session: nothing of it stays, on no shard and not on disk. A will that still waits is published now.
    pub(crate) fn end_session(&mut self, id: SessionId, out: &mut Outputs) {
        self.publish_will(id, out);
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        self.counters.subscriptions -= session.subscriptions.len() as u64;
        for (filter, _) in &session.subscriptions {
            if let Some(interest) = self.topics.unsubscribe(filter, id) {
                self.tell_interest(filter, interest, None, out);
            }
        }
        for body in session.bodies() {
            self.release_body(body, out);
        }
        if session.recorded {
            self.erase(&session, out);
        }
    }

    fn erase(&mut self, session: &Session, out: &mut Outputs) {
        let (from, to) = (
            record::session_key(session.number),
            record::session_end(session.number),
        );
        self.holds.batch.delete(Shelf::Sessions, &from);
        self.holds.batch.delete(Shelf::Cursors, &from);
        for shelf in [Shelf::Subscriptions, Shelf::Inflight, Shelf::Receipts] {
            self.holds.batch.delete_range(shelf, &from, &to);
        }
        match session.queue.unloaded() {
            // What is only on disk may refer to shared bodies: they are looked up before it goes.
            Some((from, to)) => {
                self.purges.insert(session.number, Purge { to });
                out.duties
                    .push(Output::Recall(Recall::of_session(session.number, from, to)));
            }
            None => self.holds.batch.delete_range(Shelf::Queue, &from, &to),
        }
    }
}

const fn seconds(secs: u32) -> Duration {
    Duration::from_secs(secs as u64)
}
