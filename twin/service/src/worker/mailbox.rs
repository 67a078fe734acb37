//! Mailbox: what waits for a partition.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::{Delivery, LinkEvent};
use store::CommitError;
use tokio::sync::Notify;

use crate::ask::Ask;

/// How many events may wait before messages are turned away. The broker's own bound on outstanding deliveries is
/// lower, so this is met only when a partition is stuck.
const EVENTS_MAX: usize = 65_536;

/// One thing for a partition to do.
#[derive(Debug)]
pub(crate) enum Mail {
    Event(LinkEvent),
    Ask(Ask),
    Stop,
}

/// A round of the store, and how it ended.
pub(crate) type Commit = (u64, Result<(), CommitError>);

/// Filled by the threads of shards, of the store and of HTTP, which never wait; emptied by one partition.
///
/// Messages are bounded here, requests by the semaphore of HTTP. Word of clients that come and go is never turned
/// away: it is small, and its number is bounded by how fast clients can connect.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    mail: VecDeque<Mail>,
    commits: Vec<Commit>,
    is_closed: bool,
}

impl Mailbox {
    /// Adds something to do. When the partition has ended it is dropped, and who waits for a reply learns by that.
    pub(crate) fn put(&self, mail: Mail) {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return;
        }
        waiting.mail.push_back(mail);
        drop(waiting);
        self.bell.notify_one();
    }

    /// Adds a message, or gives it back when too much waits or the partition has ended.
    pub(crate) fn offer(&self, delivery: Delivery) -> Option<Delivery> {
        let mut waiting = self.waiting();
        if waiting.is_closed || waiting.mail.len() >= EVENTS_MAX {
            return Some(delivery);
        }
        waiting.mail.push_back(Mail::Event(LinkEvent::Message(delivery)));
        drop(waiting);
        self.bell.notify_one();
        None
    }

    /// Adds word from the store, which overtakes everything else.
    pub(crate) fn committed(&self, commit: Commit) {
        self.waiting().commits.push(commit);
        self.bell.notify_one();
    }

    /// Takes all word from the store, and at most so much else.
    pub(crate) fn take(&self, mail_max: usize) -> (Vec<Commit>, Vec<Mail>) {
        let mut waiting = self.waiting();
        let count = waiting.mail.len().min(mail_max);
        (
            std::mem::take(&mut waiting.commits),
            waiting.mail.drain(..count).collect(),
        )
    }

    /// Takes nothing more, and answers what was left.
    pub(crate) fn close(&self) -> VecDeque<Mail> {
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        std::mem::take(&mut waiting.mail)
    }

    /// Waits until something was added since the last wait.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
