//! Many publishers to one subscriber that hears them all by a wildcard.

use anyhow::Result;

use super::{Bout, Uses};
use crate::load::Load;
use crate::report::Outcome;

pub(super) const USES: Uses = Uses {
    default_count: 100,
    ..Uses::MESSAGES
};

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let publishers = bout.settings.count;
    let mut load = Load::new(bout);
    load.receiver(0, vec!["bench/in/+".to_owned()], 0..publishers);
    for publisher in 0..publishers {
        load.publisher(0, vec![format!("bench/in/{publisher:06}")], 1);
    }
    let plan = load.plan();
    bout.measure(broker, &plan)
}
