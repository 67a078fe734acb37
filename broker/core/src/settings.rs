//! Every bound of the rules, named, with the reason for its default.

use std::time::Duration;

use crate::{Entrance, EntranceId, SharedStrategy};

/// Checked settings of the rules. `Default` is what ships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What holds for clients by where they come in: one for each listener, in their order, and never none.
    pub entrances: Vec<Entrance>,
    /// Unacknowledged QoS 1 and 2 messages towards one client, unless the client asks for fewer. 32 keeps a link of
    /// 100 ms busy at 320 messages a second and bounds what is resent after a loss.
    pub inflight_max: u16,
    /// Messages that wait for one session.
    pub queue_messages_max: u64,
    /// Bytes that wait for one session.
    pub queue_bytes_max: u64,
    /// Bytes of a session's waiting messages that are kept in memory; the rest is read back when its turn comes.
    pub queue_memory_bytes: u64,
    /// Unsent bytes for one connection beyond which `QoS` 0 messages to it are dropped.
    pub unsent_bytes_max: usize,
    /// After a start no stored deadline is due before this, so that a wrong clock does not end everything at once.
    pub recovery_grace: Duration,
    /// Levels of a topic name or filter.
    pub topic_levels_max: usize,
    /// Bytes of a topic name or filter.
    pub topic_bytes_max: usize,
    /// Bytes of a client id.
    pub client_id_bytes_max: usize,
    /// Filters in one SUBSCRIBE.
    pub filters_per_subscribe_max: usize,
    /// Bytes of user properties in one message.
    pub property_bytes_max: usize,
    /// Bytes of a retained message.
    pub retained_bytes_max: usize,
    /// Retained messages of the whole broker, spread evenly over its shards.
    pub retained_messages_max: usize,
    /// Where MQTT 5 clients find another server when this one shuts down or is full [MQTT5 4.11].
    pub server_reference: Option<String>,
    /// What MQTT 5 clients that ask are told to build response topics from; `%c` stands for the client id [MQTT5 3.2.2.3.15].
    pub response_information: Option<String>,
    /// How a shared subscription chooses the member that gets a message. One after the other: the load is spread evenly
    /// whatever the messages are.
    pub shared_strategy: SharedStrategy,
    /// Verdicts remembered for one connection.
    pub verdicts_max: usize,
    /// How long a link may take to answer for a message it is responsible for.
    pub link_deadline: Duration,
    /// Bytes handed to one link and not answered, beyond which publishers to it are read no further.
    pub link_bytes_max: usize,
    /// Bytes handed to the store and not answered, beyond which durable publishers are read no further.
    pub store_bytes_max: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Default for Settings {
    fn default() -> Self {
        Self {
            entrances: vec![Entrance::default()],
            inflight_max: 32,
            queue_messages_max: 1000,
            queue_bytes_max: 4 * 1024 * 1024,
            queue_memory_bytes: 64 * 1024,
            unsent_bytes_max: MIB,
            recovery_grace: Duration::from_secs(300),
            topic_levels_max: 128,
            topic_bytes_max: 4096,
            client_id_bytes_max: 256,
            filters_per_subscribe_max: 64,
            property_bytes_max: 8 * KIB,
            retained_bytes_max: 256 * KIB,
            retained_messages_max: 1_000_000,
            server_reference: None,
            response_information: None,
            shared_strategy: SharedStrategy::RoundRobin,
            verdicts_max: 64,
            link_deadline: Duration::from_secs(10),
            link_bytes_max: 4 * MIB,
            store_bytes_max: 16 * MIB,
        }
    }
}

impl Settings {
    /// With one entrance.
    #[must_use]
    pub fn by(entrance: Entrance) -> Self {
        Self {
            entrances: vec![entrance],
            ..Self::default()
        }
    }

    /// What holds for whoever came in there.
    #[must_use]
    pub fn entrance(&self, id: EntranceId) -> &Entrance {
        let Some(entrance) = self.entrances.get(usize::from(id.0)) else {
            unreachable!("only entrances that there are let anybody in")
        };
        entrance
    }

    /// Whether a topic name is neither too long nor too deep.
    pub(crate) fn takes_topic(&self, topic: &str) -> bool {
        let levels = 1 + topic.bytes().filter(|byte| *byte == b'/').count();
        topic.len() <= self.topic_bytes_max && levels <= self.topic_levels_max
    }

    /// The longest that any session outlives its connection.
    pub(crate) fn session_expiry_max(&self) -> Duration {
        let longest = self.entrances.iter().map(|entrance| entrance.session_expiry_max);
        longest.max().unwrap_or_default()
    }
}
