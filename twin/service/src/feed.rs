//! Feed: the log of changes, numbered in commit order, and its readers, who see only what is committed.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use store::{Batch, CommitError, Durability, ReadError, Store};
use tokio::sync::watch;

use crate::keys::{self, Spaces};

/// What one read returns at most.
const PAGE_CHANGES: usize = 64;
const PAGE_BYTES: usize = 256 * 1024;

/// Every batch of the twins goes through here, whatever partition it comes from.
///
/// Numbers are given and batches handed to the store under one lock, so the order of numbers is the order of commits.
/// A batch that the store refuses leaves a gap, which readers step over.
#[derive(Debug)]
pub(crate) struct Feed {
    store: Store,
    spaces: Spaces,
    kept_max: u64,
    next: Mutex<u64>,
    committed: watch::Sender<u64>,
    oldest: AtomicU64,
}

/// A change and its number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) change: Vec<u8>,
}

/// Why a reader cannot go on from where it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error("changes up to {} are no longer kept", oldest.saturating_sub(1))]
    Gone { oldest: u64 },
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

impl Feed {
    /// The feed as the store has it. The last change is always kept, so numbers go on where they ended.
    pub(crate) fn open(store: Store, spaces: Spaces, kept_max: u64) -> Result<Self, ReadError> {
        let (mut first, mut last) = (None, None);
        let everything = (Bound::Unbounded, Bound::Unbounded);
        store.scan(spaces.feed, everything.0, everything.1, &mut |key, _| {
            first = keys::sequence_of(key);
            ControlFlow::Break(())
        })?;
        store.scan_back(spaces.feed, everything.0, everything.1, &mut |key, _| {
            last = keys::sequence_of(key);
            ControlFlow::Break(())
        })?;
        let last = last.unwrap_or(0);
        Ok(Self {
            store,
            spaces,
            kept_max,
            next: Mutex::new(last + 1),
            committed: watch::Sender::new(last),
            oldest: AtomicU64::new(first.unwrap_or(1)),
        })
    }

    /// Commits a batch together with the changes it stands for. `done` is called as [`Store::commit`] says, after
    /// readers can see the changes.
    pub(crate) fn commit(
        self: &std::sync::Arc<Self>,
        mut batch: Batch,
        changes: &[Vec<u8>],
        durability: Durability,
        done: impl FnOnce(Result<(), CommitError>) + Send + 'static,
    ) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            batch.put(self.spaces.feed, &keys::change(*next), change);
            *next += 1;
        }
        let last = *next - 1;
        let oldest = self.cut(last, &mut batch);
        let feed = std::sync::Arc::clone(self);
        self.store.commit(batch, durability, move |result| {
            if result.is_ok() {
                feed.oldest.fetch_max(oldest, Ordering::Release);
                feed.committed
                    .send_if_modified(|committed| std::mem::replace(committed, last.max(*committed)) < last);
            }
            done(result);
        });
    }

    /// Removes what is too old, a tenth of what is kept at a time. Answers what will be the oldest then.
    fn cut(&self, last: u64, batch: &mut Batch) -> u64 {
        let oldest = self.oldest.load(Ordering::Acquire);
        if last.saturating_sub(oldest) < self.kept_max + self.kept_max / 10 {
            return oldest;
        }
        let keep_from = last + 1 - self.kept_max;
        batch.delete_range(self.spaces.feed, &keys::change(0), &keys::change(keep_from));
        keep_from
    }

    /// The number of the last change that is committed.
    pub(crate) fn committed(&self) -> u64 {
        *self.committed.borrow()
    }

    /// The number of the oldest change that is kept.
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Acquire)
    }

    /// Tells whenever more is committed.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// The next changes after this number, oldest first, and the number to go on from. Reads the store.
    pub(crate) fn read(&self, after: u64) -> Result<(VecDeque<Entry>, u64), FeedError> {
        let until = self.committed();
        let mut entries = VecDeque::new();
        let mut room = PAGE_BYTES;
        let (from, to) = (keys::change(after), keys::change(until));
        self.store.scan(
            self.spaces.feed,
            Bound::Excluded(&from),
            Bound::Included(&to),
            &mut |key, change| {
                if let Some(sequence) = keys::sequence_of(key) {
                    entries.push_back(Entry {
                        sequence,
                        change: change.to_vec(),
                    });
                }
                room = room.saturating_sub(change.len());
                if room == 0 || entries.len() == PAGE_CHANGES {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        )?;
        // Checked after the read: what was cut off meanwhile is then noticed as well.
        let oldest = self.oldest();
        if after + 1 < oldest {
            return Err(FeedError::Gone { oldest });
        }
        let is_full = room == 0 || entries.len() == PAGE_CHANGES;
        let reached = entries
            .back()
            .filter(|_| is_full)
            .map_or(until.max(after), |entry| entry.sequence);
        Ok((entries, reached))
    }
}
