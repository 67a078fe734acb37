//! The groups of shared subscriptions whose home is this shard: they begin and end with their members, and hand out what
//! waits for them.

use std::sync::Arc;

use mqtt_wire::{QoS, ReasonCode, TopicFilter};

use crate::{
    Badge, Outputs, Shard, ShardId,
    client::Publication,
    group::{Fate, Group, Handout, Join, Member, Origin, Share},
    hold::What,
    mail::Letter,
    record::Waiting,
    session::{Session, SessionId},
    topics::Target,
};

/// A group that outlives this process has no end of its own.
const FOR_EVER: u32 = u32::MAX;

impl Shard {
    /// A session is a member of a group, or has changed.
    pub(crate) fn take_join(&mut self, from: ShardId, join: Join, out: &mut Outputs) {
        let Some(id) = self.group_of(&join.filter) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(group) = &mut session.group else {
            return;
        };
        let was_connected = group.is_connected();
        let member = Member::new(from, join.qos, join.durable, join.window);
        group.join(join.member, member);
        group.joining.extend(join.answer.map(|number| (from, number)));
        if was_connected && !group.is_connected() {
            session.queue.unload();
        }
        self.refresh_group(id, out);
        self.hand_out_later(id);
    }

    /// A session is a member of a group no longer.
    pub(crate) fn take_leave(&mut self, filter: &TopicFilter, member: u64, out: &mut Outputs) {
        let client_id = Group::client_id(filter);
        let Some(id) = client_id.and_then(|client_id| self.sessions.of_client(&client_id)) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(group) = &mut session.group else {
            return;
        };
        let was_connected = group.is_connected();
        group.leave(member);
        if was_connected && !group.is_connected() {
            session.queue.unload();
        }
        self.refresh_group(id, out);
        self.hand_out_later(id);
    }

    fn group_of(&mut self, filter: &TopicFilter) -> Option<SessionId> {
        let client_id = Group::client_id(filter)?;
        if let Some(id) = self.sessions.of_client(&client_id) {
            return Some(id);
        }
        let group = Group::of(filter)?;
        let number = self.next_session_number();
        self.begin_group(number, group)
    }

    pub(crate) fn begin_group(&mut self, number: u64, group: Group) -> Option<SessionId> {
        let client_id = Group::client_id(&group.filter)?;
        let badge = Badge::named(client_id.as_str());
        let mut session = Session::new(number, client_id, badge);
        session.group = Some(Box::new(group));
        Some(self.sessions.insert(session))
    }

    /// Makes true what a group's members want of it: its record on disk, then its subscription on every shard.
    fn refresh_group(&mut self, id: SessionId, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let durable = session.durable();
        let Some(group) = &mut session.group else {
            return;
        };
        let Some(options) = group.options() else {
            return self.vacate_group(id, out);
        };
        if group.wants_durable() && !durable {
            // Nobody may keep a message for it before a restart would find it.
            if !group.founding {
                self.found(id);
            }
            return;
        }
        let wanted = Some((options.qos, durable));
        let mut changed = false;
        if group.subscribed != wanted {
            group.subscribed = wanted;
            let topics = group.topics.clone();
            if let Some(interest) = self.topics.subscribe(&topics, id, options, durable) {
                changed = true;
                self.tell_interest(&topics, interest, out);
            }
        }
        self.answer_joins_when_known(id, changed, out);
    }

    /// Puts a group's record into this round's batch; what follows waits for it.
    fn found(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.recorded = true;
        if let Some(group) = &mut session.group {
            group.founding = true;
        }
        self.record_session(id);
        let hold = self.holds.begin(1, What::Found { group: id });
        self.holds.await_batch(hold);
    }

    /// A group's record is kept, or was refused.
    pub(crate) fn founded(&mut self, id: SessionId, refused: Option<ReasonCode>, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(group) = &mut session.group else {
            return;
        };
        group.founding = false;
        if refused.is_none() {
            session.expiry_secs = FOR_EVER;
            session.was_durable = true;
            return self.refresh_group(id, out);
        }
        self.answer_joins(id, refused, out);
        self.retry_later(id);
    }

