//! Hours of everything at once at a modest rate: who loses, repeats or reorders a message, and whether memory grows.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::broker::{Broker, Programs, Shards, Target, Wishes};
use crate::compare::say;
use crate::gauge::Gauges;
use crate::machine::Machine;
use crate::process::{CpuReading, Process};
use crate::random::Random;
use growth::Reading;
use tally::{Counts, Tally};

mod cast;
mod churn;
pub(crate) mod flow;
mod growth;
mod member;
mod pair;
mod receiver;
mod sender;
mod storms;
mod tally;
mod wills;

/// Between two rounds of the load: what has come meanwhile is handled together, which is easy on the machine.
const ROUND: Duration = Duration::from_millis(20);

/// Between two readings of memory, and between two lines.
const READ_EVERY: Duration = Duration::from_secs(5);
const TELL_EVERY: Duration = Duration::from_secs(60);

/// At the end, how long nothing may arrive before what is missing is lost, and how long the end may take.
const SILENCE: Duration = Duration::from_secs(15);
const END_WITHIN: Duration = Duration::from_secs(120);

/// Shorter runs are over before buffers are full, so that their slope says nothing.
const JUDGED_FROM: Duration = Duration::from_secs(15 * 60);

/// What the broker shall be like: as an operator has it, with room for what waits during an absence.
const SETTINGS: &[&str] = &[
    "store.durability=os",
    "log.level=warn",
    "broker.sys_interval=5s",
    "mqtt.inflight_max=32",
    "mqtt.receive_maximum=64",
    "mqtt.queue_messages_max=10000",
    "mqtt.queue_bytes_max=16MiB",
];

/// How long, how much, and what is allowed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Soak {
    /// Minutes of load
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    minutes: u32,
    /// Messages per second that the pairs publish in all
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    rate: u32,
    /// What chance begins with [default: the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Shards of our broker
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    shards: u32,
    /// KiB per minute that resident memory may grow by over the last two thirds, in runs of 15 minutes and more
    #[arg(long, default_value_t = 128)]
    growth_max: u32,
    /// Append a JSON line per minute and one with the verdict to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

/// How things stand.
#[derive(Debug, Serialize)]
struct Line {
    minutes: f64,
    #[serde(flatten)]
    counts: Counts,
    lost: u64,
    /// Missing and allowed to be.
    forgiven: u64,
    resident_bytes: u64,
    /// Of them the caches and buffers of the store, which have bounds of their own.
    store_bytes: f64,
    open_files: usize,
    queued_messages: f64,
    sessions: f64,
    subscriptions_kept: f64,
    retained_kept: f64,
    broker_cpu_share: f64,
    generator_cpu_share: f64,
}

#[derive(Debug, Serialize)]
struct Verdict {
    verdict: &'static str,
    seed: u64,
    #[serde(flatten)]
    machine: Machine,
    #[serde(flatten)]
    line: Line,
    /// Publications that the broker never acknowledged.
    unanswered: usize,
    slope_bytes_per_minute: Option<f64>,
    slope_judged: bool,
    peak_bytes: u64,
}

/// A run in its course.
struct Course<'a> {
    soak: &'a Soak,
    process: Process,
    broker: Broker,
    tally: Tally,
    cast: cast::Cast,
    random: Random,
    readings: Vec<Reading>,
    told: (Instant, CpuReading, CpuReading),
}

impl Soak {
    /// Runs; answers whether nothing was wrong.
    ///
    /// # Errors
    /// The broker could not be started or has ended, or a result could not be written.
    pub(crate) fn run(&self) -> Result<bool> {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = self
            .seed
            .unwrap_or_else(|| since_1970.map_or(1, |time| time.as_secs()));
        say(&format!("soak for {} min, seed {seed}", self.minutes));
        let machine = Machine::now();
        let mut course = self.begin(seed)?;
        let result = course.run();
        let line = match result {
            Ok(line) => line,
            Err(error) => return course.broker.explain(error),
        };
        let slope = growth::slope(&course.readings);
        let judged = Duration::from_secs(u64::from(self.minutes) * 60) >= JUDGED_FROM;
        let grows = judged && slope.is_some_and(|slope| slope > f64::from(self.growth_max) * 1024.0);
        let counts = line.counts;
        let unanswered = course.cast.unacknowledged();
        let faults = line.lost + counts.repeated + counts.reordered + counts.wrong + unanswered as u64;
        let verdict = match (faults, grows) {
            (0, false) => "sound",
            (0, true) => "memory grows",
            _ => "faults",
        };
        say(&format!(
            "{verdict}: lost {}, repeated {}, reordered {}, wrong {}, unanswered {unanswered}; memory {:+.0} bytes per minute over the last two thirds{}; seed {seed}",
            line.lost,
            counts.repeated,
            counts.reordered,
            counts.wrong,
            slope.unwrap_or(f64::NAN),
            if judged { "" } else { " (too short to judge)" },
        ));
        if verdict != "sound" {
            say(&format!(
                "the broker's last words: {}",
                course.broker.last_words()
            ));
        }
        self.keep(&Verdict {
            verdict,
            seed,
            machine,
            line,
            unanswered,
            slope_bytes_per_minute: slope,
            slope_judged: judged,
            peak_bytes: course.process.memory()?.peak,
        })?;
        Ok(verdict == "sound")
    }

