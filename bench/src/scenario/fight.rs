//! Two clients with one client id that take each other over as fast as they can, while messages for that id are published.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use mqtt_wire::{
    Ack, Connect, Packet, PacketId, Properties, Publish, QoS, ReasonCode, RetainHandling, Subscribe,
    Subscription, TopicFilter, Version,
};

use super::{Bout, Uses};
use crate::broker::{Broker, Wishes};
use crate::peer::{Peer, State};
use crate::process::Process;
use crate::pulse::Pulse;
use crate::report::{Latency, Outcome};
use crate::sequence::Faults;
use crate::stamp::Stamp;

/// Takeovers.
pub(super) const USES: Uses = Uses {
    default_count: 5_000,
    tls: Some(false),
    ..Uses::NO_MESSAGES
};

const TOPIC: &str = "bench/fight";

/// Between two messages, and how many may be without their PUBACK.
const MESSAGE_EVERY: Duration = Duration::from_millis(2);
const WINDOW: u64 = 50;

/// Between two looks at the sockets.
const PAUSE: Duration = Duration::from_micros(50);

/// Longest fight.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// How a message has come so far. Which of the two reads first says nothing about which was served first, but without
/// DUP it comes once [MQTT-3.3.1-1].
#[derive(Debug, Clone, Copy, Default)]
struct Receipt {
    came: bool,
    came_without_dup: bool,
}

/// The two, their publisher, and what has come.
struct Fight {
    address: SocketAddr,
    version: Version,
    fighters: [Option<Peer>; 2],
    publisher: Peer,
    received: Vec<Receipt>,
    sent: u64,
    acknowledged: u64,
    packet_id: PacketId,
    sends_at: Instant,
    connections: u32,
    sessions_lost: u32,
    repeated_without_dup: u64,
}

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let wishes = Wishes {
        set: &["store.durability=os"],
        ..bout.wishes(true)
    };
    let broker = Broker::start(bout.target, bout.programs, wishes)?;
    let process = broker
        .process
        .context("the process of a broker at an address is told with --pid only")?;
    let mut pulse = Pulse::open(&broker.door, bout.speech())?;
    let trips_before = pulse.measure(bout.settings.measured())?;
    let mut fight = Fight::begin(broker.door.address, bout.speech().version())?;

    let (begun, cpu_before) = (Instant::now(), process.cpu()?);
    let stop = AtomicBool::new(false);
    let (fought, trips) = thread::scope(|scope| {
        let beats = scope.spawn(|| pulse.measure_until(&stop));
        let fought = fight.go_on(bout.settings.count);
        stop.store(true, Ordering::Relaxed);
        let trips = beats
            .join()
            .map_err(|_| anyhow!("a thread of the load tool panicked"));
        (fought, trips)
    });
    fought?;
    let trips = trips??;
    let seconds = begun.elapsed().as_secs_f64();
    let takeovers = fight.connections;
    let cpu = process.cpu()?.since(&cpu_before).as_secs_f64();
    fight.make_peace(bout.settings.silence())?;

    let mut outcome = Outcome::new(
        "ms per takeover",
        Some(seconds * 1e3 / f64::from(takeovers.max(1))),
    );
    outcome.beside.latency_us = Latency::of(&trips);
    outcome.beside.delivered = Some(fight.sent - fight.missing());
    outcome.beside.broker_cpu_share = Some(cpu / seconds);
    outcome.beside.resident_bytes = Some(Process::memory(process)?.resident);
    let calm = Latency::of(&trips_before);
    outcome.beside.more = [
        ("takeovers_per_second", f64::from(takeovers) / seconds),
        ("published", fight.sent as f64),
        ("sessions_lost", f64::from(fight.sessions_lost)),
        (
            "p50_before_us",
            calm.as_ref().map_or(f64::NAN, |latency| latency.p50),
        ),
        (
            "p99_before_us",
            calm.as_ref().map_or(f64::NAN, |latency| latency.p99),
        ),
    ]
    .into();
    outcome.faults = Faults {
        lost: fight.missing(),
        repeated: fight.repeated_without_dup,
        unanswered: fight.sent - fight.acknowledged,
        ..Faults::default()
    };
    outcome.missed =
        (fight.sessions_lost > 0).then(|| format!("{} connections found no session", fight.sessions_lost));
    Ok(outcome)
}

impl Fight {
    /// Makes the session and its subscription.
    fn begin(address: SocketAddr, version: Version) -> Result<Self> {
        let mut first = dial(address, version, "bench-fighter", false)?;
        first.outbox().send(&subscribe()?)?;
        first.flush();
        wait_for(&mut first, |packet| matches!(packet, Packet::SubAck(_)))?;
        let mut publisher = dial(address, version, "bench-fight-publisher", true)?;
        wait_for(&mut publisher, |packet| matches!(packet, Packet::ConnAck(_)))?;
        Ok(Self {
            address,
            version,
            fighters: [Some(first), None],
            publisher,
            received: Vec::new(),
            sent: 0,
            acknowledged: 0,
            packet_id: PacketId::FIRST,
            sends_at: Instant::now(),
            connections: 0,
            sessions_lost: 0,
            repeated_without_dup: 0,
        })
    }

