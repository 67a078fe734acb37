//! Publishers at QoS 0 that hardly ever pause, and newcomers that want to be served meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use hdrhistogram::Histogram;

use super::{Bout, Uses, p2p};
use crate::client::{Client, ClientPlan, Speech};
use crate::door::Door;
use crate::load::Load;
use crate::publisher::{Publisher, PublisherPlan};
use crate::report::{Latency, Outcome};
use crate::stamp::STAMP_BYTES;
use crate::traffic;

/// The window is so wide that the sockets are full long before it is.
pub(super) const USES: Uses = Uses {
    qos: false,
    default_window: 30_000,
    ..Uses::MESSAGES
};

/// Between one newcomer and the next.
const PAUSE: Duration = Duration::from_millis(50);

/// Latency is that of a newcomer: from dialing to the first message that comes back.
pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let mut broker = bout.start()?;
    let mut load = Load::new(bout);
    p2p::add_pairs(&mut load, bout.settings.pairs);
    let plan = load.plan();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let newcomers = scope.spawn(|| newcomers(&broker.door, bout.speech(), &stop));
        let measured = traffic::run(&broker.door, broker.process, broker.counter.as_mut(), &plan);
        stop.store(true, Ordering::Relaxed);
        let waits = newcomers
            .join()
            .map_err(|_| anyhow!("a thread of the load tool panicked"))?;
        let mut outcome = Outcome::of_traffic(&plan, measured?);
        let waits = waits?;
        outcome.beside.latency_us = bout.is_timed().then(|| Latency::of(&waits)).flatten();
        Ok(outcome)
    })
}

fn newcomers(door: &Door, speech: Speech, stop: &AtomicBool) -> Result<Histogram<u64>> {
    let mut waits = Histogram::new_with_max(60_000_000_000, 3)?;
    let mut number = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        greet(door, speech, number)?;
        waits.saturating_record(begun.elapsed().as_nanos() as u64);
        number += 1;
        thread::sleep(PAUSE);
    }
    Ok(waits)
}

/// Connects, subscribes, and has a message come back.
fn greet(door: &Door, speech: Speech, number: u32) -> Result<()> {
    let topic = format!("bench/newcomer/{number:06}");
    let mut plan = ClientPlan::publisher(format!("bench-newcomer-{number:06}"));
    plan.filters = vec![topic.clone()];
    let mut client = Client::open(door, speech, &plan)?;
    let mut message = Publisher::new(&PublisherPlan {
        number,
        topics: vec![topic],
        version: speech.version(),
        qos: plan.qos,
        payload_bytes: STAMP_BYTES,
        window: 1,
        receivers: 1,
        properties: Vec::new(),
    })?;
    message.send(1, 0);
    let frame = message.unwritten().concat();
    client.write(&frame)?;
    ensure!(
        client.read_frame()? == frame,
        "a newcomer's message came back changed"
    );
    Ok(())
}
