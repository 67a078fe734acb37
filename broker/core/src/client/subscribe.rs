//! Subscribing and unsubscribing. A subscription is live on every shard, and kept, before its SUBACK leaves.

use mqtt_wire::{
    Packet, PacketId, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, TopicError, TopicFilter, UnsubAck,
    Unsubscribe,
};

use super::Asked;
use crate::{
    ConnectionId, MountPoint, Output, Outputs, Shard, ShardId, Shelf,
    hold::{Line, Subscribed, What},
    mail::Letter,
    output::{Question, Told},
    record,
    session::SessionId,
    subscription::Options,
    topics::Interest,
};

impl Shard {
    /// A SUBSCRIBE has come: the gate is asked about every filter that could be granted.
    pub(crate) fn take_subscribe(
        &mut self,
        connection: ConnectionId,
        mut subscribe: Subscribe,
        out: &mut Outputs,
    ) {
        if subscribe.filters.len() > self.settings.filters_per_subscribe_max {
            return self.expel(connection, ReasonCode::QuotaExceeded, out);
        }
        if !self.takes_ack(connection, subscribe.packet_id, subscribe.filters.len()) {
            return self.expel(connection, ReasonCode::PacketTooLarge, out);
        }
        if let Some(mount) = self.mount_of(connection) {
            let asked = subscribe.filters.iter_mut().map(|asked| &mut asked.filter);
            if below(mount, asked).is_err() {
                return self.expel(connection, ReasonCode::TopicFilterInvalid, out);
            }
        }
        let possible = |shard: &Self, filter: &TopicFilter| shard.refusal(filter).is_none();
        let questions: Vec<(usize, Question)> = subscribe
            .filters
            .iter()
            .enumerate()
            .filter(|(_, asked)| possible(self, &asked.filter))
            .map(|(index, asked)| {
                (
                    index,
                    Question::Subscribe {
                        filter: topics_of(&asked.filter),
                    },
                )
            })
            .collect();
        let mut verdicts = vec![Some(false); subscribe.filters.len()];
        for (index, _) in &questions {
            if let Some(verdict) = verdicts.get_mut(*index) {
                *verdict = None;
            }
        }
        if questions.is_empty() {
            let allowed = vec![false; verdicts.len()];
            return self.judged_subscribe(connection, subscribe, &allowed, out);
        }
        self.ask(
            connection,
            Asked::Subscribe { subscribe, verdicts },
            questions,
            out,
        );
    }

    /// Whether SUBACK, or UNSUBACK, which is as long, is not larger than the client takes [MQTT5-3.1.2-24].
    fn takes_ack(&self, connection: ConnectionId, packet_id: PacketId, filters: usize) -> bool {
        let Some(client) = self.client(connection) else {
            return true;
        };
        if client.packet_bytes_max == u32::MAX {
            return true;
        }
        let ack = Packet::SubAck(SubAck::new(packet_id, vec![ReasonCode::Success; filters]));
        ack.encoded_len(client.version)
            .is_ok_and(|len| len <= client.packet_bytes_max as usize)
    }

    /// Why a filter cannot be granted to anybody.
    fn refusal(&self, filter: &TopicFilter) -> Option<ReasonCode> {
        let too_long = filter.as_str().len() > self.settings.topic_bytes_max
            || filter.levels().nth(self.settings.topic_levels_max).is_some();
        too_long.then_some(ReasonCode::TopicFilterInvalid)
    }

    /// A SUBSCRIBE whose filters the gate has judged.
    pub(crate) fn judged_subscribe(
        &mut self,
        connection: ConnectionId,
        subscribe: Subscribe,
        allowed: &[bool],
        out: &mut Outputs,
    ) {
        let Some(client) = self.client(connection) else {
            return;
        };
        let (line, version, is_bridge, id) = (
            Line {
                connection,
                serial: client.serial,
            },
            client.version,
            client.is_bridge,
            client.session,
        );
        let entrance = self.settings.entrance(client.entrance);
        let (qos_max, subscriptions_max) = (entrance.qos_max, entrance.subscriptions_max);
        let mut reasons = Vec::new();
        let mut granted = Vec::new();
        let mut changes = Vec::new();
        for (asked, allowed) in subscribe.filters.iter().zip(allowed) {
            let mut options = Options::granted(asked, subscribe.subscription_id, qos_max);
            if is_bridge {
                options.suit_a_bridge();
            }
            match self.grant(id, &asked.filter, options, *allowed, subscriptions_max) {
                Ok((new, interest)) => {
                    reasons.push(granted_reason(options.qos));
                    granted.push((asked.filter.clone(), options, new));
                    changes.extend(interest.map(|interest| (asked.filter.clone(), interest)));
                }
                Err(reason) => reasons.push(reason),
            }
        }
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let then = Subscribed {
            session: id,
            filters: granted,
        };
        let stored = session.durable() && !then.filters.is_empty();
        let mut bytes = Vec::new();
        let packet = Packet::SubAck(SubAck::new(subscribe.packet_id, reasons));
        if packet.encode(version, &mut bytes).is_err() {
            return self.expel(connection, ReasonCode::UnspecifiedError, out);
        }
        self.send_when_known(line, bytes, Some(then), stored, changes, out);
    }

