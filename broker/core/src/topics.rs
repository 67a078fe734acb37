//! Who gets this publish: the subscriptions of this shard's sessions, of links, and of other shards.

mod filters;
pub(crate) mod retained;
mod routes;
mod shape;
mod subscribers;
mod tree;

use std::sync::Arc;

use ahash::RandomState;
use mqtt_wire::{QoS, TopicFilter, TopicName};

use crate::{LinkId, ShardId, session::SessionId, subscription::Options};
use filters::Filters;
use routes::Routes;
use subscribers::{Several, Subscriber, Subscribers};

/// One session that gets a message, with what its matching subscriptions amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) session: SessionId,
    /// Whether the session is kept on disk.
    pub(crate) durable: bool,
    pub(crate) qos: QoS,
    pub(crate) publishers: Publishers,
    pub(crate) retain_as_published: bool,
    pub(crate) subscription_ids: Vec<u32>,
}

/// Whose messages a target is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publishers {
    All,
    /// Not the session's own: a no-local subscription is among the matching ones [MQTT5-3.8.3-3].
    Others,
    /// The session's own: what the other subscriptions amount to without those.
    Itself,
}

impl Publishers {
    /// Of all subscriptions, or of those that are no-local.
    pub(crate) const fn of(no_local: bool) -> Self {
        if no_local { Self::Others } else { Self::All }
    }

    /// Whether they include this one.
    pub(crate) const fn include(self, own: bool) -> bool {
        match self {
            Self::All => true,
            Self::Others => !own,
            Self::Itself => own,
        }
    }
}

/// Another shard that holds a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RemoteTarget {
    pub(crate) shard: ShardId,
    /// Whether a session that is kept on disk is among the receivers there.
    pub(crate) durable: bool,
}

/// A link that gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkTarget {
    pub(crate) link: LinkId,
    pub(crate) responsible: bool,
}

/// Everybody who gets a message on a topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) sessions: Vec<Target>,
    pub(crate) shards: Vec<RemoteTarget>,
    pub(crate) links: Vec<LinkTarget>,
    /// Whether only links get it.
    pub(crate) alone: bool,
    /// Whether a message above `QoS` 0 has to be stored for one of them.
    pub(crate) durable: bool,
}

/// What changed for other shards when a subscription came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Whether this shard has any subscriber of the filter.
    pub(crate) any: bool,
    /// Whether one of them is kept on disk.
    pub(crate) durable: bool,
}

/// The subscriptions one shard knows of.
#[derive(Debug)]
pub(crate) struct Topics {
    filters: Filters,
    /// That were found since the last change.
    routes: Routes,
    hasher: RandomState,
    epoch: u64,
}

impl Topics {
    pub(crate) fn new(hasher: &RandomState) -> Self {
        Self {
            filters: Filters::new(hasher),
            routes: Routes::default(),
            hasher: hasher.clone(),
            epoch: 0,
        }
    }

    /// Changes whenever a route may have.
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sets a session's subscription. Says what other shards have to know, if that changed.
    pub(crate) fn subscribe(
        &mut self,
        filter: &TopicFilter,
        session: SessionId,
        options: Options,
        durable: bool,
    ) -> Option<Interest> {
        self.change(filter, |subscribers| {
            subscribers
                .sessions
                .retain(|subscriber| subscriber.session != session);
            subscribers
                .sessions
                .push(Subscriber::new(session, &options, durable));
        })
    }

    /// Removes a session's subscription. Says what other shards have to know, if that changed.
    pub(crate) fn unsubscribe(&mut self, filter: &TopicFilter, session: SessionId) -> Option<Interest> {
        self.change(filter, |subscribers| {
            subscribers
                .sessions
                .retain(|subscriber| subscriber.session != session);
        })
    }

    pub(crate) fn subscribe_link(&mut self, filter: &TopicFilter, link: LinkId, responsible: bool) {
        self.change(filter, |subscribers| {
            subscribers.links.push(LinkTarget { link, responsible })
        });
    }

    /// From now on messages on these topics are for links only.
    pub(crate) fn keep_for_links(&mut self, filter: &TopicFilter) {
        self.change(filter, |subscribers| subscribers.alone = true);
    }

    /// Notes what another shard told of its subscribers.
    pub(crate) fn note_interest(&mut self, filter: &TopicFilter, shard: ShardId, interest: Interest) {
        self.change(filter, |subscribers| {
            subscribers.shards.retain(|remote| remote.shard != shard);
            if interest.any {
                subscribers.shards.push(RemoteTarget {
                    shard,
                    durable: interest.durable,
                });
            }
        });
    }

