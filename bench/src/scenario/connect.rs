//! Clients that connect and leave, in waves: what each of them costs.

use std::time::Instant;

use anyhow::Result;

use super::{Bout, Uses};
use crate::broker::Broker;
use crate::client::{Client, ClientPlan};
use crate::process::Process;
use crate::report::Outcome;

pub(super) const USES: Uses = Uses {
    default_count: 10_000,
    ..Uses::NO_MESSAGES
};

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let broker = bout.start()?;
    let clients_per_wave = bout.settings.pairs;
    wave(bout, &broker, 0..clients_per_wave)?;

    let begun = Instant::now();
    let before = broker.process.map(Process::cpu).transpose()?;
    let own_before = Process::own().cpu()?;
    let mut opened = 0;
    while opened < bout.settings.count {
        let end = bout.settings.count.min(opened + clients_per_wave);
        wave(bout, &broker, opened..end)?;
        opened = end;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = broker.process.map(Process::cpu).transpose()?;
    let own = Process::own().cpu()?.since(&own_before).as_secs_f64();
    let cpu = after
        .zip(before)
        .map(|(after, before)| after.since(&before).as_secs_f64());

    let each = |seconds: f64| seconds * 1e6 / f64::from(opened);
    let mut outcome = Outcome::new("broker CPU µs per connect", cpu.map(each));
    outcome.beside.throughput_per_second = Some(f64::from(opened) / seconds);
    outcome.beside.broker_cpu_share = cpu.map(|cpu| cpu / seconds);
    outcome.beside.generator_cpu_share = Some(own / seconds);
    outcome.beside.resident_bytes = broker
        .process
        .map(Process::memory)
        .transpose()?
        .map(|memory| memory.resident);
    Ok(outcome)
}

/// All connect, all are let in, all leave, and the broker has closed every connection.
fn wave(bout: &Bout<'_>, broker: &Broker, numbers: std::ops::Range<u32>) -> Result<()> {
    let speech = bout.speech();
    let (codec, version) = (speech.codec(), speech.version());
    let mut clients = Vec::new();
    for number in numbers {
        let mut client = Client::dial(&broker.door)?;
        client.send_connect(
            codec,
            version,
            &ClientPlan::publisher(format!("bench-connect-{number:06}")),
        )?;
        clients.push(client);
    }
    for client in &mut clients {
        client.receive_connack(codec, version)?;
    }
    let disconnect = codec.disconnect(version)?;
    for client in &mut clients {
        client.write(&disconnect)?;
    }
    clients.into_iter().try_for_each(Client::wait_for_the_end)
}
