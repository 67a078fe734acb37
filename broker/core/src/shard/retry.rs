//! Doing again, a little later, what the store refused or could not read.

use std::time::Duration;

use crate::{
    Shard, Shelf,
    hold::What,
    record::{self, Outgoing},
    session::{SessionId, Stage},
    timers::Timer,
};

/// How long after a refusal it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Shard {
    pub(crate) fn retry_later(&mut self, session: SessionId, number: u64) {
        self.timers
            .set(self.now + RETRY_AFTER, Timer::Retry { session, number });
    }

    /// Writes the records of a session's outgoing messages again that are not on disk.
    pub(crate) fn retry_outgoing(&mut self, id: SessionId, number: u64) {
        let Some(session) = self.sessions.get(id).filter(|session| session.number == number) else {
            return;
        };
        let mut steps = Vec::new();
        for flight in session.inflight.iter() {
            let record = match (flight.stage, flight.seq) {
                (Stage::AwaitRecord, Some(seq)) => Outgoing::Published(seq),
                (Stage::AwaitReleaseRecord, _) => Outgoing::Released,
                _ => continue,
            };
            let key = record::packet_key(number, flight.id);
            self.holds
                .batch
                .put(Shelf::Inflight, &key, &record::write_outgoing(record));
            steps.push((flight.id, flight.stage));
        }
        // With nothing to record the wait ends with the round, and what was to be read back is asked for again.
        let hold = self.holds.begin(
            1,
            What::Outgoing {
                session: id,
                number,
                steps,
            },
        );
        self.holds.await_batch(hold);
    }
}
