//! Sending a message on its way: to sessions, to other shards, to links, and to where its topic's retained message is kept.

use std::{sync::Arc, time::Duration};

use mqtt_wire::{PacketId, QoS};

use crate::{
    Outbox, Outputs, Shard, ShardId, Shelf,
    burst::Burst,
    client::Publication,
    hold::{Due, HeldMessage, HoldId, NewEntry, Outcome, Receiver, Set, What},
    mail::{Keep, Letter, Receivers},
    message::Message,
    record::{self, Waiting},
    session::{Entry, SessionId},
    topics::{Route, Target},
};

/// How often at most room is made for retained messages.
const ROOM_MADE_EVERY: Duration = Duration::from_secs(1);

/// What came of queueing a message for this shard's sessions.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    pub(crate) receivers: Vec<Receiver>,
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) outcome: Outcome,
}

/// Whom a message is for, and what is to become of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) route: &'a Route,
    /// The session that publishes it.
    pub(crate) from: Option<SessionId>,
    /// Whether it is that session's will.
    pub(crate) will: bool,
    /// The acknowledgement that is owed for it.
    pub(crate) due: Option<Due>,
    pub(crate) receivers: &'a Receivers,
    pub(crate) keep: Keep,
    /// If set, a later message of this key takes its place while it waits.
    pub(crate) replace: Option<u64>,
}

impl<'a> Way<'a> {
    /// To everybody on a route, from nobody, and nothing more.
    pub(crate) const fn along(route: &'a Route) -> Self {
        Self {
            route,
            from: None,
            will: false,
            due: None,
            receivers: &Receivers::All,
            keep: Keep::No,
            replace: None,
        }
    }
}

impl Shard {
    /// Sends a message to everybody it concerns, and sees to its acknowledgement. Answers whether it has to be kept first.
    pub(crate) fn send_on_its_way(
        &mut self,
        publication: &mut Publication<'_>,
        way: Way<'_>,
        out: &mut Outputs,
    ) -> bool {
        self.note_live(way.route, publication.topic);
        self.distribute(publication, way, out)
    }

    /// The same for a message that is no news.
    pub(crate) fn distribute(
        &mut self,
        publication: &mut Publication<'_>,
        way: Way<'_>,
        out: &mut Outputs,
    ) -> bool {
        let has_to_be_kept = publication.qos > QoS::AtMostOnce
            && way.replace.is_none()
            && (way.route.durable || way.keep == Keep::Durable || self.receipt(way.due).is_some());
        if has_to_be_kept {
            self.hold_message(publication, way, out);
        } else {
            self.pass_message(publication, way, out);
        }
        has_to_be_kept
    }

    /// The receipt to be kept of a message: session number and packet id.
    fn receipt(&self, due: Option<Due>) -> Option<(u64, PacketId)> {
        let due = due.filter(|due| due.qos == QoS::ExactlyOnce)?;
        let session = self.sessions.get(due.session)?;
        session.durable().then_some((session.number, due.id))
    }

    /// Sends a message that nothing has to wait for.
    fn pass_message(&mut self, publication: &mut Publication<'_>, way: Way<'_>, out: &mut Outputs) {
        let Way {
            route,
            due,
            keep,
            replace,
            ..
        } = way;
        let mut outcome = Outcome::default();
        for target in self.targets(way) {
            outcome.add(self.deliver(target, publication, replace, out));
        }
        let keeper = (keep != Keep::No).then(|| self.keeper(publication.topic));
        if keeper == Some(self.id) {
            outcome.refused |= !self.keep_retained(&publication.share(), keep);
        }
        for shard in shards(route, keeper, self.id) {
            let keep = if keeper == Some(shard) { keep } else { Keep::No };
            let is_plain = keep == Keep::No && replace.is_none() && *way.receivers == Receivers::All;
            if !(is_plain && Self::post_in_burst(shard, publication, out)) {
                let letter = Letter::Publish {
                    message: publication.share(),
                    receivers: way.receivers.clone(),
                    keep,
                    replace,
                };
                Self::post(shard, letter, out);
            }
        }
        // Being kept as a retained message is not being received.
        outcome.took |= !route.shards.is_empty();
        outcome.took |= !route.links.is_empty();
        match due.filter(|_| route.has_responsible_link()) {
            Some(due) => {
                let hold = self.holds.begin(0, What::Acknowledge { due });
                self.owe(due, None, out);
                self.hand_to_links(publication, way, Some(hold.number), out);
            }
            None => {
                self.hand_to_links(publication, way, None, out);
                self.answer_publish(due, outcome.reason(), out);
            }
        }
    }

