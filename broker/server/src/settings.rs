//! The sections `[broker]`, `[[listener]]` and `[mqtt]`: what a person typed, and what the code uses.

use std::time::Duration;

use plugin_api::{Check, Problem};
use serde::Deserialize;

use crate::memory;

mod address;
mod entrance;
mod listener;
mod mqtt;
mod proxy;
mod tls;

pub use address::Address;
pub use listener::{Listener, RawListener, RawWebSocket, WebSocket};
pub use mqtt::RawMqtt;
pub use proxy::{Network, Proxy};
pub use tls::{ClientCertificate, Named, RawNamed, RawTls, Tls};

/// Section `[broker]` as typed. What is left out has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawBroker {
    /// Threads that carry messages. By default one per core.
    pub shards: Option<i64>,
    /// Connections at a time. By default as many as the process may have open files, less a reserve.
    pub connections_max: Option<i64>,
    /// Connections at a time that have not sent their CONNECT or are being judged. When there are as many, one that has
    /// not sent it gives way to a newcomer.
    pub handshakes_max: Option<i64>,
    /// How long a TLS handshake may take.
    pub tls_handshake_timeout: Option<String>,
    /// How long a connection may take to send its CONNECT, and a client for an exchange of enhanced authentication.
    pub connect_timeout: Option<String>,
    /// Largest CONNECT.
    pub connect_bytes_max: Option<String>,
    /// How long gates may take to decide.
    pub gate_timeout: Option<String>,
    /// What sockets have not yet taken, in all, beyond which no more is read. Receivers that have stopped taking do not
    /// count.
    pub unsent_bytes_max: Option<String>,
    /// Resident memory of the process beyond which nobody new is let in, or `none`. By default four fifths of what the
    /// process may have.
    pub memory_max: Option<String>,
    /// How long a receiver may take nothing of what waits for it before it is disconnected.
    pub send_timeout: Option<String>,
    /// How often a client may come in within the window before it is banned.
    pub flapping_connects_max: Option<i64>,
    /// The window, which begins with a connect.
    pub flapping_window: Option<String>,
    /// For how long it is banned, or `never`, the default.
    pub flapping_ban: Option<String>,
    /// Messages of links that may wait for a shard.
    pub link_messages_max: Option<i64>,
    /// How often `$SYS` topics and metrics are brought up to date, or `never`.
    pub sys_interval: Option<String>,
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
    /// How long a connection may take to send its CONNECT, and a client for an exchange of enhanced authentication.
    pub connect_timeout: Duration,
    /// Largest CONNECT, in bytes.
    pub connect_bytes_max: u32,
    /// How long gates may take to decide.
    pub gate_timeout: Duration,
    /// Unsent bytes of the whole broker beyond which no more is read.
    pub unsent_bytes_max: usize,
    /// The ceiling of the process's resident memory in bytes, if it has one.
    pub memory_max: Option<u64>,
    /// How long a receiver may take nothing.
    pub send_timeout: Duration,
    /// When a client connects too often, if ever.
    pub flapping: Option<FlappingLimits>,
    /// Messages of links that may wait for a shard.
    pub link_messages_max: u32,
    /// How often `$SYS` topics and metrics are brought up to date, if ever.
    pub sys_interval: Option<Duration>,
}

/// When a client connects too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlappingLimits {
    /// How often it may come in within the window.
    pub connects_max: u32,
    /// The window, which begins with a connect.
    pub window: Duration,
    /// For how long it is banned.
    pub ban: Duration,
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

/// Largest size where memory is the only bound.
const BYTES_MAX: u64 = 1 << 40;
/// Largest count where memory is the only bound.
const COUNT_MAX: i64 = 1_000_000_000_000;
/// Largest number in a field of MQTT.
const FIELD_MAX: i64 = 65_535;
const KIB: u64 = 1024;
/// Most shards there can be.
const SHARDS_MAX: u16 = 256;
/// Open files that are left for the store, HTTP and logs.
const FILES_RESERVED: u32 = 256;
/// Assumed where the system does not tell how many files may be open.
const FILES_ASSUMED: u32 = 1024;

impl Settings {
    /// Checks all three sections together.
    pub fn check(
        broker: RawBroker,
        listeners: Vec<RawListener>,
        mqtt: RawMqtt,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let broker = broker.check(problems);
        let mut rules = mqtt.check(problems);
        let listeners = listener::check(listeners, &rules, problems);
        if !listeners.is_empty() {
            let entrances = listeners.iter().map(|listener| listener.entrance.clone());
            rules.entrances = entrances.collect();
        }
        Self {
            broker,
            listeners,
            rules,
        }
    }
}

impl RawBroker {
    /// Turns what was typed into what is used; pushes every mistake with its key.
    pub fn check(self, problems: &mut Vec<Problem>) -> Broker {
        const MIB: u64 = 1 << 20;
        let mut check = Check::of("broker", problems);
        let secs = Duration::from_secs;
        let patience = secs(1)..=secs(300);
        Broker {
            shards: check.number("shards", self.shards, cores(), 1..=SHARDS_MAX.into()),
            connections_max: check.number(
                "connections_max",
                self.connections_max,
                open_files_max().saturating_sub(FILES_RESERVED).max(1),
                1..=u32::MAX.into(),
            ),
            handshakes_max: check.number("handshakes_max", self.handshakes_max, 1000, 1..=100_000),
            tls_handshake_timeout: check.duration(
                "tls_handshake_timeout",
                self.tls_handshake_timeout,
                secs(10),
                patience.clone(),
            ),
            connect_timeout: check.duration(
                "connect_timeout",
                self.connect_timeout,
                secs(10),
                patience.clone(),
            ),
            connect_bytes_max: check.size("connect_bytes_max", self.connect_bytes_max, 128 << 10, 1024..=MIB),
            gate_timeout: check.duration("gate_timeout", self.gate_timeout, secs(5), patience),
            unsent_bytes_max: check.size(
                "unsent_bytes_max",
                self.unsent_bytes_max,
                32 << 20,
                MIB..=BYTES_MAX,
            ),
            memory_max: check.size_or_none(
                "memory_max",
                self.memory_max,
                memory::available().map(|bytes| bytes / 5 * 4),
                16 * MIB..=BYTES_MAX,
            ),
            send_timeout: check.duration("send_timeout", self.send_timeout, secs(15), secs(1)..=secs(3600)),
            flapping: flapping(
                &mut check,
                self.flapping_connects_max,
                self.flapping_window,
                self.flapping_ban,
            ),
            link_messages_max: check.number(
                "link_messages_max",
                self.link_messages_max,
                10_000,
                1..=1_000_000,
            ),
            sys_interval: check.interval(
                "sys_interval",
                self.sys_interval,
                secs(10),
                secs(1)..=secs(86_400),
            ),
        }
    }
}

fn flapping(
    check: &mut Check<'_>,
    connects_max: Option<i64>,
    window: Option<String>,
    ban: Option<String>,
) -> Option<FlappingLimits> {
    let minute = Duration::from_secs(60);
    let connects_max = check.number("flapping_connects_max", connects_max, 15, 1..=1_000_000);
    let window = check.duration(
        "flapping_window",
        window,
        minute,
        Duration::from_secs(1)..=60 * minute,
    );
    let ban = ban.unwrap_or_else(|| "never".into());
    let bans = Duration::from_secs(1)..=7 * 24 * 60 * minute;
    check
        .interval("flapping_ban", Some(ban), 5 * minute, bans)
        .map(|ban| FlappingLimits {
            connects_max,
            window,
            ban,
        })
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
