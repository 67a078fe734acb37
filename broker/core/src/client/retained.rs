//! The retained messages that a new subscription brings: sent as the client takes them, beside what comes live.

use std::{collections::VecDeque, sync::Arc};

use mqtt_wire::{QoS, TopicFilter};

use crate::{
    Outbox, Outputs, Shard, ShardId, Shelf,
    client::Publication,
    mail::Letter,
    message::Message,
    record,
    session::{CatchUp, SessionId, catch_up::Next},
    shard::distribute::Way,
    subscription::Options,
    topics::{Publishers, Route, Target, retained::RetainedPage},
};

/// Retained messages are queued for a session while fewer than this wait there, so that they leave room for others.
const AHEAD_MAX: u64 = 64;

impl Shard {
    /// A subscription begins to bring its retained messages.
    pub(crate) fn want_retained(
        &mut self,
        id: SessionId,
        filter: TopicFilter,
        options: Options,
        out: &mut Outputs,
    ) {
        let keepers = self.keepers(&filter);
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.catch_ups.retain(|catch_up| catch_up.filter != filter);
        session.catch_ups.push(CatchUp::begin(filter, options, keepers));
        self.note_catching_up(id);
        self.catch_up(id, out);
    }

    /// Whose retained messages a filter may match, this shard first.
    pub(crate) fn keepers(&self, filter: &TopicFilter) -> VecDeque<ShardId> {
        if filter.is_wildcard() {
            [self.id].into_iter().chain(self.other_shards()).collect()
        } else {
            [self.keeper(filter.as_str())].into()
        }
    }

    /// A connected client's session has retained messages to come.
    pub(crate) fn note_catching_up(&mut self, id: SessionId) {
        let has_some = |shard: &Self| {
            shard
                .sessions
                .get(id)
                .is_some_and(|session| !session.catch_ups.is_empty())
        };
        if has_some(self) && !self.catching_up.contains(&id) {
            self.catching_up.push(id);
        }
    }

    /// A message on this topic goes to these sessions live: older ones are no news to them any more.
    pub(crate) fn note_live(&mut self, route: &Route, topic: &Arc<str>) {
        for id in &self.catching_up {
            let gets_it = route.sessions.iter().any(|target| target.session == *id);
            if let Some(session) = self.sessions.get_mut(*id).filter(|_| gets_it) {
                session
                    .catch_ups
                    .iter_mut()
                    .for_each(|catch_up| catch_up.came_live(topic));
            }
        }
    }

    /// Sends the retained messages that are still to come, as far as there is room.
    pub(crate) fn catch_up(&mut self, id: SessionId, out: &mut Outputs) {
        if self.catching_up.is_empty() {
            return;
        }
        while self.has_room_for_retained(id, out)
            && let Some(session) = self.sessions.get_mut(id)
            && let Some(catch_up) = session.catch_ups.first_mut()
        {
            match catch_up.next() {
                Next::Send(message) => {
                    let options = catch_up.options;
                    self.send_retained(id, options, &message, out);
                }
                Next::Ask { keeper, after } if keeper == self.id => {
                    let page = self
                        .retained
                        .page(&catch_up.filter, after.as_deref(), self.steady);
                    catch_up.fill(page);
                }
                Next::Ask { keeper, after } => {
                    self.last_wanted += 1;
                    let number = self.last_wanted;
                    catch_up.asked(number);
                    let filter = catch_up.filter.clone();
                    self.wanted.insert(number, id);
                    let letter = Letter::RetainedWanted {
                        number,
                        filter,
                        after,
                    };
                    Self::post(keeper, letter, out);
                }
                Next::Wait => break,
                // Before what was sent is kept, the process may end and all has to be sent again.
                Next::Over if session.queue.has_held() => break,
                Next::Over => {
                    let CatchUp { filter, .. } = session.catch_ups.remove(0);
                    session.catch_ups.shrink_to_fit(); // Of thousands of idle sessions none keeps an empty list.
                    self.note_retained_due(id, &filter, false);
                }
            }
        }
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        match session.catch_ups.first() {
            None => self.catching_up.retain(|catching_up| *catching_up != id),
            Some(_) => {
                let due: Vec<_> = session.catch_ups.iter().map(|left| left.filter.clone()).collect();
                for filter in due {
                    self.note_retained_due(id, &filter, true);
                }
            }
        }
    }

    /// Whether a session's client takes another retained message at once, or its queue has room for one.
    fn has_room_for_retained(&self, id: SessionId, out: &Outputs) -> bool {
        let Some(session) = self.sessions.get(id) else {
            return false;
        };
        let Some(connection) = session.connection else {
            return false;
        };
        self.client(connection).is_some_and(|client| client.open)
            && out.outbox(connection).map_or(0, Outbox::len) <= Outbox::HIGH_WATER
            && session.queue.len() < AHEAD_MAX.min(self.settings.queue_messages_max)
            && session.queue.bytes() < self.settings.queue_bytes_max / 2
            && !self.lags_in_overload(id)
    }

    /// Another shard's retained messages have come.
    pub(crate) fn retained_found(&mut self, number: u64, page: RetainedPage, out: &mut Outputs) {
        let Some(id) = self.wanted.remove(&number) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let asker = session
            .catch_ups
            .iter_mut()
            .find(|catch_up| catch_up.is_asking(number));
        if let Some(catch_up) = asker {
            catch_up.fill(page);
            self.catch_up(id, out);
        }
    }

    fn send_retained(&mut self, id: SessionId, options: Options, message: &Arc<Message>, out: &mut Outputs) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let target = Target {
            session: id,
            durable: session.durable(),
            qos: options.qos,
            publishers: Publishers::All,
            // RETAIN is set on what is sent because of a subscription [MQTT-3.3.1-8].
            retain_as_published: true,
            subscription_ids: options.subscription_id.into_iter().collect(),
        };
        let durable = target.durable && target.qos > QoS::AtMostOnce;
        let route = Route {
            sessions: vec![target],
            durable,
            ..Route::default()
        };
        let mut publication = Publication::of(message);
        publication.retain = true;
        self.distribute(&mut publication, Way::along(&route), out);
    }

    /// Notes on disk whether a subscription has retained messages to come, so that they also come after a crash.
    fn note_retained_due(&mut self, id: SessionId, filter: &TopicFilter, due: bool) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let known = session
            .subscriptions
            .iter_mut()
            .find(|(known, _)| known == filter);
        let Some((_, options)) = known else { return };
        if options.retained_due == due || options.qos == QoS::AtMostOnce || session.expiry_secs == 0 {
            return;
        }
        options.retained_due = due;
        let (key, value) = (
            record::subscription_key(session.number, filter),
            record::write_options(options),
        );
        self.holds.touch(id);
        self.holds.batch.put(Shelf::Subscriptions, &key, &value);
    }
}
