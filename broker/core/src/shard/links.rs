//! The links attached to this shard: what they are handed and tell, and how much each has not yet answered for.

use std::sync::Arc;

use mqtt_wire::{ClientId, QoS, ReasonCode, TopicFilter};

use crate::{
    Answer, ConnectionId, LinkId, LinkMessage, Moment, Output, Outputs, Shard, ShardId, To,
    client::{Pause, Publication},
    mail::{Keep, Letter, Receivers},
    message::Message,
    output::Told,
    shard::distribute::Way,
    timers::Timer,
};

/// A message handed to a link and not answered.
#[derive(Debug)]
pub(crate) struct Handed {
    link: LinkId,
    bytes: usize,
    /// What waits for the answer.
    hold: Option<u64>,
    deadline: Moment,
}

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
        alone: &[TopicFilter],
        watches: Vec<TopicFilter>,
        presence: bool,
    ) {
        let link = LinkId(u8::try_from(self.links.0.len()).unwrap_or(u8::MAX));
        for (filter, responsible) in subscriptions {
            self.topics.subscribe_link(filter, link, *responsible);
        }
        for filter in alone {
            self.topics.keep_for_links(filter);
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
    fn slow_down_for_link(&mut self, link: LinkId, bytes: usize, publisher: Option<ConnectionId>) {
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
    fn speed_up_for_link(&mut self, link: LinkId, bytes: usize, out: &mut Outputs) {
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

    /// Hands a client's message to the links of its route; `hold` has to wait for those that are responsible.
    pub(crate) fn hand_to_links(
        &mut self,
        publication: &mut Publication<'_>,
        way: Way<'_>,
        hold: Option<u64>,
        out: &mut Outputs,
    ) {
        if way.route.links.is_empty() {
            return;
        }
        let Some(session) = way.from.and_then(|from| self.sessions.get(from)) else {
            return;
        };
        let (client_id, badge, connection) = (
            session.client_id.clone(),
            session.badge.clone(),
            session.connection,
        );
        let message = publication.share();
        for target in &way.route.links {
            self.last_handed += 1;
            let number = self.last_handed;
            let hold = hold.filter(|_| target.responsible);
            if let Some(hold) = hold {
                self.holds.wait_for_one_more(hold);
            }
            let deadline = self.now + self.settings.link_deadline;
            self.timers.set(deadline, Timer::LinkDeadline { number });
            let bytes = message.len_bytes();
            let handed = Handed {
                link: target.link,
                bytes,
                hold,
                deadline,
            };
            self.handed.insert(number, handed);
            self.slow_down_for_link(target.link, bytes, connection);
            out.duties.push(Output::Deliver {
                link: target.link,
                number,
                message: Arc::clone(&message),
                client_id: client_id.clone(),
                badge: badge.clone(),
            });
        }
    }

    /// A link has answered for a message.
    pub(crate) fn take_answer(&mut self, number: u64, answer: Answer, out: &mut Outputs) {
        let Some(handed) = self.handed.remove(&number) else {
            return;
        };
        self.timers.unset(handed.deadline, Timer::LinkDeadline { number });
        self.speed_up_for_link(handed.link, handed.bytes, out);
        let refused = match answer {
            Answer::Taken => None,
            Answer::Refused(reason) => Some(reason),
        };
        if let Some(hold) = handed.hold {
            self.happened(hold, refused, out);
        }
    }

    /// A link has had its time.
    pub(crate) fn link_deadline(&mut self, number: u64, out: &mut Outputs) {
        self.counters.link_timeouts += 1;
        self.take_answer(number, Answer::Refused(ReasonCode::ServerBusy), out);
    }

    /// A link publishes.
    pub(crate) fn take_link_message(&mut self, link: LinkMessage, out: &mut Outputs) {
        // What is for one client while it is connected, or may be replaced, is not kept on disk: an exchange that has to
        // outlast the process is not begun.
        let in_memory = link.replace.is_some() || matches!(link.to, To::Only(_));
        let message = Arc::new(Message {
            topic: link.topic,
            payload: link.payload.into(),
            properties: link.properties.into(),
            qos: if in_memory {
                link.qos.min(QoS::AtLeastOnce)
            } else {
                link.qos
            },
            retain: link.retain,
            expires: None,
            publisher: 0,
        });
        let replace = link.replace;
        let receivers = match link.to {
            To::Everyone => Receivers::All,
            To::Except(client) => Receivers::Except(client),
            To::Only(client) => return self.send_to_client(message, client, replace, out),
        };
        let route = self.topics.route(&message.topic);
        let way = Way {
            receivers: &receivers,
            keep: if message.retain { Keep::Volatile } else { Keep::No },
            replace,
            ..Way::along(&route)
        };
        self.send_on_its_way(&mut Publication::of(&message), way, out);
    }

    /// Sends a link's message to one client, where that is at home.
    fn send_to_client(
        &mut self,
        message: Arc<Message>,
        client: ClientId,
        replace: Option<u64>,
        out: &mut Outputs,
    ) {
        let home = ShardId::of(client.as_str(), self.shards);
        let receivers = Receivers::Only(client);
        if home == self.id {
            return self.deliver_all(&message, &receivers, replace, out);
        }
        let letter = Letter::Publish {
            message,
            receivers,
            keep: Keep::No,
            replace,
        };
        Self::post(home, letter, out);
    }
}
