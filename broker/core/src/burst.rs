//! Small messages on one topic, packed for another shard: one allocation for many, where each alone would cost three.

use std::sync::Arc;

use mqtt_wire::QoS;

use crate::{Expiry, client::Publication};

/// Messages that came one after the other, in their order.
#[derive(Debug)]
pub(crate) struct Burst {
    topic: Arc<str>,
    parts: Vec<Part>,
    /// Properties and payload of each.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Part {
    qos: QoS,
    retain: bool,
    expires: Option<Expiry>,
    publisher: u32,
    properties_len: usize,
    payload_len: usize,
}

impl Burst {
    /// A larger message is shared rather than copied.
    const MESSAGE_BYTES_MAX: usize = 1024;
    /// A burst that is this long takes no more.
    const BYTES_MAX: usize = 16 * 1024;
    const MESSAGES_MAX: usize = 256;

    /// A burst of one. `None` if the message is better shared.
    pub(crate) fn begin(publication: &Publication<'_>) -> Option<Self> {
        if publication.shared.is_some() || len_bytes(publication) > Self::MESSAGE_BYTES_MAX {
            return None;
        }
        let mut burst = Self {
            topic: Arc::clone(publication.topic),
            parts: Vec::new(),
            bytes: Vec::new(),
        };
        burst.put(publication);
        Some(burst)
    }

    /// Adds a message, if it is one for this burst.
    pub(crate) fn add(&mut self, publication: &Publication<'_>) -> bool {
        let fits = *self.topic == **publication.topic
            && publication.shared.is_none()
            && len_bytes(publication) <= Self::MESSAGE_BYTES_MAX
            && self.bytes.len() < Self::BYTES_MAX
            && self.parts.len() < Self::MESSAGES_MAX;
        if fits {
            self.put(publication);
        }
        fits
    }

    fn put(&mut self, publication: &Publication<'_>) {
        self.parts.push(Part {
            qos: publication.qos,
            retain: publication.retain,
            expires: publication.expires,
            publisher: publication.publisher,
            properties_len: publication.properties.len(),
            payload_len: publication.payload.len(),
        });
        self.bytes.extend_from_slice(publication.properties);
        self.bytes.extend_from_slice(publication.payload);
    }

    pub(crate) const fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(crate) fn publications(&self) -> impl Iterator<Item = Publication<'_>> {
        let mut left = self.bytes.as_slice();
        self.parts.iter().map(move |part| {
            let mut take = |len| left.split_off(..len).unwrap_or_default();
            Publication {
                topic: &self.topic,
                properties: take(part.properties_len),
                payload: take(part.payload_len),
                qos: part.qos,
                retain: part.retain,
                expires: part.expires,
                publisher: part.publisher,
                shared: None,
            }
        })
    }

    pub(crate) const fn len_bytes(&self) -> usize {
        self.bytes.len() + self.parts.len() * size_of::<Part>()
    }
}

const fn len_bytes(publication: &Publication<'_>) -> usize {
    publication.properties.len() + publication.payload.len()
}
