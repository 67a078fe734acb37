//! The sections of the house itself: `[log]`, `[store]`, `[[http]]`.

use std::{collections::HashSet, net::SocketAddr, ops::RangeInclusive, sync::Arc};

use broker::settings::{RawListener, RawTls, Tls};
use plugin_api::{Check, Problem};
use serde::Deserialize;
use store::Durability;

/// Section `[log]` as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLog {
    /// `error`, `warn`, `info`, `debug` or `trace`, or rules per module as in `info,twin=debug`; `off` logs nothing.
    level: Option<String>,
    /// `text` or `json`.
    format: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug)]
pub struct Log {
    /// Rules as `tracing_subscriber` reads them.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl RawLog {
    pub(super) fn check(self, problems: &mut Vec<Problem>) -> Log {
        let mut check = Check::of("log", problems);
        let level = self.level.unwrap_or_else(|| "info".to_owned());
        if tracing_subscriber::EnvFilter::try_new(&level).is_err() {
            let allowed = "off, error, warn, info, debug, trace, or rules such as \"info,twin=debug\"";
            check.problem("level", format!("{level:?}"), allowed);
        }
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        Log {
            level,
            format: check.choice("format", self.format, LogFormat::Text, &formats),
        }
    }
}

/// Section `[store]` as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawStore {
    /// What an acknowledgement promises: `fsync`, `os` or `memory`.
    durability: Option<String>,
    /// Memory for writes that are not yet in a table file.
    write_buffer_bytes: Option<String>,
    /// Memory for table blocks that were read.
    block_cache_bytes: Option<String>,
    /// What may wait for the store.
    backlog_bytes_max: Option<String>,
    /// Disk space kept for what is small or makes room.
    reserve_bytes: Option<String>,
    /// Calls clients' messages safe before they are. Breaks every promise; exists to prove that tests would notice.
    #[serde(rename = "acknowledge_before_sync_and_lose_data")]
    acknowledge_before_sync: bool,
}

impl RawStore {
    pub(super) fn check(self, problems: &mut Vec<Problem>) -> (Durability, store::Options) {
        const SIZE: RangeInclusive<u64> = 1 << 20..=64 << 30;
        const RESERVE: RangeInclusive<u64> = 0..=1 << 40;
        let default = store::Options::default();
        let mut check = Check::of("store", problems);
        let reserve = check.size(
            "reserve_bytes",
            self.reserve_bytes,
            default.reserve_bytes,
            RESERVE,
        );
        let mut size = |key, typed, default| check.size(key, typed, default, SIZE);
        let options = store::Options {
            reserve_bytes: reserve,
            write_buffer_bytes: size(
                "write_buffer_bytes",
                self.write_buffer_bytes,
                default.write_buffer_bytes,
            ),
            block_cache_bytes: size(
                "block_cache_bytes",
                self.block_cache_bytes,
                default.block_cache_bytes,
            ),
            backlog_bytes_max: size(
                "backlog_bytes_max",
                self.backlog_bytes_max,
                default.backlog_bytes_max,
            ),
            acknowledge_before_sync: self.acknowledge_before_sync,
            ..default
        };
        let durability = check.choice(
            "durability",
            self.durability,
            Durability::Fsync,
            &Durability::WORDS,
        );
        (durability, options)
    }
}

/// One `[[http]]` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHttp {
    name: String,
    /// An address of its own, or
    #[serde(default)]
    bind: Option<String>,
    /// the name of the `[[listener]]` whose address it shares.
    #[serde(default)]
    listener: Option<String>,
    /// Which authenticators judge who asks here. By default those of the listener it shares, or all.
    #[serde(default)]
    pub(super) authenticators: Option<Vec<String>>,
    #[serde(default)]
    tls: Option<RawTls>,
}

/// HTTP in one place.
#[derive(Debug)]
pub struct Http {
    /// Its name, for logs and the start line.
    pub name: String,
    /// Where it is served.
    pub at: At,
    /// Which authenticators judge who asks here; without it all.
    pub authenticators: Option<Arc<[String]>>,
}

/// Where HTTP is served.
#[derive(Debug)]
pub enum At {
    /// At an address of its own.
    Address {
        /// The address.
        bind: SocketAddr,
        /// TLS, if spoken.
        tls: Option<Tls>,
    },
    /// At the MQTT listener of this name, to whoever asks for it by ALPN.
    Listener(String),
}

impl At {
    /// Those of the listener it shares.
    fn authenticators(&self, listeners: &[Shareable]) -> Option<Vec<String>> {
        match self {
            Self::Address { .. } => None,
            Self::Listener(name) => {
                let shared = listeners.iter().find(|listener| listener.name == *name);
                shared?.authenticators.clone()
            }
        }
    }
}

