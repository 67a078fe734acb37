//! The retained messages that a subscription has still to bring its client: asked for page by page, as the client takes them.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use mqtt_wire::TopicFilter;

use crate::{ShardId, message::Message, subscription::Options, topics::retained::RetainedPage};

/// Topics that are remembered to have come live. A retained message of one that is not remembered comes once more.
const LIVE_TOPICS_MAX: usize = 4096;

/// One subscription's retained messages that are still to come.
#[derive(Debug)]
pub(crate) struct CatchUp {
    pub(crate) filter: TopicFilter,
    pub(crate) options: Options,
    /// The keepers of matching topics that have not shown all of theirs, the present one first.
    keepers: VecDeque<ShardId>,
    /// The topic up to which the present keeper's messages were taken.
    after: Option<Arc<str>>,
    page: Option<RetainedPage>,
    /// The question that is not answered.
    asked: Option<u64>,
    /// Topics on which a message has come live since: what is retained there is no news any more.
    live: BTreeSet<Arc<str>>,
}

/// What a catch-up comes to next.
#[derive(Debug)]
pub(crate) enum Next {
    /// This message is to be sent.
    Send(Arc<Message>),
    /// The keeper is to be asked for what follows a topic.
    Ask {
        keeper: ShardId,
        after: Option<Arc<str>>,
    },
    /// A keeper has been asked.
    Wait,
    /// Nothing: it is over.
    Over,
}

impl CatchUp {
    pub(crate) fn begin(filter: TopicFilter, options: Options, keepers: VecDeque<ShardId>) -> Self {
        Self {
            filter,
            options,
            keepers,
            after: None,
            page: None,
            asked: None,
            live: BTreeSet::new(),
        }
    }

    pub(crate) fn next(&mut self) -> Next {
        if self.asked.is_some() {
            return Next::Wait;
        }
        if let Some(page) = &mut self.page {
            while let Some(message) = page.messages.pop_front() {
                self.after = Some(Arc::clone(&message.topic));
                if !self.live.contains(&message.topic) {
                    return Next::Send(message);
                }
            }
            self.after = page.looked_up_to.take();
            self.page = None;
            if self.after.is_none() {
                self.keepers.pop_front();
            }
        }
        match self.keepers.front() {
            Some(keeper) => Next::Ask {
                keeper: *keeper,
                after: self.after.clone(),
            },
            None => Next::Over,
        }
    }

    /// The keeper is asked under this number.
    pub(crate) const fn asked(&mut self, number: u64) {
        self.asked = Some(number);
    }

    /// Whether a keeper was asked under this number and has not answered.
    pub(crate) fn is_asking(&self, number: u64) -> bool {
        self.asked == Some(number)
    }

    /// Takes in what the keeper has.
    pub(crate) fn fill(&mut self, page: RetainedPage) {
        self.asked = None;
        self.page = Some(page);
    }

    /// A message on this topic goes to the session live.
    pub(crate) fn came_live(&mut self, topic: &Arc<str>) {
        if self.live.len() < LIVE_TOPICS_MAX && !self.live.contains(topic) {
            self.live.insert(Arc::clone(topic));
        }
    }

    /// The client is gone: it goes on here when it comes back.
    pub(crate) fn pause(&mut self) {
        self.page = None;
        self.asked = None;
        self.live = BTreeSet::new();
    }
}
