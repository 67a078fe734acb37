//! Clients with a will that vanish, are taken over or leave, and one subscriber that hears which wills are published.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use mqtt_wire::{QoS, Version, Will};

use super::flow::{Flow, Verdict};
use super::member::{Identity, Keeping, Member};
use super::receiver::{Notice, Receiver};
use super::sender::Sender;
use super::tally::Tally;
use crate::random::Random;
use crate::stamp::Stamp;

const CLIENTS: u32 = 4;

/// Milliseconds that such a client is here, and away: at most.
const HERE_MS_MAX: u32 = 8_000;
const AWAY_MS_MAX: u32 = 3_000;

/// All of them.
#[derive(Debug)]
pub(super) struct Wills {
    watcher: Receiver,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    number: u32,
    sender: Sender,
    flow: Flow,
    departs_at: Instant,
}

impl Wills {
    pub(super) fn new(address: SocketAddr, now: Instant) -> Self {
        let watcher = Identity {
            client_id: "soak-will-watcher".to_owned(),
            version: Version::V5,
            keeping: Keeping::Lasting,
        };
        let watcher = Member::new(address, watcher, now);
        let clients = (0..CLIENTS).map(|number| Client::new(address, number, now));
        Self {
            watcher: Receiver::new(
                watcher,
                "soak/will/+".to_owned(),
                QoS::AtLeastOnce,
                QoS::AtLeastOnce,
            ),
            clients: clients.collect(),
        }
    }

    pub(super) fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.clients.iter().map(|client| &client.flow)
    }

    pub(super) fn flows_mut(&mut self) -> impl Iterator<Item = &mut Flow> {
        self.clients.iter_mut().map(|client| &mut client.flow)
    }

    pub(super) fn step(
        &mut self,
        now: Instant,
        last: bool,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<()> {
        let Self { watcher, clients } = self;
        watcher.member.come_back(now, true, tally)?;
        let listening = watcher.is_subscribed();
        let mut arrivals = Vec::new();
        watcher.exchange(now, tally, &mut |notice| {
            if let Notice::Message { message, connection } = notice {
                arrivals.push((Stamp::read(message.payload), message.dup, connection));
            }
        })?;
        for (stamp, dup, connection) in arrivals {
            let client = stamp.and_then(|stamp| clients.get_mut(stamp.publisher as usize).zip(Some(stamp)));
            let verdict = client.map_or(Verdict::Unsent, |(client, stamp)| {
                client.flow.arrive(stamp.number, dup, connection)
            });
            tally.counts.wills += 1;
            tally.arrival(verdict, now, || format!("will {stamp:?}"));
        }
        for client in clients {
            client.step(now, listening && !last, random, tally)?;
        }
        Ok(())
    }
}

impl Client {
    fn new(address: SocketAddr, number: u32, now: Instant) -> Self {
        let identity = Identity {
            client_id: format!("soak-will-{number:04}"),
            version: if number.is_multiple_of(2) {
                Version::V311
            } else {
                Version::V5
            },
            keeping: if number < CLIENTS / 2 {
                Keeping::Clean
            } else {
                Keeping::Lasting
            },
        };
        Self {
            number,
            sender: Sender::new(Member::new(address, identity, now), QoS::AtMostOnce),
            flow: Flow::new(QoS::AtLeastOnce),
            departs_at: now + Duration::from_secs(2),
        }
    }

    /// Every connection brings the next will; a connection that is left properly takes it back.
    fn step(&mut self, now: Instant, departing: bool, random: &mut Random, tally: &mut Tally) -> Result<()> {
        let member = &mut self.sender.member;
        if departing && now >= self.departs_at && member.is_here() {
            let back = Some(now + Duration::from_millis(u64::from(random.below(AWAY_MS_MAX))));
            match random.below(3) {
                0 => {
                    self.flow.send(true);
                    member.will = Some(will(self.number, self.flow.next()));
                    member.take_over(now, tally)?;
                }
                1 => {
                    self.flow.send(true);
                    member.vanish(back, tally);
                }
                _ => member.leave(back)?,
            }
            self.departs_at = now + Duration::from_millis(u64::from(1000 + random.below(HERE_MS_MAX)));
        }
        member.will = Some(will(self.number, self.flow.next()));
        member.come_back(now, false, tally)?;
        self.sender.exchange(now, tally, &mut |_| {})
    }
}

fn will(publisher: u32, number: u64) -> Will {
    let stamp = Stamp {
        publisher,
        number,
        sent_at: 0,
    };
    Will {
        topic: format!("soak/will/{publisher:04}"),
        payload: stamp.bytes().to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
        delay_secs: 0,
        properties: Vec::new(),
    }
}