    fn begin(&self, seed: u64) -> Result<Course<'_>> {
        let wishes = Wishes {
            durable: true,
            shards: self.shards,
            tls: false,
            set: SETTINGS,
            meter: None,
        };
        let broker = Broker::start(&Target::Ours(Shards::AsMeasured), &self.programs, wishes)?;
        let process = broker.process.context("the process of our broker is known")?;
        let now = Instant::now();
        let mut random = Random::new(seed);
        let told = (now, process.cpu()?, Process::own().cpu()?);
        Ok(Course {
            soak: self,
            process,
            cast: cast::Cast::new(broker.door.address, self.rate, now, &mut random),
            broker,
            tally: Tally::new(now),
            random,
            readings: Vec::new(),
            told,
        })
    }

    fn keep(&self, line: &impl Serialize) -> Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let text = serde_json::to_string(line)?;
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{text}"));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Course<'_> {
    /// The load, then the end; answers how things stand after it.
    fn run(&mut self) -> Result<Line> {
        let begun = Instant::now();
        let end = begun + Duration::from_secs(u64::from(self.soak.minutes) * 60);
        let (mut reads_at, mut tells_at) = (begun + READ_EVERY, begun + TELL_EVERY);
        loop {
            let now = Instant::now();
            if now >= reads_at {
                reads_at += READ_EVERY;
                self.broker.check_alive()?;
                self.readings.push(Reading {
                    minutes: self.tally.elapsed(now).as_secs_f64() / 60.0,
                    bytes: self.process.memory()?.resident as f64,
                });
            }
            if now >= tells_at {
                tells_at += TELL_EVERY;
                let line = self.line(now)?;
                self.soak.keep(&line)?;
            }
            if now >= end {
                break;
            }
            self.round(now, false)?;
        }
        self.finish(end)?;
        self.cast.settle(Instant::now(), &mut self.tally);
        self.line(Instant::now())
    }

    fn round(&mut self, now: Instant, last: bool) -> Result<()> {
        self.cast.step(now, last, &mut self.random, &mut self.tally)?;
        let rest = (now + ROUND).saturating_duration_since(Instant::now());
        std::thread::sleep(rest);
        Ok(())
    }

    /// Nothing new is sent; everybody comes back and takes what waits.
    fn finish(&mut self, end: Instant) -> Result<()> {
        let mut quiet_since = Instant::now();
        let mut known = u64::MAX;
        loop {
            let now = Instant::now();
            self.round(now, true)?;
            let awaited = self.cast.awaited() + self.cast.unacknowledged() as u64;
            if awaited != known {
                known = awaited;
                quiet_since = now;
            }
            let silent = now.saturating_duration_since(quiet_since);
            // A moment for what should not come.
            let complete = awaited == 0 && self.cast.rests() && silent > Duration::from_secs(2);
            let given_up = silent > SILENCE && self.cast.rests();
            if complete || given_up || now > end + END_WITHIN {
                return Ok(());
            }
        }
    }

    fn line(&mut self, now: Instant) -> Result<Line> {
        let (since, broker_before, own_before) = &self.told;
        let seconds = now.saturating_duration_since(*since).as_secs_f64().max(1e-3);
        let (cpu, own) = (self.process.cpu()?, Process::own().cpu()?);
        let gauges = Gauges::read(self.broker.http.context("our broker serves HTTP")?)?;
        let line = Line {
            minutes: self.tally.elapsed(now).as_secs_f64() / 60.0,
            counts: self.tally.counts,
            lost: self.cast.lost(),
            forgiven: self.cast.forgiven(),
            resident_bytes: self.process.memory()?.resident,
            store_bytes: gauges.sum("twinmq_store_memory_bytes"),
            open_files: self.process.open_files()?,
            queued_messages: gauges.value("twinmq_queued_messages"),
            sessions: gauges.value("twinmq_sessions"),
            subscriptions_kept: gauges.value("twinmq_subscriptions"),
            retained_kept: gauges.value("twinmq_retained_messages"),
            broker_cpu_share: cpu.since(broker_before).as_secs_f64() / seconds,
            generator_cpu_share: own.since(own_before).as_secs_f64() / seconds,
        };
        self.told = (now, cpu, own);
        say(&line.to_string());
        Ok(line)
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { counts, .. } = self;
        write!(
            f,
            "{:6.1} min  sent {} arrived {} redelivered {} forgiven {}  lost {} repeated {} reordered {} wrong {}  {:.1} MiB (store {:.1}) {} files queue {} sessions {} subscriptions {} retained {}  CPU {:.0} % + {:.0} %",
            self.minutes,
            counts.sent,
            counts.arrived + counts.retained,
            counts.redelivered,
            self.forgiven,
            self.lost,
            counts.repeated,
            counts.reordered,
            counts.wrong,
            self.resident_bytes as f64 / 1_048_576.0,
            self.store_bytes / 1_048_576.0,
            self.open_files,
            self.queued_messages,
            self.sessions,
            self.subscriptions_kept,
            self.retained_kept,
            self.broker_cpu_share * 100.0,
            self.generator_cpu_share * 100.0,
        )
    }
}
