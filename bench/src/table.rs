//! The table at the end of a comparison: medians per target, and each target as a share of the last.

use std::fmt;

use crate::report::Outcome;

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

#[derive(Debug)]
struct Column {
    target: String,
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
    pub(crate) fn new(label: String, targets: impl Iterator<Item = String>) -> Self {
        let columns = targets
            .map(|target| Column {
                target,
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
}

impl Column {
    /// The median over the rounds that count.
    fn median(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        let sound = self.outcomes.iter().filter(|outcome| outcome.is_sound());
        median(sound.filter_map(value).collect())
    }

    fn unsound(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.is_sound()).count()
    }
}

/// The middle value; the mean of the two middle ones when there are two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values.get(middle - 1).map(|lower| (lower + upper) / 2.0)
}

const HEADINGS: [&str; 10] = [
    "scenario",
    "target",
    "figure",
    "",
    "share",
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
            let yardstick = row
                .columns
                .last()
                .and_then(|column| column.median(|outcome| outcome.figure.value));
            lines.extend(
                row.columns
                    .iter()
                    .map(|column| cells(&row.label, column, yardstick)),
            );
        }
        let mut widths = [0; HEADINGS.len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in &lines {
            for (width, cell) in widths.iter().zip(line) {
                write!(f, "{cell:width$}  ")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn cells(label: &str, column: &Column, yardstick: Option<f64>) -> [String; HEADINGS.len()] {
    let figure = column.median(|outcome| outcome.figure.value);
    let share = figure
        .zip(yardstick)
        .map(|(figure, yardstick)| figure / yardstick);
    let beside = |pick: fn(&Outcome) -> Option<f64>| column.median(pick);
    let percent = |value: f64| format!("{:.0} %", value * 100.0);
    let p50 = beside(|outcome| outcome.beside.latency_us.map(|latency| latency.p50));
    let p99 = beside(|outcome| outcome.beside.latency_us.map(|latency| latency.p99));
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
        label.to_owned(),
        column.target.clone(),
        show(figure, |value| format!("{value:.3}")),
        name,
        show(share, |value| format!("{value:.3}")),
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

fn show<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rounds: &[(f64, f64)]) -> Row {
        let mut row = Row::new("p2p".to_owned(), ["a", "b"].map(str::to_owned).into_iter());
        for (a, b) in rounds {
            row.push(0, Outcome::new("µs", Some(*a)));
            row.push(1, Outcome::new("µs", Some(*b)));
        }
        row
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(vec![]), None);
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
    fn targets_are_shown_as_a_share_of_the_last() {
        let table = Table {
            rows: vec![row(&[(1.0, 4.0), (0.5, 5.0), (2.0, 3.0)])],
        };
        let text = table.to_string();
        assert!(text.contains("0.250"), "{text}");
        assert!(text.contains("4.000"), "{text}");
        assert!(table.is_sound());
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
