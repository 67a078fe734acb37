//! The page of results: one HTML file with drawings that needs nothing from elsewhere.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::compare::say;

mod axis;
mod bars;
mod chart;
mod drawings;
mod occasion;
mod run;

use occasion::Occasion;
use run::Run;

const STYLE: &str = include_str!("page/style.css");

/// Which results to show, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Page {
    /// Files of JSON lines, as `compare --json` and `run` write them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The page
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

impl Page {
    /// Answers whether every line was understood; those that were not are named and left out.
    ///
    /// # Errors
    /// A file cannot be read or written, or there is no run in any of them.
    pub(crate) fn write(&self) -> Result<bool> {
        let (mut runs, mut problems) = (Vec::new(), Vec::new());
        for path in &self.files {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let (understood, not_understood) = run::read(&text);
            runs.extend(understood);
            let name = path.display();
            problems.extend(
                not_understood
                    .into_iter()
                    .map(|(line, what)| format!("{name}:{line}: {what}")),
            );
        }
        problems.iter().for_each(|problem| say(problem));
        ensure!(!runs.is_empty(), "there is no run to show");
        run::tell_apart(&mut runs);
        let page = page(&runs, &problems).into_string();
        fs::write(&self.html, page).with_context(|| format!("cannot write {}", self.html.display()))?;
        say(&format!("{}: {} runs", self.html.display(), runs.len()));
        Ok(problems.is_empty())
    }
}

fn page(runs: &[Run], problems: &[String]) -> Markup {
    let occasions = Occasion::all(runs);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "twinmq-bench" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "twinmq-bench" }
                    p {
                        (runs.len()) " runs. Hold the pointer over a bar, a point or a line for the facts of its run. "
                        "Figures of different days or machines must not be divided by each other."
                    }
                    (occasion::list(&occasions))
                    (left_out(runs, problems))
                }
                main { (drawings::all(runs, &occasions)) }
            }
        }
    }
}

/// What no drawing shows: lines that nobody understands, and runs that do not count.
fn left_out(runs: &[Run], problems: &[String]) -> Markup {
    let unsound: Vec<_> = runs.iter().filter(|run| !run.is_sound()).collect();
    html! {
        @if !problems.is_empty() || !unsound.is_empty() {
            details {
                summary {
                    "Left out: " (unsound.len()) " runs that do not count, " (problems.len()) " lines that are not understood"
                }
                ul {
                    @for run in unsound { li { (run.name()) ": " (run.blame()) } }
                    @for problem in problems { li { (problem) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
