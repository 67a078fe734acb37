//! The load itself: all connections on one thread, driven by readiness, writing bursts and reading in bulk.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use crate::beat::Beat;
use crate::client::Client;
use crate::desk::Desk;
use crate::door::Door;
use crate::line::Line;
use crate::load::{Pace, ReceiverPlan, TrafficPlan};
use crate::meter::{Count, Counter};
use crate::process::{CpuReading, Memory, Process};
use crate::publisher::Publisher;
use crate::sequence::Faults;

const READ_BYTES: usize = 256 * 1024;

/// What was counted between the end of the warm-up and the end of the measured time.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    pub(crate) delivered: u64,
    /// `None` for a broker whose process is not known.
    pub(crate) broker_cpu: Option<Duration>,
    pub(crate) generator_cpu: Duration,
    pub(crate) memory: Option<Memory>,
    /// By how much resident memory grew with the subscriptions.
    pub(crate) subscriptions_bytes: Option<u64>,
    pub(crate) latency: Histogram<u64>,
    /// Of the whole run, warm-up and end included.
    pub(crate) faults: Faults,
    /// Share of the sends that were late or left out, at a fixed rate.
    pub(crate) late_share: f64,
    /// What the broker did for these messages and for nothing else, when it is counted.
    pub(crate) count: Option<Count>,
}

/// What a load came to that ran until it was told to stop.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) per_second: f64,
    /// Share of the messages that had to be left out at a fixed rate.
    pub(crate) left_out_share: f64,
    pub(crate) faults: Faults,
}

/// A moment of the run.
struct Mark {
    at: Instant,
    delivered: u64,
    broker: Option<CpuReading>,
    generator: CpuReading,
}

/// All connections of a load.
pub(crate) struct Traffic {
    poll: Poll,
    lines: Vec<Line>,
    /// By how much the broker's resident memory grew with the subscriptions.
    subscriptions_bytes: Option<u64>,
    desk: Desk,
    buffer: Vec<u8>,
    pace: Pace,
    begun: Instant,
    measures_latency: bool,
    last_delivery: Instant,
    silence: Duration,
    beat: Option<Beat>,
}

/// Opens all connections, runs the load, and counts.
///
/// # Errors
/// The broker refuses, closes a connection, or says something that fits nothing; or its counter does not work.
pub(crate) fn run(
    door: &Door,
    broker: Option<Process>,
    mut counter: Option<&mut Counter>,
    plan: &TrafficPlan,
) -> Result<Measured> {
    let mut traffic = Traffic::open(door, broker, plan)?;
    traffic.begin();
    traffic.drive_until(Instant::now() + plan.warm_up)?;
    // Who counts sees no message on its way when it begins or ends: what it counted belongs to whole messages.
    if let Some(counter) = &mut counter {
        traffic.pause()?;
        counter.begin()?;
        traffic.begin();
    }
    traffic.desk.restart_latency();
    traffic
        .beat
        .iter_mut()
        .for_each(|beat| beat.restart(Instant::now()));
    let begin = traffic.mark(broker)?;
    traffic.drive_until(begin.at + plan.measured)?;
    let late_share = traffic.beat.as_ref().map_or(0.0, Beat::late_share);
    let mut count = None;
    if let Some(counter) = &mut counter {
        traffic.pause()?;
        count = Some(counter.end()?);
    }
    let end = traffic.mark(broker)?;
    let latency = traffic.desk.latency().clone();
    traffic.pause()?;
    Ok(Measured {
        elapsed: end.at - begin.at,
        delivered: end.delivered - begin.delivered,
        broker_cpu: end.broker.zip(begin.broker).map(|(end, begin)| end.since(&begin)),
        generator_cpu: end.generator.since(&begin.generator),
        memory: broker.map(Process::memory).transpose()?,
        subscriptions_bytes: traffic.subscriptions_bytes,
        latency,
        faults: traffic.desk.faults(),
        late_share,
        count,
    })
}

impl Traffic {
    /// Receivers first, so that no message is sent before they listen.
    ///
    /// # Errors
    /// The broker refuses.
    pub(crate) fn open(door: &Door, broker: Option<Process>, plan: &TrafficPlan) -> Result<Self> {
        let (poll, speech) = (Poll::new()?, plan.speech);
        let resident = || -> Result<Option<u64>> {
            let memory = broker.map(Process::memory).transpose()?;
            Ok(memory.map(|memory| memory.resident))
        };
        let mut clients = Vec::new();
        for (client_plan, _) in plan.clients() {
            clients.push(Client::greet(door, speech, client_plan)?);
        }
        let before = resident()?;
        for (client, (client_plan, _)) in clients.iter_mut().zip(plan.clients()) {
            client.subscribe(speech, client_plan)?;
        }
        let subscribed = resident()?;
        let mut lines = Vec::new();
        for (client, (client_plan, role)) in clients.into_iter().zip(plan.clients()) {
            let token = Token(lines.len());
            lines.push(Line::of(client, &poll, token, speech, client_plan, role)?);
        }
        let publishers = plan
            .publishers
            .iter()
            .map(|(_, plan)| Publisher::new(plan))
            .collect::<Result<_>>()?;
        let receivers = plan.receivers.iter().map(ReceiverPlan::receiver).collect();
        let now = Instant::now();
        Ok(Self {
            poll,
            lines,
            subscriptions_bytes: subscribed
                .zip(before)
                .map(|(subscribed, before)| subscribed.saturating_sub(before)),
            desk: Desk::new(speech.codec(), publishers, receivers)?,
            buffer: vec![0; READ_BYTES],
            pace: plan.pace,
            begun: now,
            measures_latency: plan.measures_latency,
            last_delivery: now,
            silence: plan.silence,
            beat: None,
        })
    }

