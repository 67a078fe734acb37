//! A line of results as it is read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

/// One run. What a drawing can do without may be absent, so that lines of older versions are read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Run {
    pub(super) scenario: String,
    pub(super) label: String,
    pub(super) target: String,
    pub(super) round: u32,
    pub(super) parameters: Map<String, Value>,
    pub(super) unix_seconds: i64,
    pub(super) commit: Option<String>,
    pub(super) cores: u32,
    pub(super) load_average: [Option<f64>; 3],
    pub(super) kernel: String,
    figure: Figure,
    void: Option<String>,
    missed: Option<String>,
    lost: u64,
    repeated: u64,
    reordered: u64,
    answers_out_of_order: u64,
    unanswered: u64,
    pub(super) throughput_per_second: Option<f64>,
    pub(super) broker_cpu_share: Option<f64>,
    pub(super) generator_cpu_share: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    latency_us: Option<Latency>,
}

#[derive(Debug, Clone, Deserialize)]
struct Figure {
    name: String,
    value: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    course: Vec<(f64, f64)>,
}

/// The runs of a file, and what is wrong with the other lines, by their numbers.
pub(super) fn read(text: &str) -> (Vec<Run>, Vec<(usize, String)>) {
    let (mut runs, mut problems) = (Vec::new(), Vec::new());
    for (line, number) in text.lines().zip(1..) {
        match parse(line) {
            Ok(run) => runs.push(run),
            Err(problem) => problems.push((number, problem)),
        }
    }
    (runs, problems)
}

fn parse(line: &str) -> Result<Run, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    let run: Run = serde_json::from_value(value)
        .map_err(|error| format!("no line of `run` or `compare` of this version: {error}"))?;
    let numbers = [
        run.figure.value,
        run.throughput_per_second,
        run.broker_cpu_share,
        run.resident_bytes,
    ];
    let is_possible = |value: &f64| value.is_finite() && *value >= 0.0;
    let is_in_course = |(share, latency): &(f64, f64)| (0.0..1.0).contains(share) && is_possible(latency);
    if !numbers.iter().flatten().all(is_possible) {
        return Err("a figure that is negative or not finite".to_owned());
    }
    if !run.course().iter().all(is_in_course) {
        return Err("a latency that no share of messages can have".to_owned());
    }
    Ok(run)
}

/// Has every label name the parameters in which the runs of this label differ, so that they do not pass for rounds.
pub(super) fn tell_apart(runs: &mut [Run]) {
    let mut seen: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for run in &*runs {
        for (name, value) in &run.parameters {
            let values = seen.entry((run.label_without_count(), name.clone())).or_default();
            values.insert(value.to_string());
        }
    }
    for run in runs {
        let label = run.label_without_count();
        for (name, value) in &run.parameters {
            let differs = seen
                .get(&(label.clone(), name.clone()))
                .is_some_and(|values| values.len() > 1);
            if differs && name != "count" {
                run.label.push_str(&format!(", {name} {value}"));
            }
        }
    }
}

impl Run {
    /// The name of what is compared.
    pub(super) fn figure(&self) -> &str {
        &self.figure.name
    }

    /// What is compared.
    pub(super) const fn value(&self) -> Option<f64> {
        self.figure.value
    }

    /// What the scenario counts: connections, filters, receivers; 0 where it counts nothing.
    pub(super) fn count(&self) -> u64 {
        self.parameters.get("count").and_then(Value::as_u64).unwrap_or(0)
    }

    /// The label without the count, for runs that differ in nothing else.
    pub(super) fn label_without_count(&self) -> String {
        self.label.replace(&format!(" × {}", self.count()), "")
    }

    /// Shares of all messages, and the microseconds that they kept within.
    pub(super) fn course(&self) -> &[(f64, f64)] {
        self.latency_us.as_ref().map_or(&[], |latency| &latency.course)
    }

    /// Whether it counts.
    pub(super) fn is_sound(&self) -> bool {
        self.blame().is_empty()
    }

    /// Why it does not count; nothing when it does.
    pub(super) fn blame(&self) -> String {
        let faults = [
            ("lost", self.lost),
            ("repeated", self.repeated),
            ("reordered", self.reordered),
            ("answers out of order", self.answers_out_of_order),
            ("unanswered", self.unanswered),
        ];
        let faults = faults.into_iter().filter(|(_, count)| *count > 0);
        let mut reasons: Vec<String> = faults.map(|(name, count)| format!("{count} {name}")).collect();
        reasons.extend(self.void.iter().map(|reason| format!("void: {reason}")));
        reasons.extend(self.missed.iter().map(|bar| format!("missed: {bar}")));
        reasons.join(", ")
    }

    /// Which run it is.
    pub(super) fn name(&self) -> String {
        format!("{}, {}, round {}", self.target, self.label, self.round)
    }

    /// All that is known of it, in lines.
    pub(super) fn facts(&self) -> String {
        let mut lines = vec![self.name()];
        let mut add = |value: Option<f64>, text: &dyn Fn(f64) -> String| lines.extend(value.map(text));
        add(self.figure.value, &|value| {
            format!("{value:.3} {}", self.figure.name)
        });
        add(self.throughput_per_second, &|rate| {
            format!("{rate:.0} per second")
        });
        add(self.broker_cpu_share, &|share| {
            format!("broker CPU {:.0} %", share * 100.0)
        });
        add(self.generator_cpu_share, &|share| {
            format!("load CPU {:.0} %", share * 100.0)
        });
        add(self.resident_bytes, &|bytes| {
            format!("resident {:.1} MiB", bytes / 1_048_576.0)
        });
        if let Some(Latency {
            p50,
            p90,
            p99,
            p999,
            max,
            ..
        }) = &self.latency_us
        {
            lines.push(format!(
                "latency µs: p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}"
            ));
        }
        let parameters = self.parameters.iter().filter(|(_, value)| !value.is_null());
        let parameters: Vec<_> = parameters
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        lines.push(parameters.join(", "));
        lines.push(format!(
            "commit {}, {} cores, load average {}",
            self.commit.as_deref().unwrap_or("unknown"),
            self.cores,
            self.load_average[0].map_or_else(|| "unknown".to_owned(), |load| load.to_string()),
        ));
        lines.join("\n")
    }
}