    /// Grants one filter. Answers whether the session did not have it before, and what other shards have to know.
    fn grant(
        &mut self,
        id: SessionId,
        filter: &TopicFilter,
        mut options: Options,
        allowed: bool,
        subscriptions_max: usize,
    ) -> Result<(bool, Option<Interest>), ReasonCode> {
        if let Some(reason) = self.refusal(filter) {
            return Err(reason);
        }
        if !allowed {
            self.counters.denied += 1;
            return Err(ReasonCode::NotAuthorized);
        }
        let session = self.sessions.get_mut(id).ok_or(ReasonCode::UnspecifiedError)?;
        let full = session.subscriptions.len() >= subscriptions_max;
        let known = session
            .subscriptions
            .iter_mut()
            .find(|(known, _)| known == filter);
        let new = known.is_none();
        match known {
            Some((_, place)) => {
                options.retained_due = place.retained_due;
                *place = options;
            }
            None if full => return Err(ReasonCode::QuotaExceeded),
            None => {
                if session.subscriptions.is_empty() {
                    // Most clients have one, and a list would make room for four.
                    session.subscriptions.reserve_exact(1);
                }
                session.subscriptions.push((filter.clone(), options));
            }
        }
        let durable = session.durable();
        if durable {
            let key = record::subscription_key(session.number, filter);
            self.holds.touch(id);
            self.holds
                .batch
                .put(Shelf::Subscriptions, &key, &record::write_options(&options));
        }
        self.counters.subscriptions += u64::from(new);
        if filter.shared().is_some() {
            return Ok((new, None)); // Its group subscribes.
        }
        Ok((new, self.topics.subscribe(filter, id, options, durable)))
    }

    /// An UNSUBSCRIBE has come.
    pub(crate) fn take_unsubscribe(
        &mut self,
        connection: ConnectionId,
        mut unsubscribe: Unsubscribe,
        out: &mut Outputs,
    ) {
        if !self.takes_ack(connection, unsubscribe.packet_id, unsubscribe.filters.len()) {
            return self.expel(connection, ReasonCode::PacketTooLarge, out);
        }
        if let Some(mount) = self.mount_of(connection)
            && below(mount, unsubscribe.filters.iter_mut()).is_err()
        {
            return self.expel(connection, ReasonCode::TopicFilterInvalid, out);
        }
        let Some(client) = self.client(connection) else {
            return;
        };
        let (line, version, id) = (
            Line {
                connection,
                serial: client.serial,
            },
            client.version,
            client.session,
        );
        let mut reasons = Vec::new();
        let mut stored = false;
        for filter in &unsubscribe.filters {
            let Some(session) = self.sessions.get_mut(id) else {
                return;
            };
            let Some(at) = session
                .subscriptions
                .iter()
                .position(|(known, _)| known == filter)
            else {
                reasons.push(ReasonCode::NoSubscriptionExisted);
                continue;
            };
            session.subscriptions.swap_remove(at);
            session.catch_ups.retain(|catch_up| catch_up.filter != *filter);
            reasons.push(ReasonCode::Success);
            if session.recorded {
                stored = true;
                self.holds.touch(id);
                self.holds.batch.delete(
                    Shelf::Subscriptions,
                    &record::subscription_key(session.number, filter),
                );
            }
            self.counters.subscriptions -= 1;
            let member = session.number;
            if filter.shared().is_some() {
                self.leave(member, filter, out);
            } else if let Some(interest) = self.topics.unsubscribe(filter, id) {
                self.tell_interest(filter, interest, out);
            }
        }
        let mut bytes = Vec::new();
        let packet = Packet::UnsubAck(UnsubAck::new(unsubscribe.packet_id, reasons));
        if packet.encode(version, &mut bytes).is_err() {
            return self.expel(connection, ReasonCode::UnspecifiedError, out);
        }
        self.send_when_known(line, bytes, None, stored, Vec::new(), out);
    }

