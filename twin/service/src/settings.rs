//! The `[twin]` section: what a person typed, and what the service works with.

use std::ops::RangeInclusive;
use std::time::Duration;

use plugin_api::{Check, Problem};
use serde::Deserialize;
use store::Durability;
use twin_model::{Limits, RetryPolicy};

/// The section as typed. Every key may be left out; an unknown one is refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTwin {
    /// How many workers share the devices among them.
    pub partitions: Option<i64>,
    /// Memory for twins that were used lately, all partitions together.
    pub cache_bytes_max: Option<String>,
    /// `fsync`, `os` or `memory`: how safe an update is before anyone is told.
    pub durability: Option<String>,
    /// Requests of one client that may be under way at a time on `$aws` topics; more are answered with 429.
    pub in_flight_per_client: Option<i64>,
    /// Twins that one device may ever have had, removed ones counted in.
    pub twins_per_device: Option<i64>,
    /// Bounds of documents and names.
    pub limits: Option<RawLimits>,
    /// How a delta is sent again.
    pub retry: Option<RawRetry>,
    /// The change feed.
    pub changes: Option<RawChanges>,
    /// The HTTP API.
    pub http: Option<RawHttp>,
}

/// `[twin.limits]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// One request as received.
    pub request_bytes_max: Option<String>,
    /// One section after the change.
    pub section_bytes_max: Option<String>,
    /// Levels of keys and array elements below a section.
    pub depth_max: Option<i64>,
    /// One key.
    pub key_bytes_max: Option<String>,
    /// One string value.
    pub string_bytes_max: Option<String>,
    /// The literal of one number.
    pub number_bytes_max: Option<String>,
    /// A device's name.
    pub device_name_bytes_max: Option<String>,
    /// A twin's name.
    pub twin_name_bytes_max: Option<String>,
    /// A client token.
    pub client_token_bytes_max: Option<String>,
    /// What is kept of a device's reason for refusing.
    pub reason_bytes_max: Option<String>,
}

/// `[twin.retry]`: a delta that the device does not answer is sent again, later and later.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRetry {
    /// The wait after the first send.
    pub first: Option<String>,
    /// By what each further wait is longer than the one before.
    pub factor: Option<i64>,
    /// The longest wait.
    pub cap: Option<String>,
    /// How many sends there are, the first included, before the twin is stalled.
    pub attempts_max: Option<i64>,
    /// How soon after a send a device that begins to listen again is not told twice.
    pub resubscribe_grace: Option<String>,
    /// How many sends to all devices of a partition may leave within `burst_every`.
    pub burst_max: Option<i64>,
    /// The window of `burst_max`.
    pub burst_every: Option<String>,
}

/// `[twin.changes]`: how much of the change feed is kept, and who may watch it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawChanges {
    /// How many changes are kept.
    pub kept: Option<i64>,
    /// How many watchers there may be at a time.
    pub watchers: Option<i64>,
    /// How often a silent stream says that it is alive.
    pub heartbeat: Option<String>,
}

/// `[twin.http]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHttp {
    /// How many requests may be under way at a time, from when their body is here; more are answered with 503.
    pub requests: Option<i64>,
}

/// The section checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How many workers share the devices among them.
    pub partitions: u16,
    /// Memory for twins that were used lately, all partitions together.
    pub cache_bytes_max: usize,
    /// How safe an update is before anyone is told.
    pub durability: Durability,
    /// Requests of one client that may be under way at a time on `$aws` topics.
    pub in_flight_per_client_max: usize,
    /// Twins that one device may ever have had. A removed one counts, because its version is kept for ever.
    pub twins_per_device_max: usize,
    /// Bounds of documents and names.
    pub limits: Limits,
    /// How a delta is sent again.
    pub retry: RetryPolicy,
    /// How many changes the feed keeps.
    pub changes_kept_max: u64,
    /// How many watchers of the feed there may be at a time.
    pub watchers_max: usize,
    /// How often a silent stream says that it is alive.
    pub heartbeat: Duration,
    /// How many HTTP requests may be under way at a time, from when their body is here.
    pub requests_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            partitions: 2,
            cache_bytes_max: 64 << 20,
            durability: Durability::Fsync,
            in_flight_per_client_max: 10,
            twins_per_device_max: 1000,
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            changes_kept_max: 1_000_000,
            watchers_max: 64,
            heartbeat: Duration::from_secs(15),
            requests_max: 256,
        }
    }
}

impl RawTwin {
    /// The checked settings. Adds every problem it finds. `durability` holds if the section says nothing about it.
    #[must_use]
    pub fn check(self, durability: Durability, problems: &mut Vec<Problem>) -> Settings {
        let default = Settings::default();
        let mut check = Check::of("twin", problems);
        let partitions = check.number("partitions", self.partitions, default.partitions, 1..=64);
        let cache_bytes_max = check.size(
            "cache_bytes_max",
            self.cache_bytes_max,
            default.cache_bytes_max,
            1 << 20..=1 << 40,
        );
        let durability = check.choice("durability", self.durability, durability, &Durability::WORDS);
        let in_flight = check.number(
            "in_flight_per_client",
            self.in_flight_per_client,
            default.in_flight_per_client_max,
            1..=1_000_000,
        );
        let twins_per_device_max = check.number(
            "twins_per_device",
            self.twins_per_device,
            default.twins_per_device_max,
            1..=100_000,
        );
        let limits = self.limits.unwrap_or_default().check(problems);
        let retry = self.retry.unwrap_or_default().check(problems);
        let changes = self.changes.unwrap_or_default();
        let mut check = Check::of("twin.changes", problems);
        let changes_kept_max = check.number("kept", changes.kept, default.changes_kept_max, 1000..=1 << 40);
        let watchers_max = check.number("watchers", changes.watchers, default.watchers_max, 1..=100_000);
        let an_hour = Duration::from_secs(3600);
        let heartbeat = check.duration(
            "heartbeat",
            changes.heartbeat,
            default.heartbeat,
            Duration::from_secs(1)..=an_hour,
        );
        let mut check = Check::of("twin.http", problems);
        let requests = self.http.unwrap_or_default().requests;
        let requests_max = check.number("requests", requests, default.requests_max, 1..=100_000);
        Settings {
            partitions,
            cache_bytes_max,
            durability,
            in_flight_per_client_max: in_flight,
            twins_per_device_max,
            limits,
            retry,
            changes_kept_max,
            watchers_max,
            heartbeat,
            requests_max,
        }
    }
}

