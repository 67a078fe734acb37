//! A shard takes in its share of what was kept, and gives its deadlines back their places in time.

use std::{sync::Arc, time::Duration};

use mqtt_wire::TopicFilter;

use super::{Recovered, RecoveredGroup, RecoveredSession, Versioned};
use crate::{
    Moment, Shard, Shelf,
    group::Group,
    message::Message,
    record,
    session::{CatchUp, Inflight, Session},
    subscription::Options,
    timers::Timer,
    topics::retained::Retained,
};

impl Shard {
    /// Takes in what was kept of this shard's share.
    pub(crate) fn restore(&mut self, recovered: Recovered) {
        self.last_session = recovered.last_session;
        self.last_body = recovered.last_body;
        self.counters.damaged_messages = recovered.damaged;
        self.holds.remove_again(&recovered.cleanup);
        self.bodies.extend(recovered.bodies);
        for (filter, shard, interest) in recovered.interests {
            if shard != self.id {
                self.topics.note_interest(&filter, shard, interest);
            }
        }
        self.restore_retained(recovered.retained, recovered.last_retained);
        for session in recovered.sessions {
            self.restore_session(session);
        }
        for group in recovered.groups {
            self.restore_group(group);
        }
    }

    /// A group is as it was, but that nobody is connected. One without a record is founded again.
    fn restore_group(&mut self, recovered: RecoveredGroup) {
        let RecoveredGroup {
            filter,
            session: kept,
            members,
        } = recovered;
        let Some(mut group) = Group::of(&filter) else {
            return;
        };
        for (number, member) in members {
            group.join(number, member);
        }
        let number = match &kept {
            Some(kept) => kept.number,
            None => self.next_session_number(),
        };
        let options = group.options();
        if let (Some(_), Some(options)) = (&kept, options) {
            group.subscribed = Some((options.qos, true));
        }
        let topics = group.topics.clone();
        let Some(id) = self.begin_group(number, group) else {
            return;
        };
        let (Some(kept), Some(options)) = (kept, options) else {
            self.found_again(id);
            return;
        };
        self.topics.subscribe(&topics, id, options, true);
        if let Some(session) = self.sessions.get_mut(id) {
            session.queue = kept.queue;
            session.expiry_secs = u32::MAX;
            session.was_durable = true;
            session.recorded = true;
        }
    }

    fn restore_retained(&mut self, messages: Vec<Versioned>, last_version: u64) {
        let mut live = Vec::new();
        for (version, mut message) in messages {
            self.restore_expiry(&mut message);
            if message
                .expires
                .is_some_and(|expires| expires.is_over(self.steady))
            {
                let key = record::retained_key(&message.topic, version);
                self.holds.remove(Shelf::Retained, &key);
            } else {
                live.push((version, message));
            }
        }
        self.retained = Retained::recovered(live, last_version);
    }

    fn restore_expiry(&self, message: &mut Arc<Message>) {
        let (grace, sessions_last) = (self.settings.recovery_grace, self.settings.session_expiry_max());
        if let Some(expires) = message.expires {
            let expires = expires.recovered(self.steady, grace, sessions_last);
            Arc::make_mut(message).expires = Some(expires);
        }
    }

    /// A session's deadlines go on from when its client left. None is due before the grace is over, so that a clock that
    /// jumped ahead does not end everything; and a clock that went back does not lengthen one beyond its interval.
    fn restore_session(&mut self, recovered: RecoveredSession) {
        let RecoveredSession {
            number,
            record,
            subscriptions,
            queue,
            mut flights,
            receipts,
        } = recovered;
        for message in flights.iter_mut().filter_map(|flight| flight.message.as_mut()) {
            self.restore_expiry(message);
        }
        let wall = self.wall;
        let was_connected = record.left.is_none();
        let left = record.left.unwrap_or(wall).min(wall);
        let interval = Duration::from_secs(u64::from(record.expiry_secs));
        let grace = self.settings.recovery_grace;
        let rest = |interval: Duration| interval.saturating_sub(wall.since(left)).max(grace.min(interval));

        let mut session = Session::new(number, record.client_id, record.badge);
        session.mount_point = record.mount_point;
        session.expiry_secs = record.expiry_secs;
        session.was_durable = true; // Who knows: a will alone has a record too.
        session.left = Some(left);
        session.recorded = true;
        session.receipts = receipts;
        session.queue = queue;
        session.inflight = Inflight::recovered(flights);
        session.subscriptions = subscriptions;
        session.will = record.will;
        let delay = session
            .will
            .as_ref()
            .map(|will| will.delay_secs.min(record.expiry_secs));
        let delay = delay.map(|secs| Duration::from_secs(u64::from(secs)));
        // A client that was connected counts as lost now.
        let will_at = delay.map(|delay| Moment::START + if was_connected { delay } else { rest(delay) });
        session.will_at = will_at;
        session.sent_before = session.queue.resent_before();
        let ends_at = Moment::START + rest(interval);
        session.ends_at = (record.expiry_secs < u32::MAX).then_some(ends_at);

        let is_due = |(_, options): &&(TopicFilter, Options)| options.retained_due;
        for (filter, options) in session.subscriptions.iter().filter(is_due) {
            let keepers = self.keepers(filter);
            session
                .catch_ups
                .push(CatchUp::begin(filter.clone(), *options, keepers));
        }
        let durable = session.durable();
        let filters = session.subscriptions.clone();
        self.counters.subscriptions += filters.len() as u64;
        let id = self.sessions.insert(session);
        for (filter, options) in filters
            .into_iter()
            .filter(|(filter, _)| filter.shared().is_none())
        {
            self.topics.subscribe(&filter, id, options, durable);
        }
        if let Some(at) = will_at {
            self.timers.set(at, Timer::Will { session: id });
        }
        if record.expiry_secs < u32::MAX {
            self.timers.set(ends_at, Timer::SessionExpiry { session: id });
        }
        if was_connected {
            self.record_session(id); // It left now.
        }
    }
}
