//! Reading waiting messages back: for sessions that are to get them, and for ended ones that shared a body with others.

use std::ops::Range;

use crate::{
    Output, Outputs, Shard, WallTime,
    recall::{Page, Recall},
    session::SessionId,
};

/// A session that has ended and whose waiting messages are still being looked through for shared bodies.
#[derive(Debug)]
pub(crate) struct Purge {
    /// The sequence numbers under which something may stand on disk.
    pub(crate) on_disk: Range<u64>,
    /// Messages whose bodies are let go of elsewhere.
    pub(crate) spared: Vec<u64>,
}

impl Shard {
    /// Asks for the next page of a session's waiting messages, if it is needed.
    pub(crate) fn recall(&mut self, id: SessionId, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.is_connected()) else {
            return;
        };
        if let Some((from, to)) = session.queue.wants_recall() {
            let recall = Recall::of_session(session.number, from, to);
            out.duties.push(Output::Recall(recall));
        }
    }

    pub(crate) fn take_page(&mut self, page: Page, out: &mut Outputs) {
        self.counters.damaged_messages += page.damaged;
        if self.purges.contains_key(&page.session) {
            return self.purge(&page, out);
        }
        let Some(id) = self.sessions.numbered(page.session) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if page.failed {
            session.queue.recall_failed();
            self.retry_later(id);
            return;
        }
        let (grace, sessions_last) = (self.settings.recovery_grace, self.settings.session_expiry_max());
        let started = WallTime(self.steady.0 - self.now.as_millis());
        session
            .queue
            .recalled(page, |expires| expires.recovered(started, grace, sessions_last));
        if !session.is_connected() {
            session.queue.unload();
        }
        self.pump(id, out);
    }

    /// Begins to look through what an ended session has on disk. A page it had asked for is the first.
    pub(crate) fn begin_purge(
        &mut self,
        number: u64,
        from: u64,
        purge: Purge,
        asked: bool,
        out: &mut Outputs,
    ) {
        if !asked {
            let recall = Recall::of_session(number, from, purge.on_disk.end);
            out.duties.push(Output::Recall(recall));
        }
        self.purges.insert(number, purge);
    }

    /// Lets go of the bodies that an ended session's messages refer to; at the end the messages go too. Where reading fails,
    /// bodies stay until the next start.
    fn purge(&mut self, page: &Page, out: &mut Outputs) {
        let Some(purge) = self.purges.remove(&page.session) else {
            return;
        };
        for (seq, waiting, _) in &page.entries {
            if let Some(body) = waiting.body.filter(|_| !purge.spared.contains(seq)) {
                self.release_body(body, out);
            }
        }
        let next = page.next.unwrap_or(page.to);
        if next < purge.on_disk.end && !page.failed {
            return self.begin_purge(page.session, next, purge, false, out);
        }
        self.holds.remove_messages(page.session, purge.on_disk);
    }
}
