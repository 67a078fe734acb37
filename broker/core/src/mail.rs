//! What shards write to each other. Opaque outside: carried by value, in order between two shards.

use std::sync::Arc;

use mqtt_wire::{ClientId, ReasonCode, TopicFilter};

use crate::{
    burst::Burst,
    group::{Fate, Handout, Join},
    hold::{NewEntry, Outcome},
    message::Message,
    topics::{Interest, retained::RetainedPage},
};

/// One letter from a shard to another.
#[derive(Debug)]
pub struct Mail(pub(crate) Letter);

impl Mail {
    /// About how many bytes of memory it keeps.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        let more = match &self.0 {
            Letter::Publish { message, .. }
            | Letter::Offer { message, .. }
            | Letter::Settled { message, .. } => message.len_bytes(),
            Letter::Burst(burst) => burst.len_bytes(),
            Letter::Contribution { entries, .. } => size_of_val(entries.as_slice()),
            Letter::Interest { filter, .. } | Letter::RetainedWanted { filter, .. } => filter.as_str().len(),
            Letter::RetainedFound { page, .. } => page.len_bytes(),
            Letter::Join(join) => size_of::<Join>() + join.filter.as_str().len(),
            Letter::Leave { filter, .. } => filter.as_str().len(),
            Letter::Handout(handout) => size_of::<Handout>() + handout.message.len_bytes(),
            Letter::InterestsNoted { .. }
            | Letter::Noted { .. }
            | Letter::Joined { .. }
            | Letter::ShareAnswered { .. }
            | Letter::BodyReleased { .. } => 0,
        };
        size_of::<Self>() + more
    }
}

/// Who of those with a matching subscription gets a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Receivers {
    All,
    Only(ClientId),
    Except(ClientId),
}

/// What is to be done with the message as its topic's retained message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    No,
    /// In memory only: a link published it.
    Volatile,
    /// On disk.
    Durable,
}

impl Keep {
    /// What a client asked for with RETAIN. Topics that begin with `$` are the broker's and the twins' own: what a client
    /// says there is not kept.
    pub(crate) fn asked(retain: bool, topic: &str) -> Self {
        if retain && !topic.starts_with('$') {
            Self::Durable
        } else {
            Self::No
        }
    }
}

#[derive(Debug)]
pub(crate) enum Letter {
    /// Send this to your sessions.
    Publish {
        message: Arc<Message>,
        receivers: Receivers,
        keep: Keep,
        replace: Option<u64>,
    },
    /// Send these to your sessions.
    Burst(Burst),
    /// Queue this for your sessions, but send it only when I settle; and tell me what has to be kept.
    Offer {
        number: u64,
        message: Arc<Message>,
        receivers: Receivers,
        keep: Keep,
    },
    /// What has to be kept of your offer.
    Contribution {
        number: u64,
        entries: Vec<NewEntry>,
        outcome: Outcome,
        /// The version it is to be kept as on disk as its topic's retained message.
        retain: Option<u64>,
    },
    /// My offer is kept (its body under this number, if several share it), or is withdrawn.
    Settled {
        number: u64,
        kept: bool,
        body: Option<u64>,
        message: Arc<Message>,
    },
    /// My sessions' interest in a filter has changed.
    Interest { filter: TopicFilter, interest: Interest },
    /// Tell me when you know of all my interests.
    InterestsNoted { number: u64 },
    /// I do.
    Noted { number: u64 },
    /// Which retained messages of yours match, after this topic?
    RetainedWanted {
        number: u64,
        filter: TopicFilter,
        after: Option<Arc<str>>,
    },
    /// These.
    RetainedFound { number: u64, page: RetainedPage },
    /// One of my sessions is a member of a group of yours.
    Join(Box<Join>),
    /// What you joined is live, or could not be kept.
    Joined {
        number: u64,
        refused: Option<ReasonCode>,
    },
    /// One of my sessions is a member of your group no longer.
    Leave { filter: TopicFilter, member: u64 },
    /// Your session gets this message of my group.
    Handout(Box<Handout>),
    /// What became of a message of your group.
    ShareAnswered { group: u64, number: u64, fate: Fate },
    /// One of my sessions needs this body of yours no longer.
    BodyReleased { body: u64 },
}

impl Letter {
    /// The shard a body's number belongs to is in its low bits, so that the number tells whom to write to.
    pub(crate) const BODY_SHARD_BITS: u32 = 10;
}