    /// Queues a message that has to be kept before anybody sees it.
    fn hold_message(&mut self, publication: &mut Publication<'_>, way: Way<'_>, out: &mut Outputs) {
        let Way { route, due, keep, .. } = way;
        let message = publication.share();
        let answers = due
            .filter(|_| route.has_responsible_link())
            .map(|due| self.holds.begin(1, What::Acknowledge { due }).number);
        let id = self.holds.next_id();
        let Queued {
            receivers: queued,
            entries,
            mut outcome,
        } = self.queue_for(way, &message, id, out);
        let keeper = (keep != Keep::No).then(|| self.keeper(&message.topic));
        let mut set = None;
        if keeper == Some(self.id) {
            set = self.set_retained(&message, keep);
            outcome.refused |= set.is_none();
        }
        let shards: Vec<ShardId> = shards(route, keeper, self.id).collect();
        for shard in &shards {
            let letter = Letter::Offer {
                number: id.number,
                message: Arc::clone(&message),
                receivers: way.receivers.clone(),
                keep: if keeper == Some(*shard) { keep } else { Keep::No },
            };
            Self::post(*shard, letter, out);
        }
        if let Some(due) = due {
            self.owe(due, None, out);
        }
        outcome.took |= !route.links.is_empty();
        let held = HeldMessage {
            message,
            due,
            answers,
            will_of: way.from.filter(|_| way.will).and_then(|from| {
                let number = self.sessions.get(from)?.number;
                Some((from, number))
            }),
            receivers: queued,
            contributions_due: shards.len(),
            shards,
            entries,
            retain: set.filter(|set| set.durable).map(|set| set.version),
            set,
            receipt: self.receipt(due),
            body: None,
            outcome,
        };
        let begun = self.holds.begin(1, What::Message(Box::new(held)));
        debug_assert_eq!(begun, id, "the entries were queued under the hold's number");
        self.hand_to_links(publication, way, answers, out);
        self.submit_complete();
    }

    /// Hands held messages to the store, in order, as far as all shards have contributed.
    pub(crate) fn submit_complete(&mut self) {
        loop {
            // This shard's id is in the low bits, so that the number tells who counts the body's references.
            let body = ((self.last_body + 1) << Letter::BODY_SHARD_BITS) | u64::from(self.id.0);
            let Some(submitted) = self.holds.submit_next(body) else {
                return;
            };
            if submitted.references > 1 {
                self.last_body += 1;
                self.bodies.insert(body, submitted.references);
            }
            if let Some((session, number)) = submitted.will_of {
                self.will_submitted(session, number);
            }
        }
    }

    /// Queues a message, which may not be sent yet, for this shard's sessions of a route.
    pub(crate) fn queue_for(
        &mut self,
        way: Way<'_>,
        message: &Arc<Message>,
        id: HoldId,
        out: &Outputs,
    ) -> Queued {
        let mut queued = Queued::default();
        for target in self.targets(way) {
            let taken = self.queue_held(target, message, id, &mut queued, out);
            queued.outcome.add(taken);
        }
        queued
    }

    /// The same for one session. `None`: not for this session; otherwise whether there was room.
    fn queue_held(
        &mut self,
        target: &Target,
        message: &Arc<Message>,
        id: HoldId,
        queued: &mut Queued,
        out: &Outputs,
    ) -> Option<bool> {
        let settings = Arc::clone(&self.settings);
        let qos = message.qos.min(target.qos);
        let lags = self.lags_in_overload(target.session);
        let session = self.sessions.get_mut(target.session)?;
        let online = session.is_connected();
        let stands_on_disk = session.durable() && qos > QoS::AtMostOnce;
        if !online && !stands_on_disk {
            return None;
        }
        let outbox = session.connection.and_then(|connection| out.outbox(connection));
        let unsent = outbox.map_or(0, Outbox::len);
        if qos == QoS::AtMostOnce && (unsent > self.lag_bytes_max || lags) {
            self.counters.drop_for_lag(unsent > settings.unsent_bytes_max);
            return Some(false);
        }
        if session
            .queue
            .is_full(message, settings.queue_messages_max, settings.queue_bytes_max)
        {
            self.counters.dropped_queue_full += 1;
            return Some(false);
        }
        let waiting = Waiting {
            qos,
            retain: message.retain && target.retain_as_published,
            subscription_ids: target.subscription_ids.clone(),
            body: None,
        };
        let seq = stands_on_disk.then(|| session.queue.take_seq());
        if let Some(seq) = seq {
            queued.entries.push(NewEntry {
                session: session.number,
                seq,
                waiting: waiting.clone(),
            });
        }
        queued.receivers.push(Receiver {
            session: target.session,
            stands: seq.map(|seq| (session.number, seq)),
        });
        let entry = Entry {
            seq,
            waiting,
            message: Arc::clone(message),
            hold: Some(id),
            replace: None,
            dup: false,
            share: None,
        };
        let memory = if online { settings.queue_memory_bytes } else { 0 };
        session.queue.push(entry, memory);
        Some(true)
    }

