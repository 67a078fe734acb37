//! The load itself: all connections on one thread, driven by readiness, writing bursts and reading in bulk.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::client::{Client, ClientPlan, Speech};
use crate::desk::{Desk, Order, Receiver, Role};
use crate::process::{CpuReading, Memory, Process};
use crate::publisher::{Publisher, PublisherPlan};
use crate::scanner::Scanner;
use crate::sequence::Faults;

const READ_BYTES: usize = 256 * 1024;

/// Silence after which messages on their way count as lost.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A send at a fixed rate counts as late when it is this far behind its time.
const LATE: Duration = Duration::from_millis(1);

/// Who sends what to whom.
#[derive(Debug, Clone)]
pub(crate) struct TrafficPlan {
    pub(crate) speech: Speech,
    pub(crate) publishers: Vec<(ClientPlan, PublisherPlan)>,
    pub(crate) receivers: Vec<ReceiverPlan>,
    pub(crate) pace: Pace,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) measures_latency: bool,
}

/// One subscriber, or several that divide the messages of a shared subscription.
#[derive(Debug, Clone)]
pub(crate) struct ReceiverPlan {
    pub(crate) clients: Vec<ClientPlan>,
    /// The numbers of the publishers it hears.
    pub(crate) hears: std::ops::Range<u32>,
}

/// What makes publishers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Half the window is free.
    Window,
    /// The clock: so many messages per second in all, from the publishers in turn, one per write.
    PerSecond(u32),
}

/// What was counted between the end of the warm-up and the end of the measured time.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    pub(crate) delivered: u64,
    /// `None` for a broker whose process is not known.
    pub(crate) broker_cpu: Option<Duration>,
    pub(crate) generator_cpu: Duration,
    pub(crate) memory: Option<Memory>,
    pub(crate) latency: Histogram<u64>,
    /// Of the whole run, warm-up and end included.
    pub(crate) faults: Faults,
    /// Share of the sends that were late or left out, at a fixed rate.
    pub(crate) late_share: f64,
}

/// A moment of the run.
struct Mark {
    at: Instant,
    delivered: u64,
    broker: Option<CpuReading>,
    generator: CpuReading,
}

struct Line {
    name: String,
    socket: TcpStream,
    scanner: Scanner,
    role: Role,
    /// Answers to be written.
    out: Vec<u8>,
}

struct Traffic {
    poll: Poll,
    lines: Vec<Line>,
    desk: Desk,
    buffer: Vec<u8>,
    begun: Instant,
    measures_latency: bool,
    last_delivery: Instant,
    beat: Option<Beat>,
}

/// The schedule of a fixed rate.
struct Beat {
    begun: Instant,
    per_second: u32,
    next: u64,
    late: u64,
}

/// Opens all connections, runs the load, and counts.
///
/// # Errors
/// The broker refuses, closes a connection, or says something that fits nothing.
pub(crate) fn run(address: SocketAddr, broker: Option<Process>, plan: &TrafficPlan) -> Result<Measured> {
    let mut traffic = Traffic::open(address, plan)?;
    match plan.pace {
        Pace::Window => traffic.desk.set_refills(true),
        Pace::PerSecond(per_second) => traffic.beat = Some(Beat::new(per_second)),
    }
    traffic.drive_until(Instant::now() + plan.warm_up)?;
    traffic.desk.restart_latency();
    if let Some(beat) = &mut traffic.beat {
        *beat = Beat::new(beat.per_second);
    }
    let begin = traffic.mark(broker)?;
    traffic.drive_until(begin.at + plan.measured)?;
    let end = traffic.mark(broker)?;
    let latency = traffic.desk.latency().clone();
    let late_share = traffic.beat.take().map_or(0.0, |beat| beat.late_share());
    traffic.desk.set_refills(false);
    traffic.settle()?;
    Ok(Measured {
        elapsed: end.at - begin.at,
        delivered: end.delivered - begin.delivered,
        broker_cpu: end.broker.zip(begin.broker).map(|(end, begin)| end.since(&begin)),
        generator_cpu: end.generator.since(&begin.generator),
        memory: broker.map(Process::memory).transpose()?,
        latency,
        faults: traffic.desk.faults(),
        late_share,
    })
}

