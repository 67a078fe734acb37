//! Performs what the rules ask for.

use std::{mem, sync::Arc, task::Context, time::SystemTime};

use broker_core::{Batch, ConnectionId, Input, LinkId, Output, Question, Told};
use plugin_api::{Access, LinkEvent, Ticket};
use tracing::error;

use super::{Worker, mailbox};
use crate::{gate::Asked, journal::CommitRefused, link, mailbox::Letter};

impl Worker {
    /// Ends the round for the rules and performs what that leads to, until nothing is left.
    pub(super) fn settle(&mut self) {
        loop {
            self.perform_duties();
            self.shard.end_round(self.now, &mut self.outputs);
            if self.outputs.duties.is_empty() {
                return;
            }
        }
    }

    /// Performs all duties, in order, and those that follow from them.
    pub(super) fn perform_duties(&mut self) {
        while !self.outputs.duties.is_empty() {
            let mut duties = mem::take(&mut self.duties);
            mem::swap(&mut duties, &mut self.outputs.duties);
            duties.drain(..).for_each(|duty| self.perform(duty));
            self.duties = duties;
        }
    }

    fn perform(&mut self, duty: Output) {
        match duty {
            Output::Close { connection } => self.close(connection),
            Output::Read { connection } => self.connections.queue(connection),
            Output::Ask {
                ticket,
                connection,
                question,
            } => self.ask(ticket, connection, question),
            Output::Authenticate {
                ticket,
                connection,
                begins,
                data,
            } => self.authenticate(ticket, connection, begins, data),
            Output::Remember { ticket, batch } => self.remember(ticket, batch),
            Output::Recall(recall) => {
                self.under_way.recalls += 1;
                self.house.recalls.put(self.id, recall);
            }
            Output::Mail { to, mail } => self.post.put(to, mail),
            Output::Deliver {
                link,
                number,
                message,
                client_id,
                badge,
            } => {
                let ticket = Ticket {
                    shard: self.id.0,
                    number,
                };
                self.tell_link(link, link::delivery(ticket, &message, client_id, &badge));
            }
            Output::Tell { link, told } => {
                if let Some(event) = self.event(told) {
                    self.tell_link(link, event);
                }
            }
        }
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(id) {
            let unsent = self
                .outputs
                .outbox(id)
                .map(|outbox| outbox.unsent())
                .unwrap_or_default();
            self.tally.bytes_sent += unsent.len() as u64;
            let mut cx = Context::from_waker(&self.waker);
            self.closing
                .see_out(connection.stream, unsent, connection.seat, self.now, &mut cx);
        }
        self.outputs.forget(id);
    }

    fn ask(&mut self, ticket: u64, id: ConnectionId, question: Question) {
        let access = match question {
            Question::Publish { topic, qos, retain } => Access::Publish {
                topic: topic.as_ref().into(),
                qos,
                retain,
            },
            Question::Subscribe { filter } => Access::Subscribe { filter },
        };
        let Some(connection) = self.connections.get(id) else {
            // Whoever has left may do nothing.
            return self.step(Input::Verdict { ticket, allow: false });
        };
        match self.house.gates.ask(&connection.principal, &access) {
            Asked::Now(allow) => self.step(Input::Verdict { ticket, allow }),
            Asked::Later(decision) => {
                self.under_way.questions += 1;
                let (house, id) = (Arc::clone(&self.house), self.id);
                self.house.gates.wait_for(decision, move |allow| {
                    mailbox(&house, id).post(Letter::Verdict { ticket, allow });
                });
            }
        }
    }

    fn remember(&mut self, ticket: u64, batch: Batch) {
        self.under_way.batches += 1;
        let (house, id) = (Arc::clone(&self.house), self.id);
        let done = move |result: Result<(), CommitRefused>| {
            mailbox(&house, id).post(match result {
                Ok(()) => Letter::Remembered { ticket },
                Err(refused) => {
                    if let CommitRefused::Failed(why) = &refused {
                        house.journal_failed.call_once(|| {
                            error!(
                                why,
                                "a batch could not be kept; it and such as follow are refused"
                            );
                        });
                    }
                    Letter::Refused {
                        ticket,
                        reason: refused.reason(),
                    }
                }
            });
        };
        self.house.journal.commit(batch, Box::new(done));
    }

    fn event(&self, told: Told) -> Option<LinkEvent> {
        let Told::Connected {
            connection,
            client_id,
            ..
        } = told
        else {
            return link::told(told);
        };
        let connection = self.connections.get(connection)?;
        Some(LinkEvent::Connected {
            client_id,
            principal: Arc::clone(&connection.principal),
            peer: connection.peer,
            version: connection.version,
            at: SystemTime::now(),
        })
    }

    fn tell_link(&self, link: LinkId, event: LinkEvent) {
        if let Some(attached) = self.links.get(usize::from(link.0)) {
            attached.link.take(event);
        }
    }
}
