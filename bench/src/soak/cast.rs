//! Everybody who takes part in the soak.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use mqtt_wire::{QoS, Version};

use super::churn::Churn;
use super::flow::Flow;
use super::member::Keeping;
use super::pair::{BRIEF, Pair, PairPlan};
use super::storms::Storms;
use super::tally::Tally;
use super::wills::Wills;
use crate::random::Random;
use crate::stamp::STAMP_BYTES;

/// How often each combination of QoS, version and session comes.
const COPIES: u32 = 2;

/// Bytes of one message: mostly small, and in some pairs so large that a subscriber that does not read fills its socket.
const PAYLOAD_BYTES: [usize; 8] = [STAMP_BYTES, 64, 64, 64, 256, 256, 1024, 16_384];

#[derive(Debug)]
pub(super) struct Cast {
    pairs: Vec<Pair>,
    wills: Wills,
    storms: Storms,
    churn: Churn,
}

impl Cast {
    pub(super) fn new(address: SocketAddr, rate: u32, now: Instant, random: &mut Random) -> Self {
        let plans = plans(rate, random);
        Self {
            pairs: plans
                .into_iter()
                .map(|plan| Pair::new(address, plan, now, random))
                .collect(),
            wills: Wills::new(address, now),
            storms: Storms::new(address, now),
            churn: Churn::new(address, now),
        }
    }

    pub(super) fn step(
        &mut self,
        now: Instant,
        last: bool,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<()> {
        for pair in &mut self.pairs {
            pair.step(now, last, random, tally)?;
        }
        self.wills.step(now, last, random, tally)?;
        self.storms.step(now, last, tally)?;
        self.churn.step(now, last, random, tally)
    }

    fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.pairs.iter().map(Pair::flow).chain(self.wills.flows())
    }

    pub(super) fn lost(&self) -> u64 {
        self.flows().map(Flow::lost).sum::<u64>() + self.storms.lost
    }

    pub(super) fn forgiven(&self) -> u64 {
        self.flows().map(Flow::forgiven).sum()
    }

    pub(super) fn awaited(&self) -> u64 {
        self.flows().map(Flow::awaited).sum()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.pairs.iter().map(Pair::unacknowledged).sum()
    }

    /// True when no storm is under way.
    pub(super) const fn rests(&self) -> bool {
        self.storms.rests()
    }

    /// Nothing more comes.
    pub(super) fn settle(&mut self, now: Instant, tally: &mut Tally) {
        for pair in &mut self.pairs {
            pair.settle(now, tally);
        }
        self.wills.flows_mut().for_each(Flow::settle);
    }
}

/// All combinations of QoS, version and kind of session, with some chance in the rest.
fn plans(rate: u32, random: &mut Random) -> Vec<PairPlan> {
    let qualities = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    // A publisher whose session ends early has nothing to show that a clean one has not.
    let publishers = [
        (Version::V311, Keeping::Clean),
        (Version::V311, Keeping::Lasting),
        (Version::V5, Keeping::Clean),
        (Version::V5, Keeping::Lasting),
    ];
    let kinds: Vec<_> = publishers.into_iter().chain([(Version::V5, BRIEF)]).collect();
    let count = COPIES * (qualities.len() * kinds.len()) as u32;
    let every = Duration::from_secs(1) * count / rate.max(1);
    let mut plans = Vec::new();
    for quality in qualities {
        for &subscriber in &kinds {
            for copy in 0..COPIES {
                // One copy asks for the same on both sides; the others for what chance wants.
                let publishes = if copy == 0 {
                    quality
                } else {
                    *random.pick(&qualities).unwrap_or(&quality)
                };
                let publisher = *random.pick(&publishers).unwrap_or(&subscriber);
                plans.push(PairPlan {
                    number: plans.len() as u32,
                    publishes,
                    subscribes: quality,
                    publisher,
                    subscriber,
                    payload_bytes: *random.pick(&PAYLOAD_BYTES).unwrap_or(&STAMP_BYTES),
                    every,
                });
            }
        }
    }
    plans
}
