//! `[mqtt]`: the limits of the rules, some of which a listener may have otherwise.

use std::time::Duration;

use broker_core::{Entrance, SharedStrategy};
use mqtt_wire::TopicName;
use plugin_api::{Check, Problem};
use serde::Deserialize;

use super::{BYTES_MAX, COUNT_MAX, FIELD_MAX, KIB, entrance::RawEntrance};

/// Section `[mqtt]` as typed. Defaults and their reasons stand at [`broker_core::Settings`] and [`Entrance`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawMqtt {
    /// Largest packet taken from a client.
    pub packet_bytes_max: Option<String>,
    /// Largest quality of service granted and accepted.
    pub qos_max: Option<i64>,
    /// Whether messages may be retained.
    pub retain_available: Option<bool>,
    /// Unacknowledged QoS 1 and 2 messages towards one client.
    pub inflight_max: Option<i64>,
    /// Unacknowledged QoS 1 and 2 messages from one client.
    pub receive_maximum: Option<i64>,
    /// Messages a client may publish in a second. By default any number.
    pub messages_per_second_max: Option<i64>,
    /// Bytes of messages a client may publish in a second. By default any number.
    pub bytes_per_second_max: Option<String>,
    /// Messages that wait for one session.
    pub queue_messages_max: Option<i64>,
    /// Bytes that wait for one session.
    pub queue_bytes_max: Option<String>,
    /// Bytes of a session's waiting messages that are kept in memory.
    pub queue_memory_bytes: Option<String>,
    /// Unsent bytes for one connection beyond which QoS 0 messages to it are dropped.
    pub unsent_bytes_max: Option<String>,
    /// How long a session outlives its connection at most.
    pub session_expiry_max: Option<String>,
    /// After a start no stored deadline is due before this.
    pub recovery_grace: Option<String>,
    /// Longest keep alive granted to MQTT 5 clients, a fraction of a second dropped. By default any is granted.
    pub keep_alive_max: Option<String>,
    /// Levels of a topic name or filter.
    pub topic_levels_max: Option<i64>,
    /// Bytes of a topic name or filter.
    pub topic_bytes_max: Option<String>,
    /// Bytes of a client id.
    pub client_id_bytes_max: Option<String>,
    /// Topic aliases a client may use.
    pub topic_alias_max: Option<i64>,
    /// Subscriptions of one session.
    pub subscriptions_max: Option<i64>,
    /// Filters in one SUBSCRIBE.
    pub filters_per_subscribe_max: Option<i64>,
    /// Bytes of user properties in one message.
    pub property_bytes_max: Option<String>,
    /// Bytes of a retained message.
    pub retained_bytes_max: Option<String>,
    /// Retained messages of the whole broker.
    pub retained_messages_max: Option<i64>,
    /// Where MQTT 5 clients find another server when this one shuts down or is full. By default they are told nothing.
    pub server_reference: Option<String>,
    /// What MQTT 5 clients that ask are told to build response topics from. By default they are told nothing.
    pub response_information: Option<String>,
    /// How a shared subscription chooses the member that gets a message.
    pub shared_strategy: Option<String>,
    /// Verdicts remembered for one connection.
    pub verdicts_max: Option<i64>,
    /// How long a link may take to answer for a message it is responsible for.
    pub link_deadline: Option<String>,
    /// Bytes handed to one link and not answered, beyond which publishers to it are read no further.
    pub link_bytes_max: Option<String>,
    /// Bytes handed to the store and not answered, beyond which durable publishers are read no further.
    pub store_bytes_max: Option<String>,
}

const SHARED_STRATEGIES: [(&str, SharedStrategy); 6] = [
    ("round_robin", SharedStrategy::RoundRobin),
    ("random", SharedStrategy::Random),
    ("sticky", SharedStrategy::Sticky),
    ("least_inflight", SharedStrategy::LeastInflight),
    ("hash_client", SharedStrategy::HashClient),
    ("hash_topic", SharedStrategy::HashTopic),
];
const FIELD_BYTES_MAX: u64 = 65_535;
/// Longest text that is given to clients.
const TEXT_BYTES_MAX: usize = 1024;
const DAY: Duration = Duration::from_secs(24 * 3600);

