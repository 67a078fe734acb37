//! A client of the soak: it connects, is taken over, vanishes and comes back, and notices when the broker treats it wrongly.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use mqtt_wire::{Connect, Disconnect, Packet, ReasonCode, Version, Will};

use super::tally::Tally;
use crate::peer::{Outbox, Peer, State};

/// Longest time for a CONNACK, and for the end of a connection that was taken over.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Seconds that a lasting session of MQTT 5.0 is kept.
pub(super) const LASTING_SECS: u32 = 3600;

/// What a session shall do when its connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// End with it.
    Clean,
    /// Outlive it.
    Lasting,
    /// Outlive it for so many seconds; MQTT 5.0 only.
    Brief(u32),
}

/// Who a member is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) client_id: String,
    pub(super) version: Version,
    pub(super) keeping: Keeping,
}

/// A client with at most one connection of its own.
#[derive(Debug)]
pub(super) struct Member {
    address: SocketAddr,
    pub(super) identity: Identity,
    pub(super) will: Option<Will>,
    peer: Option<Peer>,
    greeted: bool,
    dialed: Instant,
    /// Counts its connections.
    pub(super) connection: u32,
    /// Whether the broker should have its session when it comes back.
    session_kept: bool,
    taken_over: Vec<(Peer, Instant)>,
    returns: Option<Instant>,
}

/// What reading has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that concerns the connection itself.
    Nothing,
    /// CONNACK has come.
    Greeted { session_present: bool },
    /// The broker has closed the connection, which it should not.
    Closed,
}

impl Member {
    pub(super) fn new(address: SocketAddr, identity: Identity, now: Instant) -> Self {
        Self {
            address,
            identity,
            will: None,
            peer: None,
            greeted: false,
            dialed: now,
            connection: 0,
            session_kept: false,
            taken_over: Vec::new(),
            returns: Some(now),
        }
    }

    /// CONNACK has come and the connection stands.
    pub(super) const fn is_here(&self) -> bool {
        self.peer.is_some() && self.greeted
    }

    /// Where packets for the broker go, while it is here.
    pub(super) fn outbox(&mut self) -> Option<&mut Outbox> {
        if !self.greeted {
            return None;
        }
        self.peer.as_mut().map(Peer::outbox)
    }

    fn dial(&mut self, now: Instant, tally: &mut Tally) -> Result<()> {
        let Identity {
            client_id,
            version,
            keeping,
        } = &self.identity;
        let mut connect = Connect::new(*version, client_id.as_str());
        connect.clean_start = *keeping == Keeping::Clean;
        connect.will.clone_from(&self.will);
        if *version == Version::V5 {
            connect.session_expiry_secs = match keeping {
                Keeping::Clean => None,
                Keeping::Lasting => Some(LASTING_SECS),
                Keeping::Brief(seconds) => Some(*seconds),
            };
        }
        let mut peer = Peer::dial(self.address, *version)?;
        peer.outbox().send(&Packet::Connect(Box::new(connect)))?;
        peer.flush();
        self.peer = Some(peer);
        self.greeted = false;
        self.dialed = now;
        self.returns = None;
        self.connection += 1;
        tally.counts.connects += 1;
        Ok(())
    }

    /// A second connection with the same client id. What the first has not read is left to the broker.
    pub(super) fn take_over(&mut self, now: Instant, tally: &mut Tally) -> Result<()> {
        if let Some(mut peer) = self.peer.take() {
            peer.flush();
            self.taken_over.push((peer, now));
        }
        tally.counts.takeovers += 1;
        self.dial(now, tally)
    }

    /// Vanishes without DISCONNECT, to come back then if at all.
    pub(super) fn vanish(&mut self, returns: Option<Instant>, tally: &mut Tally) {
        self.peer = None;
        self.greeted = false;
        self.returns = returns;
        tally.counts.drops += 1;
    }

    /// Leaves with DISCONNECT, to come back then if at all.
    pub(super) fn leave(&mut self, returns: Option<Instant>) -> Result<()> {
        if let Some(mut peer) = self.peer.take() {
            peer.outbox()
                .send(&Packet::Disconnect(Disconnect::with(ReasonCode::Success)))?;
            peer.finish();
        }
        self.greeted = false;
        self.returns = returns;
        Ok(())
    }

    /// The broker should not have the session any more.
    pub(super) const fn expect_new_session(&mut self) {
        self.session_kept = false;
    }

    /// Comes back when it is time, at once when `now_at_the_latest`.
    pub(super) fn come_back(&mut self, now: Instant, at_once: bool, tally: &mut Tally) -> Result<()> {
        if self.peer.is_none() && self.returns.is_some_and(|returns| at_once || returns <= now) {
            self.dial(now, tally)?;
        }
        Ok(())
    }

    /// Reads and writes what there is; packets other than CONNACK go to `take`.
    pub(super) fn exchange(
        &mut self,
        now: Instant,
        tally: &mut Tally,
        take: &mut dyn FnMut(Packet<'_>, &mut Outbox) -> Result<()>,
    ) -> Result<Heard> {
        self.watch_taken_over(now, tally);
        let Some(peer) = &mut self.peer else {
            return Ok(Heard::Nothing);
        };
        let mut heard = Heard::Nothing;
        let mut refusal = None;
        let state = peer.receive(&mut |packet, outbox| match packet {
            Packet::ConnAck(connack) if connack.reason == ReasonCode::Success => {
                let session_present = connack.session_present;
                heard = Heard::Greeted { session_present };
                Ok(())
            }
            Packet::ConnAck(_) | Packet::Disconnect(_) => {
                refusal = Some(format!("{packet:?}"));
                Ok(())
            }
            other => take(other, outbox),
        })?;
        if let Heard::Greeted { session_present } = heard {
            self.greet(session_present, now, tally);
        }
        if state == State::Closed {
            let refusal = refusal.unwrap_or_else(|| "without a word".to_owned());
            tally.wrong(now, &format!("{} was closed: {refusal}", self.identity.client_id));
            self.peer = None;
            self.greeted = false;
            self.returns = Some(now + Duration::from_secs(1));
            return Ok(Heard::Closed);
        }
        if !self.greeted && now.saturating_duration_since(self.dialed) > ANSWER_WITHIN {
            tally.wrong(now, &format!("{} got no CONNACK", self.identity.client_id));
            self.dialed = now;
        }
        Ok(heard)
    }

    fn greet(&mut self, session_present: bool, now: Instant, tally: &mut Tally) {
        self.greeted = true;
        if session_present != self.session_kept {
            let name = &self.identity.client_id;
            let what = format!(
                "{name}: session present {session_present}, expected {}",
                self.session_kept
            );
            tally.wrong(now, &what);
        }
        self.session_kept = self.identity.keeping != Keeping::Clean;
    }

    fn watch_taken_over(&mut self, now: Instant, tally: &mut Tally) {
        let name = &self.identity.client_id;
        self.taken_over.retain_mut(|(peer, since)| {
            let overdue = now.saturating_duration_since(*since) > ANSWER_WITHIN;
            if overdue {
                tally.wrong(now, &format!("{name}: what was taken over is still open"));
            }
            !overdue && peer.ignore() == State::Open
        });
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) {
        if let Some(peer) = &mut self.peer {
            // A broken connection is noticed when it is read.
            peer.flush();
        }
    }
}
