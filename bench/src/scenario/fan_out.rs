//! One publisher to many subscribers of its topic.

use anyhow::Result;

use super::{Bout, Uses};
use crate::load::Load;
use crate::report::Outcome;

pub(super) const USES: Uses = Uses {
    default_count: 500,
    default_window: 20,
    ..Uses::MESSAGES
};

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let receivers = bout.settings.count;
    let mut load = Load::new(bout);
    for _ in 0..receivers {
        load.receiver(0, vec!["bench/out".to_owned()], 0..1);
    }
    load.publisher(0, vec!["bench/out".to_owned()], receivers);
    let plan = load.plan();
    bout.measure(broker, &plan)
}