/// What HTTP has to know of an MQTT listener to be served there.
pub(super) struct Shareable {
    name: String,
    secure: bool,
    websocket: bool,
    authenticators: Option<Vec<String>>,
}

impl From<&RawListener> for Shareable {
    fn from(listener: &RawListener) -> Self {
        Self {
            name: listener.name.clone(),
            secure: listener.tls.is_some(),
            websocket: listener.websocket.is_some(),
            authenticators: listener.authenticators.clone(),
        }
    }
}

pub(super) fn check_http(
    entries: Vec<RawHttp>,
    listeners: &[Shareable],
    problems: &mut Vec<Problem>,
) -> Vec<Http> {
    let mut names = HashSet::new();
    let mut shared = HashSet::new();
    let mut checked = Vec::new();
    for (place, raw) in entries.into_iter().enumerate() {
        let section = format!("http[{place}]");
        let mut check = Check::of(&section, problems);
        if raw.name.is_empty() || !names.insert(raw.name.clone()) {
            check.problem(
                "name",
                format!("{:?}", raw.name),
                "a name that no other [[http]] has",
            );
        }
        let own_tls = raw.tls.map(|tls| tls.check(&mut check));
        let at = match (raw.bind, raw.listener) {
            (Some(bind), None) => {
                let bind = check.address("bind", &bind);
                bind.map(|bind| At::Address { bind, tls: own_tls })
            }
            (None, Some(listener)) => {
                if own_tls.is_some() {
                    let found = format!("a section beside listener = {listener:?}");
                    check.problem("tls", found, "none: the TLS of that listener is spoken");
                }
                if let Some(fault) = unshareable(&listener, listeners) {
                    let allowed = "the name of a [[listener]] with tls and without websocket";
                    check.problem("listener", format!("{listener:?}, {fault}"), allowed);
                } else if !shared.insert(listener.clone()) {
                    let allowed = "a listener that no other [[http]] names";
                    check.problem("listener", format!("{listener:?} again"), allowed);
                }
                Some(At::Listener(listener))
            }
            (Some(_), Some(_)) => {
                let allowed = "either `bind` or `listener`";
                check.problem("listener", "a value beside `bind`", allowed);
                None
            }
            (None, None) => {
                let allowed = "an address, or the name of a [[listener]] in `listener`";
                check.problem("bind", "nothing", allowed);
                None
            }
        };
        let authenticators = raw
            .authenticators
            .or_else(|| at.as_ref()?.authenticators(listeners));
        checked.extend(at.map(|at| Http {
            name: raw.name,
            at,
            authenticators: authenticators.map(Into::into),
        }));
    }
    checked
}

/// Why HTTP cannot be served at the listener of this name, if it cannot.
fn unshareable(name: &str, listeners: &[Shareable]) -> Option<&'static str> {
    match listeners.iter().find(|listener| listener.name == name) {
        None => Some("which there is none of"),
        Some(Shareable { secure: false, .. }) => Some("which speaks no TLS"),
        Some(Shareable { websocket: true, .. }) => {
            Some("which speaks WebSocket, whose clients ask for http/1.1 as well")
        }
        Some(_) => None,
    }
}

/// Authenticators as they were typed at a listener, and the key of the section.
pub(super) struct Chosen {
    section: String,
    names: Vec<String>,
}

impl Chosen {
    /// All that were typed in a list of sections of this name.
    pub(super) fn of<'a>(
        section: &'static str,
        typed: impl Iterator<Item = &'a Option<Vec<String>>>,
    ) -> impl Iterator<Item = Self> {
        let chosen = move |(place, names): (usize, &Option<Vec<String>>)| {
            let section = format!("{section}[{place}]");
            names.clone().map(|names| Self { section, names })
        };
        typed.enumerate().filter_map(chosen)
    }

    /// Each has to be one that there is.
    pub(super) fn check(self, there_are: &[&str], problems: &mut Vec<Problem>) {
        const KEY: &str = "authenticators";
        let mut check = Check::of(&self.section, problems);
        let allowed = match there_are {
            [] => "no such key: [auth] has none that can let somebody in".to_owned(),
            some => format!("some of those that [auth] has: {some:?}"),
        };
        if self.names.is_empty() {
            check.problem(KEY, "none", allowed.clone());
        }
        for (place, name) in self.names.iter().enumerate() {
            if self.names.iter().take(place).any(|before| before == name) {
                check.problem(KEY, format!("{name:?} again"), "each once");
            } else if !there_are.contains(&name.as_str()) {
                check.problem(KEY, format!("{name:?}"), allowed.clone());
            }
        }
    }
}
