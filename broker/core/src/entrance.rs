//! An entrance: what holds for clients that come in by one listener.

use std::{num::NonZeroU32, time::Duration};

use mqtt_wire::{Connect, QoS, Version};

use crate::MountPoint;

/// Names an entrance, by its place in [`crate::Settings::entrances`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntranceId(pub u16);

/// What holds for a client by where it came in, for as long as it is connected. `Default` is what ships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// Largest packet taken from a client, in bytes. 1 MiB: enough for telemetry, small enough to buffer for thousands.
    pub packet_bytes_max: u32,
    /// Largest quality of service granted and accepted.
    pub qos_max: QoS,
    /// Whether messages may be retained.
    pub retain_available: bool,
    /// Unacknowledged QoS 1 and 2 messages from one client. Beyond: MQTT 5 clients are disconnected (0x93), MQTT 3.1.1
    /// clients, which cannot know, are read more slowly.
    pub receive_maximum: u16,
    /// Messages a client may publish in a second, a burst of as many aside. It is read more slowly beyond.
    pub messages_per_second_max: Option<NonZeroU32>,
    /// Bytes of them: topic, properties and payload.
    pub bytes_per_second_max: Option<NonZeroU32>,
    /// How long a session outlives its connection: the cap for MQTT 5, the value for MQTT 3.1.1. Sessions nobody comes
    /// back for are the commonest way a broker fills up.
    pub session_expiry_max: Duration,
    /// Longest keep alive granted to MQTT 5 clients, in seconds; 0 grants any.
    pub keep_alive_max_secs: u16,
    /// Topic aliases a client may set, and that are set towards it if it takes as many.
    pub topic_alias_max: u16,
    /// Subscriptions of one session. One that has more from elsewhere keeps them, and gets no other.
    pub subscriptions_max: usize,
    /// Below which all topics of its clients lie, if they are not to see others.
    pub mount_point: Option<MountPoint>,
}

impl Default for Entrance {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1024 * 1024,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
            receive_maximum: 64,
            messages_per_second_max: None,
            bytes_per_second_max: None,
            session_expiry_max: Duration::from_secs(7 * 24 * 3600),
            keep_alive_max_secs: 0,
            topic_alias_max: 32,
            subscriptions_max: 1000,
            mount_point: None,
        }
    }
}

impl Entrance {
    /// The cap on session expiry, as MQTT counts.
    pub(crate) fn session_expiry_max_secs(&self) -> u32 {
        u32::try_from(self.session_expiry_max.as_secs()).unwrap_or(u32::MAX)
    }

    /// How long a session that is begun or resumed outlives its connection, in seconds.
    pub(crate) fn session_expiry_of(&self, connect: &Connect) -> u32 {
        let cap = self.session_expiry_max_secs();
        match connect.version {
            Version::V5 => connect.session_expiry_secs.unwrap_or(0).min(cap),
            Version::V311 if connect.clean_start => 0,
            Version::V311 => cap,
        }
    }

    /// The keep alive that is granted, in seconds.
    pub(crate) const fn keep_alive_of(&self, connect: &Connect) -> u16 {
        let (max, asked) = (self.keep_alive_max_secs, connect.keep_alive_secs);
        match connect.version {
            Version::V5 if max > 0 && (asked == 0 || asked > max) => max,
            Version::V5 | Version::V311 => asked,
        }
    }
}
