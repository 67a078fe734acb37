//! All who subscribe to one filter.

use std::{mem, num::NonZeroU32};

use mqtt_wire::QoS;

use super::{Interest, LinkTarget, Publishers, RemoteTarget, Target};
use crate::{session::SessionId, subscription::Options};

/// One session's subscription: what has to be known of it for each message.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) session: SessionId,
    subscription_id: Option<NonZeroU32>,
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
    durable: bool,
}

impl Subscriber {
    pub(super) fn new(session: SessionId, options: &Options, durable: bool) -> Self {
        Self {
            session,
            subscription_id: options.subscription_id.and_then(NonZeroU32::new),
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            durable,
        }
    }

    pub(super) fn target(&self) -> Target {
        Target {
            session: self.session,
            durable: self.durable,
            qos: self.qos,
            publishers: Publishers::of(self.no_local),
            retain_as_published: self.retain_as_published,
            subscription_ids: self.subscription_id.map(NonZeroU32::get).into_iter().collect(),
        }
    }
}

/// Any number of subscribers.
#[derive(Debug, Default)]
pub(super) struct Several {
    pub(super) sessions: Vec<Subscriber>,
    pub(super) shards: Vec<RemoteTarget>,
    pub(super) links: Vec<LinkTarget>,
    /// Whether only links get what matches.
    pub(super) alone: bool,
}

impl Several {
    pub(super) fn interest(&self) -> Interest {
        Interest {
            any: !self.sessions.is_empty(),
            durable: self.sessions.iter().any(|subscriber| subscriber.durable),
        }
    }
}

/// All who subscribe to one filter. Most filters of many are one client's own, and take no more than this.
#[derive(Debug, Default)]
pub(super) enum Subscribers {
    #[default]
    Nobody,
    Session(Subscriber),
    Shard(RemoteTarget),
    Several(Box<Several>),
}

impl Subscribers {
    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::Nobody)
    }

    /// Lets `change` change them.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut Several) -> R) -> R {
        let mut several = match mem::take(self) {
            Self::Nobody => Box::default(),
            Self::Session(subscriber) => Box::new(Several {
                sessions: vec![subscriber],
                ..Several::default()
            }),
            Self::Shard(remote) => Box::new(Several {
                shards: vec![remote],
                ..Several::default()
            }),
            Self::Several(several) => several,
        };
        let result = change(&mut several);
        *self = Self::of(several);
        result
    }

    fn of(mut several: Box<Several>) -> Self {
        if several.alone || !several.links.is_empty() {
            return Self::Several(several);
        }
        match (several.sessions.len(), several.shards.as_slice()) {
            (0, []) => Self::Nobody,
            (0, [remote]) => Self::Shard(*remote),
            (1, []) => several.sessions.pop().map_or(Self::Nobody, Self::Session),
            _ => Self::Several(several),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Subscribers;

    /// There may be millions of filters.
    #[test]
    fn subscribers_of_a_filter_take_sixteen_bytes() {
        assert_eq!(size_of::<Subscribers>(), 16);
    }
}
