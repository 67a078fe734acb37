//! A message that has to outlast the round it arrived in.

use std::{sync::Arc, time::Duration};

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
    pub expires: Option<Expiry>,
    /// A hash of its publisher's client id, if a shared subscription chooses by it; 0 if not. Not kept on disk.
    pub publisher: u32,
}

/// When a message expires, and how long it was to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// From here on nobody gets it [MQTT-3.3.2-5].
    pub at: WallTime,
    /// What it was given when it came, in seconds.
    pub secs: u32,
}

impl Expiry {
    /// So many seconds from now.
    pub(crate) fn after(now: WallTime, secs: u32) -> Self {
        let at = WallTime(now.0.saturating_add(u64::from(secs) * 1000));
        Self { at, secs }
    }

    pub(crate) fn is_over(self, now: WallTime) -> bool {
        self.at <= now
    }

    /// The seconds left [MQTT-3.3.2-6].
    pub(crate) fn rest_secs(self, now: WallTime) -> u32 {
        u32::try_from(self.at.since(now).as_secs()).unwrap_or(u32::MAX)
    }

    /// The same for a process that starts now. If the clock has gone back, what is left is never more than it was given. If
    /// it seems to be over for longer than any session lasts, the clock was set meanwhile: then receivers get the grace.
    pub(crate) fn recovered(self, now: WallTime, grace: Duration, sessions_last: Duration) -> Self {
        let life = Duration::from_secs(u64::from(self.secs));
        let rest = if now.since(self.at) > sessions_last {
            grace.min(life)
        } else {
            self.at.since(now).min(life)
        };
        let rest = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        let at = WallTime(now.0.saturating_add(rest));
        Self { at, ..self }
    }
}

impl Message {
    /// What it counts for against bounds, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }

    /// Whether it ends its topic's retained message, if it is to be retained [MQTT-3.3.1-6].
    pub(crate) fn ends_retained(&self) -> bool {
        self.payload.is_empty()
    }
}
