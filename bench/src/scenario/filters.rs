//! Many subscriptions with `+` on ten connections; each message matches exactly one, topics are random.

use anyhow::Result;

use super::{Bout, Uses};
use crate::load::{Load, TrafficPlan};
use crate::random::Random;
use crate::report::Outcome;

pub(super) const USES: Uses = Uses {
    default_count: 1_000,
    ..Uses::MESSAGES
};

const CONNECTIONS: u32 = 10;

/// Topics that each publisher takes in turn.
const TOPICS_PER_PUBLISHER: usize = 1024;

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let (publishers, per_connection) = (bout.settings.pairs, bout.settings.count.div_ceil(CONNECTIONS));
    let mut load = Load::new(bout);
    let mut random = Random::new(0x5eed);
    for connection in 0..CONNECTIONS {
        let own = connection * per_connection..(connection + 1) * per_connection;
        let hears = publishers * connection / CONNECTIONS..publishers * (connection + 1) / CONNECTIONS;
        for _ in hears.clone() {
            let topic = |_| {
                let filter = own.start + random.below(per_connection);
                format!("bench/{filter:07}/{:07}", random.below(10_000_000))
            };
            let topics = (0..TOPICS_PER_PUBLISHER).map(topic).collect();
            load.publisher(0, topics, 1);
        }
        load.receiver(
            0,
            own.map(|filter| format!("bench/{filter:07}/+")).collect(),
            hears,
        );
    }
    let plan = TrafficPlan {
        measures_filters: true,
        ..load.plan()
    };
    bout.measure(broker, &plan)
}
