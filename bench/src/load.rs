//! Puts a traffic plan together: publishers and receivers are added one by one with their topics.

use std::ops::Range;

use crate::client::{ClientPlan, Speech};
use crate::publisher::PublisherPlan;
use crate::scenario::Bout;
use crate::traffic::{Pace, ReceiverPlan, TrafficPlan};

/// A traffic plan in the making, with everything that all clients of a run share.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    bout: &'a Bout<'a>,
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
        let client = self.client(format!("bench-pub-{number:06}"), channel, Vec::new(), true);
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
        let name = format!("bench-sub-{:06}", self.receivers.len());
        let clients = vec![self.client(name, channel, filters, self.clean_receivers)];
        self.receivers.push(ReceiverPlan { clients, hears });
    }

    /// Adds members of a shared subscription, each message for one of them.
    pub(crate) fn group(&mut self, members: u32, filter: &str, hears: Range<u32>) {
        let member = |number| {
            let name = format!("bench-member-{number:06}");
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
        }
    }
}
