//! Mail from this shard to others, gathered over a round.

use broker_core::{Mail, ShardId};

use crate::{
    house::House,
    mailbox::{LANE_BYTES_MAX, LANE_MAX},
};

/// What waits to be carried to the other shards. Never blocks: what a full mailbox does not take stays here, and while
/// more than a lane's worth does, the shard reads no sockets.
#[derive(Debug)]
pub(crate) struct Post {
    from: ShardId,
    out: Box<[Vec<Mail>]>,
    waiting: usize,
    waiting_bytes: usize,
}

impl Post {
    pub(crate) fn new(from: ShardId, shards: usize) -> Self {
        Self {
            from,
            out: (0..shards).map(|_| Vec::new()).collect(),
            waiting: 0,
            waiting_bytes: 0,
        }
    }

    pub(crate) fn put(&mut self, to: ShardId, mail: Mail) {
        if let Some(out) = self.out.get_mut(usize::from(to.0)) {
            self.waiting += 1;
            self.waiting_bytes += mail.len_bytes();
            out.push(mail);
        }
    }

    /// Carries what the mailboxes take.
    pub(crate) fn carry(&mut self, house: &House) {
        if self.waiting == 0 {
            return;
        }
        for (mailbox, out) in house.mailboxes.iter().zip(&mut self.out) {
            if !out.is_empty() {
                let before = out.len();
                self.waiting_bytes -= mailbox.carry(self.from, out);
                self.waiting -= before.saturating_sub(out.len());
            }
        }
    }

    /// Whether so much waits that no more should be made.
    pub(crate) const fn is_overfull(&self) -> bool {
        self.waiting > LANE_MAX || self.waiting_bytes > LANE_BYTES_MAX
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }
}
