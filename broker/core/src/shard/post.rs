//! Mail between shards, and the settling of messages that were held.

use std::sync::Arc;

use mqtt_wire::ReasonCode;

use crate::{
    Output, Outputs, Shard, ShardId, Shelf,
    burst::Burst,
    client::Publication,
    hold::{HeldMessage, HoldId, NewEntry, Outcome, Receiver, Set},
    mail::{Keep, Letter, Mail, Receivers},
    message::Message,
    record,
    shard::distribute::Way,
    topics::retained::{Fate, Stale},
};

/// A message that another shard has offered and not settled.
#[derive(Debug)]
pub(crate) struct Offered {
    receivers: Vec<Receiver>,
    /// If it was set as its topic's retained message here.
    set: Option<Set>,
}

impl Shard {
    pub(crate) fn post(to: ShardId, letter: Letter, out: &mut Outputs) {
        let mail = Mail(letter);
        out.duties.push(Output::Mail { to, mail });
    }

    /// Posts a message together with those just before it, if they are alike. Whether it was.
    pub(crate) fn post_in_burst(to: ShardId, publication: &Publication<'_>, out: &mut Outputs) -> bool {
        if let Some(Output::Mail { to: last, mail }) = out.duties.last_mut()
            && *last == to
            && let Letter::Burst(burst) = &mut mail.0
            && burst.add(publication)
        {
            return true;
        }
        let Some(burst) = Burst::begin(publication) else {
            return false;
        };
        Self::post(to, Letter::Burst(burst), out);
        true
    }

    pub(crate) fn take_mail(&mut self, from: ShardId, mail: Mail, out: &mut Outputs) {
        match mail.0 {
            Letter::Publish {
                message,
                receivers,
                keep,
                replace,
            } => {
                if keep != Keep::No {
                    self.keep_retained(&message, keep);
                }
                self.deliver_all(&message, &receivers, replace, out);
            }
            Letter::Burst(burst) => self.deliver_burst(&burst, out),
            Letter::Offer {
                number,
                message,
                receivers,
                keep,
            } => self.take_offer(from, number, &message, &receivers, keep, out),
            Letter::Contribution {
                number,
                entries,
                outcome,
                retain,
            } => self.take_contribution(number, entries, outcome, retain),
            Letter::Settled {
                number,
                kept,
                body,
                message,
            } => {
                let id = HoldId { shard: from, number };
                if let Some(offered) = self.offered.remove(&id) {
                    self.settle_here(id, offered, kept, body, &message, out);
                }
            }
            Letter::Interest { filter, interest } => self.topics.note_interest(&filter, from, interest),
            Letter::InterestsNoted { number } => Self::post(from, Letter::Noted { number }, out),
            Letter::Noted { number } => {
                self.notes_due -= 1;
                self.happened(number, None, out);
            }
            Letter::RetainedWanted {
                number,
                filter,
                after,
            } => {
                let page = self.retained.page(&filter, after.as_deref(), self.steady);
                Self::post(from, Letter::RetainedFound { number, page }, out);
            }
            Letter::RetainedFound { number, page } => self.retained_found(number, page, out),
            Letter::Join(join) => self.take_join(from, *join, out),
            Letter::Joined { number, refused } => self.happened(number, refused, out),
            Letter::Leave { filter, member } => self.take_leave(&filter, member, out),
            Letter::Handout(handout) => self.take_handout(*handout, out),
            Letter::ShareAnswered { group, number, fate } => self.share_answered(group, number, fate, out),
            Letter::BodyReleased { body } => self.body_released(body),
        }
    }

    /// Another shard offers a message: it is queued here at once, so that nothing overtakes it, and sent when it settles.
    fn take_offer(
        &mut self,
        from: ShardId,
        number: u64,
        message: &Arc<Message>,
        receivers: &Receivers,
        keep: Keep,
        out: &mut Outputs,
    ) {
        let id = HoldId { shard: from, number };
        let set = self.set_retained(message, keep);
        let route = self.topics.route(&message.topic);
        let way = Way {
            receivers,
            ..Way::along(&route)
        };
        self.note_live(&route, &message.topic);
        let mut queued = self.queue_for(way, message, id, out);
        queued.outcome.refused |= keep != Keep::No && set.is_none();
        let letter = Letter::Contribution {
            number,
            entries: queued.entries,
            outcome: queued.outcome,
            retain: set.filter(|set| set.durable).map(|set| set.version),
        };
        let offered = Offered {
            receivers: queued.receivers,
            set,
        };
        self.offered.insert(id, offered);
        Self::post(from, letter, out);
    }

