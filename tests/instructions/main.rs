//! How many instructions the hot paths take, counted and not timed: noise cannot move the numbers, so a change does.
//!
//! `TWINMQ_WRITE=1` records what is counted instead of holding it against what was recorded.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod broker;
mod count;
mod path;
mod record;
mod twin;

use std::{env, process::ExitCode};

use path::Path;
use record::Record;

/// Says what was counted, which is what this program is for.
#[expect(clippy::print_stdout, reason = "the counts are for people to read")]
fn say(text: &str) {
    println!("{text}");
}

/// Without arguments of its own it counts each path by running itself under valgrind; what `cargo test` passes on
/// changes nothing.
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [play, path, turns] = arguments.as_slice()
        && play == count::PLAY
    {
        Path::named(path)
            .expect("a path of this program")
            .play(turns.parse().expect("a number of turns"));
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let counted = Record::count();
    for (name, instructions) in counted.iter() {
        say(&format!("{instructions:>8} instructions  {name}"));
    }
    if env::var_os("TWINMQ_WRITE").is_some_and(|write| write == "1") {
        counted.write();
        return ExitCode::SUCCESS;
    }
    let complaints = Record::read().complaints(&counted);
    for complaint in &complaints {
        say(complaint);
    }
    ExitCode::from(u8::from(!complaints.is_empty()))
}
