//! Seeded histories of publishers and subscribers under loss, reorder, crash and a jumping clock, held against what must
//! be true of every one.
//!
//! `TWINMQ_SIM_SEEDS` sets how many seeds are tried, `TWINMQ_SIM_SEED` tries one and tells its history.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod absence;
mod history;
mod mortal;
mod publisher;
mod sent;
mod subscriber;

use std::{env, fmt};

use history::History;

/// Seeds tried without being asked for more.
const SEEDS: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
    )
}

/// Shows a step of the history, if somebody asked for it.
#[expect(
    clippy::print_stdout,
    reason = "whoever asks for one seed wants to see what happens"
)]
fn tell(tells: bool, what: fmt::Arguments<'_>) {
    if tells {
        println!("{what}");
    }
}

/// No acknowledged message is lost, none at QoS 2 comes twice, order is kept, and nothing stays behind.
#[test]
fn promises_hold_in_every_history() {
    if let Some(seed) = number("TWINMQ_SIM_SEED") {
        return History::of(seed, true).live();
    }
    for seed in 0..number("TWINMQ_SIM_SEEDS").unwrap_or(SEEDS) {
        History::of(seed, false).live();
    }
}