    /// The sessions of a route that are meant.
    fn targets<'r>(&self, way: Way<'r>) -> impl Iterator<Item = &'r Target> + use<'r> {
        let from = way.from;
        let (only, except) = match way.receivers {
            Receivers::All => (None, None),
            Receivers::Only(client) => (
                Some(self.sessions.of_client(client).filter(|id| self.is_client(*id))),
                None,
            ),
            Receivers::Except(client) => (None, self.sessions.of_client(client)),
        };
        way.route.sessions.iter().filter(move |target| {
            target.publishers.include(Some(target.session) == from)
                && only.is_none_or(|only| only == Some(target.session))
                && except != Some(target.session)
        })
    }

    /// Which shard keeps a topic's retained message.
    pub(crate) fn keeper(&self, topic: &str) -> ShardId {
        ShardId::of(topic, self.shards)
    }

    /// Sets a topic's retained message, which nobody waits for. Whether there was room.
    pub(crate) fn keep_retained(&mut self, message: &Arc<Message>, keep: Keep) -> bool {
        let Some(set) = self.set_retained(message, keep) else {
            return false;
        };
        // Nobody waits for it, so it is shown even where there is no room to keep it.
        let durable = set.durable && (self.holds.has_room || message.ends_retained());
        if !durable {
            self.settle_retained(message, Set { durable, ..set }, true);
            return true;
        }
        record::put_retained(&mut self.holds.batch, set.version, message);
        let message = Arc::clone(message);
        let hold = self.holds.begin(1, What::Retain { message, set });
        self.holds.await_batch(hold);
        true
    }

    /// Sets a topic's retained message in memory; it has to be settled. `None` if there is no room.
    pub(crate) fn set_retained(&mut self, message: &Arc<Message>, keep: Keep) -> Option<Set> {
        if keep == Keep::No {
            return None;
        }
        let topics_max = self.settings.retained_messages_max / usize::from(self.shards);
        if self.retained.len() >= topics_max {
            self.make_room_for_retained();
        }
        let Some(version) = self.retained.set(message, topics_max) else {
            self.counters.dropped_queue_full += 1;
            return None;
        };
        let durable = keep == Keep::Durable;
        Some(Set { version, durable })
    }

    /// Drops retained messages that have expired. All are looked at, so this is not done often.
    fn make_room_for_retained(&mut self) {
        if self.now < self.room_made_at + ROOM_MADE_EVERY {
            return;
        }
        self.room_made_at = self.now;
        for (topic, version) in self.retained.drop_expired(self.steady) {
            self.holds
                .remove(Shelf::Retained, &record::retained_key(&topic, version));
        }
    }

    /// Delivers a message to the sessions of this shard, and to nobody else.
    pub(crate) fn deliver_all(
        &mut self,
        message: &Arc<Message>,
        receivers: &Receivers,
        replace: Option<u64>,
        out: &mut Outputs,
    ) {
        let route = self.topics.route(&message.topic);
        self.note_live(&route, &message.topic);
        self.deliver_along(&route, &mut Publication::of(message), receivers, replace, out);
    }

    /// Delivers messages on one topic to the sessions of this shard.
    pub(crate) fn deliver_burst(&mut self, burst: &Burst, out: &mut Outputs) {
        let route = self.topics.route(burst.topic());
        self.note_live(&route, burst.topic());
        for mut publication in burst.publications() {
            self.deliver_along(&route, &mut publication, &Receivers::All, None, out);
        }
    }

    fn deliver_along(
        &mut self,
        route: &Route,
        publication: &mut Publication<'_>,
        receivers: &Receivers,
        replace: Option<u64>,
        out: &mut Outputs,
    ) {
        // The other shard may not have known yet that one of these sessions is kept on disk.
        let has_to_be_kept = publication.qos > QoS::AtMostOnce
            && replace.is_none()
            && !matches!(receivers, Receivers::Only(_))
            && route.has_durable_session();
        if has_to_be_kept {
            let here = Route {
                sessions: route.sessions.clone(),
                ..Route::default()
            };
            let way = Way {
                receivers,
                ..Way::along(&here)
            };
            self.hold_message(publication, way, out);
            return;
        }
        let way = Way {
            receivers,
            ..Way::along(route)
        };
        for target in self.targets(way) {
            self.deliver(target, publication, replace, out);
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