    /// Everybody who gets a message on this topic.
    pub(crate) fn route(&mut self, topic: &Arc<str>) -> Arc<Route> {
        let hash = self.hasher.hash_one(topic);
        if let Some(route) = self.routes.get(hash, topic) {
            return Arc::clone(route);
        }
        let mut route = Route::default();
        if let Ok(name) = TopicName::parse(topic) {
            self.filters
                .visit_matching(name, &mut |subscribers| route.add(subscribers));
        }
        let route = Arc::new(route.in_order());
        self.routes.insert(hash, topic, &route);
        route
    }

    fn change(&mut self, filter: &TopicFilter, change: impl FnOnce(&mut Several)) -> Option<Interest> {
        self.epoch += 1;
        self.routes = Routes::default();
        let (before, after) = self.filters.change(filter, |subscribers| {
            subscribers.change(|several| {
                let before = several.interest();
                change(several);
                (before, several.interest())
            })
        });
        (before != after).then_some(after)
    }
}

impl Route {
    pub(crate) fn has_responsible_link(&self) -> bool {
        self.links.iter().any(|target| target.responsible)
    }

    /// What it takes in memory.
    fn len_bytes(&self) -> usize {
        let ids: usize = self
            .sessions
            .iter()
            .map(|target| target.subscription_ids.capacity())
            .sum();
        size_of::<Self>()
            + self.sessions.capacity() * size_of::<Target>()
            + self.shards.capacity() * size_of::<RemoteTarget>()
            + self.links.capacity() * size_of::<LinkTarget>()
            + ids * size_of::<u32>()
    }

    /// Whether a message above `QoS` 0 has to be stored for a session of this shard.
    pub(crate) fn has_durable_session(&self) -> bool {
        let has_to = |target: &Target| target.durable && target.qos > QoS::AtMostOnce;
        self.sessions.iter().any(has_to)
    }

    fn add(&mut self, subscribers: &Subscribers) {
        match subscribers {
            Subscribers::Nobody => {}
            Subscribers::Session(subscriber) => {
                if self.sessions.is_empty() {
                    // It is the only one for most, and a list would make room for four.
                    self.sessions.reserve_exact(1);
                }
                self.sessions.push(subscriber.target());
            }
            Subscribers::Shard(remote) => self.shards.push(*remote),
            Subscribers::Several(several) => {
                self.alone |= several.alone;
                self.links.extend_from_slice(&several.links);
                self.shards.extend_from_slice(&several.shards);
                self.sessions
                    .extend(several.sessions.iter().map(Subscriber::target));
            }
        }
    }

    /// Each receiver once. A session with several matching subscriptions gets one copy at the highest quality of service
    /// with all their identifiers [MQTT-3.3.5-1], [MQTT-3.3.4-4].
    fn in_order(mut self) -> Self {
        if self.alone {
            self.sessions.clear();
            self.shards.clear();
        }
        self.sessions.sort_by_key(|target| target.session);
        let own = self.for_publishers_among_them();
        merge(&mut self.sessions);
        self.sessions.extend(own);
        self.shards.sort_by_key(|remote| remote.shard);
        self.shards.dedup_by(|later, kept| {
            kept.durable |= later.durable && later.shard == kept.shard;
            later.shard == kept.shard
        });
        self.links.sort_by_key(|target| target.link);
        self.links.dedup_by(|later, kept| {
            kept.responsible |= later.responsible && later.link == kept.link;
            later.link == kept.link
        });
        self.durable = self.shards.iter().any(|remote| remote.durable) || self.has_durable_session();
        self
    }

    /// What sessions that have no-local subscriptions among others get of their own messages.
    fn for_publishers_among_them(&self) -> Vec<Target> {
        let keeps_away = |target: &&Target| target.publishers == Publishers::Others;
        let sessions: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(keeps_away)
            .map(|target| target.session)
            .collect();
        let brings = |target: &&Target| {
            // They are in the order of their sessions.
            target.publishers == Publishers::All && sessions.binary_search(&target.session).is_ok()
        };
        let mut own: Vec<Target> = self.sessions.iter().filter(brings).cloned().collect();
        merge(&mut own);
        for target in &mut own {
            target.publishers = Publishers::Itself;
        }
        own
    }
}

/// Makes one target of all that a session has, which lie side by side.
fn merge(targets: &mut Vec<Target>) {
    targets.dedup_by(|later, kept| {
        let same = later.session == kept.session;
        if same {
            kept.qos = kept.qos.max(later.qos);
            if later.publishers == Publishers::Others {
                kept.publishers = Publishers::Others;
            }
            kept.retain_as_published |= later.retain_as_published;
            kept.subscription_ids.append(&mut later.subscription_ids);
        }
        same
    });
}
