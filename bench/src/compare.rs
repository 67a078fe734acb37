//! Runs in turns: A, B, A, B, so that a machine that grows slower does it to both.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Error, Result};

use crate::broker::{Programs, Target};
use crate::machine::Machine;
use crate::meter::Meter;
use crate::progress::Progress;
use crate::report::{Outcome, Report};
use crate::scenario::{Bout, Scenario};
use crate::settings::{Lists, Settings};
use crate::table::{Part, Row, Table};

/// Several targets under the same loads.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) targets: Vec<Target>,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) rounds: u32,
    pub(crate) json: Option<PathBuf>,
    pub(crate) lists: Lists,
    pub(crate) programs: Programs,
}

impl Comparison {
    /// Answers whether every run was sound; prints the table.
    ///
    /// A run that could not be made is void.
    ///
    /// # Errors
    /// A result that could not be written, or what shall be counted cannot be.
    pub(crate) fn run(&self) -> Result<bool> {
        check_meter(&self.lists, &self.scenarios, &self.targets, &self.programs)?;
        let rows = self.scenarios.iter().flat_map(|&scenario| {
            let rows = self.lists.rows(scenario).into_iter();
            rows.map(move |settings| (scenario, settings))
        });
        let rows: Vec<_> = rows
            .map(|(scenario, settings)| (scenario, self.columns(scenario, &settings), settings))
            .collect();
        let runs: usize = rows.iter().map(|(_, targets, _)| targets.len()).sum();
        let progress = Progress::of(runs as u64 * u64::from(self.rounds));
        let mut table = Table::default();
        for (scenario, targets, settings) in &rows {
            table.push(self.row(*scenario, targets, settings, &progress)?);
        }
        drop(progress);
        print(&table.to_string())?;
        Ok(table.is_sound())
    }

    /// The targets that take part in a row.
    fn columns(&self, scenario: Scenario, settings: &Settings) -> Vec<(&Target, Part)> {
        let targets = self.targets.iter().zip(parts(&self.targets));
        targets
            .filter(|(target, _)| scenario.serves(target, settings))
            .collect()
    }

    fn row(
        &self,
        scenario: Scenario,
        targets: &[(&Target, Part)],
        settings: &Settings,
        progress: &Progress,
    ) -> Result<Row> {
        let columns = targets.iter().map(|(target, part)| (target.to_string(), *part));
        let mut row = Row::new(settings.label(scenario), columns);
        for round in 1..=self.rounds {
            for (column, (target, _)) in targets.iter().enumerate() {
                progress.begin(&format!("{} against {target}", settings.label(scenario)));
                match measure(scenario, target, settings, &self.programs, round) {
                    Ok(line) => {
                        progress.end(&line.summary);
                        self.keep(&line.json)?;
                        row.push(column, line.outcome);
                    }
                    // The other runs are still worth their time.
                    Err(error) => {
                        progress.end(&format!("round {round}: {error:#}"));
                        row.push(column, Outcome::failed(&error));
                    }
                }
            }
        }
        Ok(row)
    }

