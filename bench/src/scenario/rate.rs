//! Pairs at a fixed rate, one message per write: what a message waits when the broker is not busy.

use anyhow::Result;

use super::{Bout, Uses, p2p};
use crate::load::{Load, Pace, TrafficPlan};
use crate::report::Outcome;

pub(super) const USES: Uses = Uses {
    window: false,
    ..Uses::MESSAGES
};

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    bout.measure(broker, &plan(bout))
}

pub(super) fn plan(bout: &Bout<'_>) -> TrafficPlan {
    let mut load = Load::new(bout);
    p2p::add_pairs(&mut load, bout.settings.pairs);
    TrafficPlan {
        pace: Pace::PerSecond(bout.settings.rate),
        measures_latency: true,
        ..load.plan()
    }
}
