//! Connections that do nothing, with one subscription each: what memory each of them holds.

use anyhow::{Context, Result};

use super::{Bout, Uses};
use crate::broker::Broker;
use crate::client::{Client, ClientPlan};
use crate::process::Memory;
use crate::report::Outcome;

pub(super) const USES: Uses = Uses {
    default_count: 10_000,
    ..Uses::NO_MESSAGES
};

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let count = bout.settings.count;
    // One connection first, so that what the first of all costs is not shared out among the others.
    let mut clients = vec![open(bout, &broker, 0)?];
    let before = memory(&broker)?;
    for number in 1..=count {
        clients.push(open(bout, &broker, number)?);
    }
    let after = memory(&broker)?;
    let each = (after.resident.saturating_sub(before.resident)) as f64 / f64::from(count);
    let mut outcome = Outcome::new("resident bytes per connection", Some(each));
    outcome.beside.resident_bytes = Some(after.resident);
    outcome.beside.peak_bytes = Some(after.peak);
    Ok(outcome)
}

fn open(bout: &Bout<'_>, broker: &Broker, number: u32) -> Result<Client> {
    let plan = ClientPlan {
        client_id: format!("bench-idle-{number:06}"),
        clean: true,
        filters: vec![format!("bench/idle/{number:06}")],
        qos: bout.settings.quality(),
        channel: 0,
    };
    Client::open(&broker.door, bout.speech(), &plan)
}

fn memory(broker: &Broker) -> Result<Memory> {
    broker
        .process
        .context("the memory of a broker at an address is read with --pid only")?
        .memory()
}
