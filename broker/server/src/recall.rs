//! Reads waiting messages back for the shards, which never read the store themselves.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use broker_core::{Recall, ShardId};
use tracing::error;

use crate::{error::StartError, house::House, journal::Kept, mailbox::Letter};

/// Threads that read. Two, so that one slow read does not stop all.
const READERS: usize = 2;

/// Recalls that wait for a reader. A session has at most one under way, so sessions bound it.
#[derive(Debug, Default)]
pub(crate) struct Recalls {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    recalls: VecDeque<(ShardId, Recall)>,
    closed: bool,
}

impl Recalls {
    pub(crate) fn put(&self, from: ShardId, recall: Recall) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recalls
            .push_back((from, recall));
        self.changed.notify_one();
    }

    /// The readers end once nothing waits.
    pub(crate) fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }

    fn next(&self) -> Option<(ShardId, Recall)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(recall) = waiting.recalls.pop_front() {
                return Some(recall);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Starts the threads that read.
pub(crate) fn start(house: &Arc<House>) -> Result<Vec<JoinHandle<()>>, StartError> {
    (0..READERS)
        .map(|number| {
            let (house, name) = (Arc::clone(house), format!("recall-{number}"));
            let thread = thread::Builder::new().name(name.clone());
            thread
                .spawn(move || read(&house))
                .map_err(|why| StartError::Thread { name, why })
        })
        .collect()
}

fn read(house: &House) {
    while let Some((from, recall)) = house.recalls.next() {
        let (page, failed) = recall.read(&Kept(house.journal.as_ref()));
        if let Some(error) = failed {
            error!(%error, "waiting messages cannot be read back from the store");
        }
        if let Some(mailbox) = house.mailboxes.get(usize::from(from.0)) {
            mailbox.post(Letter::Recalled(page));
        }
    }
}
