//! A subscriber that acknowledges, reads slowly for a while, and unsubscribes and subscribes again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use mqtt_wire::{
    Ack, Packet, PacketId, Publish, QoS, RetainHandling, Subscribe, Subscription, TopicFilter, Unsubscribe,
};

use super::member::{Heard, Keeping, Member};
use super::tally::Tally;
use crate::peer::Outbox;

/// How the subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    /// SUBSCRIBE is sent.
    Asked,
    Granted,
    /// UNSUBSCRIBE is sent; the subscription comes back then.
    Leaving(Instant),
    /// Absent until then.
    Left(Instant),
}

/// What a subscriber notices.
#[derive(Debug, Clone, Copy)]
pub(super) enum Notice<'a> {
    /// A message, repeated or not; what its QoS 2 has shown to be a repetition is left out.
    Message {
        message: &'a Publish<'a>,
        connection: u32,
    },
    /// What is on its way may never come.
    Gap,
}

/// One subscriber to one filter.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) member: Member,
    filter: String,
    qos: QoS,
    /// The QoS that messages come with: no higher than what is asked for, and than what they are published with.
    delivered: QoS,
    standing: Standing,
    /// QoS 2 messages without PUBREL.
    unreleased: BTreeSet<PacketId>,
    stalled_until: Option<Instant>,
}

const SUBSCRIBE_ID: PacketId = PacketId::FIRST;
const UNSUBSCRIBE_ID: PacketId = PacketId::FIRST.next();

impl Receiver {
    pub(super) const fn new(member: Member, filter: String, qos: QoS, delivered: QoS) -> Self {
        Self {
            member,
            filter,
            qos,
            delivered,
            standing: Standing::Absent,
            unreleased: BTreeSet::new(),
            stalled_until: None,
        }
    }

    /// SUBACK has come, and nothing has ended the subscription since.
    pub(super) fn is_subscribed(&self) -> bool {
        self.standing == Standing::Granted
    }

    pub(super) const fn is_stalled(&self) -> bool {
        self.stalled_until.is_some()
    }

    /// Reads nothing until then.
    pub(super) fn stall(&mut self, until: Instant, tally: &mut Tally, tell: &mut dyn FnMut(Notice<'_>)) {
        if self.delivered == QoS::AtMostOnce {
            tell(Notice::Gap);
        }
        self.stalled_until = Some(until);
        tally.counts.stalls += 1;
    }

    /// The connection is about to end, or has ended; `session_ends` when the session does too.
    pub(super) fn depart(&mut self, session_ends: bool, tell: &mut dyn FnMut(Notice<'_>)) {
        self.stalled_until = None;
        let clean = self.member.identity.keeping == Keeping::Clean;
        let unsettled = self.standing != Standing::Granted;
        if session_ends {
            self.member.expect_new_session();
        }
        if clean || session_ends || unsettled {
            self.standing = Standing::Absent;
        }
        if clean || session_ends || unsettled || self.delivered == QoS::AtMostOnce {
            tell(Notice::Gap);
        }
    }

    /// Unsubscribes, to subscribe again then.
    pub(super) fn unsubscribe(&mut self, back: Instant, tell: &mut dyn FnMut(Notice<'_>)) -> Result<()> {
        let filter = TopicFilter::parse(&self.filter)?;
        if let (Standing::Granted, Some(outbox)) = (self.standing, self.member.outbox()) {
            outbox.send(&Packet::Unsubscribe(Unsubscribe {
                packet_id: UNSUBSCRIBE_ID,
                filters: vec![filter],
                user_properties: Vec::new(),
            }))?;
            self.standing = Standing::Leaving(back);
            tell(Notice::Gap);
        }
        Ok(())
    }

    fn subscribe(&mut self, tally: &mut Tally) -> Result<()> {
        let filter = TopicFilter::parse(&self.filter)?;
        let Some(outbox) = self.member.outbox() else {
            return Ok(());
        };
        outbox.send(&Packet::Subscribe(Subscribe {
            packet_id: SUBSCRIBE_ID,
            subscription_id: None,
            filters: vec![Subscription {
                filter,
                qos: self.qos,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::SendAtSubscribe,
            }],
            user_properties: Vec::new(),
        }))?;
        self.standing = Standing::Asked;
        tally.counts.subscriptions += 1;
        Ok(())
    }

    /// Reads what there is unless it is slow just now; subscribes when there is no subscription.
    pub(super) fn exchange(
        &mut self,
        now: Instant,
        tally: &mut Tally,
        tell: &mut dyn FnMut(Notice<'_>),
    ) -> Result<()> {
        if self.stalled_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        self.stalled_until = None;
        let mut wrong = Vec::new();
        let connection = self.member.connection;
        let (standing, unreleased, qos) = (&mut self.standing, &mut self.unreleased, self.qos);
        let heard = self.member.exchange(now, tally, &mut |packet, outbox| {
            match packet {
                Packet::Publish(message) => {
                    if answer(&message, unreleased, outbox)? {
                        tell(Notice::Message {
                            message: &message,
                            connection,
                        });
                    }
                }
                Packet::PubRel(ack) => {
                    unreleased.remove(&ack.packet_id);
                    outbox.send(&Packet::PubComp(Ack::new(ack.packet_id)))?;
                }
                Packet::SubAck(suback)
                    if *standing == Standing::Asked
                        && suback.reasons.iter().all(|reason| *reason as u8 == qos as u8) =>
                {
                    *standing = Standing::Granted;
                }
                Packet::UnsubAck(_) if matches!(standing, Standing::Leaving(_)) => {
                    if let Standing::Leaving(back) = *standing {
                        *standing = Standing::Left(back);
                    }
                }
                other => wrong.push(format!("{other:?} came to a subscriber")),
            }
            Ok(())
        })?;
        let name = &self.member.identity.client_id;
        for what in wrong {
            tally.wrong(now, &format!("{name}: {what}"));
        }
        match heard {
            Heard::Nothing
            | Heard::Greeted {
                session_present: true,
            } => {}
            Heard::Closed => self.depart(false, tell),
            Heard::Greeted {
                session_present: false,
            } => {
                self.unreleased.clear();
                self.standing = Standing::Absent;
                tell(Notice::Gap);
            }
        }
        match self.standing {
            Standing::Left(back) if now >= back => self.subscribe(tally)?,
            Standing::Absent if self.member.is_here() => self.subscribe(tally)?,
            Standing::Absent
            | Standing::Asked
            | Standing::Granted
            | Standing::Leaving(_)
            | Standing::Left(_) => {}
        }
        self.member.flush();
        Ok(())
    }

    /// Subscribes, reads and stays as soon as it can.
    pub(super) fn steady(&mut self, now: Instant) {
        self.stalled_until = None;
        if let Standing::Left(_) = self.standing {
            self.standing = Standing::Left(now.checked_sub(Duration::from_secs(1)).unwrap_or(now));
        }
    }
}

/// Acknowledges; false for a QoS 2 message that is here already.
fn answer(message: &Publish<'_>, unreleased: &mut BTreeSet<PacketId>, outbox: &mut Outbox) -> Result<bool> {
    let Some(packet_id) = message.packet_id else {
        return Ok(true);
    };
    if message.qos == QoS::AtLeastOnce {
        outbox.send(&Packet::PubAck(Ack::new(packet_id)))?;
        return Ok(true);
    }
    let new = unreleased.insert(packet_id);
    outbox.send(&Packet::PubRec(Ack::new(packet_id)))?;
    // Without DUP it is another message, which may not have the identifier of one that is not released.
    Ok(new || !message.dup)
}
