//! Publishers and subscribers in pairs, each pair on a topic of its own.

use anyhow::Result;

use super::Bout;
use crate::load::Load;
use crate::report::Outcome;

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let mut load = Load::new(bout);
    add_pairs(&mut load, bout.settings.pairs);
    let plan = load.plan();
    bout.measure(broker, &plan)
}

pub(super) fn add_pairs(load: &mut Load<'_>, pairs: u32) {
    for pair in 0..pairs {
        let topic = format!("{}/pair/{pair:04}", load.name);
        load.publisher(pair, vec![topic.clone()], 1);
        load.receiver(pair, vec![topic], pair..pair + 1);
    }
}
