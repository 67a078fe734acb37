//! The sections of the house itself: `[log]` and `[store]`.

use std::ops::RangeInclusive;

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
