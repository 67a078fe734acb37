//! Twins under change: devices update what they report over MQTT, apps set what is desired over HTTP,
//! each waiting for its answer before the next change.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use serde_json::Value;

use super::{Bout, Uses};
use crate::broker::Broker;
use crate::http::HttpClient;
use crate::process::Process;
use crate::report::{Latency, Outcome};
use crate::sequence::Faults;

mod app;
mod device;

pub(super) const USES: Uses = Uses {
    default_count: 64,
    ..Uses::NO_MESSAGES
};

/// What all devices and apps look at.
#[derive(Debug, Default)]
struct Signals {
    stop: AtomicBool,
    /// Changes that were confirmed.
    confirmed: AtomicU64,
}

/// What one device or app knows at its end.
#[derive(Debug)]
struct Record {
    /// The last value that was confirmed.
    last_value: u64,
    /// Answers whose version was not above the one before.
    versions_back: u64,
    /// Nanoseconds from each change to its confirmation.
    latency: Histogram<u64>,
}

impl Record {
    fn new() -> Result<Self> {
        Ok(Self {
            last_value: 0,
            versions_back: 0,
            latency: Histogram::new_with_max(60_000_000_000, 3)?,
        })
    }
}

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start_with(true)?;
    let http = broker
        .http
        .context("twins are changed over HTTP, and this target has none")?;
    let devices: Vec<String> = (0..bout.settings.count)
        .map(|number| format!("bench-{number:04}"))
        .collect();
    let signals = Signals::default();
    let (outcome, records) = thread::scope(|scope| {
        let people: Vec<_> = devices
            .iter()
            .map(|device| {
                let (signals, speech, door) = (&signals, bout.speech(), &broker.door);
                let reports = scope.spawn(move || device::run(door, speech, device, signals));
                let wishes = scope.spawn(move || app::run(http, device, signals));
                (device, reports, wishes)
            })
            .collect();
        let outcome = watch(bout, &broker, &signals);
        signals.stop.store(true, Ordering::Relaxed);
        let records = people
            .into_iter()
            .map(|(device, reports, wishes)| Ok((device, joined(reports)?, joined(wishes)?)));
        (outcome, records.collect::<Result<Vec<_>>>())
    });
    let (mut outcome, records) = (outcome?, records?);

    let mut latency = Histogram::new_with_max(60_000_000_000, 3)?;
    for (_, reports, wishes) in &records {
        latency.add(&reports.latency)?;
        latency.add(&wishes.latency)?;
    }
    outcome.beside.latency_us = Latency::of(&latency);
    outcome.faults = faults(http, &records)?;
    Ok(outcome)
}

/// Sleeps through the warm-up and the measured time and reads the clocks.
fn watch(bout: &Bout<'_>, broker: &Broker, signals: &Signals) -> Result<Outcome> {
    let process = broker.process.context("the process of our broker is known")?;
    thread::sleep(bout.settings.warm_up());
    let (begun, before, own_before) = (Instant::now(), process.cpu()?, Process::own().cpu()?);
    let confirmed_before = signals.confirmed.load(Ordering::Relaxed);
    thread::sleep(bout.settings.measured());
    let confirmed = signals.confirmed.load(Ordering::Relaxed) - confirmed_before;
    let cpu = process.cpu()?.since(&before).as_secs_f64();
    let own = Process::own().cpu()?.since(&own_before).as_secs_f64();
    let seconds = begun.elapsed().as_secs_f64();

    let each = cpu * 1e6 / confirmed.max(1) as f64;
    let mut outcome = Outcome::new("broker CPU µs per update", Some(each));
    outcome.void_because = (confirmed == 0).then(|| "no update was confirmed".to_owned());
    outcome.beside.delivered = Some(confirmed);
    outcome.beside.throughput_per_second = Some(confirmed as f64 / seconds);
    outcome.beside.broker_cpu_share = Some(cpu / seconds);
    outcome.beside.generator_cpu_share = Some(own / seconds);
    let memory = process.memory()?;
    outcome.beside.resident_bytes = Some(memory.resident);
    outcome.beside.peak_bytes = Some(memory.peak);
    Ok(outcome)
}

fn joined(thread: thread::ScopedJoinHandle<'_, Result<Record>>) -> Result<Record> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of the load tool panicked"))?
}

/// A confirmed change that the twin does not hold at the end is lost; a version that went back is out of order.
fn faults(http: SocketAddr, records: &[(&String, Record, Record)]) -> Result<Faults> {
    let mut faults = Faults::default();
    let mut client = HttpClient::open(http)?;
    for (device, reports, wishes) in records {
        let answer = client.request("GET", &format!("/v1/devices/{device}/twin"), None)?;
        let twin: Value = serde_json::from_slice(&answer.body).context("a twin that is no JSON")?;
        let holds = |pointer: &str, value: u64| twin.pointer(pointer).and_then(Value::as_u64) == Some(value);
        faults.lost += u64::from(!holds("/reported/count", reports.last_value));
        faults.lost += u64::from(!holds("/desired/level", wishes.last_value));
        faults.reordered += reports.versions_back + wishes.versions_back;
    }
    Ok(faults)
}
