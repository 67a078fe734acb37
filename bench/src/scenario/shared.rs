//! Publishers on one topic, and one shared subscription whose members divide the messages among themselves.

use anyhow::Result;

use super::{Bout, Uses};
use crate::load::Load;
use crate::report::Outcome;
use crate::settings::Version;

pub(super) const USES: Uses = Uses {
    default_count: 50,
    version: Some(Version::V5),
    ..Uses::MESSAGES
};

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let publishers = bout.settings.pairs;
    let mut load = Load::new(bout);
    load.group(bout.settings.count, "$share/bench/shared/+", 0..publishers);
    for publisher in 0..publishers {
        load.publisher(0, vec![format!("shared/{publisher:04}")], 1);
    }
    let plan = load.plan();
    bout.measure(broker, &plan)
}
