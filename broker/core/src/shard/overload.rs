//! What a shard does while memory is short.

use crate::{ConnectionId, Outbox, Output, Outputs, Overload, Shard, client::Pause, session::SessionId};

impl Shard {
    /// Memory is nearer to its ceiling now, or less near.
    pub(crate) fn take_overload(&mut self, overload: Overload, out: &mut Outputs) {
        self.overload = overload;
        self.lag_bytes_max = self.settings.unsent_bytes_max;
        if overload >= Overload::Dropping {
            self.lag_bytes_max = self.lag_bytes_max.min(Outbox::HIGH_WATER);
        }
        if overload == Overload::Calm {
            self.slow_nobody(out);
        }
    }

    /// Whether so much waits for a session that what need not be kept is not added.
    pub(crate) fn lags_in_overload(&self, id: SessionId) -> bool {
        let waits = |id| self.sessions.get(id).map_or(0, |session| session.queue.bytes());
        self.overload >= Overload::Dropping && waits(id) > self.lag_bytes_max as u64
    }

    /// Whoever was read more slowly because memory was short is read on at once.
    fn slow_nobody(&mut self, out: &mut Outputs) {
        for (slot, client) in (0..).zip(&mut self.clients) {
            let Some(client) = client else { continue };
            client.allowance.take_if(|allowance| allowance.end_overload());
            if client.resume(Pause::Overload) {
                let connection = ConnectionId(slot);
                out.duties.push(Output::Read { connection });
            }
        }
    }
}