    fn keep(&self, line: &str) -> Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{line}"));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What each target is in the table. The yardstick is the last broker, or the last target where none is a broker;
/// the same in every row, so that a share means the same in all of them.
fn parts(targets: &[Target]) -> impl Iterator<Item = Part> {
    let yardstick = targets
        .iter()
        .rposition(Target::is_broker)
        .or(targets.len().checked_sub(1));
    let kernel = targets.iter().rposition(|target| *target == Target::Relay);
    (0..targets.len()).map(move |index| match Some(index) {
        place if place == yardstick => Part::Yardstick,
        place if place == kernel => Part::Kernel,
        _ => Part::Other,
    })
}

/// One scenario against one target; prints a JSON line per row that makes sense for it. Answers whether every run was sound.
///
/// # Errors
/// A run that could not be made.
pub(crate) fn run(scenario: Scenario, target: &Target, lists: &Lists, programs: &Programs) -> Result<bool> {
    check_meter(lists, &[scenario], std::slice::from_ref(target), programs)?;
    let mut rows = lists.rows(scenario);
    rows.retain(|settings| scenario.serves(target, settings));
    let progress = Progress::of(rows.len() as u64);
    let mut sound = None;
    for settings in rows {
        progress.begin(&format!("{} against {target}", settings.label(scenario)));
        let line = measure(scenario, target, &settings, programs, 1)?;
        progress.end(&line.summary);
        progress.aside(|| print(&line.json))?;
        sound = Some(sound.unwrap_or(true) && line.outcome.is_sound());
    }
    sound.with_context(|| format!("{scenario} with these parameters makes no sense for {target}"))
}

/// Before any run, so that nobody waits for an error.
fn check_meter(lists: &Lists, scenarios: &[Scenario], targets: &[Target], programs: &Programs) -> Result<()> {
    let check = |meter: Meter| meter.check(scenarios, targets, programs);
    lists.meter().map_or(Ok(()), check).map_err(Error::msg)
}

struct Line {
    outcome: Outcome,
    json: String,
    /// For a person who watches.
    summary: String,
}

fn measure(
    scenario: Scenario,
    target: &Target,
    settings: &Settings,
    programs: &Programs,
    round: u32,
) -> Result<Line> {
    let machine = Machine::now();
    let outcome = scenario
        .run(&Bout {
            target,
            programs,
            settings,
        })
        .with_context(|| format!("{} against {target}", settings.label(scenario)))?;
    let target = target.to_string();
    let report = Report {
        scenario,
        label: settings.label(scenario),
        target,
        round,
        parameters: settings,
        machine,
        outcome: &outcome,
    };
    let json = serde_json::to_string(&report)?;
    let summary = summary(&report);
    Ok(Line {
        outcome,
        json,
        summary,
    })
}

fn summary(report: &Report<'_>) -> String {
    let figure = &report.outcome.figure;
    let value = figure
        .value
        .map_or_else(|| "unknown".to_owned(), |value| format!("{value:.3}"));
    let mut text = format!(
        "round {} {} {}: {value} {}",
        report.round, report.label, report.target, figure.name
    );
    if let Some(reason) = &report.outcome.void_because {
        text.push_str(&format!("; VOID: {reason}"));
    }
    for (name, value) in &report.outcome.beside.more {
        text.push_str(&format!(", {name} {value:.0}"));
    }
    if let Some(count) = &report.outcome.beside.counted {
        for (name, calls) in count.most_frequent(5) {
            let each = *calls as f64 / report.outcome.beside.delivered.unwrap_or(0).max(1) as f64;
            text.push_str(&format!(", {name} {each:.3}"));
        }
    }
    if let Some(missed) = &report.outcome.missed {
        text.push_str(&format!("; MISSED: {missed}"));
    }
    if !report.outcome.faults.none() {
        text.push_str(&format!("; FAULTS: {:?}", report.outcome.faults));
    }
    text
}

/// Tells a person what happens; results go to standard output and nothing else does.
pub(crate) fn say(text: &str) {
    // When nobody can read it, nobody misses it.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write the results")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts_of(targets: &str) -> Vec<Part> {
        let targets: Vec<Target> = targets.split(' ').map(|text| text.parse().unwrap()).collect();
        parts(&targets).collect()
    }

    #[test]
    fn the_last_broker_is_the_yardstick_wherever_probe_and_relay_are_named() {
        use Part::{Kernel, Other, Yardstick};
        assert_eq!(
            parts_of("ours mosquitto relay"),
            [Other, Yardstick, Kernel],
            "as one would type it"
        );
        assert_eq!(parts_of("relay ours mosquitto"), [Kernel, Other, Yardstick]);
        assert_eq!(
            parts_of("ours mosquitto probe relay"),
            [Other, Yardstick, Other, Kernel]
        );
        assert_eq!(parts_of("ours ours"), [Other, Yardstick]);
        assert_eq!(parts_of("relay"), [Yardstick], "there is nothing else");
    }
}
