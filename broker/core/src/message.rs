//! A message that has to outlast the round it arrived in.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_wire::QoS;

use crate::WallTime;

/// An application message, shared by all who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic name.
    pub topic: Arc<str>,
    /// The application message.
    pub payload: Bytes,
    /// A raw block of forwardable properties.
    pub properties: Bytes,
    /// The quality of service it was published with.
    pub qos: QoS,
    /// Whether the publisher set RETAIN.
    pub retain: bool,
    /// When it expires, if it does.
    pub expires: Option<WallTime>,
}

impl Message {
    /// What it counts for against bounds, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }
}
