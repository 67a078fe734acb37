//! What is measured: the parameters of one run, and the lists from which a comparison makes its rows.

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mqtt_wire::QoS;
use serde::Serialize;

use crate::codec::Codec;
use crate::meter::{Meter, Meters};
use crate::scenario::Scenario;
use crate::stamp::STAMP_BYTES;

/// Which MQTT the clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Version {
    #[value(name = "3.1.1")]
    #[serde(rename = "3.1.1")]
    V311,
    #[value(name = "5")]
    #[serde(rename = "5")]
    V5,
}

impl From<Version> for mqtt_wire::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::V311 => Self::V311,
            Version::V5 => Self::V5,
        }
    }
}

/// Parameters as typed; lists make several rows where a scenario uses the parameter.
#[derive(Debug, Clone, Args)]
pub(crate) struct Lists {
    /// Quality of service
    #[arg(long, value_delimiter = ',', default_value = "0,1", value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: Vec<u8>,
    /// Messages on their way per publisher [default: 100; fan-out: 20]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=30_000))]
    window: Vec<u32>,
    /// Bytes per message
    #[arg(long, value_delimiter = ',', default_value = "64", value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..=1_000_000))]
    payload: Vec<u32>,
    /// Publishers, and receivers where each has its own; connections at a time for `connect`
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pairs: u32,
    /// What the scenario counts: receivers, filters, idle connections, connects, devices [default: its own]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: Vec<u32>,
    /// Messages per second for `rate` and `mixed`
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Durable messages per second beside the pairs of `mixed`
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    durable_rate: u32,
    /// Shards of our broker, unless the target says otherwise
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: u32,
    /// Measured seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Seconds of load before measuring
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=60))]
    warm_up: u32,
    /// Seconds without a delivery after which what is missing counts as lost
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    silence: u32,
    /// Who writes and checks the packets that are not prebuilt
    #[arg(long, value_enum, default_value_t = Codec::Wire)]
    codec: Codec,
    /// Protocol version of all clients
    #[arg(long, value_enum, default_value_t = Version::V311)]
    mqtt: Version,
    /// Speak TLS 1.3, with a certificate made for the run
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    meters: Meters,
}

/// Parameters of one run. Those that the scenario does not use stand at their default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Settings {
    pub(crate) qos: u8,
    pub(crate) window: u32,
    pub(crate) payload: u32,
    pub(crate) pairs: u32,
    pub(crate) count: u32,
    pub(crate) rate: u32,
    pub(crate) durable_rate: u32,
    pub(crate) shards: u32,
    pub(crate) seconds: u32,
    pub(crate) warm_up: u32,
    pub(crate) silence: u32,
    pub(crate) codec: Codec,
    pub(crate) mqtt: Version,
    pub(crate) tls: bool,
    /// What is counted in place of time.
    pub(crate) meter: Option<Meter>,
}

impl Lists {
    /// What is counted in place of time.
    pub(crate) fn meter(&self) -> Option<Meter> {
        self.meters.into()
    }

    /// One row per combination of the parameters that the scenario uses.
    pub(crate) fn rows(&self, scenario: Scenario) -> Vec<Settings> {
        let uses = scenario.uses();
        let list = |list: &[u32], used: bool, default: u32| match list {
            [] => vec![default],
            [first, ..] if !used => vec![*first],
            all => all.to_vec(),
        };
        let qos = if uses.qos {
            self.qos.clone()
        } else {
            vec![uses.fixed_qos]
        };
        let windows = list(&self.window, uses.window, uses.default_window);
        let payloads = list(&self.payload, uses.payload, 64);
        let counts = list(&self.count, true, uses.default_count);
        let mut rows = Vec::new();
        for &count in &counts {
            for &payload in &payloads {
                for &window in &windows {
                    rows.extend(qos.iter().map(|&qos| Settings {
                        mqtt: uses.version.unwrap_or(self.mqtt),
                        tls: uses.tls.unwrap_or(self.tls),
                        ..self.row(qos, window, payload, count)
                    }));
                }
            }
        }
        rows
    }

    fn row(&self, qos: u8, window: u32, payload: u32, count: u32) -> Settings {
        let Self {
            pairs,
            rate,
            durable_rate,
            shards,
            seconds,
            warm_up,
            silence,
            codec,
            mqtt,
            tls,
            meters,
            ..
        } = *self;
        Settings {
            qos,
            window,
            payload,
            pairs,
            count,
            rate,
            durable_rate,
            shards,
            seconds,
            warm_up,
            silence,
            codec,
            mqtt,
            tls,
            meter: meters.into(),
        }
    }
}

impl Settings {
    /// The quality of service as a word; the command line lets no other number in.
    pub(crate) fn quality(&self) -> QoS {
        QoS::try_from(self.qos).unwrap_or_default()
    }

    pub(crate) const fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }

    pub(crate) const fn silence(&self) -> Duration {
        Duration::from_secs(self.silence as u64)
    }

    pub(crate) const fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up as u64)
    }

    /// The parameters that make one row of a scenario different from another.
    pub(crate) fn label(&self, scenario: Scenario) -> String {
        let uses = scenario.uses();
        let mut label = scenario.to_string();
        let mut add = |used: bool, text: fmt::Arguments<'_>| {
            if used {
                label.push(' ');
                label.push_str(&text.to_string());
            }
        };
        add(uses.qos, format_args!("qos {}", self.qos));
        add(uses.payload, format_args!("{} B", self.payload));
        add(uses.window, format_args!("window {}", self.window));
        add(uses.default_count > 0, format_args!("× {}", self.count));
        add(
            self.mqtt == Version::V5 && uses.version.is_none(),
            format_args!("5.0"),
        );
        add(self.tls && uses.tls.is_none(), format_args!("TLS"));
        label
    }
}
