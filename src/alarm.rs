//! The alarm that the store takes no more: for operators in words, and in the log when it begins and ends.

use std::{sync::Arc, time::Duration};

use broker::Handle;
use store::{Condition, Store};
use tokio::sync::watch;

use crate::gauges;

/// How often the store is asked.
const LOOK: Duration = Duration::from_secs(1);

/// What keeps the store from taking more, in words for operators.
pub(crate) fn problem(store: &Store) -> Option<String> {
    match store.condition() {
        Condition::Well => None,
        Condition::NoRoom => Some(match store.free_bytes() {
            Some(free) => format!(
                "the disk is full or short of room ({free} bytes are free, see store.reserve_bytes): messages to be kept and changes of \
                 twins are refused until there is more"
            ),
            None => {
                "the disk is full: messages to be kept and changes of twins are refused until there is room"
                    .to_owned()
            }
        }),
        Condition::Failed(why) => Some(format!(
            "writing has failed, and nothing is kept until a restart: {why}"
        )),
    }
}

/// Logs when the store begins and ceases to refuse, once each, until told to stop.
pub(crate) async fn follow(store: Store, broker: Arc<Handle>, mut stop: watch::Receiver<bool>) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = Condition::Well;
    let mut before = 0;
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        gauges::record(&store);
        let now = store.condition();
        if now == told {
            continue;
        }
        if told == Condition::NoRoom {
            let refused = refused(&store, &broker).await.saturating_sub(before);
            tracing::warn!(refused, "the disk had too little room; that is over");
        }
        if let Some(problem) = problem(&store) {
            before = refused(&store, &broker).await;
            tracing::error!("{problem}");
        }
        told = now;
    }
}

/// Messages and changes of twins refused so far for want of room.
async fn refused(store: &Store, broker: &Handle) -> u64 {
    broker.stats().await.counters.refused_no_room + store.refusals().no_room
}