impl RawMqtt {
    /// Turns what was typed into what is used; pushes every mistake with its key.
    pub fn check(self, problems: &mut Vec<Problem>) -> broker_core::Settings {
        let rules = broker_core::Settings::default();
        let mut check = Check::of("mqtt", problems);
        let (instant, secs) = (Duration::ZERO, Duration::from_secs);
        let entrance = RawEntrance {
            packet_bytes_max: self.packet_bytes_max,
            qos_max: self.qos_max,
            retain_available: self.retain_available,
            receive_maximum: self.receive_maximum,
            messages_per_second_max: self.messages_per_second_max,
            bytes_per_second_max: self.bytes_per_second_max,
            session_expiry_max: self.session_expiry_max,
            keep_alive_max: self.keep_alive_max,
            topic_alias_max: self.topic_alias_max,
            subscriptions_max: self.subscriptions_max,
        };
        broker_core::Settings {
            entrances: vec![entrance.check(&Entrance::default(), &mut check)],
            inflight_max: check.number(
                "inflight_max",
                self.inflight_max,
                rules.inflight_max,
                1..=FIELD_MAX,
            ),
            queue_messages_max: check.number(
                "queue_messages_max",
                self.queue_messages_max,
                rules.queue_messages_max,
                1..=COUNT_MAX,
            ),
            queue_bytes_max: check.size(
                "queue_bytes_max",
                self.queue_bytes_max,
                rules.queue_bytes_max,
                KIB..=BYTES_MAX,
            ),
            queue_memory_bytes: check.size(
                "queue_memory_bytes",
                self.queue_memory_bytes,
                rules.queue_memory_bytes,
                KIB..=BYTES_MAX,
            ),
            unsent_bytes_max: check.size(
                "unsent_bytes_max",
                self.unsent_bytes_max,
                rules.unsent_bytes_max,
                128 * KIB..=BYTES_MAX,
            ),
            recovery_grace: check.duration(
                "recovery_grace",
                self.recovery_grace,
                rules.recovery_grace,
                instant..=DAY,
            ),
            topic_levels_max: check.number(
                "topic_levels_max",
                self.topic_levels_max,
                rules.topic_levels_max,
                1..=FIELD_MAX,
            ),
            topic_bytes_max: check.size(
                "topic_bytes_max",
                self.topic_bytes_max,
                rules.topic_bytes_max,
                1..=FIELD_BYTES_MAX,
            ),
            client_id_bytes_max: check.size(
                "client_id_bytes_max",
                self.client_id_bytes_max,
                rules.client_id_bytes_max,
                23..=FIELD_BYTES_MAX,
            ),
            filters_per_subscribe_max: check.number(
                "filters_per_subscribe_max",
                self.filters_per_subscribe_max,
                rules.filters_per_subscribe_max,
                1..=COUNT_MAX,
            ),
            property_bytes_max: check.size(
                "property_bytes_max",
                self.property_bytes_max,
                rules.property_bytes_max,
                0..=BYTES_MAX,
            ),
            retained_bytes_max: check.size(
                "retained_bytes_max",
                self.retained_bytes_max,
                rules.retained_bytes_max,
                0..=BYTES_MAX,
            ),
            retained_messages_max: check.number(
                "retained_messages_max",
                self.retained_messages_max,
                rules.retained_messages_max,
                0..=COUNT_MAX,
            ),
            server_reference: check.text(
                "server_reference",
                self.server_reference,
                "a host and port, such as \"other.example:1883\"",
                |text| !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains('\0'),
            ),
            response_information: check.text(
                "response_information",
                self.response_information,
                "a topic without wildcards, such as \"responses/%c\"",
                |text| text.len() <= TEXT_BYTES_MAX && TopicName::parse(text).is_ok(),
            ),
            shared_strategy: check.choice(
                "shared_strategy",
                self.shared_strategy,
                rules.shared_strategy,
                &SHARED_STRATEGIES,
            ),
            verdicts_max: check.number(
                "verdicts_max",
                self.verdicts_max,
                rules.verdicts_max,
                1..=FIELD_MAX,
            ),
            link_deadline: check.duration(
                "link_deadline",
                self.link_deadline,
                rules.link_deadline,
                secs(1)..=secs(3600),
            ),
            link_bytes_max: check.size(
                "link_bytes_max",
                self.link_bytes_max,
                rules.link_bytes_max,
                64 * KIB..=BYTES_MAX,
            ),
            store_bytes_max: check.size(
                "store_bytes_max",
                self.store_bytes_max,
                rules.store_bytes_max,
                64 * KIB..=BYTES_MAX,
            ),
        }
    }
}
