//! The table at the end of a comparison: medians and spread per target, each target as a share of the yardstick,
//! and how far it is from what the kernel alone costs.

use std::fmt;

use crate::report::Outcome;
use crate::rounds::Rounds;

/// Rows of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

/// One scenario with its parameters, and what each target came to in each round.
#[derive(Debug)]
pub(crate) struct Row {
    label: String,
    columns: Vec<Column>,
}

/// What a target is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The others are shown as a share of it.
    Yardstick,
    /// What the kernel alone costs.
    Kernel,
    Other,
}

#[derive(Debug)]
struct Column {
    target: String,
    part: Part,
    outcomes: Vec<Outcome>,
}

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// True when every run counts and no message was mistreated.
    pub(crate) fn is_sound(&self) -> bool {
        let columns = self.rows.iter().flat_map(|row| &row.columns);
        columns.flat_map(|column| &column.outcomes).all(Outcome::is_sound)
    }
}

impl Row {
    /// Columns are named by their targets.
    pub(crate) fn new(label: String, columns: impl Iterator<Item = (String, Part)>) -> Self {
        let columns = columns
            .map(|(target, part)| Column {
                target,
                part,
                outcomes: Vec::new(),
            })
            .collect();
        Self { label, columns }
    }

    pub(crate) fn push(&mut self, column: usize, outcome: Outcome) {
        if let Some(column) = self.columns.get_mut(column) {
            column.outcomes.push(outcome);
        }
    }

    /// The figures of the target that has this part, if it takes part in this row.
    fn figures(&self, part: Part) -> Option<Rounds> {
        let column = self.columns.iter().find(|column| column.part == part)?;
        column.rounds(|outcome| outcome.figure.value)
    }
}

impl Column {
    /// Over the rounds that count; `None` when none does.
    fn rounds(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<Rounds> {
        let sound = self.outcomes.iter().filter(|outcome| outcome.is_sound());
        Rounds::of(sound.filter_map(value).collect())
    }

    fn median(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        self.rounds(value).map(|rounds| rounds.median)
    }

    fn unsound(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.is_sound()).count()
    }
}

const HEADINGS: [&str; 12] = [
    "scenario",
    "target",
    "figure",
    "least..most",
    "",
    "share",
    "over kernel",
    "messages/s",
    "broker CPU",
    "load CPU",
    "p50/p99 µs",
    "RSS",
];

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        for row in &self.rows {
            lines.extend(row.columns.iter().map(|column| cells(row, column)));
        }
        let mut widths = [0; HEADINGS.len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in &lines {
            let mut text = String::new();
            for (width, cell) in widths.iter().zip(line) {
                text.push_str(&format!("{cell:width$}  "));
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        self.write_legend(f)
    }
}

impl Table {
    fn write_legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = |part| {
            let mut columns = self.rows.iter().flat_map(|row| &row.columns);
            columns
                .find(|column| column.part == part)
                .map(|column| &column.target)
        };
        if let Some(yardstick) = target(Part::Yardstick) {
            writeln!(
                f,
                "\nfigure: median of the rounds; share: of {yardstick}'s, ≈ where the rounds of the two overlap or are fewer than two"
            )?;
        }
        if let Some(kernel) = target(Part::Kernel) {
            writeln!(
                f,
                "over kernel: the figure less {kernel}'s, and how many times {kernel}'s it is"
            )?;
        }
        Ok(())
    }
}

fn cells(row: &Row, column: &Column) -> [String; HEADINGS.len()] {
    let figures = column.rounds(|outcome| outcome.figure.value);
    let beside = |pick: fn(&Outcome) -> Option<f64>| column.median(pick);
    let percent = |value: f64| format!("{:.0} %", value * 100.0);
    let p50 = beside(|outcome| outcome.beside.latency_us.as_ref().map(|latency| latency.p50));
    let p99 = beside(|outcome| outcome.beside.latency_us.as_ref().map(|latency| latency.p99));
    let mut name = column
        .outcomes
        .first()
        .map(|outcome| outcome.figure.name.to_owned())
        .unwrap_or_default();
    if column.unsound() > 0 {
        name.push_str(&format!(
            " ({} of {} runs void or faulty)",
            column.unsound(),
            column.outcomes.len()
        ));
    }
    [
        row.label.clone(),
        column.target.clone(),
        show(figures.as_ref(), |figures| format!("{:.3}", figures.median)),
        show(figures.as_ref(), |figures| {
            format!("{:.3}..{:.3}", figures.least, figures.most)
        }),
        name,
        show(share(row, column, figures.as_ref()), |share| share),
        show(over_kernel(row, column, figures.as_ref()), |distance| distance),
        show(beside(|outcome| outcome.beside.throughput_per_second), |value| {
            format!("{value:.0}")
        }),
        show(beside(|outcome| outcome.beside.broker_cpu_share), percent),
        show(beside(|outcome| outcome.beside.generator_cpu_share), percent),
        show(p50.zip(p99), |(p50, p99)| format!("{p50:.0}/{p99:.0}")),
        memory(
            beside(|outcome| outcome.beside.resident_bytes.map(|bytes| bytes as f64)),
            beside(|outcome| outcome.beside.resident_bytes_per_filter),
        ),
    ]
}

