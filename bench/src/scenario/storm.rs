//! Connections by the hundred that send malformed bytes, and a well-behaved pair that wants to be served meanwhile.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use mqtt_wire::Version;

use super::{Bout, Uses};
use crate::broker::{Broker, Wishes};
use crate::compare::say;
use crate::gauge::Gauges;
use crate::peer::{Peer, State};
use crate::process::Process;
use crate::pulse::Pulse;
use crate::random::Random;
use crate::report::{Latency, Outcome};

mod malformed;

use malformed::{Kind, Malformed};

pub(super) const USES: Uses = Uses {
    default_count: 100_000,
    tls: Some(false),
    ..Uses::NO_MESSAGES
};

const SEED: u64 = 0x5eed;

/// Attackers at a time.
const AT_A_TIME: usize = 300;

/// How long an attacker stays when the broker does not close its connection, and how long when it has to.
const PATIENCE: Duration = Duration::from_millis(100);
const MUST_CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// After the storm, before memory is read again: longer than the broker waits for a CONNECT.
const CALM: Duration = Duration::from_secs(12);

/// How it ended for the attackers.
#[derive(Debug, Default)]
struct Ends {
    closed: u64,
    given_up: u64,
    /// Still open although the bytes were wrong in any case.
    wrongly_open: u64,
}

struct Attacker {
    peer: Peer,
    kind: Kind,
    since: Instant,
}

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let wishes = Wishes {
        set: &["broker.sys_interval=1s"],
        ..bout.wishes(false)
    };
    let broker = Broker::start(bout.target, bout.programs, wishes)?;
    let process = broker
        .process
        .context("the memory of a broker at an address is read with --pid only")?;
    let mut pulse = Pulse::open(&broker.door, bout.speech())?;
    pulse.measure(bout.settings.warm_up())?;
    let trips_before = pulse.measure(bout.settings.measured())?;
    let (before, cpu_before, own_before) = (process.memory()?, process.cpu()?, Process::own().cpu()?);

    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    let (ends, trips) = thread::scope(|scope| {
        let beats = scope.spawn(|| pulse.measure_until(&stop));
        let ends = attack(broker.door.address, bout.settings.count);
        stop.store(true, Ordering::Relaxed);
        let trips = beats
            .join()
            .map_err(|_| anyhow!("a thread of the load tool panicked"));
        (ends, trips)
    });
    let (ends, trips) = (ends?, trips??);
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = process.cpu()?.since(&cpu_before).as_secs_f64();
    let own = Process::own().cpu()?.since(&own_before).as_secs_f64();
    let peak = process.memory()?.peak;
    thread::sleep(CALM);
    let after = process.memory()?.resident;

    let latency = Latency::of(&trips);
    let mut outcome = Outcome::new(
        "p99 µs of a round trip meanwhile",
        latency.as_ref().map(|latency| latency.p99),
    );
    outcome.beside.latency_us = latency;
    outcome.beside.broker_cpu_share = Some(cpu / seconds);
    outcome.beside.generator_cpu_share = Some(own / seconds);
    outcome.beside.resident_bytes = Some(after);
    outcome.beside.peak_bytes = Some(peak);
    let count = f64::from(bout.settings.count);
    let calm = Latency::of(&trips_before);
    outcome.beside.more = [
        (
            "p50_before_us",
            calm.as_ref().map_or(f64::NAN, |latency| latency.p50),
        ),
        (
            "p99_before_us",
            calm.as_ref().map_or(f64::NAN, |latency| latency.p99),
        ),
        ("resident_before_bytes", before.resident as f64),
        ("resident_peak_bytes", peak as f64),
        ("resident_after_bytes", after as f64),
        ("closed_by_broker", ends.closed as f64),
        ("left_open", ends.given_up as f64),
        ("wrongly_open", ends.wrongly_open as f64),
        ("connections_per_second", count / seconds),
        ("broker_cpu_us_per_connection", cpu * 1e6 / count),
    ]
    .into();
    if let Some(http) = broker.http {
        let gauges = Gauges::read(http)?;
        outcome.beside.more.extend([
            ("connections_after", gauges.value("twinmq_connections")),
            ("sessions_after", gauges.value("twinmq_sessions")),
            ("retained_after", gauges.value("twinmq_retained_messages")),
        ]);
    }
    outcome.missed = (ends.wrongly_open > 0).then(|| {
        format!(
            "{} connections stayed open after bytes that are always wrong",
            ends.wrongly_open
        )
    });
    Ok(outcome)
}

/// So many attackers, some at a time.
fn attack(address: SocketAddr, count: u32) -> Result<Ends> {
    say(&format!("storm with seed {SEED:#x}"));
    let (malformed, mut random) = (Malformed::new()?, Random::new(SEED));
    let mut attackers = VecDeque::new();
    let mut ends = Ends::default();
    let mut begun = 0;
    while begun < count || !attackers.is_empty() {
        while begun < count && attackers.len() < AT_A_TIME {
            attackers.push_back(open(address, &malformed, &mut random)?);
            begun += 1;
        }
        attackers.retain_mut(|attacker| !attacker.is_over(&mut ends));
        thread::sleep(Duration::from_millis(1));
    }
    Ok(ends)
}

fn open(address: SocketAddr, malformed: &Malformed, random: &mut Random) -> Result<Attacker> {
    let attack = malformed.attack(random);
    let mut peer = dial(address)?;
    peer.outbox().send_bytes(&attack.bytes);
    peer.flush();
    Ok(Attacker {
        peer,
        kind: attack.kind,
        since: Instant::now(),
    })
}

/// Waits for a port to be free again when all are in use.
fn dial(address: SocketAddr) -> Result<Peer> {
    let begun = Instant::now();
    loop {
        match Peer::dial(address, Version::V5) {
            Err(error) if is_out_of_ports(&error) && begun.elapsed() < Duration::from_secs(60) => {
                thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

fn is_out_of_ports(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse))
}

impl Attacker {
    fn is_over(&mut self, ends: &mut Ends) -> bool {
        let patience = if self.kind.is_always_wrong() {
            MUST_CLOSE_WITHIN
        } else {
            PATIENCE
        };
        if self.peer.ignore() == State::Closed {
            ends.closed += 1;
        } else if self.since.elapsed() < patience {
            return false;
        } else if self.kind.is_always_wrong() {
            ends.wrongly_open += 1;
        } else {
            ends.given_up += 1;
        }
        true
    }
}
