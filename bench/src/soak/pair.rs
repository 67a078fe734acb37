//! A publisher and a subscriber on a topic of their own, and what disturbs them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use mqtt_wire::{Publish, QoS, Version};

use super::flow::Flow;
use super::member::{Identity, Keeping, Member};
use super::receiver::{Notice, Receiver};
use super::sender::{Fate, Sender};
use super::tally::Tally;
use crate::random::Random;
use crate::stamp::{STAMP_BYTES, Stamp};

/// Milliseconds between two disturbances of one pair: at least, and at random beyond.
const CALM_MS: (u32, u32) = (4_000, 16_000);

/// Milliseconds that a client is away, that a subscription is, and that a subscriber does not read: at most.
const AWAY_MS_MAX: u32 = 6_000;
const UNSUBSCRIBED_MS_MAX: u32 = 4_000;
const STALLED_MS_MAX: u32 = 10_000;

/// Messages that a publisher sends just before it departs.
const BURST: u32 = 10;

/// How long brief sessions outlive their connection, in seconds, and milliseconds that their clients are then away:
/// clearly shorter, or clearly longer.
const BRIEF_SECS: u32 = 4;
const BRIEFLY_AWAY_MS: u32 = 1_000;
const LONG_AWAY_MS: u32 = 9_000;

/// What makes one pair different from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairPlan {
    pub(super) number: u32,
    pub(super) publishes: QoS,
    pub(super) subscribes: QoS,
    pub(super) publisher: (Version, Keeping),
    pub(super) subscriber: (Version, Keeping),
    pub(super) payload_bytes: usize,
    pub(super) every: Duration,
}

/// One pair.
#[derive(Debug)]
pub(super) struct Pair {
    plan: PairPlan,
    topic: String,
    sender: Sender,
    receiver: Receiver,
    flow: Flow,
    sends_at: Instant,
    disturbed_at: Instant,
    /// At QoS 0: everything from this number on is owed; absent while the subscriber may miss some.
    steady_from: Option<u64>,
    payload: Vec<u8>,
}

impl Pair {
    pub(super) fn new(address: SocketAddr, plan: PairPlan, now: Instant, random: &mut Random) -> Self {
        let member = |role: &str, (version, keeping)| {
            let client_id = format!("soak-{role}-{:04}", plan.number);
            let identity = Identity {
                client_id,
                version,
                keeping,
            };
            Member::new(address, identity, now)
        };
        let topic = format!("soak/pair/{:04}", plan.number);
        let delivered = plan.publishes.min(plan.subscribes);
        let first = Duration::from_millis(u64::from(random.below(1000)));
        Self {
            plan,
            sender: Sender::new(member("pub", plan.publisher), plan.publishes),
            receiver: Receiver::new(
                member("sub", plan.subscriber),
                topic.clone(),
                plan.subscribes,
                delivered,
            ),
            topic,
            flow: Flow::new(delivered),
            sends_at: now + Duration::from_secs(1) + first,
            disturbed_at: now + calm(random),
            steady_from: None,
            payload: vec![0; plan.payload_bytes.max(STAMP_BYTES)],
        }
    }

    pub(super) const fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Nothing more comes; what is lost is told.
    pub(super) fn settle(&mut self, now: Instant, tally: &mut Tally) {
        self.flow.settle();
        let (lost, unacknowledged) = (self.flow.lost(), self.sender.unacknowledged());
        if lost + unacknowledged as u64 > 0 {
            let numbers = self.flow.lost_numbers().take(10).collect::<Vec<_>>();
            let what = format!(
                "lost {lost} {numbers:?}, unanswered {unacknowledged}, {} sent, {:?}",
                self.flow.next(),
                self.plan
            );
            tally.tell(now, &what);
        }
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.sender.unacknowledged()
    }

