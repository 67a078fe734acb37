//! Doing again, a little later, what the store refused or could not read.

use std::time::Duration;

use crate::{
    Batch, Shard, Shelf,
    hold::{Upkeep, What},
    record,
    session::{Session, SessionId, Stage},
    timers::Timer,
};

/// How long after a refusal it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Shard {
    /// A session has to be looked at again.
    pub(crate) fn retry_later(&mut self, session: SessionId) {
        self.retry_all_later(Upkeep {
            sessions: vec![session],
            ..Upkeep::default()
        });
    }

    /// What a refused batch changed without anybody waiting for it has to be done again.
    pub(crate) fn retry_all_later(&mut self, upkeep: Upkeep) {
        if self.refused.is_empty() {
            self.timers.set(self.now + RETRY_AFTER, Timer::Retry);
        }
        self.refused.append(upkeep);
    }

    pub(crate) fn retry(&mut self) {
        let Upkeep {
            mut sessions,
            receipts,
            removals,
            give_backs,
        } = std::mem::take(&mut self.refused);
        self.holds.remove_again(&removals);
        for (id, packet) in receipts {
            // Its packet id may stand for another message by now.
            let session = self.sessions.get(id);
            if let Some(session) = session.filter(|session| !session.has_receipt(packet)) {
                self.holds.remove_receipt(id, session.number, packet);
            }
        }
        // What is given back leaves its session in the same batch.
        for back in give_backs {
            self.give_back(back);
        }
        sessions.sort_unstable();
        sessions.dedup();
        for session in sessions {
            self.write_again(session);
        }
    }

    /// Writes everything of a session but its queue and receipts, as it is now.
    fn write_again(&mut self, id: SessionId) {
        if self.found_again(id) {
            return;
        }
        self.record_session(id);
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let steps = if session.durable() {
            write_state(session, &mut self.holds.batch)
        } else {
            write_moves(session, &mut self.holds.batch)
        };
        self.holds.touch(id);
        // With nothing to record the wait ends with the round, and what was to be read back is asked for again.
        let hold = self.holds.begin(1, What::Outgoing { session: id, steps });
        self.holds.await_batch(hold);
    }
}

/// Answers the messages under way whose next step waits for this.
fn write_state(session: &Session, batch: &mut Batch) -> Vec<(mqtt_wire::PacketId, Stage)> {
    let number = session.number;
    let (from, to) = (record::session_key(number), record::session_end(number));
    for shelf in [Shelf::Subscriptions, Shelf::Inflight] {
        batch.delete_range(shelf, &from, &to);
    }
    for (filter, options) in &session.subscriptions {
        let key = record::subscription_key(number, filter);
        batch.put(Shelf::Subscriptions, &key, &record::write_options(options));
    }
    let mut steps = Vec::new();
    for flight in session.inflight.iter() {
        let Some(outgoing) = flight.outgoing() else {
            continue;
        };
        flight.write_move(number, batch);
        let key = record::packet_key(number, flight.id);
        batch.put(Shelf::Inflight, &key, &record::write_outgoing(outgoing));
        if matches!(flight.stage, Stage::AwaitRecord | Stage::AwaitReleaseRecord) {
            steps.push((flight.id, flight.stage));
        }
    }
    let cursor = session.cursor();
    batch.put(Shelf::Cursors, &from, &cursor.to_be_bytes());
    steps
}

/// What is to be taken from groups for a session that is not kept itself.
fn write_moves(session: &Session, batch: &mut Batch) -> Vec<(mqtt_wire::PacketId, Stage)> {
    let flights = session.inflight.iter();
    let moved = flights.filter(|flight| flight.write_move(session.number, batch));
    moved.map(|flight| (flight.id, flight.stage)).collect()
}
