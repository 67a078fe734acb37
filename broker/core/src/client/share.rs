//! A member's side of shared subscriptions: joining and leaving groups, and what their messages become in its session.

use mqtt_wire::{QoS, TopicFilter};

use crate::{
    Batch, Outputs, Shard, ShardId, Shelf,
    client::Publication,
    group::{Fate, Handout, Join, Share, publisher_hash},
    hold::{GiveBack, What},
    mail::Letter,
    record::{self, Waiting},
    session::{Entry, Session, SessionId},
    subscription::Options,
};

impl Shard {
    fn group_home(&self, filter: &TopicFilter) -> ShardId {
        ShardId::of(filter.as_str(), self.shards)
    }

    /// Tells a group of a member as it is now. With a number, what waits under it goes on when the group knows.
    pub(crate) fn join(
        &mut self,
        id: SessionId,
        filter: &TopicFilter,
        options: Options,
        answer: Option<u64>,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let client = session
            .connection
            .and_then(|connection| self.client(connection))
            .filter(|client| client.open);
        let join = Join {
            filter: filter.clone(),
            member: session.number,
            qos: options.qos,
            durable: session.durable(),
            window: client.map(|client| client.receive_maximum),
            answer,
        };
        let home = self.group_home(filter);
        if home == self.id {
            self.take_join(self.id, join, out);
        } else {
            Self::post(home, Letter::Join(Box::new(join)), out);
        }
    }

    /// Tells all groups of a session that its client has come or gone, or that it is kept from now on.
    pub(crate) fn join_all(&mut self, id: SessionId, out: &mut Outputs) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let is_shared = |(filter, _): &&(TopicFilter, Options)| filter.shared().is_some();
        let shared: Vec<_> = session.subscriptions.iter().filter(is_shared).cloned().collect();
        for (filter, options) in shared {
            self.join(id, &filter, options, None, out);
        }
    }

    /// Tells a group that a session is a member no longer.
    pub(crate) fn leave(&mut self, member: u64, filter: &TopicFilter, out: &mut Outputs) {
        let home = self.group_home(filter);
        if home == self.id {
            self.take_leave(filter, member, out);
        } else {
            let filter = filter.clone();
            Self::post(home, Letter::Leave { filter, member }, out);
        }
    }

    /// A group hands a message to a session of this shard.
    pub(crate) fn take_handout(&mut self, handout: Handout, out: &mut Outputs) {
        let Handout {
            member,
            filter,
            share,
            waiting,
            message,
            dup,
        } = handout;
        let Some((id, options)) = self.member(member, &filter) else {
            if let Some(share) = share {
                self.answer_share(share, Fate::Unsent, out);
            }
            return;
        };
        let Some(share) = share else {
            // Not above the level the group has it at: nothing of it was kept, and it does not go back.
            let mut publication = Publication {
                qos: waiting.qos,
                retain: waiting.retain,
                ..Publication::of(&message)
            };
            self.deliver(&options.of_member(id), &mut publication, None, out);
            return;
        };
        let qos = waiting.qos.min(options.qos); // [MQTT-4.8.2-3]
        let waiting = Waiting {
            qos,
            retain: waiting.retain && options.retain_as_published,
            subscription_ids: options.subscription_id.into_iter().collect(),
            body: None,
        };
        let entry = Entry {
            seq: None,
            waiting,
            message,
            hold: None,
            replace: None,
            // At QoS 2 nothing that was sent comes back.
            dup: dup && qos < QoS::ExactlyOnce,
            share: Some(Box::new(share)),
        };
        if let Some(session) = self.sessions.get_mut(id) {
            session.queue.push(entry, 0);
        }
        self.pump(id, out);
    }

    /// A connected session and what it asked for, if it is still a member. Whenever it is not, its group has been told.
    pub(crate) fn member(&self, number: u64, filter: &TopicFilter) -> Option<(SessionId, Options)> {
        let id = self.sessions.numbered(number)?;
        let session = self.sessions.get(id)?;
        session.connection?;
        let (_, options) = session.subscriptions.iter().find(|(known, _)| known == filter)?;
        Some((id, *options))
    }

    /// Tells a group what became of a message.
    pub(crate) fn answer_share(&mut self, share: Share, fate: Fate, out: &mut Outputs) {
        let Share {
            home, group, number, ..
        } = share;
        if home == self.id {
            self.share_answered(group, number, fate, out);
        } else {
            let letter = Letter::ShareAnswered { group, number, fate };
            Self::post(home, letter, out);
        }
    }

    /// A member is done with a message, if it belongs to a group.
    pub(crate) fn done(&mut self, share: Option<Box<Share>>, out: &mut Outputs) {
        if let Some(share) = share {
            self.answer_share(*share, Fate::Done, out);
        }
    }

    /// Whether a session is a client's, and not that of a group.
    pub(crate) fn is_client(&self, id: SessionId) -> bool {
        self.sessions
            .get(id)
            .is_some_and(|session| session.group.is_none())
    }

    /// A session's client is gone: what it has not acknowledged goes to others, but for what it was sent at `QoS` 2.
    pub(crate) fn give_back_shares(&mut self, id: SessionId, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (mut shares, mut backs) = (Vec::new(), Vec::new());
        for flight in session.inflight.take_shared() {
            let Some(share) = flight.share.as_deref().copied() else {
                continue;
            };
            let (seq, mut batch) = (flight.seq, Batch::default());
            if !flight.write_back(&mut batch) {
                // At QoS 2 what was sent is not shared any more.
                let sent = flight.waiting.qos == QoS::AtLeastOnce;
                shares.push((share, if sent { Fate::Returned } else { Fate::Unsent }));
                continue;
            }
            if let Some(seq) = seq {
                batch.delete(Shelf::Queue, &record::queue_key(session.number, seq));
                session.inflight.goes_back(seq);
            }
            let key = record::packet_key(session.number, flight.id);
            self.holds.touch(id);
            self.holds.batch.delete(Shelf::Inflight, &key);
            backs.push(GiveBack {
                share,
                session: id,
                seq,
                batch,
            });
        }
        let unsent = session.queue.take_shares().into_iter();
        shares.extend(unsent.map(|share| (share, Fate::Unsent)));
        for back in backs {
            self.give_back(back);
        }
        for (share, fate) in shares {
            self.answer_share(share, fate, out);
        }
    }

    /// Gives a message back to its group when it is on disk where it was.
    pub(crate) fn give_back(&mut self, back: GiveBack) {
        self.holds.batch.append(&back.batch);
        let hold = self.holds.begin(1, What::GiveBack(Box::new(back)));
        self.holds.await_batch(hold);
    }

    /// It is.
    pub(crate) fn given_back(&mut self, back: &GiveBack, out: &mut Outputs) {
        if let (Some(session), Some(seq)) = (self.sessions.get_mut(back.session), back.seq) {
            session.inflight.is_back(seq);
        }
        self.answer_share(back.share, Fate::Unsent, out);
    }

    /// A session is a member of no group any more.
    pub(crate) fn leave_all(&mut self, session: &Session, out: &mut Outputs) {
        for (filter, _) in &session.subscriptions {
            if filter.shared().is_some() {
                self.leave(session.number, filter, out);
            }
        }
    }

    /// By whom a message is, where shared subscriptions choose by it.
    pub(crate) fn publisher(&self, id: SessionId) -> u32 {
        if self.settings.shared_strategy != crate::SharedStrategy::HashClient {
            return 0;
        }
        self.sessions
            .get(id)
            .map_or(0, |session| publisher_hash(&session.client_id))
    }
}
