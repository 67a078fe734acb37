//! Which drawings a page has: what the runs at hand can show.

use maud::{Markup, html};

use super::axis::{Axis, nines};
use super::bars::{Bar, Bars};
use super::chart::{Chart, Line, Point, Series};
use super::occasion::Occasion;
use super::run::Run;
use crate::rounds::Rounds;

/// The runs that count, and the series that they belong to, which have the same color in all drawings.
struct Runs<'a> {
    runs: Vec<(&'a Run, usize)>,
    names: Vec<String>,
}

/// A part of the page for each kind of drawing that has something to show.
pub(super) fn all(runs: &[Run], occasions: &[Occasion]) -> Markup {
    let runs = Runs::new(runs, occasions);
    html! {
        (part("Figures", "Medians over the rounds; the line through the end of a bar goes from the least to the most.", &runs.figures()))
        (part("Figure against count", "What grows with the number of filters, receivers or connections, and how.", &runs.growth()))
        (part("Memory against connections", "Resident memory of the broker with idle connections.", &runs.memory()))
        (part("Throughput against broker CPU", "One point per run; further up and to the left is better.", &runs.throughput()))
        (part("Latency", "One line per run: the share of all messages that took no longer.", &runs.latency()))
    }
}

fn part(title: &str, note: &str, drawings: &[Markup]) -> Markup {
    html! {
        @if !drawings.is_empty() {
            section {
                h2 { (title) }
                p { (note) }
                div.drawings { @for drawing in drawings { (drawing) } }
            }
        }
    }
}

/// Values in the order in which they come first.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

impl<'a> Runs<'a> {
    fn new(runs: &'a [Run], occasions: &[Occasion]) -> Self {
        let names = distinct(runs.iter().map(|run| Occasion::series_of(occasions, run)));
        let sound = runs.iter().filter(|run| run.is_sound());
        let numbered = sound.filter_map(|run| {
            let name = Occasion::series_of(occasions, run);
            let series = names.iter().position(|known| *known == name)?;
            Some((run, series))
        });
        Self {
            runs: numbered.collect(),
            names,
        }
    }

    /// The runs of each series among those that fit.
    fn by_series(&self, fits: impl Fn(&Run) -> bool) -> Vec<(usize, &str, Vec<&'a Run>)> {
        let runs_of = |series| {
            let own = self.runs.iter().filter(move |(_, number)| *number == series);
            own.map(|(run, _)| *run)
                .filter(|run| fits(run))
                .collect::<Vec<_>>()
        };
        let all = self.names.iter().enumerate();
        all.map(|(series, name)| (series, &**name, runs_of(series)))
            .filter(|(_, _, runs)| !runs.is_empty())
            .collect()
    }

    /// Bars for each name of a figure, in groups by label.
    fn figures(&self) -> Vec<Markup> {
        let names = distinct(
            self.runs
                .iter()
                .filter(|(run, _)| run.value().is_some())
                .map(|(run, _)| run.figure()),
        );
        let bars = names.into_iter().map(|figure| {
            let own = self
                .runs
                .iter()
                .filter(|(run, _)| run.figure() == figure && run.value().is_some());
            let labels = distinct(own.map(|(run, _)| &*run.label));
            let groups = labels
                .into_iter()
                .map(|label| (label.to_owned(), self.bars(figure, label)));
            Bars {
                title: figure.to_owned(),
                groups: groups.collect(),
            }
            .draw()
        });
        bars.collect()
    }

    fn bars(&self, figure: &str, label: &str) -> Vec<Bar> {
        let bar = |(color, name, runs): (usize, &str, Vec<&Run>)| {
            let rounds = rounds(&runs)?;
            let spread = format!(
                "median of {} rounds, {:.3} to {:.3}",
                rounds.count, rounds.least, rounds.most
            );
            Some(Bar {
                name: name.to_owned(),
                color,
                rounds,
                facts: format!("{spread}; the last of them:\n{}", runs.last()?.facts()),
            })
        };
        let own = self.by_series(|run| run.figure() == figure && run.label == label);
        own.into_iter().filter_map(bar).collect()
    }

    /// A line per series for what was run with several counts and is otherwise the same.
    fn growth(&self) -> Vec<Markup> {
        let labels = distinct(
            self.runs
                .iter()
                .map(|(run, _)| (run.label_without_count(), run.figure())),
        );
        let charts = labels.into_iter().filter_map(|(label, figure)| {
            let own = |run: &Run| run.label_without_count() == label && run.figure() == figure;
            self.over_counts(format!("{label}: {figure}"), figure.to_owned(), own, Run::value)
        });
        charts.collect()
    }

