//! How far a series of runs is: a bar on a terminal, and nothing but plain lines elsewhere.

use std::fmt;
use std::time::Duration;

use indicatif::{FormattedDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::compare::say;

/// Between two looks at the clock; rare, as this process is the load as well.
const TICK: Duration = Duration::from_secs(1);

const TEMPLATE: &str = "{bar:16} {elapsed_precise}{left}, run {msg}";

/// Counts runs; dropping it takes the bar away.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar on standard error if that is a terminal.
    pub(crate) fn of(runs: u64) -> Self {
        Self::on(ProgressDrawTarget::stderr(), runs)
    }

    fn on(target: ProgressDrawTarget, runs: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(runs), target);
        if !bar.is_hidden() {
            // The template is our own, so the plain bar is for a mistake of ours.
            let style =
                ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.with_key("left", write_left));
            bar.enable_steady_tick(TICK);
        }
        Self { bar }
    }

    /// Another run begins.
    pub(crate) fn begin(&self, name: &str) {
        let (number, all) = (self.bar.position() + 1, self.bar.length().unwrap_or(0));
        self.bar.set_message(format!("{number} of {all}: {name}"));
    }

    /// The run has ended; what came of it stands above the bar.
    pub(crate) fn end(&self, words: &str) {
        self.aside(|| say(words));
        self.bar.inc(1);
    }

    /// Takes the bar away while something else writes to the terminal.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

/// The time that is left, which nobody knows before the first run has ended.
fn write_left(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // When nobody can read it, nobody misses it.
        let _ = write!(out, ", about {} left", FormattedDuration(state.eta()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that remembers everything.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            200
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_shows_which_run_of_how_many() {
        let paper = Paper::default();
        let progress = Progress::on(ProgressDrawTarget::term_like(Box::new(paper.clone())), 12);
        let shown = || paper.0.lock().unwrap().clone();
        progress.begin("p2p against ours");
        let first = shown();
        assert!(first.contains("run 1 of 12: p2p against ours"), "{first}");
        assert!(!first.contains(" left"), "nobody knows yet: {first}");
        progress.end("done");
        progress.begin("p2p against mosquitto");
        progress.end("done");
        let second = shown();
        assert!(second.contains("run 2 of 12: p2p against mosquitto"), "{second}");
        assert!(second.contains(" left"), "{second}");
    }
}
