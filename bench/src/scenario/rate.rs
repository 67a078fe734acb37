//! Pairs at a fixed rate, one message per write: what a message waits when the broker is not busy.

use anyhow::Result;

use super::{Bout, Uses, p2p};
use crate::load::{Load, Pace};
use crate::report::Outcome;

pub(super) const USES: Uses = Uses {
    window: false,
    ..Uses::MESSAGES
};

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let mut load = Load::new(bout);
    p2p::add_pairs(&mut load, bout.settings.pairs);
    let mut plan = load.plan();
    plan.pace = Pace::PerSecond(bout.settings.rate);
    plan.measures_latency = true;
    bout.measure(broker, &plan)
}
