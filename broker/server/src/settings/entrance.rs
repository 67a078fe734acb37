//! Keys that `[mqtt]` and every `[[listener]]` have: what holds for a client by where it came in.

use std::{num::NonZeroU32, time::Duration};

use broker_core::Entrance;
use mqtt_wire::QoS;
use plugin_api::Check;

use super::{COUNT_MAX, FIELD_MAX, KIB};

/// These keys as typed in one of the sections.
pub(super) struct RawEntrance {
    pub(super) packet_bytes_max: Option<String>,
    pub(super) qos_max: Option<i64>,
    pub(super) retain_available: Option<bool>,
    pub(super) receive_maximum: Option<i64>,
    pub(super) messages_per_second_max: Option<i64>,
    pub(super) bytes_per_second_max: Option<String>,
    pub(super) session_expiry_max: Option<String>,
    pub(super) keep_alive_max: Option<String>,
    pub(super) topic_alias_max: Option<i64>,
    pub(super) subscriptions_max: Option<i64>,
}

const RATE_MAX: i64 = 1_000_000_000;
const RATE_BYTES_MAX: u64 = 1024 * 1024 * KIB;
const PACKET_BYTES_MAX: u64 = 268_435_460;
/// A hundred years: MQTT counts in seconds, and in 32 bits.
const EXPIRY_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl RawEntrance {
    /// Turns what was typed into what is used; what was not is as in `others`.
    pub(super) fn check(self, others: &Entrance, check: &mut Check<'_>) -> Entrance {
        let (instant, secs) = (Duration::ZERO, Duration::from_secs);
        Entrance {
            packet_bytes_max: check.size(
                "packet_bytes_max",
                self.packet_bytes_max,
                others.packet_bytes_max,
                KIB..=PACKET_BYTES_MAX,
            ),
            qos_max: QoS::try_from(check.number("qos_max", self.qos_max, others.qos_max as u8, 0..=2))
                .unwrap_or(others.qos_max),
            retain_available: self.retain_available.unwrap_or(others.retain_available),
            receive_maximum: check.number(
                "receive_maximum",
                self.receive_maximum,
                others.receive_maximum,
                1..=FIELD_MAX,
            ),
            messages_per_second_max: match self.messages_per_second_max {
                None => others.messages_per_second_max,
                typed => NonZeroU32::new(check.number("messages_per_second_max", typed, 0, 1..=RATE_MAX)),
            },
            bytes_per_second_max: match self.bytes_per_second_max {
                None => others.bytes_per_second_max,
                typed => NonZeroU32::new(check.size("bytes_per_second_max", typed, 0, KIB..=RATE_BYTES_MAX)),
            },
            session_expiry_max: check.duration(
                "session_expiry_max",
                self.session_expiry_max,
                others.session_expiry_max,
                instant..=EXPIRY_MAX,
            ),
            keep_alive_max_secs: self.keep_alive_max.map_or(others.keep_alive_max_secs, |longest| {
                let longest =
                    check.duration("keep_alive_max", Some(longest), secs(1), secs(1)..=secs(65_535));
                u16::try_from(longest.as_secs()).unwrap_or(u16::MAX)
            }),
            topic_alias_max: check.number(
                "topic_alias_max",
                self.topic_alias_max,
                others.topic_alias_max,
                0..=FIELD_MAX,
            ),
            subscriptions_max: check.number(
                "subscriptions_max",
                self.subscriptions_max,
                others.subscriptions_max,
                1..=COUNT_MAX,
            ),
            mount_point: others.mount_point.clone(),
        }
    }
}
