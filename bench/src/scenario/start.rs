//! From the start of the process with an empty data folder to the first CONNACK.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Bout, Uses};
use crate::broker::Broker;
use crate::client::{Client, ClientPlan};
use crate::process::Process;
use crate::report::Outcome;

pub(super) const USES: Uses = Uses::NO_MESSAGES;

/// Longest start that is waited for.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// The broker is started as operators start it, with its data on disk.
pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let plan = ClientPlan::publisher("bench-start".to_owned());
    let begun = Instant::now();
    let mut broker = Broker::spawn(bout.target, bout.programs, bout.wishes(true))?;
    while let Err(error) = Client::open(&broker.door, bout.speech(), &plan) {
        broker
            .check_alive()
            .with_context(|| format!("{} did not start", bout.target))?;
        if begun.elapsed() > GIVE_UP_AFTER {
            return Err(error).context("no CONNACK");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
    let mut outcome = Outcome::new("ms to first CONNACK", Some(milliseconds));
    outcome.beside.resident_bytes = broker
        .process
        .map(Process::memory)
        .transpose()?
        .map(|memory| memory.resident);
    Ok(outcome)
}
