//! `[mqtt]`: the limits of the rules.

use std::time::Duration;

use mqtt_wire::QoS;
use plugin_api::Problem;
use serde::{Deserialize, Serialize};

use super::Section;

/// Section `[mqtt]` as typed. Defaults and their reasons stand at [`broker_core::Settings`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawMqtt {
    /// Largest packet taken from a client, in bytes.
    pub packet_bytes_max: u32,
    /// Largest quality of service granted and accepted.
    pub qos_max: u8,
    /// Whether messages may be retained.
    pub retain_available: bool,
    /// Unacknowledged QoS 1 and 2 messages towards one client.
    pub inflight_max: u16,
    /// Unacknowledged QoS 1 and 2 messages from one client.
    pub receive_maximum: u16,
    /// Messages that wait for one session.
    pub queue_messages_max: u64,
    /// Bytes that wait for one session.
    pub queue_bytes_max: u64,
    /// Bytes of a session's waiting messages that are kept in memory.
    pub queue_memory_bytes: u64,
    /// Unsent bytes for one connection beyond which QoS 0 messages to it are dropped.
    pub unsent_bytes_max: usize,
    /// How long a session outlives its connection at most.
    pub session_expiry_max_secs: u64,
    /// After a start no stored deadline is due before this.
    pub recovery_grace_secs: u64,
    /// Longest keep alive granted to MQTT 5 clients; 0 grants any.
    pub keep_alive_max_secs: u16,
    /// Levels of a topic name or filter.
    pub topic_levels_max: usize,
    /// Bytes of a topic name or filter.
    pub topic_bytes_max: usize,
    /// Bytes of a client id.
    pub client_id_bytes_max: usize,
    /// Topic aliases a client may use.
    pub topic_alias_max: u16,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// Filters in one SUBSCRIBE.
    pub filters_per_subscribe_max: usize,
    /// Bytes of user properties in one message.
    pub property_bytes_max: usize,
    /// Bytes of a retained message.
    pub retained_bytes_max: usize,
    /// Retained messages of the whole broker.
    pub retained_messages_max: usize,
    /// Verdicts remembered for one connection.
    pub verdicts_max: usize,
    /// How long a link may take to answer for a message it is responsible for.
    pub link_deadline_secs: u64,
    /// Bytes handed to one link and not answered, beyond which publishers to it are read no further.
    pub link_bytes_max: usize,
    /// Bytes handed to the store and not answered, beyond which durable publishers are read no further.
    pub store_bytes_max: usize,
}

impl Default for RawMqtt {
    fn default() -> Self {
        let rules = broker_core::Settings::default();
        Self {
            packet_bytes_max: rules.packet_bytes_max,
            qos_max: rules.qos_max as u8,
            retain_available: rules.retain_available,
            inflight_max: rules.inflight_max,
            receive_maximum: rules.receive_maximum,
            queue_messages_max: rules.queue_messages_max,
            queue_bytes_max: rules.queue_bytes_max,
            queue_memory_bytes: rules.queue_memory_bytes,
            unsent_bytes_max: rules.unsent_bytes_max,
            session_expiry_max_secs: rules.session_expiry_max.as_secs(),
            recovery_grace_secs: rules.recovery_grace.as_secs(),
            keep_alive_max_secs: rules.keep_alive_max_secs,
            topic_levels_max: rules.topic_levels_max,
            topic_bytes_max: rules.topic_bytes_max,
            client_id_bytes_max: rules.client_id_bytes_max,
            topic_alias_max: rules.topic_alias_max,
            subscriptions_max: rules.subscriptions_max,
            filters_per_subscribe_max: rules.filters_per_subscribe_max,
            property_bytes_max: rules.property_bytes_max,
            retained_bytes_max: rules.retained_bytes_max,
            retained_messages_max: rules.retained_messages_max,
            verdicts_max: rules.verdicts_max,
            link_deadline_secs: rules.link_deadline.as_secs(),
            link_bytes_max: rules.link_bytes_max,
            store_bytes_max: rules.store_bytes_max,
        }
    }
}

const FIELD_BYTES_MAX: usize = 65_535;
const KIB: usize = 1024;
const PACKET_BYTES_MAX: u32 = 268_435_460;
const YEARS_SECS: u64 = 100 * 365 * 24 * 3600;

impl RawMqtt {
    /// Turns what was typed into what is used; pushes every mistake with its key.
    pub fn check(self, problems: &mut Vec<Problem>) -> broker_core::Settings {
        let mut section = Section {
            name: "mqtt",
            problems,
        };
        let s = &mut section;
        broker_core::Settings {
            packet_bytes_max: s.within("packet_bytes_max", self.packet_bytes_max, 1024..=PACKET_BYTES_MAX),
            qos_max: QoS::try_from(s.within("qos_max", self.qos_max, 0..=2)).unwrap_or_default(),
            retain_available: self.retain_available,
            inflight_max: s.within("inflight_max", self.inflight_max, 1..=u16::MAX),
            receive_maximum: s.within("receive_maximum", self.receive_maximum, 1..=u16::MAX),
            queue_messages_max: s.within("queue_messages_max", self.queue_messages_max, 1..=u64::MAX),
            queue_bytes_max: s.within("queue_bytes_max", self.queue_bytes_max, 1024..=u64::MAX),
            queue_memory_bytes: s.within("queue_memory_bytes", self.queue_memory_bytes, 1024..=u64::MAX),
            unsent_bytes_max: s.within("unsent_bytes_max", self.unsent_bytes_max, 128 * KIB..=usize::MAX),
            session_expiry_max: Duration::from_secs(s.within(
                "session_expiry_max_secs",
                self.session_expiry_max_secs,
                0..=YEARS_SECS,
            )),
            recovery_grace: Duration::from_secs(s.within(
                "recovery_grace_secs",
                self.recovery_grace_secs,
                0..=86_400,
            )),
            keep_alive_max_secs: self.keep_alive_max_secs,
            topic_levels_max: s.within("topic_levels_max", self.topic_levels_max, 1..=FIELD_BYTES_MAX),
            topic_bytes_max: s.within("topic_bytes_max", self.topic_bytes_max, 1..=FIELD_BYTES_MAX),
            client_id_bytes_max: s.within(
                "client_id_bytes_max",
                self.client_id_bytes_max,
                23..=FIELD_BYTES_MAX,
            ),
            topic_alias_max: self.topic_alias_max,
            subscriptions_max: s.within("subscriptions_max", self.subscriptions_max, 1..=usize::MAX),
            filters_per_subscribe_max: s.within(
                "filters_per_subscribe_max",
                self.filters_per_subscribe_max,
                1..=usize::MAX,
            ),
            property_bytes_max: self.property_bytes_max,
            retained_bytes_max: self.retained_bytes_max,
            retained_messages_max: self.retained_messages_max,
            verdicts_max: s.within("verdicts_max", self.verdicts_max, 1..=FIELD_BYTES_MAX),
            link_deadline: Duration::from_secs(s.within(
                "link_deadline_secs",
                self.link_deadline_secs,
                1..=3600,
            )),
            link_bytes_max: s.within("link_bytes_max", self.link_bytes_max, 64 * KIB..=usize::MAX),
            store_bytes_max: s.within("store_bytes_max", self.store_bytes_max, 64 * KIB..=usize::MAX),
        }
    }
}
