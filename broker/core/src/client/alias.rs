//! Topic aliases of one connection: those its client has set, and those set towards it.

use std::sync::Arc;

/// Alias to topic name, as the client has set them.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    topics: Vec<Option<Arc<str>>>,
}

impl Aliases {
    /// What an alias stands for.
    pub(crate) fn topic(&self, alias: u16) -> Option<&Arc<str>> {
        self.topics.get(usize::from(alias))?.as_ref()
    }

    /// Sets an alias, in place of what it stood for. The caller has checked it against the maximum.
    pub(crate) fn set(&mut self, alias: u16, topic: Arc<str>) {
        let at = usize::from(alias);
        if at >= self.topics.len() {
            self.topics.resize(at + 1, None);
        }
        if let Some(place) = self.topics.get_mut(at) {
            *place = Some(topic);
        }
    }
}

/// Topics no longer than this cost no more in full than by an alias.
const SHORT_BYTES: usize = 3;

/// Topic name to alias, as set towards the client.
///
/// A topic gets an alias the second time it is sent, so that topics that are sent once take none from others; when there
/// are no more, it takes the one that was not used for longest.
#[derive(Debug)]
pub(crate) struct OutgoingAliases {
    max: u16,
    /// Topics with the aliases 1, 2, 3 and so on, and when each was used.
    used: Vec<(Arc<str>, u64)>,
    /// Topics that were sent once, oldest first.
    once: Vec<Arc<str>>,
    sent: u64,
}

/// How a topic is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// In full.
    Name,
    /// In full, and from now on by this alias.
    NameAndAlias(u16),
    /// By this alias.
    Alias(u16),
}

impl OutgoingAliases {
    /// For a client that takes so many. `None` if it takes none.
    pub(crate) fn up_to(max: u16) -> Option<Self> {
        (max > 0).then(|| Self {
            max,
            used: Vec::new(),
            once: Vec::new(),
            sent: 0,
        })
    }

    /// How a message on this topic is written now. Nothing is noted: it may yet turn out too large to be sent.
    pub(crate) fn naming(&self, topic: &str) -> Naming {
        if topic.len() <= SHORT_BYTES {
            return Naming::Name;
        }
        if let Some(at) = self.used.iter().position(|(known, _)| **known == *topic) {
            return Naming::Alias(alias(at));
        }
        if !self.once.iter().any(|known| **known == *topic) {
            return Naming::Name;
        }
        let free = (self.used.len() < usize::from(self.max)).then_some(self.used.len());
        let oldest = || self.used.iter().enumerate().min_by_key(|(_, (_, when))| *when);
        match free.or_else(|| oldest().map(|(at, _)| at)) {
            Some(at) => Naming::NameAndAlias(alias(at)),
            None => Naming::Name,
        }
    }

    /// A message on this topic was written so.
    pub(crate) fn note(&mut self, topic: &Arc<str>, naming: Naming) {
        self.sent += 1;
        match naming {
            Naming::Name if topic.len() <= SHORT_BYTES => {}
            Naming::Name => {
                if self.once.len() >= usize::from(self.max) {
                    self.once.remove(0);
                }
                self.once.push(Arc::clone(topic));
            }
            Naming::NameAndAlias(alias) => {
                self.once.retain(|known| known != topic);
                let entry = (Arc::clone(topic), self.sent);
                match self.used.get_mut(usize::from(alias) - 1) {
                    Some(place) => *place = entry,
                    None => self.used.push(entry),
                }
            }
            Naming::Alias(alias) => {
                if let Some((_, when)) = self.used.get_mut(usize::from(alias) - 1) {
                    *when = self.sent;
                }
            }
        }
    }
}

fn alias(at: usize) -> u16 {
    u16::try_from(at + 1).unwrap_or(u16::MAX)
}
