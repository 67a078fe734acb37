//! What waits to be written, and who is not read, or not kept, because of it.
//!
//! Bytes for receivers that keep taking some are a sign that senders are too fast: while there are too many, no socket
//! is read, and TCP slows the senders down. Bytes for receivers that have stopped taking are nobody else's concern:
//! they do not count, and after a while their connection is given up.

use std::{mem, time::Duration};

use broker_core::{ConnectionId, Moment, Outputs};

use super::connections::{Connection, Connections};

/// How often blocked receivers are looked at; one that took nothing in between has stopped.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Blocked receivers and held senders of a shard.
#[derive(Debug)]
pub(crate) struct Backlog {
    unsent_bytes_max: usize,
    send_timeout: Duration,
    blocked: Vec<ConnectionId>,
    /// Unsent bytes of receivers that have stopped, as of the last look.
    stopped_bytes: usize,
    next_look: Moment,
    held: Vec<ConnectionId>,
}

impl Backlog {
    pub(crate) const fn new(unsent_bytes_max: usize, send_timeout: Duration) -> Self {
        Self {
            unsent_bytes_max,
            send_timeout,
            blocked: Vec::new(),
            stopped_bytes: 0,
            next_look: Moment::START,
            held: Vec::new(),
        }
    }

    pub(crate) const fn is_full(&self, outputs: &Outputs) -> bool {
        outputs.unsent_bytes() > self.unsent_bytes_max.saturating_add(self.stopped_bytes)
    }

    /// The connection is not read for now, though there may be something to read.
    pub(crate) fn hold(&mut self, id: ConnectionId, connections: &mut Connections) {
        if let Some(connection) = connections.get_mut(id)
            && !mem::replace(&mut connection.held, true)
        {
            self.held.push(id);
        }
    }

    /// All that were held get their turn.
    pub(crate) fn release_held(&mut self, connections: &mut Connections) {
        for id in self.held.drain(..) {
            if let Some(connection) = connections.get_mut(id) {
                connection.held = false;
            }
            connections.queue(id);
        }
    }

    /// The connection's socket takes nothing at present.
    pub(crate) fn block(&mut self, id: ConnectionId, connection: &mut Connection, now: Moment) {
        connection.blocked_since.get_or_insert(now);
        if !mem::replace(&mut connection.blocked, true) {
            if self.blocked.is_empty() {
                self.next_look = now + LOOK_INTERVAL;
            }
            self.blocked.push(id);
        }
    }

    /// Looks, if it is time, who goes on taking; answers those who have not for too long.
    pub(crate) fn look(
        &mut self,
        now: Moment,
        connections: &mut Connections,
        outputs: &Outputs,
    ) -> Vec<ConnectionId> {
        let mut given_up = Vec::new();
        if self.blocked.is_empty() || now < self.next_look {
            return given_up;
        }
        self.next_look = now + LOOK_INTERVAL;
        self.stopped_bytes = 0;
        self.blocked.retain(|id| {
            let Some(connection) = connections.get_mut(*id) else {
                return false;
            };
            let Some(since) = connection.blocked_since else {
                connection.blocked = false;
                return false;
            };
            if now.since(since) >= self.send_timeout {
                given_up.push(*id);
                return false;
            }
            if now.since(since) >= LOOK_INTERVAL {
                self.stopped_bytes += outputs.outbox(*id).map_or(0, |outbox| outbox.len());
            }
            true
        });
        given_up
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        (!self.blocked.is_empty()).then_some(self.next_look)
    }
}
