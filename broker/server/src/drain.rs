//! The end of a broker: everybody is told, everything is kept.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    house::House,
    mailbox::{Letter, Tally},
    metrics::tallies,
};

/// How often the shards are asked whether all is done.
const ASK_INTERVAL: Duration = Duration::from_millis(10);

/// Not everything was done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the shutdown deadline passed with {connections} connections open and {busy} shards waiting for answers"
)]
pub struct Undrained {
    /// Connections that were not closed.
    pub connections: u64,
    /// Shards that waited for the store, a gate or another shard.
    pub busy: usize,
}

/// Disconnects everybody and waits until nothing is under way any more.
pub(crate) async fn drain(house: &House, deadline: Duration) -> Result<(), Undrained> {
    let until = Instant::now() + deadline;
    for mailbox in &house.mailboxes {
        mailbox.post(Letter::ShutDown);
    }
    let mut last = Vec::new();
    let wait = async {
        loop {
            // Mail between two quiet shards is seen by one of two looks in a row.
            let before = is_done(&last, house);
            last = tallies(house).await;
            if before && is_done(&last, house) {
                return;
            }
            sleep(ASK_INTERVAL).await;
        }
    };
    if timeout_at(until, wait).await.is_ok() {
        return Ok(());
    }
    Err(Undrained {
        connections: last.iter().map(|tally| tally.connections).sum(),
        busy: last.iter().filter(|tally| !tally.quiet).count(),
    })
}

fn is_done(tallies: &[Tally], house: &House) -> bool {
    tallies.len() == house.mailboxes.len()
        && tallies.iter().all(|tally| tally.quiet)
        && house.mailboxes.iter().all(|mailbox| mailbox.is_empty())
}
