//! What a scenario is: a load with a name, the parameters it uses, and a figure at its end.

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::broker::{Broker, Programs, Target, Wishes};
use crate::client::Speech;
use crate::load::TrafficPlan;
use crate::report::Outcome;
use crate::settings::{Settings, Version};
use crate::traffic;

mod connect;
mod durable;
mod fan_in;
mod fan_out;
mod fight;
mod filters;
mod flood;
mod idle;
mod mixed;
mod p2p;
mod rate;
mod reopen;
mod shared;
mod start;
mod storm;
mod tls;
mod twin;
mod v5;

/// Every load this tool knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// Publishers and subscribers in pairs, each on its own topic
    P2p,
    /// Many publishers to one subscriber by wildcard
    FanIn,
    /// One publisher to many subscribers
    FanOut,
    /// Pairs at a fixed rate: latency
    Rate,
    /// Many subscriptions with `+`, one match per message
    Filters,
    /// Pairs at QoS 0 that never pause, and newcomers: latency is theirs
    Flood,
    /// Pairs that speak TLS 1.3
    Tls,
    /// Pairs that speak 5.0 with four user properties per message
    V5,
    /// One shared subscription with many members
    Shared,
    /// Pairs at QoS 1 with persistent sessions and data on disk
    Durable,
    /// Pairs at a fixed rate beside durable traffic on other connections: latency
    Mixed,
    /// Connections that do nothing: resident bytes of each
    Idle,
    /// CPU per connect and disconnect
    Connect,
    /// Time from start to first CONNACK
    Start,
    /// Connections that send malformed bytes, beside a well-behaved pair: latency is the pair's
    Storm,
    /// Time from a start with many offline sessions and their messages to the first CONNACK
    Reopen,
    /// Two clients with one id that take each other over as fast as they can
    Fight,
    /// Devices that report over MQTT and apps that set desired over HTTP; our broker only
    Twin,
}

/// Which parameters a scenario uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) qos: bool,
    /// The quality of service where it is not a parameter.
    pub(crate) fixed_qos: u8,
    pub(crate) window: bool,
    pub(crate) default_window: u32,
    pub(crate) payload: bool,
    /// 0: counts nothing.
    pub(crate) default_count: u32,
    /// The protocol version where it is not a parameter.
    pub(crate) version: Option<Version>,
    /// Whether TLS is spoken, where it is not a parameter.
    pub(crate) tls: Option<bool>,
}

impl Uses {
    /// All parameters of messages.
    const MESSAGES: Self = Self {
        qos: true,
        fixed_qos: 0,
        window: true,
        default_window: 100,
        payload: true,
        default_count: 0,
        version: None,
        tls: None,
    };
    /// No parameter of messages.
    const NO_MESSAGES: Self = Self {
        qos: false,
        window: false,
        payload: false,
        ..Self::MESSAGES
    };
}

/// One run: a target, where its program is, and parameters.
#[derive(Debug)]
pub(crate) struct Bout<'a> {
    pub(crate) target: &'a Target,
    pub(crate) programs: &'a Programs,
    pub(crate) settings: &'a Settings,
}

impl Scenario {
    /// Which parameters make a difference.
    pub(crate) const fn uses(self) -> Uses {
        match self {
            Self::P2p => Uses::MESSAGES,
            Self::FanIn => fan_in::USES,
            Self::FanOut => fan_out::USES,
            Self::Rate => rate::USES,
            Self::Filters => filters::USES,
            Self::Flood => flood::USES,
            Self::Tls => tls::USES,
            Self::V5 => v5::USES,
            Self::Shared => shared::USES,
            Self::Durable => durable::USES,
            Self::Mixed => mixed::USES,
            Self::Idle => idle::USES,
            Self::Connect => connect::USES,
            Self::Start => start::USES,
            Self::Storm => storm::USES,
            Self::Reopen => reopen::USES,
            Self::Fight => fight::USES,
            Self::Twin => twin::USES,
        }
    }

