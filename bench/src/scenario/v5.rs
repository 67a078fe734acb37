//! Pairs that speak 5.0 and put four user properties on each message.

use anyhow::Result;
use mqtt_wire::{Property, put_property};

use super::{Bout, Uses, p2p};
use crate::load::Load;
use crate::report::Outcome;
use crate::settings::Version;

pub(super) const USES: Uses = Uses {
    version: Some(Version::V5),
    ..Uses::MESSAGES
};

const USER_PROPERTIES: [(&str, &str); 4] = [
    ("trace", "00-4bf92f3577b34da6-01"),
    ("site", "north"),
    ("unit", "celsius"),
    ("schema", "2"),
];

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let mut load = Load::new(bout);
    for (name, value) in USER_PROPERTIES {
        put_property(&mut load.properties, &Property::UserProperty(name, value))?;
    }
    p2p::add_pairs(&mut load, bout.settings.pairs);
    let plan = load.plan();
    bout.measure(broker, &plan)
}