impl RawLimits {
    fn check(self, problems: &mut Vec<Problem>) -> Limits {
        const BODY: RangeInclusive<u64> = 1024..=16 << 20;
        const PART: RangeInclusive<u64> = 1..=1 << 20;
        const NAME: RangeInclusive<u64> = 1..=1024;
        let default = Limits::default();
        let mut check = Check::of("twin.limits", problems);
        let mut size = |key, typed, default, allowed| check.size(key, typed, default, allowed);
        Limits {
            request_bytes_max: size(
                "request_bytes_max",
                self.request_bytes_max,
                default.request_bytes_max,
                BODY,
            ),
            section_bytes_max: size(
                "section_bytes_max",
                self.section_bytes_max,
                default.section_bytes_max,
                BODY,
            ),
            key_bytes_max: size("key_bytes_max", self.key_bytes_max, default.key_bytes_max, PART),
            string_bytes_max: size(
                "string_bytes_max",
                self.string_bytes_max,
                default.string_bytes_max,
                PART,
            ),
            number_bytes_max: size(
                "number_bytes_max",
                self.number_bytes_max,
                default.number_bytes_max,
                PART,
            ),
            device_name_bytes_max: size(
                "device_name_bytes_max",
                self.device_name_bytes_max,
                default.device_name_bytes_max,
                NAME,
            ),
            twin_name_bytes_max: size(
                "twin_name_bytes_max",
                self.twin_name_bytes_max,
                default.twin_name_bytes_max,
                NAME,
            ),
            client_token_bytes_max: size(
                "client_token_bytes_max",
                self.client_token_bytes_max,
                default.client_token_bytes_max,
                NAME,
            ),
            reason_bytes_max: size(
                "reason_bytes_max",
                self.reason_bytes_max,
                default.reason_bytes_max,
                PART,
            ),
            depth_max: check.number(
                "depth_max",
                self.depth_max,
                default.depth_max,
                1..=Limits::DEPTH_CEILING as i64,
            ),
        }
    }
}

impl RawRetry {
    fn check(self, problems: &mut Vec<Problem>) -> RetryPolicy {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let (instant, least) = (Duration::ZERO, Duration::from_millis(10));
        let default = RetryPolicy::default();
        let mut check = Check::of("twin.retry", problems);
        let first = check.duration("first", self.first, default.first, least..=DAY);
        RetryPolicy {
            first,
            factor: check.number("factor", self.factor, default.factor, 1..=10),
            cap: check.duration("cap", self.cap, default.cap.max(first), first..=DAY),
            attempts_max: check.number("attempts_max", self.attempts_max, default.attempts_max, 1..=1000),
            resubscribe_grace: check.duration(
                "resubscribe_grace",
                self.resubscribe_grace,
                default.resubscribe_grace,
                instant..=DAY,
            ),
            burst_max: check.number("burst_max", self.burst_max, default.burst_max, 1..=1_000_000),
            burst_every: check.duration("burst_every", self.burst_every, default.burst_every, least..=DAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(raw: RawTwin) -> (Settings, Vec<String>) {
        let mut problems = Vec::new();
        let settings = raw.check(Durability::Fsync, &mut problems);
        (
            settings,
            problems.into_iter().map(|problem| problem.key).collect(),
        )
    }

    #[test]
    fn an_empty_section_is_the_default() {
        assert_eq!(checked(RawTwin::default()), (Settings::default(), Vec::new()));
    }

    #[test]
    fn what_is_typed_is_used() {
        let raw: RawTwin = serde_json::from_str(
            r#"{"partitions": 4, "durability": "os", "limits": {"section_bytes_max": "8KiB"}, "retry": {"first": "1s"}}"#,
        )
        .expect("the shape is right");
        let (settings, problems) = checked(raw);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(settings.partitions, 4);
        assert_eq!(settings.durability, Durability::Os);
        assert_eq!(settings.limits.section_bytes_max, 8192);
        assert_eq!(settings.retry.first, Duration::from_secs(1));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let raw: RawTwin = serde_json::from_str(
            r#"{"partitions": 0, "cache_bytes_max": "64", "durability": "maybe",
                "limits": {"depth_max": 1000, "key_bytes_max": "0B"},
                "retry": {"first": "soon", "cap": "1s"}, "changes": {"heartbeat": "10ms"}, "http": {"requests": 0}}"#,
        )
        .expect("the shape is right");
        let (_, problems) = checked(raw);
        assert_eq!(
            problems,
            [
                "twin.partitions",
                "twin.cache_bytes_max",
                "twin.durability",
                "twin.limits.key_bytes_max",
                "twin.limits.depth_max",
                "twin.retry.first",
                "twin.retry.cap",
                "twin.changes.heartbeat",
                "twin.http.requests",
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<RawTwin>(r#"{"partition": 2}"#).is_err());
        assert!(serde_json::from_str::<RawTwin>(r#"{"limits": {"depth": 2}}"#).is_err());
    }
}