fn memory(resident: Option<f64>, per_filter: Option<f64>) -> String {
    let mut text = show(resident, |bytes| format!("{:.1} MiB", bytes / 1_048_576.0));
    if let Some(bytes) = per_filter {
        text.push_str(&format!(", {bytes:.0} B per filter"));
    }
    text
}

/// The figure as a share of the yardstick's.
fn share(row: &Row, column: &Column, figures: Option<&Rounds>) -> Option<String> {
    let (figures, yardstick) = figures.zip(row.figures(Part::Yardstick))?;
    let is_unsure = column.part != Part::Yardstick && figures.may_equal(&yardstick);
    let mark = if is_unsure { "≈ " } else { "" };
    Some(format!("{mark}{:.3}", figures.median / yardstick.median))
}

/// The figure less the kernel's, and how many times it that is.
fn over_kernel(row: &Row, column: &Column, figures: Option<&Rounds>) -> Option<String> {
    let (figures, kernel) = figures.zip(row.figures(Part::Kernel))?;
    (column.part != Part::Kernel).then(|| {
        let (less, times) = (figures.median - kernel.median, figures.median / kernel.median);
        format!("{less:+.3} ×{times:.1}")
    })
}

fn show<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rounds: &[(f64, f64)]) -> Row {
        let columns = [("a", Part::Other), ("b", Part::Yardstick)];
        let mut row = Row::new(
            "p2p".to_owned(),
            columns
                .map(|(target, part)| (target.to_owned(), part))
                .into_iter(),
        );
        for (a, b) in rounds {
            row.push(0, Outcome::new("µs", Some(*a)));
            row.push(1, Outcome::new("µs", Some(*b)));
        }
        row
    }

    /// The cells of a target in a table of one row.
    fn line(row: &Row, target: &str) -> [String; HEADINGS.len()] {
        let column = row.columns.iter().find(|column| column.target == target);
        cells(row, column.unwrap())
    }

    #[test]
    fn memory_is_shown_as_a_whole_and_for_each_filter_where_that_was_measured() {
        assert_eq!(memory(Some(3_145_728.0), None), "3.0 MiB");
        assert_eq!(
            memory(Some(3_145_728.0), Some(141.4)),
            "3.0 MiB, 141 B per filter"
        );
        assert_eq!(memory(None, None), "–");
    }

    #[test]
    fn targets_are_shown_as_a_share_of_the_yardstick() {
        let row = row(&[(1.0, 4.0), (0.5, 5.0), (2.0, 3.0)]);
        let [_, _, figure, spread, _, share, ..] = line(&row, "a");
        assert_eq!((&*figure, &*spread, &*share), ("1.000", "0.500..2.000", "0.250"));
        let [_, _, figure, _, _, share, ..] = line(&row, "b");
        assert_eq!((&*figure, &*share), ("4.000", "1.000"));
        let table = Table { rows: vec![row] };
        assert!(table.is_sound());
        assert!(table.to_string().contains("share: of b's"), "{table}");
    }

    #[test]
    fn a_share_that_chance_may_have_made_is_marked() {
        let share = |rounds: &[(f64, f64)]| {
            let [_, _, _, _, _, share, ..] = line(&row(rounds), "a");
            share
        };
        assert_eq!(
            share(&[(1.0, 4.0), (0.5, 5.0), (4.5, 3.0)]),
            "≈ 0.250",
            "rounds overlap"
        );
        assert_eq!(share(&[(1.0, 4.0)]), "≈ 0.250", "one round");
        assert_eq!(share(&[(1.0, 4.0), (1.0, 4.0)]), "0.250");
    }

    #[test]
    fn the_distance_to_the_kernel_is_shown_where_the_relay_took_part() {
        let mut with = row(&[(0.5, 2.0)]);
        with.columns.push(Column {
            target: "relay".to_owned(),
            part: Part::Kernel,
            outcomes: vec![Outcome::new("µs", Some(0.25))],
        });
        let distance = |row: &Row, target: &str| {
            let [_, _, _, _, _, _, distance, ..] = line(row, target);
            distance
        };
        assert_eq!(distance(&with, "a"), "+0.250 ×2.0");
        assert_eq!(distance(&with, "b"), "+1.750 ×8.0");
        assert_eq!(distance(&with, "relay"), "–");
        assert_eq!(distance(&row(&[(0.5, 2.0)]), "a"), "–");
    }

    #[test]
    fn a_row_without_the_yardstick_has_no_shares() {
        let mut alone = row(&[(0.5, 2.0)]);
        alone.columns.truncate(1);
        let [_, _, figure, _, _, share, ..] = line(&alone, "a");
        assert_eq!((&*figure, &*share), ("0.500", "–"));
    }

    #[test]
    fn void_runs_are_left_out_of_medians_and_spoil_the_comparison() {
        let mut row = row(&[(1.0, 4.0)]);
        let void_because = Some("saturated".to_owned());
        row.push(
            0,
            Outcome {
                void_because,
                ..Outcome::new("µs", Some(100.0))
            },
        );
        let table = Table { rows: vec![row] };
        assert!(!table.is_sound());
        let text = table.to_string();
        assert!(
            text.contains("1 of 2 runs void") && text.contains("1.000"),
            "{text}"
        );
    }
}
