//! Topic aliases a client has set.

use std::sync::Arc;

/// Alias to topic name, for one connection.
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