    /// Whoever is out comes back at once.
    fn go_on(&mut self, takeovers: u32) -> Result<()> {
        let begun = Instant::now();
        while self.connections < takeovers {
            if begun.elapsed() > GIVE_UP_AFTER {
                bail!("{} takeovers in {GIVE_UP_AFTER:?}", self.connections);
            }
            for index in 0..self.fighters.len() {
                self.strike(index)?;
            }
            self.publish()?;
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn strike(&mut self, index: usize) -> Result<()> {
        let (address, version) = (self.address, self.version);
        let Some(place) = self.fighters.get_mut(index) else {
            return Ok(());
        };
        match place.take() {
            None => *place = Some(dial(address, version, "bench-fighter", false)?),
            Some(mut peer) => {
                if self.read(&mut peer)? == State::Open
                    && let Some(place) = self.fighters.get_mut(index)
                {
                    *place = Some(peer);
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, peer: &mut Peer) -> Result<State> {
        let Self {
            received,
            connections,
            sessions_lost,
            repeated_without_dup,
            ..
        } = self;
        peer.receive(&mut |packet, outbox| match packet {
            Packet::ConnAck(connack) if connack.reason == ReasonCode::Success => {
                *connections += 1;
                *sessions_lost += u32::from(!connack.session_present);
                Ok(())
            }
            Packet::ConnAck(refusal) => bail!("a fighter was refused: {refusal:?}"),
            Packet::Publish(message) => {
                let stamp = Stamp::read(message.payload).context("a message without its stamp")?;
                let place = received.get_mut(stamp.number as usize);
                let place = place.context("a message that was never sent")?;
                *repeated_without_dup += u64::from(place.came_without_dup && !message.dup);
                place.came = true;
                place.came_without_dup |= !message.dup;
                message.packet_id.map_or(Ok(()), |packet_id| {
                    outbox.send(&Packet::PubAck(Ack::new(packet_id)))
                })
            }
            // 5.0 tells the one who is taken over.
            _ => Ok(()),
        })
    }

    fn publish(&mut self) -> Result<()> {
        let acknowledged = &mut self.acknowledged;
        let state = self.publisher.receive(&mut |packet, _| {
            *acknowledged += u64::from(matches!(packet, Packet::PubAck(_)));
            Ok(())
        })?;
        if state == State::Closed {
            bail!("the publisher was closed");
        }
        if Instant::now() < self.sends_at || self.sent - self.acknowledged >= WINDOW {
            return Ok(());
        }
        self.sends_at = Instant::now() + MESSAGE_EVERY;
        let stamp = Stamp {
            publisher: 0,
            number: self.sent,
            sent_at: 0,
        };
        self.publisher.outbox().send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: TOPIC,
            packet_id: Some(self.packet_id),
            properties: Properties::EMPTY,
            payload: &stamp.bytes(),
        }))?;
        self.publisher.flush();
        self.packet_id = self.packet_id.next();
        self.sent += 1;
        self.received.push(Receipt::default());
        Ok(())
    }

    fn missing(&self) -> u64 {
        self.received.iter().filter(|receipt| !receipt.came).count() as u64
    }

    /// One of them comes in for good and takes what waits.
    fn make_peace(&mut self, silence: Duration) -> Result<()> {
        self.fighters = [None, None];
        let mut last = dial(self.address, self.version, "bench-fighter", false)?;
        let (mut known, mut since) = (0, Instant::now());
        self.sends_at = since + GIVE_UP_AFTER;
        loop {
            if self.read(&mut last)? == State::Closed {
                bail!("the last one was closed");
            }
            self.publish()?;
            let missing = self.missing();
            if missing + self.sent - self.acknowledged == 0 {
                return Ok(());
            }
            if missing != known {
                (known, since) = (missing, Instant::now());
            }
            if since.elapsed() > silence {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn dial(address: SocketAddr, version: Version, client_id: &str, clean: bool) -> Result<Peer> {
    let mut connect = Connect::new(version, client_id);
    connect.clean_start = clean;
    if !clean && version == Version::V5 {
        connect.session_expiry_secs = Some(u32::MAX);
    }
    let mut peer = Peer::dial(address, version)?;
    peer.outbox().send(&Packet::Connect(Box::new(connect)))?;
    peer.flush();
    Ok(peer)
}

fn subscribe() -> Result<Packet<'static>> {
    Ok(Packet::Subscribe(Subscribe {
        packet_id: PacketId::FIRST,
        subscription_id: None,
        filters: vec![Subscription {
            filter: TopicFilter::parse(TOPIC)?,
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }],
        user_properties: Vec::new(),
    }))
}

/// Reads until the packet has come.
fn wait_for(peer: &mut Peer, is_it: impl Fn(&Packet<'_>) -> bool) -> Result<()> {
    let begun = Instant::now();
    let mut found = false;
    while !found {
        let state = peer.receive(&mut |packet, _| {
            found |= is_it(&packet);
            Ok(())
        })?;
        if state == State::Closed || begun.elapsed() > Duration::from_secs(20) {
            bail!("an answer did not come");
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
