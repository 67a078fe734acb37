//! Pairs at QoS 1 whose subscribers have sessions on disk: each PUBACK promises that the message is kept.

use anyhow::Result;

use super::{Bout, Uses, p2p};
use crate::load::Load;
use crate::report::Outcome;

pub(super) const USES: Uses = Uses {
    qos: false,
    fixed_qos: 1,
    ..Uses::MESSAGES
};

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start_with(true)?;
    let mut load = Load::new(bout);
    load.clean_receivers = false;
    p2p::add_pairs(&mut load, bout.settings.pairs);
    let plan = load.plan();
    bout.measure(broker, &plan)
}
