//! Sending a message on its way: to sessions, to other shards, to links, and to where its topic's retained message is kept.

use std::sync::Arc;

use mqtt_wire::{QoS, ReasonCode};

use crate::{
    Answer, LinkId, LinkMessage, Moment, Output, Outputs, Shard, ShardId, To,
    client::Publication,
    hold::{Due, HeldMessage, HoldId, NewEntry, What},
    mail::{Keep, Letter, Mail, Receivers},
    message::Message,
    record::{self, Waiting},
    session::{Entry, SessionId},
    timers::Timer,
    topics::{Route, Target},
};

/// A message handed to a link and not answered.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) link: LinkId,
    pub(crate) bytes: usize,
    /// What waits for the answer.
    pub(crate) hold: Option<u64>,
    pub(crate) deadline: Moment,
}

impl Shard {
    /// Sends a message to everybody it concerns, and sees to its acknowledgement.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a fact of its own about one publish"
    )]
    pub(crate) fn send_on_its_way(
        &mut self,
        publication: &mut Publication<'_>,
        route: &Route,
        from: Option<SessionId>,
        due: Option<Due>,
        receivers: &Receivers,
        keep: Keep,
        replace: Option<u64>,
        out: &mut Outputs,
    ) {
        let receipt = due.filter(|due| due.qos == QoS::ExactlyOnce).and_then(|due| {
            let id = self.client_on(due.line)?.session;
            let session = self.sessions.get(id)?;
            session.durable().then_some((session.number, due.id))
        });
        let has_to_be_kept = publication.qos > QoS::AtMostOnce
            && replace.is_none()
            && (receipt.is_some() || route.durable || keep == Keep::Durable);
        if has_to_be_kept {
            self.hold_message(publication, route, from, due, receivers, keep, receipt, out);
        } else {
            self.pass_message(publication, route, from, due, receivers, keep, replace, out);
        }
    }

    /// Sends a message that nothing has to wait for.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a fact of its own about one publish"
    )]
    fn pass_message(
        &mut self,
        publication: &mut Publication<'_>,
        route: &Route,
        from: Option<SessionId>,
        due: Option<Due>,
        receivers: &Receivers,
        keep: Keep,
        replace: Option<u64>,
        out: &mut Outputs,
    ) {
        let mut outcome = Outcome::default();
        for target in self.targets(route, from, receivers) {
            outcome.add(self.deliver(target, publication, replace, out));
        }
        let keeper = (keep != Keep::No).then(|| self.keeper(publication.topic));
        if keeper == Some(self.id) {
            self.keep_retained(&publication.share(), keep);
        }
        for shard in shards(route, keeper, self.id) {
            let keep = if keeper == Some(shard) { keep } else { Keep::No };
            let letter = Letter::Publish {
                message: publication.share(),
                receivers: receivers.clone(),
                keep,
                replace,
            };
            out.duties.push(Output::Mail {
                to: shard,
                mail: Mail(letter),
            });
            outcome.add(Some(true));
        }
        let waits = self.hand_to_links(publication, route, from, due, &mut outcome, out);
        if !waits {
            self.answer_publish(due, outcome.reason(), out);
        }
    }

    /// Queues a message that has to be kept before anybody sees it.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a fact of its own about one publish"
    )]
    fn hold_message(
        &mut self,
        publication: &mut Publication<'_>,
        route: &Route,
        from: Option<SessionId>,
        due: Option<Due>,
        receivers: &Receivers,
        keep: Keep,
        receipt: Option<(u64, mqtt_wire::PacketId)>,
        out: &mut Outputs,
    ) {
        let message = publication.share();
        let mut outcome = Outcome::default();
        let answers = due
            .filter(|_| from.is_some() && route.has_responsible_link())
            .map(|due| {
                let hold = self.holds.begin(
                    1,
                    What::Acknowledge {
                        due,
                        outcome: ReasonCode::Success,
                    },
                );
                hold.number
            });
        let id = self.holds.next_id();
        let mut sessions = Vec::new();
        let mut entries = Vec::new();
        for target in self.targets(route, from, receivers) {
            let queued = self.queue_held(target, &message, id, &mut entries, out);
            outcome.add(queued);
            if queued == Some(true) {
                sessions.push(target.session);
            }
        }
        let retain = keep == Keep::Durable;
        let keeper = retain.then(|| self.keeper(&message.topic));
        let retained_before = (keeper == Some(self.id)).then(|| self.retained.set(&message));
        let shards: Vec<ShardId> = shards(route, keeper, self.id).collect();
        for shard in &shards {
            let letter = Letter::Offer {
                number: id.number,
                message: Arc::clone(&message),
                keep: keeper == Some(*shard),
            };
            out.duties.push(Output::Mail {
                to: *shard,
                mail: Mail(letter),
            });
            outcome.add(Some(true));
        }
        let held = HeldMessage {
            message,
            due,
            answers,
            sessions,
            contributions_due: shards.len(),
            shards,
            entries,
            retain,
            retained_before,
            receipt,
            body: None,
            outcome: ReasonCode::Success,
        };
        let begun = self.holds.begin(1, What::Message(Box::new(held)));
        debug_assert_eq!(begun, id, "the entries were queued under the hold's number");
        if let Some(due) = due {
            self.owe(due, None, out);
        }
        self.hand_to_links_for(publication, route, from, answers, &mut outcome, out);
        self.holds
            .note_outcome(answers.unwrap_or(id.number), outcome.reason());
        self.submit_when_complete(id.number);
    }

    /// Hands a held message to the store once all shards have contributed.
    pub(crate) fn submit_when_complete(&mut self, number: u64) {
        // This shard's id is in the low bits, so that the number tells who counts the body's references.
        let body = ((self.last_body + 1) << Letter::BODY_SHARD_BITS) | u64::from(self.id.0);
        if let Some(references) = self.holds.submit_message(number, body) {
            self.last_body += 1;
            self.bodies.insert(body, references);
        }
    }

    /// Queues an offered message of another shard, or of this one. `None`: not for this session; otherwise whether there was
    /// room.
    pub(crate) fn queue_held(
        &mut self,
        target: &Target,
        message: &Arc<Message>,
        id: HoldId,
        entries: &mut Vec<NewEntry>,
        out: &Outputs,
    ) -> Option<bool> {
        let settings = Arc::clone(&self.settings);
        let qos = message.qos.min(target.qos);
        let session = self.sessions.get_mut(target.session)?;
        let online = session.connection.is_some();
        let stands_on_disk = session.durable() && qos > QoS::AtMostOnce;
        if !online && !stands_on_disk {
            return None;
        }
        let slow = |connection| {
            out.outbox(connection)
                .is_some_and(|outbox| outbox.len() > settings.unsent_bytes_max)
        };
        if session
            .queue
            .is_full(message, settings.queue_messages_max, settings.queue_bytes_max)
            || (qos == QoS::AtMostOnce && session.connection.is_some_and(slow))
        {
            self.counters.dropped_queue_full += 1;
            return Some(false);
        }
        let retain = message.retain && target.retain_as_published;
        let waiting = Waiting {
            qos,
            retain,
            subscription_ids: target.subscription_ids.clone(),
            body: None,
        };
        let seq = stands_on_disk.then(|| session.queue.take_seq());
        if let Some(seq) = seq {
            entries.push(NewEntry {
                session: session.number,
                seq,
                waiting: waiting.clone(),
            });
        }
        let entry = Entry {
            seq,
            waiting,
            message: Arc::clone(message),
            hold: Some(id),
            replace: None,
            dup: false,
        };
        let memory = if online { settings.queue_memory_bytes } else { 0 };
        session.queue.push(entry, memory);
        Some(true)
    }

    /// The sessions of a route that are meant.
    fn targets<'r>(
        &self,
        route: &'r Route,
        from: Option<SessionId>,
        receivers: &Receivers,
    ) -> impl Iterator<Item = &'r Target> + use<'r> {
        let (only, except) = match receivers {
            Receivers::All => (None, None),
            Receivers::Only(client) => (Some(self.sessions.of_client(client)), None),
            Receivers::Except(client) => (None, self.sessions.of_client(client)),
        };
        route.sessions.iter().filter(move |target| {
            !(target.no_local && Some(target.session) == from)
                && only.is_none_or(|only| only == Some(target.session))
                && except != Some(target.session)
        })
    }

    /// Which shard keeps a topic's retained message.
    pub(crate) fn keeper(&self, topic: &str) -> ShardId {
        ShardId::of(topic, self.shards)
    }

    /// Sets a topic's retained message without waiting for anything.
    pub(crate) fn keep_retained(&mut self, message: &Arc<Message>, keep: Keep) {
        let full = !message.payload.is_empty()
            && self.retained.get(&message.topic).is_none()
            && self.retained.len() >= self.settings.retained_messages_max / usize::from(self.shards);
        if full {
            self.counters.dropped_queue_full += 1;
            return;
        }
        self.retained.set(message);
        if keep == Keep::Durable {
            record::put_retained(&mut self.holds.batch, message);
        }
    }

    // Links

    /// Hands a message to links; if one takes it with responsibility, the acknowledgement waits. Answers whether it does.
    fn hand_to_links(
        &mut self,
        publication: &mut Publication<'_>,
        route: &Route,
        from: Option<SessionId>,
        due: Option<Due>,
        outcome: &mut Outcome,
        out: &mut Outputs,
    ) -> bool {
        let Some(due) = due.filter(|_| from.is_some() && route.has_responsible_link()) else {
            self.hand_to_links_for(publication, route, from, None, outcome, out);
            return false;
        };
        let hold = self.holds.begin(
            0,
            What::Acknowledge {
                due,
                outcome: ReasonCode::Success,
            },
        );
        self.owe(due, None, out);
        self.hand_to_links_for(publication, route, from, Some(hold.number), outcome, out);
        self.holds.note_outcome(hold.number, outcome.reason());
        true
    }

    /// Hands a client's message to the links of its route; `hold` has to wait for those that are responsible.
    fn hand_to_links_for(
        &mut self,
        publication: &mut Publication<'_>,
        route: &Route,
        from: Option<SessionId>,
        hold: Option<u64>,
        outcome: &mut Outcome,
        out: &mut Outputs,
    ) {
        if route.links.is_empty() {
            return;
        }
        let Some(session) = from.and_then(|from| self.sessions.get(from)) else {
            return;
        };
        let (client_id, badge, connection) = (
            session.client_id.clone(),
            session.badge.clone(),
            session.connection,
        );
        let message = publication.share();
        for target in &route.links {
            outcome.add(Some(true));
            self.last_handed += 1;
            let number = self.last_handed;
            let hold = hold.filter(|_| target.responsible);
            if let Some(hold) = hold {
                self.holds.wait_for_one_more(hold);
            }
            let deadline = self.now + self.settings.link_deadline;
            self.timers.set(deadline, Timer::LinkDeadline { number });
            let bytes = message.len_bytes();
            self.handed.insert(
                number,
                Handed {
                    link: target.link,
                    bytes,
                    hold,
                    deadline,
                },
            );
            self.slow_down_for_link(target.link, bytes, connection);
            let (client_id, badge) = (client_id.clone(), badge.clone());
            let message = Arc::clone(&message);
            out.duties.push(Output::Deliver {
                link: target.link,
                number,
                message,
                client_id,
                badge,
            });
        }
    }

    /// A link has answered for a message.
    pub(crate) fn take_answer(&mut self, number: u64, answer: Answer, out: &mut Outputs) {
        let Some(handed) = self.handed.remove(&number) else {
            return;
        };
        self.speed_up_for_link(handed.link, handed.bytes, out);
        let refused = match answer {
            Answer::Taken => None,
            Answer::Refused(reason) => Some(reason),
        };
        if let Some(hold) = handed.hold {
            self.happened(hold, refused, out);
        }
    }

    /// A link has had its time.
    pub(crate) fn link_deadline(&mut self, number: u64, out: &mut Outputs) {
        if self
            .handed
            .get(&number)
            .is_some_and(|handed| handed.deadline <= self.now)
        {
            self.counters.link_timeouts += 1;
            self.take_answer(number, Answer::Refused(ReasonCode::ServerBusy), out);
        }
    }

    /// A link publishes.
    pub(crate) fn take_link_message(&mut self, link: LinkMessage, out: &mut Outputs) {
        let message = Arc::new(Message {
            topic: link.topic,
            payload: link.payload.into(),
            properties: link.properties.into(),
            qos: if link.replace.is_some() {
                link.qos.min(QoS::AtLeastOnce)
            } else {
                link.qos
            },
            retain: link.retain,
            expires: None,
        });
        let keep = if message.retain { Keep::Volatile } else { Keep::No };
        let receivers = match link.to {
            To::Everyone => Receivers::All,
            To::Except(client) => Receivers::Except(client),
            To::Only(client) => {
                let home = ShardId::of(client.as_str(), self.shards);
                let receivers = Receivers::Only(client);
                if home != self.id {
                    let letter = Letter::Publish {
                        message,
                        receivers,
                        keep: Keep::No,
                        replace: link.replace,
                    };
                    out.duties.push(Output::Mail {
                        to: home,
                        mail: Mail(letter),
                    });
                    return;
                }
                let route = self.topics.route(&message.topic);
                self.deliver_all(&message, &route, &receivers, link.replace, out);
                return;
            }
        };
        let route = self.topics.route(&message.topic);
        let mut publication = Publication::of(&message);
        self.send_on_its_way(
            &mut publication,
            &route,
            None,
            None,
            &receivers,
            keep,
            link.replace,
            out,
        );
    }

    /// Delivers a message to the sessions of this shard, and to nobody else.
    pub(crate) fn deliver_all(
        &mut self,
        message: &Arc<Message>,
        route: &Route,
        receivers: &Receivers,
        replace: Option<u64>,
        out: &mut Outputs,
    ) {
        let mut publication = Publication::of(message);
        for target in self.targets(route, None, receivers) {
            self.deliver(target, &mut publication, replace, out);
        }
    }
}

/// The other shards that get a message: those with a match, and the keeper of its topic's retained message.
fn shards(route: &Route, keeper: Option<ShardId>, own: ShardId) -> impl Iterator<Item = ShardId> {
    let matching = route.shards.iter().map(|remote| remote.shard);
    let keeper =
        keeper.filter(|keeper| *keeper != own && !route.shards.iter().any(|remote| remote.shard == *keeper));
    matching.chain(keeper)
}

/// Whether anybody got a message.
#[derive(Debug, Default, Clone, Copy)]
struct Outcome {
    took: bool,
    refused: bool,
}

impl Outcome {
    fn add(&mut self, delivered: Option<bool>) {
        match delivered {
            Some(true) => self.took = true,
            Some(false) => self.refused = true,
            None => {}
        }
    }

    /// What an MQTT 5 publisher is told: 0x97 if every receiver's queue was full, 0x10 if there was none.
    const fn reason(self) -> ReasonCode {
        match (self.took, self.refused) {
            (true, _) => ReasonCode::Success,
            (false, true) => ReasonCode::QuotaExceeded,
            (false, false) => ReasonCode::NoMatchingSubscribers,
        }
    }
}
