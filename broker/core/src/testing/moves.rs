//! What the clients of a `World` commonly do, in a word each.

use mqtt_wire::{
    Connect, Disconnect, Packet, PacketId, Properties, Publish, QoS, ReasonCode, Subscribe, Subscription,
    TopicFilter, Unsubscribe, Version,
};

use super::{ClientRef, World};

/// A CONNECT of a client whose session ends with its connection.
#[must_use]
pub fn clean(version: Version, client_id: &str) -> Connect {
    Connect::new(version, client_id)
}

/// A CONNECT of a client whose session outlives its connection for as long as the broker lets it.
#[must_use]
pub fn persistent(version: Version, client_id: &str) -> Connect {
    Connect {
        clean_start: false,
        session_expiry_secs: (version == Version::V5).then_some(u32::MAX),
        ..Connect::new(version, client_id)
    }
}

/// A filter that a test knows to be one.
#[must_use]
pub fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text).unwrap_or_else(|error| unreachable!("{text}: {error:?}"))
}

/// A PUBLISH with nothing special. The packet id is set by [`World::begin_message`].
#[must_use]
pub const fn message<'a>(topic: &'a str, payload: &'a str, qos: QoS) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: None,
        properties: Properties::EMPTY,
        payload: payload.as_bytes(),
    }
}

impl World {
    /// Sends a PUBLISH with the client's next packet id, and lets everything settle. The id is 0 at `QoS` 0.
    pub fn message(&mut self, client: ClientRef, publish: Publish<'_>) -> u16 {
        let id = self.begin_message(client, publish);
        self.settle();
        id
    }

    /// Sends a PUBLISH with the client's next packet id.
    pub fn begin_message(&mut self, client: ClientRef, publish: Publish<'_>) -> u16 {
        let packet_id = (publish.qos > QoS::AtMostOnce).then(|| self.client_mut(client).take_id());
        self.begin_send(client, &Packet::Publish(Publish { packet_id, ..publish }));
        packet_id.map_or(0, PacketId::get)
    }

    /// Publishes, and lets everything settle.
    pub fn publish(&mut self, client: ClientRef, topic: &str, payload: &str, qos: QoS) -> u16 {
        self.message(client, message(topic, payload, qos))
    }

    /// Publishes.
    pub fn begin_publish(&mut self, client: ClientRef, topic: &str, payload: &str, qos: QoS) -> u16 {
        self.begin_message(client, message(topic, payload, qos))
    }

    /// Publishes a message that is to be retained, and lets everything settle.
    pub fn retain(&mut self, client: ClientRef, topic: &str, payload: &str, qos: QoS) -> u16 {
        let retain = true;
        self.message(
            client,
            Publish {
                retain,
                ..message(topic, payload, qos)
            },
        )
    }

    /// Subscribes to one filter, and lets everything settle.
    pub fn subscribe(&mut self, client: ClientRef, topics: &str, qos: QoS) {
        self.subscribe_with(client, None, Subscription::new(filter(topics), qos));
    }

    /// Subscribes with options, and lets everything settle.
    pub fn subscribe_with(
        &mut self,
        client: ClientRef,
        subscription_id: Option<u32>,
        subscription: Subscription,
    ) {
        self.begin_subscribe(client, subscription_id, subscription);
        self.settle();
    }

    /// Subscribes with options.
    pub fn begin_subscribe(
        &mut self,
        client: ClientRef,
        subscription_id: Option<u32>,
        subscription: Subscription,
    ) {
        let packet_id = self.client_mut(client).take_id();
        let subscribe = Subscribe {
            packet_id,
            subscription_id,
            filters: vec![subscription],
            user_properties: Vec::new(),
        };
        self.begin_send(client, &Packet::Subscribe(subscribe));
    }

    /// Unsubscribes from one filter, and lets everything settle.
    pub fn unsubscribe(&mut self, client: ClientRef, topics: &str) {
        self.begin_unsubscribe(client, topics);
        self.settle();
    }

    /// Unsubscribes from one filter.
    pub fn begin_unsubscribe(&mut self, client: ClientRef, topics: &str) {
        let unsubscribe = Unsubscribe {
            packet_id: self.client_mut(client).take_id(),
            filters: vec![filter(topics)],
            user_properties: Vec::new(),
        };
        self.begin_send(client, &Packet::Unsubscribe(unsubscribe));
    }

    /// Sends DISCONNECT with this reason, and lets everything settle.
    pub fn disconnect(&mut self, client: ClientRef, reason: ReasonCode) {
        self.send(client, &Packet::Disconnect(Disconnect::with(reason)));
    }
}
