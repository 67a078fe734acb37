//! The store in numbers, for the page of metrics.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use store::{Condition, EngineMemory, Store};

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
    describe_gauge!(
        "twinmq_store_memory_bytes",
        Unit::Bytes,
        "Memory of the store: what was written lately, blocks of tables in the cache, and what open tables need besides."
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
    if let Some(EngineMemory {
        write_buffers,
        block_cache,
        tables,
    }) = store.engine_memory()
    {
        for (part, bytes) in [
            ("write_buffers", write_buffers),
            ("block_cache", block_cache),
            ("tables", tables),
        ] {
            gauge!("twinmq_store_memory_bytes", "part" => part).set(bytes as f64);
        }
    }
    let refusals = store.refusals();
    for (reason, count) in [
        ("no_room", refusals.no_room),
        ("overloaded", refusals.overloaded),
        ("failed", refusals.failed),
    ] {
        counter!("twinmq_store_refused_total", "reason" => reason).absolute(count);
    }
}
