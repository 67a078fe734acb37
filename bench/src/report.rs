//! What a run says: one JSON line with the figure, everything beside it, and whether it counts.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::load::{Pace, TrafficPlan};
use crate::machine::Machine;
use crate::meter::Count;
use crate::scenario::Scenario;
use crate::sequence::Faults;
use crate::settings::Settings;
use crate::traffic::Measured;

/// A generator busier than this share of its core may be what was measured.
const SATURATED: f64 = 0.95;

/// A broker with this much idle time in a saturated run waited for the generator.
const IDLE_BROKER: f64 = 0.5;

/// Sends at a fixed rate that may be late or left out.
pub(crate) const LATE_SHARE_MAX: f64 = 0.02;

/// One line of results.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) scenario: Scenario,
    /// The scenario with the parameters that make a difference.
    pub(crate) label: String,
    pub(crate) target: String,
    pub(crate) round: u32,
    pub(crate) parameters: &'a Settings,
    #[serde(flatten)]
    pub(crate) machine: Machine,
    #[serde(flatten)]
    pub(crate) outcome: &'a Outcome,
}

/// What a scenario found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    /// The number that is compared.
    pub(crate) figure: Figure,
    /// Why the run does not count; absent when it does.
    #[serde(rename = "void")]
    pub(crate) void_because: Option<String>,
    /// What the scenario asks for and did not get; absent when it has no bar or the bar is met.
    pub(crate) missed: Option<String>,
    #[serde(flatten)]
    pub(crate) faults: Faults,
    #[serde(flatten)]
    pub(crate) beside: Beside,
}

/// A number with its name and unit; smaller is better unless the name says per second.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// `None` when the broker's process is not known.
    pub(crate) value: Option<f64>,
}

/// What stands beside the figure, as far as the scenario knows it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Beside {
    pub(crate) delivered: Option<u64>,
    pub(crate) throughput_per_second: Option<f64>,
    pub(crate) broker_cpu_us_per_message: Option<f64>,
    /// CPU seconds per second.
    pub(crate) broker_cpu_share: Option<f64>,
    pub(crate) generator_cpu_us_per_message: Option<f64>,
    pub(crate) generator_cpu_share: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) peak_bytes: Option<u64>,
    /// Growth of resident memory with the subscriptions.
    pub(crate) resident_bytes_per_filter: Option<f64>,
    pub(crate) late_share: Option<f64>,
    pub(crate) latency_us: Option<Latency>,
    /// What was counted in place of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counted: Option<Count>,
    /// Numbers that only one scenario has, by name.
    #[serde(flatten)]
    pub(crate) more: BTreeMap<&'static str, f64>,
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    /// The share of all and the latency that this share kept within, for a drawing.
    pub(crate) course: Vec<(f64, f64)>,
}

/// Where the course of a latency is looked at, as far as there are values beyond.
const COURSE: [f64; 15] = [
    0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9975, 0.999, 0.9995, 0.9999, 0.99995, 0.99999,
];

impl Latency {
    /// From nanoseconds; `None` when nothing was recorded.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        (!histogram.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
            course: {
                // All but one: what is left beyond is the slowest alone.
                let end = 1.0 - 1.0 / histogram.len() as f64;
                let inner = COURSE.into_iter().filter(|share| *share < end);
                inner
                    .map(|share| (share, at(share)))
                    .chain([(end, at(1.0))])
                    .collect()
            },
        })
    }
}

impl Outcome {
    /// An outcome with a figure and nothing else yet.
    pub(crate) fn new(name: &'static str, value: Option<f64>) -> Self {
        let (faults, beside) = (Faults::default(), Beside::default());
        Self {
            figure: Figure { name, value },
            void_because: None,
            missed: None,
            faults,
            beside,
        }
    }

    /// A run that could not be made.
    pub(crate) fn failed(error: &anyhow::Error) -> Self {
        Self {
            void_because: Some(format!("{error:#}")),
            ..Self::new("not measured", None)
        }
    }

    /// What traffic comes to: broker CPU per delivered message, or what was counted per message.
    pub(crate) fn of_traffic(plan: &TrafficPlan, measured: Measured) -> Self {
        if let Some(count) = measured.count.clone() {
            return Self::of_count(plan, &measured, count);
        }
        let messages = measured.delivered.max(1) as f64;
        let seconds = measured.elapsed.as_secs_f64();
        let per_message = |cpu: Duration| cpu.as_secs_f64() * 1e6 / messages;
        let broker_cpu_us = measured.broker_cpu.map(per_message);
        let beside = Beside {
            delivered: Some(measured.delivered),
            throughput_per_second: Some(measured.delivered as f64 / seconds),
            broker_cpu_us_per_message: broker_cpu_us,
            broker_cpu_share: measured.broker_cpu.map(|cpu| cpu.as_secs_f64() / seconds),
            generator_cpu_us_per_message: Some(per_message(measured.generator_cpu)),
            generator_cpu_share: Some(measured.generator_cpu.as_secs_f64() / seconds),
            resident_bytes: measured.memory.map(|memory| memory.resident),
            peak_bytes: measured.memory.map(|memory| memory.peak),
            resident_bytes_per_filter: measured
                .subscriptions_bytes
                .filter(|_| plan.measures_filters)
                .map(|bytes| bytes as f64 / plan.filters().max(1) as f64),
            late_share: (plan.pace != Pace::Window).then_some(measured.late_share),
            latency_us: if plan.measures_latency {
                Latency::of(&measured.latency)
            } else {
                None
            },
            ..Beside::default()
        };
        let outcome = Self::new("broker CPU µs per message", broker_cpu_us);
        let void_because = why_void(plan, &beside);
        Self {
            void_because,
            faults: measured.faults,
            beside,
            ..outcome
        }
    }

    /// Times and memory are left out, as they would be those of a broker that is watched.
    fn of_count(plan: &TrafficPlan, measured: &Measured, count: Count) -> Self {
        let each = count.total as f64 / measured.delivered.max(1) as f64;
        let outcome = Self::new(count.meter.figure(), Some(each));
        let beside = Beside {
            delivered: Some(measured.delivered),
            late_share: (plan.pace != Pace::Window).then_some(measured.late_share),
            counted: Some(count),
            ..Beside::default()
        };
        Self {
            void_because: why_void(plan, &beside),
            faults: measured.faults,
            beside,
            ..outcome
        }
    }

    /// True when the run counts, the broker did nothing that the QoS forbids, and the scenario's bar is met.
    pub(crate) const fn is_sound(&self) -> bool {
        self.void_because.is_none() && self.missed.is_none() && self.faults.none()
    }
}

fn why_void(plan: &TrafficPlan, beside: &Beside) -> Option<String> {
    if beside.delivered == Some(0) {
        return Some("nothing was delivered".to_owned());
    }
    if let Some(late) = beside.late_share.filter(|share| *share > LATE_SHARE_MAX) {
        return Some(format!(
            "{:.1} % of the sends were late or left out",
            late * 100.0
        ));
    }
    let generator = beside.generator_cpu_share?;
    let broker = beside.broker_cpu_share?;
    // At a fixed rate the generator spins on purpose; being late is what tells.
    let saturated = plan.pace == Pace::Window && generator > SATURATED && broker < IDLE_BROKER;
    saturated.then(|| {
        format!(
            "the generator was busy {:.0} % of the time, the broker {:.0} %",
            generator * 100.0,
            broker * 100.0
        )
    })
}