    fn memory(&self) -> Vec<Markup> {
        let mebibytes = |run: &Run| run.resident_bytes.map(|bytes| bytes / 1_048_576.0);
        let is_idle = |run: &Run| run.scenario == "idle";
        let chart = self.over_counts("idle".to_owned(), "resident MiB".to_owned(), is_idle, mebibytes);
        chart.into_iter().collect()
    }

    /// Points per run and a line through their medians; nothing where there is but one count.
    fn over_counts(
        &self,
        title: String,
        name: String,
        fits: impl Fn(&Run) -> bool,
        value: impl Fn(&Run) -> Option<f64>,
    ) -> Option<Markup> {
        let fits = |run: &Run| fits(run) && value(run).is_some() && run.count() > 0;
        let series: Vec<_> = self
            .by_series(fits)
            .into_iter()
            .map(|(color, name, runs)| {
                let point = |run: &&Run| point(run, run.count() as f64, value(run));
                let mut counts = distinct(runs.iter().map(|run| run.count()));
                counts.sort_unstable();
                let medians = counts.into_iter().filter_map(|count| {
                    let own = runs.iter().filter(|run| run.count() == count);
                    let rounds = Rounds::of(own.filter_map(|run| value(run)).collect())?;
                    Some((count as f64, rounds.median))
                });
                Series {
                    name: name.to_owned(),
                    color,
                    points: runs.iter().filter_map(point).collect(),
                    lines: vec![Line {
                        points: medians.collect(),
                        facts: format!("{name}, medians"),
                    }],
                }
            })
            .collect();
        let has_growth = series
            .iter()
            .flat_map(|series| &series.lines)
            .any(|line| line.points.len() > 1);
        has_growth.then(|| chart(title, "count", name, series)).flatten()
    }

    fn throughput(&self) -> Vec<Markup> {
        let series =
            self.by_series(|run| run.broker_cpu_share.is_some() && run.throughput_per_second.is_some());
        let series = series.into_iter().map(|(color, name, runs)| {
            let point = |run: &&Run| point(run, run.broker_cpu_share? * 100.0, run.throughput_per_second);
            Series {
                name: name.to_owned(),
                color,
                points: runs.iter().filter_map(point).collect(),
                lines: Vec::new(),
            }
        });
        let title = "all scenarios".to_owned();
        chart(
            title,
            "broker CPU, % of one core",
            "per second".to_owned(),
            series.collect(),
        )
        .into_iter()
        .collect()
    }

    /// A drawing per label, as latencies of different loads have nothing to do with each other.
    fn latency(&self) -> Vec<Markup> {
        let with = self.runs.iter().filter(|(run, _)| !run.course().is_empty());
        let labels = distinct(with.map(|(run, _)| &*run.label));
        let charts = labels.into_iter().filter_map(|label| {
            let series = self.by_series(|run| run.label == label && !run.course().is_empty());
            let series: Vec<_> = series
                .into_iter()
                .map(|(color, name, runs)| Series {
                    name: name.to_owned(),
                    color,
                    points: Vec::new(),
                    lines: runs.iter().map(|run| course(run)).collect(),
                })
                .collect();
            let points = || {
                series
                    .iter()
                    .flat_map(|series| &series.lines)
                    .flat_map(|line| &line.points)
            };
            let y = Axis::over(points().map(|(_, y)| *y))?;
            let shares = self.runs.iter().filter(|(run, _)| run.label == label);
            let most = shares
                .flat_map(|(run, _)| run.course())
                .map(|(share, _)| *share)
                .fold(0.0, f64::max);
            Some(
                Chart {
                    title: label.to_owned(),
                    x: ("share of messages", Axis::nines(most)),
                    y: ("µs".to_owned(), y),
                    series,
                }
                .draw(),
            )
        });
        charts.collect()
    }
}

fn rounds(runs: &[&Run]) -> Option<Rounds> {
    Rounds::of(runs.iter().filter_map(|run| run.value()).collect())
}

fn point(run: &Run, x: f64, y: Option<f64>) -> Option<Point> {
    Some(Point {
        x,
        y: y?,
        facts: run.facts(),
    })
}

fn course(run: &Run) -> Line {
    Line {
        points: run
            .course()
            .iter()
            .map(|(share, latency)| (nines(*share), *latency))
            .collect(),
        facts: run.facts(),
    }
}

/// A drawing whose axes hold all its points; `None` without points.
fn chart(title: String, x: &'static str, y: String, series: Vec<Series>) -> Option<Markup> {
    let points = || series.iter().flat_map(|series| &series.points);
    let across = Axis::over(points().map(|point| point.x))?;
    let up = Axis::over(points().map(|point| point.y))?;
    let (x, y) = ((x, across), (y, up));
    Some(Chart { title, x, y, series }.draw())
}
