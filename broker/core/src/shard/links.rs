//! The links attached to this shard, and how much each has not yet answered for.

use mqtt_wire::TopicFilter;

use crate::{ConnectionId, LinkId, Output, Outputs, Shard, client::Pause, output::Told};

/// One attached link.
#[derive(Debug)]
pub(crate) struct LinkState {
    pub(crate) watches: Vec<TopicFilter>,
    presence: bool,
    unanswered_bytes: usize,
    slowed: Vec<ConnectionId>,
}

/// All attached links, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<LinkState>);

impl Links {
    pub(crate) fn each(&self) -> impl Iterator<Item = (LinkId, &LinkState)> {
        self.0
            .iter()
            .enumerate()
            .map(|(at, state)| (LinkId(u8::try_from(at).unwrap_or(u8::MAX)), state))
    }

    fn get_mut(&mut self, link: LinkId) -> Option<&mut LinkState> {
        self.0.get_mut(usize::from(link.0))
    }
}

impl Shard {
    pub(crate) fn attach_link(
        &mut self,
        subscriptions: &[(TopicFilter, bool)],
        watches: Vec<TopicFilter>,
        presence: bool,
    ) {
        let link = LinkId(u8::try_from(self.links.0.len()).unwrap_or(u8::MAX));
        for (filter, responsible) in subscriptions {
            self.topics.subscribe_link(filter, link, *responsible);
        }
        self.links.0.push(LinkState {
            watches,
            presence,
            unanswered_bytes: 0,
            slowed: Vec::new(),
        });
    }

    /// Tells links that want to know who comes and goes.
    pub(crate) fn tell_presence(&self, told: &Told, out: &mut Outputs) {
        for (link, state) in self.links.each() {
            if state.presence {
                out.duties.push(Output::Tell {
                    link,
                    told: told.clone(),
                });
            }
        }
    }

    /// Tells every link.
    pub(crate) fn tell_all(&self, told: &Told, out: &mut Outputs) {
        for (link, _) in self.links.each() {
            out.duties.push(Output::Tell {
                link,
                told: told.clone(),
            });
        }
    }

    /// A link was handed a message; while it has too much, the publisher is read no further.
    pub(crate) fn slow_down_for_link(&mut self, link: LinkId, bytes: usize, publisher: Option<ConnectionId>) {
        let max = self.settings.link_bytes_max;
        let Some(state) = self.links.get_mut(link) else {
            return;
        };
        state.unanswered_bytes += bytes;
        if state.unanswered_bytes <= max {
            return;
        }
        let Some(publisher) = publisher else { return };
        let Some(client) = self.client_mut(publisher) else {
            return;
        };
        if !client.is_paused(Pause::Link) {
            client.pause(Pause::Link);
            if let Some(state) = self.links.get_mut(link) {
                state.slowed.push(publisher);
            }
        }
    }

    /// A link has answered; when it has caught up, its publishers are read again.
    pub(crate) fn speed_up_for_link(&mut self, link: LinkId, bytes: usize, out: &mut Outputs) {
        let max = self.settings.link_bytes_max;
        let Some(state) = self.links.get_mut(link) else {
            return;
        };
        state.unanswered_bytes = state.unanswered_bytes.saturating_sub(bytes);
        if state.unanswered_bytes > max / 2 {
            return;
        }
        for connection in std::mem::take(&mut state.slowed) {
            if self
                .client_mut(connection)
                .is_some_and(|client| client.resume(Pause::Link))
            {
                out.duties.push(Output::Read { connection });
            }
        }
    }
}
