//! Who sends what to whom, and how such a plan is put together.

use std::ops::Range;
use std::time::Duration;

use crate::client::{ClientPlan, Speech};
use crate::desk::{Order, Receiver, Role};
use crate::publisher::PublisherPlan;
use crate::scenario::Bout;

/// Who sends what to whom.
#[derive(Debug, Clone)]
pub(crate) struct TrafficPlan {
    pub(crate) speech: Speech,
    pub(crate) publishers: Vec<(ClientPlan, PublisherPlan)>,
    pub(crate) receivers: Vec<ReceiverPlan>,
    pub(crate) pace: Pace,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) measures_latency: bool,
    /// There are so many subscriptions that their memory can be told from all else.
    pub(crate) measures_filters: bool,
    /// Silence after which messages on their way count as lost.
    pub(crate) silence: Duration,
}

/// One subscriber, or several that divide the messages of a shared subscription.
#[derive(Debug, Clone)]
pub(crate) struct ReceiverPlan {
    pub(crate) clients: Vec<ClientPlan>,
    /// The numbers of the publishers it hears.
    pub(crate) hears: Range<u32>,
}

/// What makes publishers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Half the window is free.
    Window,
    /// The clock: so many messages per second in all, from the publishers in turn, one per write.
    PerSecond(u32),
    /// The same, but the thread sleeps in between and sends what has become due each millisecond.
    InLumps(u32),
}

impl TrafficPlan {
    /// Filters of all receivers.
    pub(crate) fn filters(&self) -> usize {
        let clients = self.receivers.iter().flat_map(|plan| &plan.clients);
        clients.map(|client| client.filters.len()).sum()
    }

    /// All clients with their roles; receivers first, so that no message is sent before they listen.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (&ClientPlan, Role)> {
        let receivers = self.receivers.iter().enumerate();
        let receivers = receivers.flat_map(|(index, plan)| {
            plan.clients
                .iter()
                .map(move |client| (client, Role::Receiver(index)))
        });
        let publishers = self.publishers.iter().enumerate();
        receivers.chain(publishers.map(|(index, (client, _))| (client, Role::Publisher(index))))
    }
}

impl ReceiverPlan {
    /// The receiver of this plan; members of a group may overtake each other.
    pub(crate) fn receiver(&self) -> Receiver {
        let qos = self.clients.first().map(|client| client.qos).unwrap_or_default();
        let order = if self.clients.len() > 1 {
            Order::Any
        } else {
            Order::AsSent
        };
        Receiver::new(self.hears.clone(), qos, order)
    }
}

/// A traffic plan in the making, with everything that all clients of a run share.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    bout: &'a Bout<'a>,
    /// What the ids of its clients and, among pairs, the topics begin with.
    pub(crate) name: &'static str,
    /// Encoded properties of each message.
    pub(crate) properties: Vec<u8>,
    /// False: receivers have sessions that outlive their connections.
    pub(crate) clean_receivers: bool,
    publishers: Vec<(ClientPlan, PublisherPlan)>,
    receivers: Vec<ReceiverPlan>,
}

impl<'a> Load<'a> {
    pub(crate) const fn new(bout: &'a Bout<'a>) -> Self {
        Self {
            bout,
            name: "bench",
            properties: Vec::new(),
            clean_receivers: true,
            publishers: Vec::new(),
            receivers: Vec::new(),
        }
    }

    /// Adds a publisher that takes `topics` in turn and reaches `receivers` receivers with each message.
    pub(crate) fn publisher(&mut self, channel: u32, topics: Vec<String>, receivers: u32) {
        let settings = self.bout.settings;
        let number = self.publishers.len() as u32;
        let client = self.client(
            format!("{}-pub-{number:06}", self.name),
            channel,
            Vec::new(),
            true,
        );
        let plan = PublisherPlan {
            number,
            topics,
            version: settings.mqtt.into(),
            qos: settings.quality(),
            payload_bytes: settings.payload as usize,
            window: settings.window,
            receivers,
            properties: self.properties.clone(),
        };
        self.publishers.push((client, plan));
    }

    /// Adds a subscriber that hears the publishers with the numbers `hears`.
    pub(crate) fn receiver(&mut self, channel: u32, filters: Vec<String>, hears: Range<u32>) {
        let name = format!("{}-sub-{:06}", self.name, self.receivers.len());
        let clients = vec![self.client(name, channel, filters, self.clean_receivers)];
        self.receivers.push(ReceiverPlan { clients, hears });
    }

    /// Adds members of a shared subscription, each message for one of them.
    pub(crate) fn group(&mut self, members: u32, filter: &str, hears: Range<u32>) {
        let member = |number| {
            let name = format!("{}-member-{number:06}", self.name);
            self.client(name, 0, vec![filter.to_owned()], self.clean_receivers)
        };
        let clients = (0..members).map(member).collect();
        self.receivers.push(ReceiverPlan { clients, hears });
    }

    fn client(&self, client_id: String, channel: u32, filters: Vec<String>, clean: bool) -> ClientPlan {
        ClientPlan {
            client_id,
            clean,
            filters,
            qos: self.bout.settings.quality(),
            channel,
        }
    }

    /// The plan, with the window as the pace; latency is measured when each message waits for the one before.
    pub(crate) fn plan(self) -> TrafficPlan {
        let settings = self.bout.settings;
        let speech: Speech = self.bout.speech();
        TrafficPlan {
            speech,
            publishers: self.publishers,
            receivers: self.receivers,
            pace: Pace::Window,
            warm_up: settings.warm_up(),
            measured: settings.measured(),
            measures_latency: settings.window == 1,
            measures_filters: false,
            silence: settings.silence(),
        }
    }
}
