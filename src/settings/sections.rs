//! The sections of the house itself: `[log]`, `[store]`, `[[http]]`.

use std::{collections::HashSet, net::SocketAddr};

use broker::settings::{RawTls, Tls};
use plugin_api::Problem;
use serde::Deserialize;
use store::Durability;

/// Section `[log]` as typed.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLog {
    /// `error`, `warn`, `info`, `debug` or `trace`, or rules per module as in `info,twin=debug`; `off` logs nothing.
    level: String,
    /// `text` or `json`.
    format: String,
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

impl Default for RawLog {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: "text".into(),
        }
    }
}

impl RawLog {
    pub(super) fn check(self, problems: &mut Vec<Problem>) -> Log {
        if tracing_subscriber::EnvFilter::try_new(&self.level).is_err() {
            let allowed = "off, error, warn, info, debug, trace, or rules such as \"info,twin=debug\"";
            problems.push(Problem::new("log.level", format!("{:?}", self.level), allowed));
        }
        let format = match self.format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => {
                problems.push(Problem::new(
                    "log.format",
                    format!("{other:?}"),
                    "\"text\" or \"json\"",
                ));
                LogFormat::Text
            }
        };
        Log {
            level: self.level,
            format,
        }
    }
}

/// Section `[store]` as typed.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawStore {
    /// What an acknowledgement promises: `fsync`, `os` or `memory`.
    durability: String,
    /// Memory for writes that are not yet in a table file, in MiB.
    write_buffer_mib: usize,
    /// Memory for table blocks that were read, in MiB.
    block_cache_mib: usize,
    /// Bytes that may wait for the store, in MiB.
    backlog_mib: usize,
    /// Calls clients' messages safe before they are. Breaks every promise; exists to prove that tests would notice.
    #[serde(rename = "acknowledge_before_sync_and_lose_data")]
    acknowledge_before_sync: bool,
}

impl Default for RawStore {
    fn default() -> Self {
        let options = store::Options::default();
        Self {
            durability: "fsync".into(),
            write_buffer_mib: options.write_buffer_bytes >> 20,
            block_cache_mib: options.block_cache_bytes >> 20,
            backlog_mib: options.backlog_bytes_max >> 20,
            acknowledge_before_sync: false,
        }
    }
}

impl RawStore {
    pub(super) fn check(self, problems: &mut Vec<Problem>) -> (Durability, store::Options) {
        let mut mib = |key: &str, value: usize| {
            if !(1..=65_536).contains(&value) {
                problems.push(Problem::new(
                    format!("store.{key}"),
                    value.to_string(),
                    "1 to 65536, in MiB",
                ));
            }
            value.clamp(1, 65_536) << 20
        };
        let options = store::Options {
            write_buffer_bytes: mib("write_buffer_mib", self.write_buffer_mib),
            block_cache_bytes: mib("block_cache_mib", self.block_cache_mib),
            backlog_bytes_max: mib("backlog_mib", self.backlog_mib),
            acknowledge_before_sync: self.acknowledge_before_sync,
            ..store::Options::default()
        };
        let durability = match self.durability.as_str() {
            "fsync" => Durability::Fsync,
            "os" => Durability::Os,
            "memory" => Durability::Memory,
            other => {
                let allowed = "\"fsync\" (survives power loss), \"os\" (survives kill -9), \"memory\" (survives a clean stop)";
                problems.push(Problem::new("store.durability", format!("{other:?}"), allowed));
                Durability::Fsync
            }
        };
        (durability, options)
    }

    /// The word for a durability in the settings.
    pub(super) const fn word(durability: Durability) -> &'static str {
        match durability {
            Durability::Fsync => "fsync",
            Durability::Os => "os",
            Durability::Memory => "memory",
        }
    }
}

/// One `[[http]]` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHttp {
    name: String,
    bind: String,
    #[serde(default)]
    tls: Option<RawTls>,
}

/// One address HTTP is served at.
#[derive(Debug)]
pub struct Http {
    /// Its name, for logs and the start line.
    pub name: String,
    /// The address.
    pub bind: SocketAddr,
    /// TLS, if spoken.
    pub tls: Option<Tls>,
}

pub(super) fn check_http(listeners: Vec<RawHttp>, problems: &mut Vec<Problem>) -> Vec<Http> {
    let mut names = HashSet::new();
    let mut checked = Vec::new();
    for (at, raw) in listeners.into_iter().enumerate() {
        let section = format!("http[{at}]");
        if raw.name.is_empty() || !names.insert(raw.name.clone()) {
            let allowed = "a name that no other [[http]] has";
            problems.push(Problem::new(
                format!("{section}.name"),
                format!("{:?}", raw.name),
                allowed,
            ));
        }
        let tls = raw.tls.map(|tls| tls.check_in(&section, problems));
        match raw.bind.parse() {
            Ok(bind) => checked.push(Http {
                name: raw.name,
                bind,
                tls,
            }),
            Err(_) => {
                let allowed = "an IP address and a port, for example \"127.0.0.1:8080\"";
                problems.push(Problem::new(
                    format!("{section}.bind"),
                    format!("{:?}", raw.bind),
                    allowed,
                ));
            }
        }
    }
    checked
}
