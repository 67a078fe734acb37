//! When and where runs were made: figures are compared within one occasion only.

use maud::{Markup, html};
use time::{Date, OffsetDateTime};

use super::run::Run;

/// Runs of one day, one machine and one commit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Occasion {
    day: Date,
    commit: String,
    cores: u32,
    kernel: String,
    /// The least and the highest load average over a minute.
    load: Option<(f64, f64)>,
    runs: usize,
}

impl Occasion {
    fn of(run: &Run) -> Self {
        let moment = OffsetDateTime::from_unix_timestamp(run.unix_seconds);
        Self {
            day: moment.unwrap_or(OffsetDateTime::UNIX_EPOCH).date(),
            commit: run.commit.clone().unwrap_or_else(|| "unknown".to_owned()),
            cores: run.cores,
            kernel: run.kernel.clone(),
            load: run.load_average[0].map(|load| (load, load)),
            runs: 1,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.day, &self.commit, self.cores, &self.kernel)
            == (other.day, &other.commit, other.cores, &other.kernel)
    }

    /// All occasions, in the order of their runs.
    pub(super) fn all(runs: &[Run]) -> Vec<Self> {
        let mut occasions: Vec<Self> = Vec::new();
        for run in runs {
            let new = Self::of(run);
            match occasions.iter_mut().find(|known| known.is_same(&new)) {
                Some(known) => known.add(&new),
                None => occasions.push(new),
            }
        }
        occasions
    }

    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.load = match (self.load, other.load) {
            (Some((least, most)), Some((low, high))) => Some((least.min(low), most.max(high))),
            (known, None) | (None, known) => known,
        };
    }

    /// What a run's target is called on the page: with the number of its occasion where there are several.
    pub(super) fn series_of(occasions: &[Self], run: &Run) -> String {
        let own = Self::of(run);
        match occasions.iter().position(|known| known.is_same(&own)) {
            Some(index) if occasions.len() > 1 => format!("{} ({})", run.target, index + 1),
            _ => run.target.clone(),
        }
    }
}

/// A table of them, numbered where there are several.
pub(super) fn list(occasions: &[Occasion]) -> Markup {
    html! {
        div.scroll {
            table {
                tr { th { "" } th { "day (UTC)" } th { "commit" } th { "cores" } th { "kernel" } th { "load average" } th { "runs" } }
                @for (occasion, number) in occasions.iter().zip(1..) {
                    tr {
                        td { @if occasions.len() > 1 { "(" (number) ")" } }
                        td { (occasion.day) }
                        td { code { (occasion.commit) } }
                        td { (occasion.cores) }
                        td { (occasion.kernel) }
                        td {
                            @match occasion.load {
                                Some((least, most)) => { (format!("{least:.2} to {most:.2}")) }
                                None => { "unknown" }
                            }
                        }
                        td { (occasion.runs) }
                    }
                }
            }
        }
        @if occasions.len() > 1 {
            p.warning {
                "These runs were made on " (occasions.len())
                " occasions. The number behind a target says on which; compare targets with the same number."
            }
        }
    }
}