    /// Whether the scenario makes sense for this target. The probe has no QoS 2, 5.0 and TLS; in the relay nobody
    /// acknowledges.
    pub(crate) fn serves(self, target: &Target, settings: &Settings) -> bool {
        match target {
            Target::Ours(_) => true,
            Target::Mosquitto => self != Self::Twin,
            // What somebody else started is not ours to stop.
            // And nobody told us its certificate.
            Target::At(_) => !settings.tls && !matches!(self, Self::Twin | Self::Reopen),
            Target::Probe => match self {
                Self::P2p
                | Self::FanIn
                | Self::FanOut
                | Self::Rate
                | Self::Mixed
                | Self::Filters
                | Self::Idle
                | Self::Connect => settings.qos <= 1 && settings.mqtt == Version::V311 && !settings.tls,
                _ => false,
            },
            Target::Relay => match self {
                Self::P2p | Self::FanIn | Self::FanOut | Self::Rate | Self::Mixed => {
                    settings.qos == 0 && !settings.tls
                }
                _ => false,
            },
        }
    }

    /// Whether its figure is per message, so that a count can stand in its place.
    pub(crate) const fn is_traffic(self) -> bool {
        match self {
            Self::P2p
            | Self::FanIn
            | Self::FanOut
            | Self::Rate
            | Self::Filters
            | Self::Flood
            | Self::V5
            | Self::Shared
            | Self::Tls
            | Self::Durable => true,
            Self::Idle
            | Self::Connect
            | Self::Start
            | Self::Storm
            | Self::Reopen
            | Self::Fight
            | Self::Mixed
            | Self::Twin => false,
        }
    }

    /// Starts the broker, puts the load on it, and counts.
    ///
    /// # Errors
    /// Nothing could be measured. Faults and void runs are outcomes and no errors.
    pub(crate) fn run(self, bout: &Bout<'_>) -> Result<Outcome> {
        match self {
            Self::P2p | Self::Tls => p2p::run(bout),
            Self::FanIn => fan_in::run(bout),
            Self::FanOut => fan_out::run(bout),
            Self::Rate => rate::run(bout),
            Self::Filters => filters::run(bout),
            Self::Flood => flood::run(bout),
            Self::V5 => v5::run(bout),
            Self::Shared => shared::run(bout),
            Self::Durable => durable::run(bout),
            Self::Mixed => mixed::run(bout),
            Self::Idle => idle::run(bout),
            Self::Connect => connect::run(bout),
            Self::Start => start::run(bout),
            Self::Storm => storm::run(bout),
            Self::Reopen => reopen::run(bout),
            Self::Fight => fight::run(bout),
            Self::Twin => twin::run(bout),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            self.to_possible_value()
                .as_ref()
                .map_or("", |value| value.get_name()),
        )
    }
}

impl Bout<'_> {
    /// Starts the broker with data in memory only.
    pub(crate) fn start(&self) -> Result<Broker> {
        self.start_with(false)
    }

    /// Starts the broker; `durable` keeps its data on disk.
    pub(crate) fn start_with(&self, durable: bool) -> Result<Broker> {
        Broker::start(self.target, self.programs, self.wishes(durable))
    }

    /// Puts the load on the broker.
    ///
    /// # Errors
    /// As [`traffic::run`]; when the broker has ended meanwhile, what it printed.
    pub(crate) fn measure(&self, mut broker: Broker, plan: &TrafficPlan) -> Result<Outcome> {
        let measured = traffic::run(&broker.door, broker.process, broker.counter.as_mut(), plan);
        let measured = measured.or_else(|error| broker.explain(error))?;
        Ok(Outcome::of_traffic(plan, measured))
    }

    pub(crate) const fn wishes(&self, durable: bool) -> Wishes {
        Wishes {
            durable,
            shards: self.settings.shards,
            tls: self.settings.tls,
            set: &[],
            meter: self.settings.meter,
        }
    }

    /// Whether times mean something: a broker that is counted in is slower.
    pub(crate) const fn is_timed(&self) -> bool {
        self.settings.meter.is_none()
    }

    pub(crate) fn speech(&self) -> Speech {
        match self.target {
            Target::Relay => Speech::Relay,
            _ => Speech::Mqtt(self.settings.codec, self.settings.mqtt.into()),
        }
    }
}