    /// Sends bytes once other shards know of the changed interests and, if `stored`, this round's batch is kept.
    fn send_when_known(
        &mut self,
        line: Line,
        bytes: Vec<u8>,
        then: Option<Subscribed>,
        stored: bool,
        changes: Vec<(TopicFilter, Interest)>,
        out: &mut Outputs,
    ) {
        let notes = self.notes_wanted(!changes.is_empty());
        let session = then.as_ref().map(|then| then.session);
        let joins: Vec<(TopicFilter, Options)> = then.iter().flat_map(Subscribed::shared).collect();
        for (filter, interest) in changes {
            self.tell_interest(&filter, interest, out);
        }
        let waits = notes + joins.len() + usize::from(stored);
        if waits == 0 {
            return self.send_and_then(line, &bytes, then, out);
        }
        let hold = self.holds.begin(waits, What::Send { line, bytes, then });
        if stored {
            self.holds.await_batch(hold);
        }
        if notes > 0 {
            self.ask_for_notes(hold.number, notes, out);
        }
        for (filter, options) in joins {
            if let Some(session) = session {
                self.join(session, &filter, options, Some(hold.number), out);
            }
        }
    }

    /// How many shards have to say that they know of this shard's interests, when some have just changed or not.
    pub(crate) fn notes_wanted(&self, changed: bool) -> usize {
        // Another session may have brought the same filter just before, and others may not know of that yet.
        if changed || self.notes_due > 0 {
            usize::from(self.shards) - 1
        } else {
            0
        }
    }

    /// Asks all other shards to say so, for what waits under this number.
    pub(crate) fn ask_for_notes(&mut self, number: u64, notes: usize, out: &mut Outputs) {
        self.notes_due += notes;
        for shard in self.other_shards() {
            Self::post(shard, Letter::InterestsNoted { number }, out);
        }
    }

    /// Tells all other shards what this shard's sessions want of a filter.
    pub(crate) fn tell_interest(&self, filter: &TopicFilter, interest: Interest, out: &mut Outputs) {
        for shard in self.other_shards() {
            let letter = Letter::Interest {
                filter: filter.clone(),
                interest,
            };
            Self::post(shard, letter, out);
        }
    }

    pub(crate) fn other_shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.id;
        (0..self.shards).map(ShardId).filter(move |shard| *shard != own)
    }

    pub(crate) fn send_and_then(
        &mut self,
        line: Line,
        bytes: &[u8],
        then: Option<Subscribed>,
        out: &mut Outputs,
    ) {
        if self.client_on(line).is_none() {
            return;
        }
        out.append(line.connection, |outbox| outbox.extend_from_slice(bytes));
        let Some(Subscribed { session, filters }) = then else {
            return;
        };
        // A shared subscription brings no retained messages, and nobody is told of it.
        for (filter, options, new) in filters
            .into_iter()
            .filter(|(filter, ..)| filter.shared().is_none())
        {
            self.tell_subscribed(session, &filter, false, out);
            let wanted = match options.retain_handling {
                RetainHandling::SendAtSubscribe => true,
                RetainHandling::SendIfNew => new,
                RetainHandling::DoNotSend => false,
            };
            if wanted {
                self.want_retained(session, filter, options, out);
            }
        }
    }

    /// Tells links that watch a filter about a client's subscription.
    pub(crate) fn tell_subscribed(
        &self,
        id: SessionId,
        filter: &TopicFilter,
        resumed: bool,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get(id).filter(|_| filter.shared().is_none()) else {
            return;
        };
        for (link, state) in self.links.each() {
            if state.watches.iter().any(|watched| watched.overlaps(filter)) {
                let told = Told::Subscribed {
                    client_id: session.client_id.clone(),
                    badge: session.badge.clone(),
                    filter: filter.clone(),
                    resumed,
                };
                out.duties.push(Output::Tell { link, told });
            }
        }
    }
}

/// Makes of the filters that a client has said those that it means. An error if one is longer than MQTT lets it be.
fn below<'a>(
    mount: &MountPoint,
    filters: impl Iterator<Item = &'a mut TopicFilter>,
) -> Result<(), TopicError> {
    for filter in filters {
        *filter = mount.below_filter(filter)?;
    }
    Ok(())
}

/// The topics a filter is about, shared or not.
fn topics_of(filter: &TopicFilter) -> TopicFilter {
    let shared = filter.shared();
    let topics = shared.and_then(|shared| TopicFilter::parse(shared.filter).ok());
    topics.unwrap_or_else(|| filter.clone())
}

const fn granted_reason(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}