    /// One round: disturb, send, read. In the last rounds nothing new is sent and everybody comes back.
    pub(super) fn step(
        &mut self,
        now: Instant,
        last: bool,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<()> {
        if last {
            self.receiver.steady(now);
        } else {
            if now >= self.disturbed_at {
                self.disturb(now, random, tally)?;
                self.disturbed_at = now + calm(random);
            }
            if now >= self.sends_at {
                self.sends_at = (self.sends_at + self.plan.every).max(now);
                self.send(tally)?;
            }
        }
        self.sender.member.come_back(now, last, tally)?;
        self.receiver.member.come_back(now, last, tally)?;
        let flow = &mut self.flow;
        self.sender
            .exchange(now, tally, &mut |fate| take_fate(flow, fate))?;
        self.sender.member.flush();
        self.listen(now, tally)
    }

    fn listen(&mut self, now: Instant, tally: &mut Tally) -> Result<()> {
        let Self {
            plan,
            flow,
            receiver,
            steady_from,
            topic,
            ..
        } = self;
        let mut arrivals = Vec::new();
        receiver.exchange(now, tally, &mut |notice| match notice {
            Notice::Gap => {
                flow.excuse_all();
                *steady_from = None;
            }
            Notice::Message { message, connection } => {
                let number = stamped(plan.number, topic, message);
                let verdict = number.map(|number| flow.arrive(number, message.dup, connection));
                arrivals.push((number, verdict, message.dup, connection));
            }
        })?;
        for (number, verdict, dup, connection) in arrivals {
            let what = || format!("message {number:?}, DUP {dup}, connection {connection}, {plan:?}");
            match verdict {
                Some(verdict) => tally.arrival(verdict, now, what),
                None => tally.wrong(now, &format!("not of this pair: {}", what())),
            }
        }
        Ok(())
    }

    fn send(&mut self, tally: &mut Tally) -> Result<()> {
        if !self.sender.is_ready() {
            return Ok(());
        }
        let owed = self.owes();
        let number = self.flow.send(owed);
        let stamp = Stamp {
            publisher: self.plan.number,
            number,
            sent_at: 0,
        };
        if let Some(front) = self.payload.get_mut(..STAMP_BYTES) {
            front.copy_from_slice(&stamp.bytes());
        }
        self.sender.send(number, &self.topic, &self.payload, false)?;
        tally.counts.sent += 1;
        Ok(())
    }

    /// Whether the next message has to reach the subscriber. QoS 0 may be lost to one that is away or slow.
    fn owes(&mut self) -> bool {
        if !self.receiver.is_subscribed() {
            return false;
        }
        if self.flow.qos() > QoS::AtMostOnce {
            return true;
        }
        if self.receiver.is_stalled() || !self.receiver.member.is_here() {
            self.steady_from = None;
            return false;
        }
        // After a pause everything of before it has to have come, or to be known as lost.
        let from = *self.steady_from.get_or_insert(self.flow.next());
        self.flow.has_seen(from)
    }

    fn disturb(&mut self, now: Instant, random: &mut Random, tally: &mut Tally) -> Result<()> {
        if random.once_in(3) {
            self.disturb_sender(now, random, tally)
        } else {
            self.disturb_receiver(now, random, tally)
        }
    }

    fn disturb_sender(&mut self, now: Instant, random: &mut Random, tally: &mut Tally) -> Result<()> {
        if !self.sender.member.is_here() {
            return Ok(());
        }
        // So that some are on their way.
        for _ in 0..BURST {
            self.send(tally)?;
        }
        self.sender.member.flush();
        let flow = &mut self.flow;
        self.sender.depart(&mut |fate| take_fate(flow, fate));
        let back = Some(now + milliseconds(random.below(AWAY_MS_MAX)));
        match random.below(3) {
            0 => self.sender.member.take_over(now, tally),
            1 => {
                self.sender.member.vanish(back, tally);
                Ok(())
            }
            _ => self.sender.member.leave(back),
        }
    }

    fn disturb_receiver(&mut self, now: Instant, random: &mut Random, tally: &mut Tally) -> Result<()> {
        if !self.receiver.member.is_here() {
            return Ok(());
        }
        let Self {
            flow,
            receiver,
            steady_from,
            ..
        } = self;
        let mut tell = |notice: Notice<'_>| {
            if let Notice::Gap = notice {
                flow.excuse_all();
                *steady_from = None;
            }
        };
        // One that does not read leaves the most behind it.
        let action = random.below(if receiver.is_stalled() { 3 } else { 5 });
        if action < 3 {
            let brief = matches!(receiver.member.identity.keeping, Keeping::Brief(_));
            let ends = brief && action > 0 && random.once_in(2);
            let away = match (brief, ends) {
                (true, true) => LONG_AWAY_MS,
                (true, false) => BRIEFLY_AWAY_MS,
                (false, _) => random.below(AWAY_MS_MAX),
            };
            let back = Some(now + milliseconds(away));
            receiver.depart(ends, &mut tell);
            tally.counts.ended_sessions += u64::from(ends);
            return match action {
                0 => receiver.member.take_over(now, tally),
                1 => {
                    receiver.member.vanish(back, tally);
                    Ok(())
                }
                _ => receiver.member.leave(back),
            };
        }
        if action == 3 {
            receiver.unsubscribe(now + milliseconds(random.below(UNSUBSCRIBED_MS_MAX)), &mut tell)
        } else {
            let until = now + milliseconds(random.below(STALLED_MS_MAX));
            receiver.stall(until, tally, &mut tell);
            Ok(())
        }
    }
}

/// How long a brief session is kept.
pub(super) const BRIEF: Keeping = Keeping::Brief(BRIEF_SECS);

fn take_fate(flow: &mut Flow, fate: Fate) {
    match fate {
        Fate::Resent(number) => flow.resend(number),
        Fate::Unknown(number) => flow.excuse(number),
        Fate::AllUnknown => flow.excuse_all(),
    }
}

/// The number of a message if it is of this pair.
fn stamped(pair: u32, topic: &str, message: &Publish<'_>) -> Option<u64> {
    let stamp = Stamp::read(message.payload)?;
    (stamp.publisher == pair && message.topic == topic).then_some(stamp.number)
}

fn calm(random: &mut Random) -> Duration {
    milliseconds(CALM_MS.0 + random.below(CALM_MS.1))
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(u64::from(count))
}