impl Traffic {
    /// Receivers first, so that no message is sent before they listen.
    fn open(address: SocketAddr, plan: &TrafficPlan) -> Result<Self> {
        let poll = Poll::new()?;
        let mut lines = Vec::new();
        let receivers = plan.receivers.iter().enumerate();
        let receivers = receivers.flat_map(|(index, plan)| {
            plan.clients
                .iter()
                .map(move |client| (client, Role::Receiver(index)))
        });
        let publishers = plan
            .publishers
            .iter()
            .enumerate()
            .map(|(index, (client, _))| (client, Role::Publisher(index)));
        for (client, role) in receivers.chain(publishers) {
            lines.push(Line::open(
                &poll,
                Token(lines.len()),
                address,
                plan.speech,
                client,
                role,
            )?);
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
            desk: Desk::new(plan.speech.codec(), publishers, receivers)?,
            buffer: vec![0; READ_BYTES],
            begun: now,
            measures_latency: plan.measures_latency,
            last_delivery: now,
            beat: None,
        })
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
        // At a fixed rate the thread never sleeps: waking it would take longer than the pause between messages.
        let wait = if self.beat.is_some() {
            Duration::ZERO
        } else {
            Duration::from_millis(20)
        };
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            if now >= end || now.duration_since(self.last_delivery) > SILENCE_MAX {
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
        while !self.desk.is_settled() && self.last_delivery.elapsed() <= SILENCE_MAX {
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

    /// Reads what there is on one connection. Readiness is edge-triggered: a read that does not fill the buffer
    /// has emptied the socket.
    fn read(&mut self, index: usize) -> Result<()> {
        let Self {
            lines,
            desk,
            buffer,
            begun,
            measures_latency,
            ..
        } = self;
        let Some(Line {
            name,
            socket,
            scanner,
            role,
            out,
        }) = lines.get_mut(index)
        else {
            return Ok(());
        };
        loop {
            let count = match socket.read(buffer) {
                Ok(0) => bail!("the broker closed the connection of {name}"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).with_context(|| format!("cannot read for {name}")),
            };
            let now = if *measures_latency { nanos_since(*begun) } else { 0 };
            let bytes = buffer.get(..count).unwrap_or_default();
            scanner
                .feed(bytes, &mut |frame| desk.take(*role, frame, now, out))
                .with_context(|| format!("in the stream to {name}"))?;
            if count < buffer.len() {
                return Ok(());
            }
        }
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
        while let Some((number, behind)) = self.beat.as_mut().and_then(|beat| beat.next_before(now)) {
            let index = (number % publishers) as usize;
            let sent_at = self.send_moment();
            let Some(publisher) = self.desk.publisher(index) else {
                return Ok(());
            };
            let has_room = publisher.room() > 0;
            if has_room {
                publisher.send(1, sent_at);
            }
            if let Some(beat) = &mut self.beat {
                beat.late += u64::from(!has_room || behind > LATE);
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

    /// Writes as much as the socket takes.
    fn write(&mut self, index: usize) -> Result<()> {
        let Some(line) = self.lines.get_mut(index) else {
            return Ok(());
        };
        let publisher = match line.role {
            Role::Publisher(index) => self.desk.publisher(index),
            Role::Receiver(_) => None,
        };
        line.write(publisher)
            .with_context(|| format!("cannot write for {}", line.name))
    }
}

impl ReceiverPlan {
    fn receiver(&self) -> Receiver {
        let qos = self.clients.first().map(|client| client.qos).unwrap_or_default();
        let order = if self.clients.len() > 1 {
            Order::Any
        } else {
            Order::AsSent
        };
        Receiver::new(self.hears.clone(), qos, order)
    }
}

impl Line {
    fn open(
        poll: &Poll,
        token: Token,
        address: SocketAddr,
        speech: Speech,
        plan: &ClientPlan,
        role: Role,
    ) -> Result<Self> {
        let (mut socket, early) = Client::open(address, speech, plan)?.into_nonblocking()?;
        anyhow::ensure!(
            early.is_empty(),
            "{} got messages before any was sent",
            plan.client_id
        );
        poll.registry()
            .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let scanner = Scanner::new(speech.version());
        Ok(Self {
            name: plan.client_id.clone(),
            socket,
            scanner,
            role,
            out: Vec::new(),
        })
    }

    /// Answers and messages leave in one write; answers never stand inside a message.
    fn write(&mut self, mut publisher: Option<&mut Publisher>) -> std::io::Result<()> {
        loop {
            let (messages, mid_frame) = match &publisher {
                Some(publisher) => (publisher.unwritten(), publisher.is_mid_frame()),
                None => ([&[][..]; 2], false),
            };
            let answers = if mid_frame { &[] } else { self.out.as_slice() };
            let answers_len = answers.len();
            let len = answers_len + messages.iter().map(|slice| slice.len()).sum::<usize>();
            if len == 0 {
                return Ok(());
            }
            let [first, second] = messages;
            let slices = [answers, first, second].map(IoSlice::new);
            let written = match self.socket.write_vectored(&slices) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let of_answers = written.min(answers_len);
            self.out.drain(..of_answers);
            if let Some(publisher) = &mut publisher {
                publisher.wrote(written - of_answers);
            }
        }
    }
}

impl Beat {
    fn new(per_second: u32) -> Self {
        Self {
            begun: Instant::now(),
            per_second,
            next: 0,
            late: 0,
        }
    }

    /// The number of the next message if its time has come, and how long ago that was.
    fn next_before(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let nanos = u128::from(self.next) * 1_000_000_000 / u128::from(self.per_second.max(1));
        let behind = now
            .duration_since(self.begun)
            .checked_sub(Duration::from_nanos(nanos as u64))?;
        self.next += 1;
        Some((self.next - 1, behind))
    }

    fn late_share(&self) -> f64 {
        self.late as f64 / self.next.max(1) as f64
    }
}

fn nanos_since(begun: Instant) -> u64 {
    begun.elapsed().as_nanos() as u64
}
