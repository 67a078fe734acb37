//! Links: plugins that take part. What shards have for them, and what they have for shards.

use std::{fmt, sync::Arc, time::SystemTime};

use broker_core::{Badge, Departure, LinkMessage, Message, Told};
use mqtt_wire::{ClientId, Properties, TopicName};
use plugin_api::{
    Answer, Delivery, Link, LinkEvent, LinkPublish, LinkSpec, Pending, Principal, ReplaceKey, Ticket, To,
};
use tracing::warn;

use crate::{house::House, mailbox::Letter};

/// A link and what it wants to hear.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    pub(crate) spec: LinkSpec,
    pub(crate) link: Arc<dyn Link>,
}

/// The broker, as a link sees it.
pub(crate) struct Door {
    name: String,
    house: Arc<House>,
}

impl Door {
    pub(crate) fn new(name: &str, house: Arc<House>) -> Self {
        Self {
            name: name.into(),
            house,
        }
    }

    /// Messages that the broker can carry; the others are logged and left out.
    fn check(&self, messages: Vec<LinkPublish>) -> Vec<LinkMessage> {
        messages
            .into_iter()
            .filter_map(|message| match checked(message) {
                Ok(message) => Some(message),
                Err(why) => {
                    metrics::counter!("twinmq_messages_dropped_total", "reason" => "link_message_invalid")
                        .increment(1);
                    warn!(link = self.name, why, "a link's message is dropped");
                    None
                }
            })
            .collect()
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("link", &self.name)
            .finish_non_exhaustive()
    }
}

impl plugin_api::Broker for Door {
    fn publish<'a>(&'a self, order: &'a str, messages: Vec<LinkPublish>) -> Pending<'a, ()> {
        let mut messages = self.check(messages);
        Box::pin(async move {
            let mailbox = self.house.home(order);
            // More at a time than half the room would let one caller starve the others.
            let at_a_time = (self.house.settings.link_messages_max / 2).max(1) as usize;
            while !messages.is_empty() {
                let later = messages.split_off(messages.len().min(at_a_time));
                let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
                // The room is never closed; its permits come back when the shard takes the letter.
                if let Ok(permits) = mailbox.link_room.acquire_many(count).await {
                    permits.forget();
                }
                mailbox.post(Letter::LinkPublished(messages));
                messages = later;
            }
        })
    }

    fn answer(&self, ticket: Ticket, answer: Answer) {
        let answer = match answer {
            Answer::Taken => broker_core::Answer::Taken,
            Answer::Refused(reason) => broker_core::Answer::Refused(reason),
        };
        if let Some(mailbox) = self.house.mailboxes.get(usize::from(ticket.shard)) {
            mailbox.post(Letter::LinkAnswered {
                number: ticket.number,
                answer,
            });
        }
    }
}

fn checked(message: LinkPublish) -> Result<LinkMessage, String> {
    TopicName::parse(&message.topic).map_err(|why| format!("topic `{}`: {why}", message.topic))?;
    Properties::parse_publish(&message.properties)
        .map_err(|why| format!("properties for `{}`: {why}", message.topic))?;
    Ok(LinkMessage {
        topic: message.topic,
        payload: message.payload.into(),
        properties: message.properties.into(),
        qos: message.qos,
        retain: message.retain,
        to: match message.to {
            To::Everyone => broker_core::To::Everyone,
            To::Only(client_id) => broker_core::To::Only(client_id),
            To::Except(client_id) => broker_core::To::Except(client_id),
        },
        replace: message.replace.map(|key| key.0),
    })
}

/// A message as a link takes it.
pub(crate) fn delivery(ticket: Ticket, message: &Message, client_id: ClientId, badge: &Badge) -> LinkEvent {
    LinkEvent::Message(Delivery::new(
        ticket,
        Arc::clone(&message.topic),
        message.payload.clone(),
        message.properties.clone(),
        message.qos,
        client_id,
        principal(badge),
    ))
}

/// What a link is told of clients. `Told::Connected` wants to know more than a badge and is made elsewhere.
pub(crate) fn told(told: Told) -> Option<LinkEvent> {
    Some(match told {
        Told::Connected { .. } => return None,
        Told::Departed {
            client_id,
            badge,
            why,
        } => LinkEvent::Departed {
            client_id,
            principal: principal(&badge),
            why: departure(why),
            at: SystemTime::now(),
        },
        Told::Subscribed {
            client_id,
            badge,
            filter,
            resumed,
        } => LinkEvent::Subscribed {
            client_id,
            principal: principal(&badge),
            filter,
            resumed,
        },
        Told::Settled { client_id, key } => LinkEvent::Settled {
            client_id,
            key: ReplaceKey(key),
        },
    })
}

/// What a badge tells of a principal.
fn principal(badge: &Badge) -> Arc<Principal> {
    let mut principal = Principal::named(&badge.name);
    principal.device.clone_from(&badge.device);
    Arc::new(principal)
}

const fn departure(why: Departure) -> plugin_api::Departure {
    match why {
        Departure::Disconnected => plugin_api::Departure::Disconnected,
        Departure::Lost => plugin_api::Departure::Lost,
        Departure::KeepAlive => plugin_api::Departure::KeepAlive,
        Departure::TakenOver => plugin_api::Departure::TakenOver,
        Departure::Expelled => plugin_api::Departure::Expelled,
        Departure::Shutdown => plugin_api::Departure::Shutdown,
    }
}