    /// Another shard says what has to be kept of an offer of this one.
    fn take_contribution(
        &mut self,
        number: u64,
        entries: Vec<NewEntry>,
        outcome: Outcome,
        retain: Option<u64>,
    ) {
        let Some(held) = self.holds.message_mut(number) else {
            return;
        };
        held.contributions_due = held.contributions_due.saturating_sub(1);
        held.entries.extend(entries);
        held.outcome.merge(outcome);
        held.retain = held.retain.or(retain);
        self.submit_complete();
    }

    /// Everything a held message waited for has happened, or it was refused.
    pub(crate) fn settle_message(
        &mut self,
        number: u64,
        held: HeldMessage,
        refused: Option<ReasonCode>,
        out: &mut Outputs,
    ) {
        let id = HoldId {
            shard: self.id,
            number,
        };
        let kept = refused.is_none();
        for shard in &held.shards {
            let message = Arc::clone(&held.message);
            let body = held.body;
            Self::post(
                *shard,
                Letter::Settled {
                    number,
                    kept,
                    body,
                    message,
                },
                out,
            );
        }
        if let (Some(body), false) = (held.body, kept) {
            self.bodies.remove(&body);
        }
        if let (Some(due), Some((session, packet))) = (held.due, held.receipt)
            && kept
            && self.sessions.get(due.session).is_none()
        {
            self.holds
                .remove(Shelf::Receipts, &record::packet_key(session, packet));
        }
        let offered = Offered {
            receivers: held.receivers,
            set: held.set,
        };
        self.settle_here(id, offered, kept, held.body, &held.message, out);
        match (held.answers, held.due) {
            (Some(answers), _) => self.happened(answers, refused, out),
            (None, Some(due)) => self.settle_owed(due, refused, held.outcome.reason(), out),
            (None, None) => {}
        }
    }

    /// What a settled message means for this shard's own sessions and retained messages.
    fn settle_here(
        &mut self,
        id: HoldId,
        offered: Offered,
        kept: bool,
        body: Option<u64>,
        message: &Arc<Message>,
        out: &mut Outputs,
    ) {
        if let Some(set) = offered.set {
            self.settle_retained(message, set, kept);
        }
        for receiver in offered.receivers {
            match self.sessions.get_mut(receiver.session) {
                Some(session) if kept => session.queue.release(id, body),
                Some(session) => session.queue.abandon(id, message),
                None if kept => self.drop_entry(receiver, body, out),
                None => {}
            }
            self.pump(receiver.session, out);
        }
    }

    /// A retained message that was set in memory has been kept or refused.
    pub(crate) fn settle_retained(&mut self, message: &Arc<Message>, set: Set, kept: bool) {
        let fate = match (kept, set.durable) {
            (false, _) => Fate::Refused,
            (true, true) => Fate::Stored,
            (true, false) => Fate::Volatile,
        };
        let key = |version| record::retained_key(&message.topic, version);
        match self.retained.settle(message, set.version, fate) {
            Stale::Nothing => {}
            Stale::One(version) => self.holds.remove(Shelf::Retained, &key(version)),
            Stale::UpTo(version) => self
                .holds
                .remove_range(Shelf::Retained, &key(0), &key(version + 1)),
        }
    }

    /// A message was kept for a session that ended meanwhile.
    fn drop_entry(&mut self, receiver: Receiver, body: Option<u64>, out: &mut Outputs) {
        let Some((session, seq)) = receiver.stands else {
            return;
        };
        self.holds.remove(Shelf::Queue, &record::queue_key(session, seq));
        if let Some(body) = body {
            self.release_body(body, out);
        }
    }

    /// A queue entry that referred to a stored body is gone.
    pub(crate) fn release_body(&mut self, body: u64, out: &mut Outputs) {
        let owner = ShardId((body & ((1 << Letter::BODY_SHARD_BITS) - 1)) as u16 % self.shards);
        if owner == self.id {
            self.body_released(body);
        } else {
            Self::post(owner, Letter::BodyReleased { body }, out);
        }
    }

    fn body_released(&mut self, body: u64) {
        let Some(references) = self.bodies.get_mut(&body) else {
            return;
        };
        *references -= 1;
        if *references == 0 {
            self.bodies.remove(&body);
            self.holds.remove(Shelf::Bodies, &record::body_key(body));
        }
    }
}
