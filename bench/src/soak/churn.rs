//! Subscriptions that come and go, and sessions that nobody comes back to.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use mqtt_wire::{
    Packet, PacketId, QoS, RetainHandling, Subscribe, Subscription, TopicFilter, Unsubscribe, Version,
};

use super::member::{Heard, Identity, Keeping, Member};
use super::receiver::Receiver;
use super::tally::Tally;
use crate::random::Random;

const CHURNERS: u32 = 4;

/// Between two packets of one churner.
const PAUSE: Duration = Duration::from_millis(200);

/// Filters of one SUBSCRIBE, and subscriptions of one churner at a time.
const FILTERS: u32 = 5;
const SUBSCRIPTIONS_MAX: usize = 50;

/// Between two sessions that nobody comes back to, and the seconds that they are kept.
const ABANDON_EVERY: Duration = Duration::from_secs(2);
const ABANDONED_SECS: u32 = 5;

/// Both kinds.
#[derive(Debug)]
pub(super) struct Churn {
    address: SocketAddr,
    churners: Vec<Churner>,
    abandoned: u32,
    abandoner: Option<Receiver>,
    abandons_at: Instant,
}

#[derive(Debug)]
struct Churner {
    member: Member,
    filters: Vec<TopicFilter>,
    next_id: PacketId,
    /// The packet whose answer has not come.
    asked: Option<PacketId>,
    acts_at: Instant,
}

impl Churn {
    pub(super) fn new(address: SocketAddr, now: Instant) -> Self {
        let churner = |number: u32| {
            let identity = Identity {
                client_id: format!("soak-churn-{number:04}"),
                version: if number.is_multiple_of(2) {
                    Version::V311
                } else {
                    Version::V5
                },
                keeping: Keeping::Clean,
            };
            Churner {
                member: Member::new(address, identity, now),
                filters: Vec::new(),
                next_id: PacketId::FIRST,
                asked: None,
                acts_at: now,
            }
        };
        Self {
            address,
            churners: (0..CHURNERS).map(churner).collect(),
            abandoned: 0,
            abandoner: None,
            abandons_at: now,
        }
    }

    pub(super) fn step(
        &mut self,
        now: Instant,
        last: bool,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<()> {
        for churner in &mut self.churners {
            churner.step(now, last, random, tally)?;
        }
        if let Some(mut receiver) = self.abandoner.take() {
            receiver.member.come_back(now, false, tally)?;
            receiver.exchange(now, tally, &mut |_| {})?;
            if receiver.is_subscribed() {
                receiver.member.vanish(None, tally);
                tally.counts.ended_sessions += 1;
            } else {
                self.abandoner = Some(receiver);
            }
        } else if now >= self.abandons_at && !last {
            self.abandons_at = now + ABANDON_EVERY;
            self.abandoned += 1;
            let identity = Identity {
                client_id: format!("soak-abandoned-{:07}", self.abandoned),
                version: Version::V5,
                keeping: Keeping::Brief(ABANDONED_SECS),
            };
            let filter = format!("soak/pair/{:04}", self.abandoned % 8);
            let member = Member::new(self.address, identity, now);
            self.abandoner = Some(Receiver::new(member, filter, QoS::AtLeastOnce, QoS::AtLeastOnce));
        }
        Ok(())
    }
}

impl Churner {
    fn step(&mut self, now: Instant, last: bool, random: &mut Random, tally: &mut Tally) -> Result<()> {
        self.member.come_back(now, false, tally)?;
        let asked = &mut self.asked;
        let heard = self.member.exchange(now, tally, &mut |packet, _| {
            let answered = match packet {
                Packet::SubAck(suback) => Some(suback.packet_id),
                Packet::UnsubAck(unsuback) => Some(unsuback.packet_id),
                _ => None,
            };
            if answered.is_some() && *asked == answered {
                *asked = None;
            }
            Ok(())
        })?;
        if heard != Heard::Nothing {
            self.filters.clear();
            self.asked = None;
        }
        if now >= self.acts_at && self.asked.is_none() && self.member.is_here() && !last {
            self.acts_at = now + PAUSE;
            self.act(now, random, tally)?;
            self.member.flush();
        }
        Ok(())
    }

    fn act(&mut self, now: Instant, random: &mut Random, tally: &mut Tally) -> Result<()> {
        if random.once_in(100) {
            self.member.vanish(Some(now), tally);
            return Ok(());
        }
        let packet_id = self.next_id;
        self.next_id = packet_id.next();
        self.asked = Some(packet_id);
        let unsubscribes = self.filters.len() >= SUBSCRIPTIONS_MAX || random.once_in(8);
        let packet = if unsubscribes && !self.filters.is_empty() {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                filters: std::mem::take(&mut self.filters),
                user_properties: Vec::new(),
            })
        } else {
            let filters: Vec<TopicFilter> = (0..FILTERS).map(|_| filter(random)).collect::<Result<_>>()?;
            self.filters.extend(filters.iter().cloned());
            tally.counts.subscriptions += u64::from(FILTERS);
            Packet::Subscribe(Subscribe {
                packet_id,
                subscription_id: None,
                filters: filters.into_iter().map(subscription).collect(),
                user_properties: Vec::new(),
            })
        };
        match self.member.outbox() {
            Some(outbox) => outbox.send(&packet),
            None => Ok(()),
        }
    }
}

const fn subscription(filter: TopicFilter) -> Subscription {
    Subscription {
        filter,
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::SendAtSubscribe,
    }
}

/// Mostly where nothing is published, and now and then what somebody else hears too.
fn filter(random: &mut Random) -> Result<TopicFilter> {
    let (a, b) = (random.below(40), random.below(40));
    let text = match random.below(20) {
        0 => format!("soak/pair/{:04}", a % 8),
        1..=6 => format!("soak/churn/{a}/+/{b}"),
        7..=10 => format!("soak/churn/+/{a}/#"),
        _ => format!("soak/churn/{a}/{b}"),
    };
    Ok(TopicFilter::parse(&text)?)
}
