//! The sections `[broker]`, `[[listener]]` and `[mqtt]`: what a person typed, and what the code uses.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use plugin_api::Problem;
use serde::{Deserialize, Serialize};

mod listener;
mod mqtt;

pub use listener::{ClientCertificate, Listener, RawListener, RawTls, Tls};
pub use mqtt::RawMqtt;

/// Section `[broker]` as typed. Defaults are what ships.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawBroker {
    /// Threads that carry messages; 0 means one per core.
    pub shards: u16,
    /// Connections at a time; 0 means as many as the process may have open files, less a reserve.
    pub connections_max: u32,
    /// Connections at a time that have not sent their CONNECT or are being judged; others wait to be accepted.
    pub handshakes_max: u32,
    /// How long a TLS handshake may take.
    pub tls_handshake_timeout_secs: u64,
    /// How long a connection may take to send its CONNECT.
    pub connect_timeout_secs: u64,
    /// Largest CONNECT, in bytes.
    pub connect_bytes_max: u32,
    /// How long gates may take to decide.
    pub gate_timeout_secs: u64,
    /// Bytes not yet taken by sockets, in all, beyond which no more is read. Receivers that have stopped taking do not
    /// count.
    pub unsent_bytes_max: usize,
    /// How long a receiver may take nothing of what waits for it before it is disconnected.
    pub send_timeout_secs: u64,
    /// Messages of links that may wait for a shard.
    pub link_messages_max: u32,
    /// How often `$SYS` topics and metrics are brought up to date; 0 means never.
    pub sys_interval_secs: u64,
}

/// Section `[broker]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Threads that carry messages.
    pub shards: u16,
    /// Connections at a time.
    pub connections_max: u32,
    /// Connections at a time on their way in.
    pub handshakes_max: u32,
    /// How long a TLS handshake may take.
    pub tls_handshake_timeout: Duration,
    /// How long a connection may take to send its CONNECT.
    pub connect_timeout: Duration,
    /// Largest CONNECT, in bytes.
    pub connect_bytes_max: u32,
    /// How long gates may take to decide.
    pub gate_timeout: Duration,
    /// Unsent bytes of the whole broker beyond which no more is read.
    pub unsent_bytes_max: usize,
    /// How long a receiver may take nothing.
    pub send_timeout: Duration,
    /// Messages of links that may wait for a shard.
    pub link_messages_max: u32,
    /// How often `$SYS` topics and metrics are brought up to date, if ever.
    pub sys_interval: Option<Duration>,
}

/// All that the broker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Threads, connections, time limits.
    pub broker: Broker,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// The limits of the rules.
    pub rules: broker_core::Settings,
}

/// Most shards there can be.
const SHARDS_MAX: u16 = 256;
/// Open files that are left for the store, HTTP and logs.
const FILES_RESERVED: u32 = 256;
/// Assumed where the system does not tell how many files may be open.
const FILES_ASSUMED: u32 = 1024;

impl Default for RawBroker {
    fn default() -> Self {
        Self {
            shards: 0,
            connections_max: 0,
            handshakes_max: 1000,
            tls_handshake_timeout_secs: 10,
            connect_timeout_secs: 10,
            connect_bytes_max: 128 * 1024,
            gate_timeout_secs: 5,
            unsent_bytes_max: 32 * 1024 * 1024,
            send_timeout_secs: 15,
            link_messages_max: 10_000,
            sys_interval_secs: 10,
        }
    }
}

impl Settings {
    /// Checks all three sections together.
    pub fn check(
        broker: RawBroker,
        listeners: Vec<RawListener>,
        mqtt: RawMqtt,
        problems: &mut Vec<Problem>,
    ) -> Self {
        Self {
            broker: broker.check(problems),
            listeners: listener::check(listeners, problems),
            rules: mqtt.check(problems),
        }
    }
}

impl RawBroker {
    /// Turns what was typed into what is used; pushes every mistake with its key.
    pub fn check(self, problems: &mut Vec<Problem>) -> Broker {
        let mut section = Section {
            name: "broker",
            problems,
        };
        let secs = Duration::from_secs;
        Broker {
            shards: match section.within("shards", self.shards, 0..=SHARDS_MAX) {
                0 => cores(),
                shards => shards,
            },
            connections_max: match self.connections_max {
                0 => open_files_max().saturating_sub(FILES_RESERVED).max(1),
                max => max,
            },
            handshakes_max: section.within("handshakes_max", self.handshakes_max, 1..=100_000),
            tls_handshake_timeout: secs(section.within(
                "tls_handshake_timeout_secs",
                self.tls_handshake_timeout_secs,
                1..=300,
            )),
            connect_timeout: secs(section.within("connect_timeout_secs", self.connect_timeout_secs, 1..=300)),
            connect_bytes_max: section.within(
                "connect_bytes_max",
                self.connect_bytes_max,
                1024..=1024 * 1024,
            ),
            gate_timeout: secs(section.within("gate_timeout_secs", self.gate_timeout_secs, 1..=300)),
            unsent_bytes_max: section.within(
                "unsent_bytes_max",
                self.unsent_bytes_max,
                1024 * 1024..=usize::MAX,
            ),
            send_timeout: secs(section.within("send_timeout_secs", self.send_timeout_secs, 1..=3600)),
            link_messages_max: section.within("link_messages_max", self.link_messages_max, 1..=1_000_000),
            sys_interval: match section.within("sys_interval_secs", self.sys_interval_secs, 0..=86_400) {
                0 => None,
                interval => Some(secs(interval)),
            },
        }
    }
}

/// A section under check, and where its mistakes go.
struct Section<'a> {
    name: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Section<'_> {
    fn within<T: PartialOrd + Display>(&mut self, key: &str, value: T, allowed: RangeInclusive<T>) -> T {
        if !allowed.contains(&value) {
            let allowed = format!("{} to {}", allowed.start(), allowed.end());
            self.problem(key, value.to_string(), allowed);
        }
        value
    }

    fn problem(&mut self, key: &str, found: String, allowed: impl Into<String>) {
        self.problems
            .push(Problem::new(format!("{}.{key}", self.name), found, allowed));
    }
}

fn cores() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(cores).unwrap_or(SHARDS_MAX).min(SHARDS_MAX)
}

/// The soft limit of open files, as this process has it now.
fn open_files_max() -> u32 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|values| values.split_whitespace().next());
    match soft {
        Some("unlimited") => u32::MAX,
        Some(number) => number.parse().unwrap_or(FILES_ASSUMED),
        None => FILES_ASSUMED,
    }
}

#[cfg(test)]
mod tests;
