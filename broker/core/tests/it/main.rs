//! Stories of the rules, told in worlds of one, two and four shards and several orders of events.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod aliases;
mod allowance;
mod authorization;
mod bounds;
mod bridges;
mod connect;
mod durability;
mod entrances;
mod expiry;
mod flow_control;
mod keepalive;
mod links;
mod mount_points;
mod operations;
mod order;
mod overload;
mod packet_ids;
mod properties;
mod qos0;
mod qos1;
mod qos2;
mod reauthentication;
mod requests;
mod restart;
mod retained;
mod room;
mod shards;
mod shared;
mod subscriptions;
mod takeover;
mod violations;
mod wills;

use broker_core::{Settings, testing::World};
use mqtt_wire::Version;

/// Both versions, for what must hold in either.
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// Tells a story in worlds of one, two and four shards, each in several orders of events.
fn everywhere(story: impl Fn(&mut World)) {
    everywhere_with(&Settings::default(), story);
}

/// The same with settings.
fn everywhere_with(settings: &Settings, story: impl Fn(&mut World)) {
    for shards in [1, 2, 4] {
        for seed in 1..=5 {
            story(&mut World::with(seed, shards, settings.clone()));
        }
    }
}
