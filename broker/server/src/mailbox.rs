//! Mailboxes: what other threads leave for a shard, and how much of it.
//!
//! A shard's mailbox has one lane for every other shard and one slot for letters from everybody else. A lane holds at
//! most [`LANE_MAX`] mails and [`LANE_BYTES_MAX`] bytes; what does not fit stays with the sender, which then reads no sockets. Letters need no bound of
//! their own: each answers something whose number is bounded (a question, a batch, a recall, a connection with a seat,
//! an operator's call), and link publishes take a permit before they are posted.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use broker_core::{Answer, ConnectionId, Counters, LinkMessage, Mail, Overload, Page, ShardId};
use mqtt_wire::{ClientId, ReasonCode};
use tokio::sync::{Semaphore, oneshot};

use crate::{bell::Bell, handshake::Newcomer, worker::Outcome};

/// Mails that one shard may have waiting at another. One mail may carry many messages' worth of work.
pub(crate) const LANE_MAX: usize = 4096;
/// Their bytes. A longer mail is taken by itself.
pub(crate) const LANE_BYTES_MAX: usize = 1024 * 1024;

/// What others than shards tell a shard.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A connection comes home.
    Newcomer(Box<Newcomer>),
    /// A gate's answer.
    Verdict { ticket: u64, allow: bool },
    /// What came of a step of a client that says anew who it is.
    Authenticated {
        connection: ConnectionId,
        ticket: u64,
        outcome: Outcome,
    },
    /// The journal's answer.
    Remembered { ticket: u64 },
    /// The journal's refusal.
    Refused { ticket: u64, reason: ReasonCode },
    /// A page that was asked for.
    Recalled(Page),
    /// A link publishes; its permits are given back when this is taken.
    LinkPublished(Vec<LinkMessage>),
    /// A link answers.
    LinkAnswered { number: u64, answer: Answer },
    /// An operator wants a client gone.
    Expel { client_id: ClientId, reason: ReasonCode },
    /// Memory is nearer to its ceiling than before, or less near.
    Overload(Overload),
    /// Remembered verdicts no longer hold.
    PolicyChanged,
    /// Somebody wants to know how things stand.
    Count(oneshot::Sender<Tally>),
    /// No more clients; those here are disconnected.
    ShutDown,
    /// The thread ends.
    Stop,
}

/// How things stand at one shard.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) counters: Counters,
    pub(crate) connections: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) unsent_bytes: u64,
    pub(crate) packets_sent: u64,
    /// Whether nothing is under way: no batch, no mail, no closing connection, no question.
    pub(crate) quiet: bool,
}

#[derive(Debug, Default)]
struct Lane {
    mail: Vec<Mail>,
    bytes: usize,
    /// The sender keeps mail that did not fit, and wants to hear when there is room.
    sender_waits: bool,
}

impl Lane {
    fn take_in(&mut self, mail: &mut Vec<Mail>) -> usize {
        let (mut count, mut bytes) = (0, 0);
        for mail in mail.iter().take(LANE_MAX.saturating_sub(self.mail.len())) {
            let with_this = bytes + mail.len_bytes();
            let is_alone = self.mail.is_empty() && count == 0;
            if self.bytes + with_this > LANE_BYTES_MAX && !is_alone {
                break;
            }
            (count, bytes) = (count + 1, with_this);
        }
        if self.mail.is_empty() && count == mail.len() {
            mem::swap(&mut self.mail, mail);
        } else {
            self.mail.extend(mail.drain(..count));
        }
        self.bytes += bytes;
        self.sender_waits = !mail.is_empty();
        bytes
    }
}

/// One shard's mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) bell: Arc<Bell>,
    filled: AtomicBool,
    letters: Mutex<Vec<Letter>>,
    lanes: Box<[Mutex<Lane>]>,
    /// Permits for messages of links that this shard has not taken yet.
    pub(crate) link_room: Semaphore,
}

impl Mailbox {
    pub(crate) fn new(shards: u16, link_messages_max: usize) -> Self {
        Self {
            bell: Arc::default(),
            filled: AtomicBool::new(false),
            letters: Mutex::default(),
            lanes: (0..shards).map(|_| Mutex::default()).collect(),
            link_room: Semaphore::new(link_messages_max),
        }
    }

    pub(crate) fn post(&self, letter: Letter) {
        lock(&self.letters).push(letter);
        self.announce();
    }

    /// Takes as much of `mail` as there is room for, from its front; says how many bytes.
    pub(crate) fn carry(&self, from: ShardId, mail: &mut Vec<Mail>) -> usize {
        let Some(lane) = self.lanes.get(usize::from(from.0)) else {
            return 0;
        };
        let taken_bytes = lock(lane).take_in(mail);
        self.announce();
        taken_bytes
    }

    /// Whether there is anything to take; what is there must then be taken.
    pub(crate) fn has_post(&self) -> bool {
        self.filled.load(Ordering::Relaxed) && self.filled.swap(false, Ordering::AcqRel)
    }

    /// Moves all letters into `into`, which is empty.
    pub(crate) fn take_letters(&self, into: &mut Vec<Letter>) {
        mem::swap(&mut *lock(&self.letters), into);
    }

    /// Moves the mail of one shard into `into`, which is empty. Whether that shard waits to send more.
    pub(crate) fn take_mail(&self, from: ShardId, into: &mut Vec<Mail>) -> bool {
        let Some(lane) = self.lanes.get(usize::from(from.0)) else {
            return false;
        };
        let mut lane = lock(lane);
        mem::swap(&mut lane.mail, into);
        lane.bytes = 0;
        mem::take(&mut lane.sender_waits)
    }

    /// Whether nothing waits in it.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.letters).is_empty() && self.lanes.iter().all(|lane| lock(lane).mail.is_empty())
    }

    fn announce(&self) {
        self.filled.store(true, Ordering::Release);
        self.bell.ring();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