    /// What a group was to write is tried again. Whether that is all there is to do for it.
    pub(crate) fn found_again(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else {
            return false;
        };
        let Some(group) = &session.group else {
            return false;
        };
        let wanted = group.wants_durable() && !session.durable();
        if wanted && !group.founding {
            self.found(id);
        }
        wanted
    }

    /// Tells those who have joined, as soon as the other shards know what this one wants.
    fn answer_joins_when_known(&mut self, id: SessionId, changed: bool, out: &mut Outputs) {
        let notes = self.notes_wanted(changed);
        if notes == 0 {
            return self.answer_joins(id, None, out);
        }
        let mut joining = self.take_joining(id);
        if changed && joining.is_empty() {
            joining.push((self.id, 0)); // Nobody's number: only who subscribes to the same meanwhile has to wait.
        }
        for (home, number) in joining {
            let hold = self.holds.begin(notes, What::Join { home, number });
            self.ask_for_notes(hold.number, notes, out);
        }
    }

    fn answer_joins(&mut self, id: SessionId, refused: Option<ReasonCode>, out: &mut Outputs) {
        for (home, number) in self.take_joining(id) {
            self.joined(home, number, refused, out);
        }
    }

    fn take_joining(&mut self, id: SessionId) -> Vec<(ShardId, u64)> {
        let group = self
            .sessions
            .get_mut(id)
            .and_then(|session| session.group.as_mut());
        group.map_or_else(Vec::new, |group| std::mem::take(&mut group.joining))
    }

    /// Tells a member's home that its subscription is live, or could not be kept.
    pub(crate) fn joined(
        &mut self,
        home: ShardId,
        number: u64,
        refused: Option<ReasonCode>,
        out: &mut Outputs,
    ) {
        if home == self.id {
            self.happened(number, refused, out);
        } else {
            Self::post(home, Letter::Joined { number, refused }, out);
        }
    }

    /// A group without members gets nothing more, and ends when nothing of it is under way.
    fn vacate_group(&mut self, id: SessionId, out: &mut Outputs) {
        self.answer_joins(id, None, out);
        let Some(group) = self
            .sessions
            .get_mut(id)
            .and_then(|session| session.group.as_mut())
        else {
            return;
        };
        let ends = !group.has_under_way();
        if group.subscribed.take().is_some() {
            let topics = group.topics.clone();
            if let Some(interest) = self.topics.unsubscribe(&topics, id) {
                self.tell_interest(&topics, interest, out);
            }
        }
        if ends {
            self.end_session(id, out);
        }
    }

    /// Delivers a message that nothing has to wait for to a group. As [`Shard::deliver`].
    pub(crate) fn deliver_to_group(
        &mut self,
        target: &Target,
        publication: &mut Publication<'_>,
        out: &mut Outputs,
    ) -> Option<bool> {
        let strategy = self.settings.shared_strategy;
        let qos = publication.qos.min(target.qos);
        let session = self.sessions.get_mut(target.session)?;
        let group = session.group.as_mut().filter(|group| group.is_connected())?;
        if qos > QoS::AtMostOnce || !session.queue.is_empty() || group.has_returned() {
            let queued = self.queue(target, publication, qos, publication.retain, None);
            self.hand_out_later(target.session);
            return Some(queued);
        }
        let origin = Origin {
            publisher: publication.publisher,
            topic: publication.topic,
        };
        let member = group.choose(strategy, origin, false)?;
        let home = group.home_of(member)?;
        let filter = group.filter.clone();
        if home == self.id {
            let (session, options) = self.member(member, &filter)?;
            let mut copy = Publication {
                qos,
                shared: publication.shared.clone(),
                ..*publication
            };
            return self.deliver(&options.of_member(session), &mut copy, None, out);
        }
        let handout = Handout {
            member,
            filter,
            share: None,
            waiting: Waiting {
                qos,
                retain: publication.retain,
                subscription_ids: Vec::new(),
                body: None,
            },
            message: publication.share(),
            dup: false,
        };
        Self::post(home, Letter::Handout(Box::new(handout)), out);
        Some(true)
    }