    /// Runs the load until `stop`, and waits for what is on its way then.
    ///
    /// # Errors
    /// The broker closes a connection, or says something that fits nothing.
    pub(crate) fn run_until(mut self, stop: &AtomicBool) -> Result<Carried> {
        self.begin();
        let begun = Instant::now();
        self.drive_while(|_| !stop.load(Ordering::Relaxed))?;
        let per_second = self.desk.delivered() as f64 / begun.elapsed().as_secs_f64();
        let left_out_share = self.beat.take().map_or(0.0, |beat| beat.left_out_share());
        self.desk.set_refills(false);
        self.settle()?;
        Ok(Carried {
            per_second,
            left_out_share,
            faults: self.desk.faults(),
        })
    }

    /// Lets publishers send.
    fn begin(&mut self) {
        self.last_delivery = Instant::now();
        match self.pace {
            Pace::Window => self.desk.set_refills(true),
            Pace::PerSecond(per_second) | Pace::InLumps(per_second) => {
                self.beat = Some(Beat::new(Instant::now(), per_second));
            }
        }
    }

    /// Lets nobody send, and waits until all that was sent has arrived.
    fn pause(&mut self) -> Result<()> {
        self.beat = None;
        self.desk.set_refills(false);
        self.settle()
    }

    fn mark(&self, broker: Option<Process>) -> Result<Mark> {
        Ok(Mark {
            broker: broker.map(Process::cpu).transpose()?,
            generator: Process::own().cpu()?,
            delivered: self.desk.delivered(),
            at: Instant::now(),
        })
    }

    /// Runs the load until `end`, or until nothing has arrived for a long time.
    fn drive_until(&mut self, end: Instant) -> Result<()> {
        self.drive_while(|now| now < end)
    }

    fn drive_while(&mut self, goes_on: impl Fn(Instant) -> bool) -> Result<()> {
        let wait = match self.pace {
            Pace::Window => Duration::from_millis(20),
            // Waking the thread would take longer than the pause between messages.
            Pace::PerSecond(_) => Duration::ZERO,
            Pace::InLumps(_) => Duration::from_millis(1),
        };
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            if !goes_on(now) || now.duration_since(self.last_delivery) > self.silence {
                return Ok(());
            }
            self.keep_beat(now)?;
            self.refill()?;
            self.turn(&mut events, wait)?;
        }
    }

    /// Waits until all that was sent has arrived, or until nothing has arrived for a long time.
    fn settle(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.desk.is_settled() && self.last_delivery.elapsed() <= self.silence {
            self.turn(&mut events, Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// Handles one batch of events.
    fn turn(&mut self, events: &mut Events, wait: Duration) -> Result<()> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let before = self.desk.delivered();
        for event in &*events {
            let Token(index) = event.token();
            if event.is_readable() || event.is_read_closed() {
                self.read(index)?;
            }
            self.write(index)?;
        }
        if self.desk.delivered() != before {
            self.last_delivery = Instant::now();
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> Result<()> {
        let Self {
            lines,
            desk,
            buffer,
            begun,
            measures_latency,
            ..
        } = self;
        let Some(line) = lines.get_mut(index) else {
            return Ok(());
        };
        let moment = || if *measures_latency { nanos_since(*begun) } else { 0 };
        line.read(buffer, desk, moment)
            .with_context(|| format!("in the stream to {}", line.name()))
    }

    /// Sends for every publisher whose window is half empty, each burst in one write.
    fn refill(&mut self) -> Result<()> {
        let due = self.desk.take_due();
        for &index in &due {
            let sent_at = self.send_moment();
            if let Some(publisher) = self.desk.publisher(index) {
                publisher.is_due = false;
                publisher.send(publisher.room(), sent_at);
            }
            self.write(self.line_of(index))?;
        }
        self.desk.keep_due(due);
        Ok(())
    }

    /// Sends what the schedule wants by `now`.
    fn keep_beat(&mut self, now: Instant) -> Result<()> {
        let publishers = self.desk.publishers() as u64;
        while let Some(number) = self.beat.as_mut().and_then(|beat| beat.next_before(now)) {
            let index = (number % publishers) as usize;
            let sent_at = self.send_moment();
            match self
                .desk
                .publisher(index)
                .filter(|publisher| publisher.room() > 0)
            {
                Some(publisher) => publisher.send(1, sent_at),
                None => self.beat.iter_mut().for_each(Beat::note_left_out),
            }
            self.write(self.line_of(index))?;
        }
        Ok(())
    }

    /// When a message that is sent now was sent; 0 when nobody asks.
    fn send_moment(&self) -> u64 {
        if self.measures_latency {
            nanos_since(self.begun)
        } else {
            0
        }
    }

    /// Publishers stand behind the receivers in the list of connections.
    fn line_of(&self, publisher: usize) -> usize {
        self.lines.len() - self.desk.publishers() + publisher
    }

    fn write(&mut self, index: usize) -> Result<()> {
        let Some(line) = self.lines.get_mut(index) else {
            return Ok(());
        };
        line.write(&mut self.desk)
            .with_context(|| format!("cannot write for {}", line.name()))
    }
}

fn nanos_since(begun: Instant) -> u64 {
    begun.elapsed().as_nanos() as u64
}
