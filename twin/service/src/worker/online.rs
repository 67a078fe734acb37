//! Online: the connected clients of a device, and which of them is the device's own session.
//!
//! A device is usually one client. If several clients are the same device, the last one that subscribed to a delta is
//! the device's own session (or the last one that connected, as long as none listens); the others receive deltas as
//! apps do.

use std::collections::BTreeSet;

use plugin_api::{ClientId, Peer, TopicFilter, TopicName, Version};
use twin_model::TwinId;

use crate::topics::{self, Prefix, Tail};

/// How many filters of one session are remembered; a session with more counts as listening to everything.
const FILTERS_MAX: usize = 64;

/// A device with at least one connected client.
#[derive(Debug, Default)]
pub(super) struct Online {
    /// The last one is the device's own session.
    pub(super) clients: Vec<Client>,
    /// Twins for which the retries are used up.
    pub(super) exhausted: BTreeSet<TwinId>,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    /// A new connection may be told before the end of the one it replaces.
    connections: usize,
    filters: Vec<TopicFilter>,
    hears_deltas: bool,
    pub(super) address: Peer,
    pub(super) protocol: &'static str,
}

impl Client {
    pub(super) fn new(id: ClientId, peer: Peer, version: Version) -> Self {
        let protocol = match version {
            Version::V311 => "mqtt 3.1.1",
            Version::V5 => "mqtt 5.0",
        };
        Self {
            id,
            connections: 0,
            filters: Vec::new(),
            hears_deltas: false,
            address: peer,
            protocol,
        }
    }

    /// Notes a subscription.
    pub(super) fn remember(&mut self, filter: TopicFilter) {
        let overlaps =
            |topics: &&str| TopicFilter::parse(topics).is_ok_and(|topics| topics.overlaps(&filter));
        self.hears_deltas |= topics::DELTAS.iter().any(overlaps);
        if !self.filters.contains(&filter) && self.filters.len() < FILTERS_MAX {
            self.filters.push(filter);
        }
    }

    /// Whether the client hears what a twin says.
    pub(super) fn listens(&self, twin: &TwinId, prefix: Prefix, tail: Tail) -> bool {
        if self.filters.len() >= FILTERS_MAX {
            return true;
        }
        let topic = topics::topic(prefix, twin, tail);
        TopicName::parse(&topic).is_ok_and(|topic| self.filters.iter().any(|filter| filter.matches(topic)))
    }
}

impl Online {
    /// The device's own session.
    pub(super) fn session(&self) -> Option<&Client> {
        self.clients.last()
    }

    /// Takes one more connection of a client, which starts with no subscription.
    pub(super) fn connect(&mut self, client: Client) {
        let mut connections = 1;
        if let Some(at) = self.clients.iter().position(|known| known.id == client.id) {
            connections += self.clients.remove(at).connections;
        }
        // Nearly every device is one client: room for four, as a list would take by itself, costs 300 bytes for each.
        self.clients.reserve_exact(1);
        self.clients.push(Client {
            connections,
            ..client
        });
        self.clients.sort_by_key(|client| client.hears_deltas); // stable: the last of those that listen, else the last
    }

    /// Makes a client that listens the device's own session.
    pub(super) fn prefer(&mut self, id: &ClientId) {
        if let Some(at) = self
            .clients
            .iter()
            .position(|client| client.id == *id && client.hears_deltas)
        {
            let client = self.clients.remove(at);
            self.clients.push(client);
        }
    }

    /// Takes one connection less. Answers whether the client has none any more.
    pub(super) fn disconnect(&mut self, id: &ClientId) -> bool {
        let Some(at) = self.clients.iter().position(|client| client.id == *id) else {
            return false;
        };
        let left = self.clients.get_mut(at).map_or(0, |client| {
            client.connections -= 1;
            client.connections
        });
        if left == 0 {
            self.clients.remove(at);
        }
        left == 0
    }
}