    /// Something of a group may be handed out when this step is over.
    pub(crate) fn hand_out_later(&mut self, id: SessionId) {
        let group = self
            .sessions
            .get_mut(id)
            .and_then(|session| session.group.as_mut());
        if let Some(group) = group.filter(|group| !group.due) {
            group.due = true;
            self.groups_due.push(id);
        }
    }

    /// Hands out what became possible in this step. Members answer while it is done, so that a group may be due again.
    pub(crate) fn hand_out_due(&mut self, out: &mut Outputs) {
        while let Some(id) = self.groups_due.pop() {
            let group = self
                .sessions
                .get_mut(id)
                .and_then(|session| session.group.as_mut());
            let Some(group) = group else { continue };
            group.due = false;
            if !group.has_members() {
                self.vacate_group(id, out);
                continue;
            }
            while let Some((home, handout)) = self.next_handout(id, out) {
                if home == self.id {
                    self.take_handout(handout, out);
                } else {
                    Self::post(home, Letter::Handout(Box::new(handout)), out);
                }
            }
            self.recall(id, out);
        }
    }

    /// Takes out the next message that a member may get, and the shard that it goes to.
    fn next_handout(&mut self, id: SessionId, out: &mut Outputs) -> Option<(ShardId, Handout)> {
        let (strategy, now) = (self.settings.shared_strategy, self.steady);
        loop {
            let session = self.sessions.get_mut(id)?;
            let group = session.group.as_mut()?;
            let next = group.first_returned().or_else(|| session.queue.front())?;
            let (message, needs_room) = (Arc::clone(&next.message), next.waiting.qos > QoS::AtMostOnce);
            let is_over = message.expires.is_some_and(|expires| expires.is_over(now));
            let origin = Origin {
                publisher: message.publisher,
                topic: &message.topic,
            };
            let member = if is_over {
                None
            } else {
                Some(group.choose(strategy, origin, needs_room)?)
            };
            let (number, entry, sent_to) = match group.pop_returned() {
                Some(returned) => returned,
                None => (group.take_number(), session.queue.pop()?, None),
            };
            let Some(member) = member else {
                self.counters.dropped_expired += 1;
                self.consumed(id, entry.seq, entry.waiting.body, out);
                continue;
            };
            let home = group.home_of(member)?;
            let share = Share {
                home: self.id,
                group: session.number,
                number,
                seq: entry.seq,
                body: entry.waiting.body,
            };
            let handout = Handout {
                member,
                filter: group.filter.clone(),
                share: needs_room.then_some(share),
                waiting: entry.waiting.clone(),
                message,
                dup: entry.dup || sent_to == Some(member),
            };
            if needs_room {
                group.hand(number, member, sent_to, entry);
            }
            return Some((home, handout));
        }
    }

    /// A member has answered for a message.
    pub(crate) fn share_answered(&mut self, group: u64, number: u64, fate: Fate, out: &mut Outputs) {
        let Some(id) = self.sessions.numbered(group) else {
            return;
        };
        let group = self
            .sessions
            .get_mut(id)
            .and_then(|session| session.group.as_mut());
        let Some((seq, body)) = group.and_then(|group| group.answered(number, fate)) else {
            return;
        };
        match fate {
            Fate::Done => self.consumed(id, seq, body, out),
            Fate::Taken => self.consumed(id, seq, None, out),
            Fate::Returned | Fate::Unsent => self.counters.shared_returned += 1,
        }
        self.hand_out_later(id);
    }
}
