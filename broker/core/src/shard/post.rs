//! Mail between shards, and the settling of messages that were held.

use std::sync::Arc;

use mqtt_wire::ReasonCode;

use crate::{
    Output, Outputs, Shard, ShardId, Shelf,
    hold::{HeldMessage, HoldId},
    mail::{Keep, Letter, Mail},
    message::Message,
    record,
    session::SessionId,
};

impl Shard {
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
                let route = self.topics.route(&message.topic);
                self.deliver_all(&message, &route, &receivers, replace, out);
            }
            Letter::Offer {
                number,
                message,
                keep,
            } => self.take_offer(from, number, &message, keep, out),
            Letter::Contribution {
                number,
                entries,
                full,
            } => {
                if let Some(held) = self.holds.message_mut(number) {
                    held.contributions_due = held.contributions_due.saturating_sub(1);
                    if full && entries.is_empty() && held.sessions.is_empty() && held.entries.is_empty() {
                        held.outcome = ReasonCode::QuotaExceeded;
                    }
                    held.entries.extend(entries);
                    self.submit_when_complete(number);
                }
            }
            Letter::Settled {
                number,
                kept,
                body,
                message,
            } => {
                let id = HoldId { shard: from, number };
                let sessions = self.offered.remove(&id).unwrap_or_default();
                self.settle_entries(id, &sessions, kept, body, &message, out);
            }
            Letter::Interest {
                filter,
                interest,
                number,
            } => {
                self.topics.note_interest(&filter, from, interest);
                if let Some(number) = number {
                    out.duties.push(Output::Mail {
                        to: from,
                        mail: Mail(Letter::InterestNoted { number }),
                    });
                }
            }
            Letter::InterestNoted { number } => self.happened(number, None, out),
            Letter::RetainedWanted { number, filter } => {
                let messages = self.retained.matching(&filter, self.wall);
                out.duties.push(Output::Mail {
                    to: from,
                    mail: Mail(Letter::RetainedFound { number, messages }),
                });
            }
            Letter::RetainedFound { number, messages } => self.retained_found(number, &messages, out),
            Letter::BodyReleased { body } => self.body_released(body),
        }
    }

    /// Another shard offers a message: it is queued here at once, so that nothing overtakes it, and sent when it settles.
    fn take_offer(
        &mut self,
        from: ShardId,
        number: u64,
        message: &Arc<Message>,
        keep: bool,
        out: &mut Outputs,
    ) {
        let id = HoldId { shard: from, number };
        if keep {
            self.keep_retained(message, Keep::Volatile);
        }
        let route = self.topics.route(&message.topic);
        let mut entries = Vec::new();
        let mut sessions = Vec::new();
        let mut full = false;
        for target in &route.sessions {
            match self.queue_held(target, message, id, &mut entries, out) {
                Some(true) => sessions.push(target.session),
                Some(false) => full = true,
                None => {}
            }
        }
        self.offered.insert(id, sessions);
        let letter = Letter::Contribution {
            number,
            entries,
            full,
        };
        out.duties.push(Output::Mail {
            to: from,
            mail: Mail(letter),
        });
    }

    /// Everything a held message waited for has happened, or it was refused.
    pub(crate) fn settle_message(
        &mut self,
        number: u64,
        mut held: HeldMessage,
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
            let letter = Letter::Settled {
                number,
                kept,
                body: held.body,
                message,
            };
            out.duties.push(Output::Mail {
                to: *shard,
                mail: Mail(letter),
            });
        }
        if let (Some(before), false) = (held.retained_before.take(), kept) {
            self.retained.put_back(&held.message, before);
        }
        self.settle_entries(id, &held.sessions, kept, held.body, &held.message, out);
        match (held.answers, held.due) {
            (Some(answers), _) => self.happened(answers, refused, out),
            (None, Some(due)) => self.settle_owed(due, refused.unwrap_or(held.outcome), out),
            (None, None) => {}
        }
    }

    fn settle_entries(
        &mut self,
        id: HoldId,
        sessions: &[SessionId],
        kept: bool,
        body: Option<u64>,
        message: &Message,
        out: &mut Outputs,
    ) {
        for session_id in sessions {
            let Some(session) = self.sessions.get_mut(*session_id) else {
                continue;
            };
            if kept {
                session.queue.release(id, body);
            } else {
                session.queue.abandon(id, message);
            }
            self.pump(*session_id, out);
        }
    }

    /// A queue entry that referred to a stored body is gone.
    pub(crate) fn release_body(&mut self, body: u64, out: &mut Outputs) {
        let owner = ShardId((body & ((1 << Letter::BODY_SHARD_BITS) - 1)) as u16 % self.shards);
        if owner == self.id {
            self.body_released(body);
        } else {
            out.duties.push(Output::Mail {
                to: owner,
                mail: Mail(Letter::BodyReleased { body }),
            });
        }
    }

    fn body_released(&mut self, body: u64) {
        let Some(references) = self.bodies.get_mut(&body) else {
            return;
        };
        *references -= 1;
        if *references == 0 {
            self.bodies.remove(&body);
            self.holds.batch.delete(Shelf::Bodies, &record::body_key(body));
        }
    }
}
