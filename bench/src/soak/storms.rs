//! Thousands of retained messages set, read by a new subscriber, cleared, and looked for by another one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use mqtt_wire::{QoS, Version};

use super::member::{Identity, Keeping, Member};
use super::receiver::{Notice, Receiver};
use super::sender::Sender;
use super::tally::Tally;
use crate::stamp::Stamp;

/// Topics of one storm.
pub(super) const TOPICS: u32 = 3_000;

/// Messages of one round, so that a storm takes some seconds.
const PER_ROUND: usize = 12;

/// Between the end of one storm and the next.
const REST: Duration = Duration::from_secs(25);

/// Longest time that a new subscriber may wait for all of them.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// How long one waits for what should not come.
const LOOK_FOR: Duration = Duration::from_secs(2);

#[derive(Debug)]
enum Phase {
    Rest {
        until: Instant,
    },
    Set {
        next: u32,
    },
    Read {
        reader: Box<Receiver>,
        until: Instant,
    },
    Clear {
        next: u32,
    },
    Look {
        reader: Box<Receiver>,
        until: Option<Instant>,
    },
}

/// One storm after the other.
#[derive(Debug)]
pub(super) struct Storms {
    address: SocketAddr,
    sender: Sender,
    phase: Phase,
    generation: u64,
    /// How often each topic's message has come.
    seen: Vec<u32>,
    pub(super) lost: u64,
}

impl Storms {
    pub(super) fn new(address: SocketAddr, now: Instant) -> Self {
        let identity = Identity {
            client_id: "soak-storm".to_owned(),
            version: Version::V5,
            keeping: Keeping::Lasting,
        };
        Self {
            address,
            sender: Sender::new(Member::new(address, identity, now), QoS::AtLeastOnce),
            phase: Phase::Rest {
                until: now + Duration::from_secs(3),
            },
            generation: 0,
            seen: Vec::new(),
            lost: 0,
        }
    }

    /// True between two storms, when nothing is on its way.
    pub(super) const fn rests(&self) -> bool {
        matches!(self.phase, Phase::Rest { .. })
    }

    /// One round; the last rounds end the storm and begin none.
    pub(super) fn step(&mut self, now: Instant, last: bool, tally: &mut Tally) -> Result<()> {
        self.sender.member.come_back(now, true, tally)?;
        self.sender.exchange(now, tally, &mut |_| {})?;
        let phase = std::mem::replace(&mut self.phase, Phase::Rest { until: now });
        self.phase = match phase {
            Phase::Rest { until } if last || now < until => Phase::Rest { until },
            Phase::Rest { .. } => {
                self.generation += 1;
                Phase::Set { next: 0 }
            }
            Phase::Set { next } => match self.send(next, true, tally)? {
                Some(next) => Phase::Set { next },
                None => {
                    self.seen = vec![0; TOPICS as usize];
                    let until = now + READ_WITHIN;
                    let reader = self.reader(now);
                    Phase::Read { reader, until }
                }
            },
            Phase::Read { reader, until } => self.read(now, reader, until, tally)?,
            Phase::Clear { next } => match self.send(next, false, tally)? {
                Some(next) => Phase::Clear { next },
                None => Phase::Look {
                    reader: self.reader(now),
                    until: None,
                },
            },
            Phase::Look { reader, until } => self.look(now, reader, until, tally)?,
        };
        self.sender.member.flush();
        Ok(())
    }

    /// Sends some; answers where to go on, or nothing when all are acknowledged.
    fn send(&mut self, mut next: u32, set: bool, tally: &mut Tally) -> Result<Option<u32>> {
        for _ in 0..PER_ROUND {
            if next >= TOPICS || !self.sender.is_ready() {
                break;
            }
            let stamp = Stamp {
                publisher: next,
                number: self.generation,
                sent_at: 0,
            };
            let bytes = stamp.bytes();
            let payload: &[u8] = if set { &bytes } else { &[] };
            let topic = format!("soak/retained/{:02}/{next:05}", next % 50);
            self.sender.send(u64::from(next), &topic, payload, true)?;
            tally.counts.sent += 1;
            next += 1;
        }
        let done = next >= TOPICS && self.sender.unacknowledged() == 0;
        Ok((!done).then_some(next))
    }

    fn reader(&self, now: Instant) -> Box<Receiver> {
        let odd = !self.generation.is_multiple_of(2);
        let identity = Identity {
            client_id: format!("soak-storm-reader-{:06}", self.generation),
            version: if odd { Version::V5 } else { Version::V311 },
            keeping: Keeping::Clean,
        };
        let filter = if odd {
            "soak/retained/#"
        } else {
            "soak/retained/+/+"
        };
        let member = Member::new(self.address, identity, now);
        Box::new(Receiver::new(
            member,
            filter.to_owned(),
            QoS::AtLeastOnce,
            QoS::AtLeastOnce,
        ))
    }

    fn read(
        &mut self,
        now: Instant,
        mut reader: Box<Receiver>,
        until: Instant,
        tally: &mut Tally,
    ) -> Result<Phase> {
        self.listen(now, &mut reader, tally)?;
        let missing = self.seen.iter().filter(|times| **times == 0).count() as u64;
        if missing > 0 && now < until {
            return Ok(Phase::Read { reader, until });
        }
        if missing > 0 {
            self.lost += missing;
            let name = &reader.member.identity.client_id;
            tally.tell(now, &format!("lost: {missing} retained messages to {name}"));
        }
        reader.member.leave(None)?;
        Ok(Phase::Clear { next: 0 })
    }

    fn look(
        &mut self,
        now: Instant,
        mut reader: Box<Receiver>,
        until: Option<Instant>,
        tally: &mut Tally,
    ) -> Result<Phase> {
        // Whatever comes now has been cleared, and counts as repeated.
        self.listen(now, &mut reader, tally)?;
        match until {
            None if reader.is_subscribed() => Ok(Phase::Look {
                reader,
                until: Some(now + LOOK_FOR),
            }),
            Some(until) if now >= until => {
                reader.member.leave(None)?;
                Ok(Phase::Rest { until: now + REST })
            }
            until => Ok(Phase::Look { reader, until }),
        }
    }

    fn listen(&mut self, now: Instant, reader: &mut Receiver, tally: &mut Tally) -> Result<()> {
        reader.member.come_back(now, true, tally)?;
        let (seen, generation) = (&mut self.seen, self.generation);
        let mut wrong = Vec::new();
        let (mut arrived, mut repeated) = (0, 0);
        reader.exchange(now, tally, &mut |notice| {
            let Notice::Message { message, .. } = notice else {
                return;
            };
            let stamp = Stamp::read(message.payload).filter(|stamp| stamp.number == generation);
            let times = stamp.and_then(|stamp| seen.get_mut(stamp.publisher as usize));
            match times {
                Some(times) if message.retain => {
                    *times += 1;
                    arrived += 1;
                    repeated += u64::from(*times > 1);
                }
                Some(_) | None => wrong.push(format!("not a retained message of this storm: {message:?}")),
            }
        })?;
        tally.counts.retained += arrived;
        tally.counts.repeated += repeated;
        if repeated > 0 {
            tally.tell(now, &format!("repeated: {repeated} retained messages"));
        }
        for what in wrong {
            tally.wrong(now, &what);
        }
        Ok(())
    }
}
