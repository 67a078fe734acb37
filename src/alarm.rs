//! The alarm that the store takes no more: for operators in words, in the log when it begins and ends, and in numbers.

use std::{sync::Arc, time::Duration};

use broker::Handle;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use store::{Condition, Store};
use tokio::sync::watch;

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

/// Tells the recorder of metrics what each is.
pub(crate) fn describe() {
    describe_gauge!(
        "twinmq_store_free_bytes",
        Unit::Bytes,
        "Bytes free on the disk of the data folder."
    );
    describe_gauge!(
        "twinmq_store_takes_more",
        "1 while messages to be kept and changes of twins are taken, 0 while they are refused."
    );
    describe_counter!(
        "twinmq_store_refused_total",
        "Batches and changes of twins that the store refused, by reason."
    );
}

/// Brings the metrics up to date.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(crate) fn record(store: &Store) {
    if let Some(free) = store.free_bytes() {
        gauge!("twinmq_store_free_bytes").set(free as f64);
    }
    let takes_more = store.condition() == Condition::Well;
    gauge!("twinmq_store_takes_more").set(f64::from(u8::from(takes_more)));
    let refusals = store.refusals();
    for (reason, count) in [
        ("no_room", refusals.no_room),
        ("overloaded", refusals.overloaded),
        ("failed", refusals.failed),
    ] {
        counter!("twinmq_store_refused_total", "reason" => reason).absolute(count);
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
        record(&store);
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
