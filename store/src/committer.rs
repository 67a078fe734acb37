//! The one thread that writes: takes everything that waits, writes it as one group, answers in order.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::engine::Engine;
use crate::error::CommitError;
use crate::options::Options;
use crate::room::{Lookout, Room};

/// How safe a batch has to be before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// As `Os`, but never synced for its own sake: nothing is promised beyond a clean stop.
    Memory,
    /// Acknowledged when the operating system has it; synced within [`Options::sync_interval`].
    Os,
    /// Acknowledged when the disk has it.
    Fsync,
}

impl Durability {
    /// The word for each in the settings.
    pub const WORDS: [(&str, Self); 3] = [("fsync", Self::Fsync), ("os", Self::Os), ("memory", Self::Memory)];
}

type Done = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

struct Waiting {
    batch: Batch,
    durability: Durability,
    done: Done,
}

impl Waiting {
    /// What it counts against the backlog: its bytes, and its place in the queue even when it has none.
    fn weight(&self) -> usize {
        self.batch.len_bytes() + size_of::<Self>()
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    closed: bool,
    /// The store thread wants to be woken when this many wait.
    wake_at: usize,
}

struct Shared {
    engine: Arc<dyn Engine>,
    options: Options,
    queue: Mutex<Queue>,
    wake: Condvar,
    backlog: AtomicUsize,
    room: Room,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue and its thread.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    /// Starts the store thread. The error is the system's when it has no thread to give.
    pub(crate) fn start(engine: Arc<dyn Engine>, options: Options) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            engine,
            options,
            queue: Mutex::new(Queue {
                wake_at: 1,
                ..Queue::default()
            }),
            wake: Condvar::new(),
            backlog: AtomicUsize::new(0),
            room: Room::default(),
        });
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            pace: Pace::default(),
            unsynced: None,
            failed: None,
            lookout: Lookout::new(shared.options.reserve_bytes),
            unswept: false,
        };
        writer.look_when_due();
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues a batch. A refusal is answered at once, on this thread.
    pub(crate) fn submit(&self, batch: Batch, durability: Durability, done: Done) {
        let waiting = Waiting {
            batch,
            durability,
            done,
        };
        let weight = waiting.weight();
        let mut queue = self.shared.queue();
        let refusal = if queue.closed {
            CommitError::Closed
        } else if self.backlog_bytes().saturating_add(weight) > self.shared.options.backlog_bound() {
            CommitError::Overloaded
        } else {
            self.shared.backlog.fetch_add(weight, Ordering::Relaxed);
            queue.waiting.push_back(waiting);
            let wake = queue.waiting.len() >= queue.wake_at;
            drop(queue);
            if wake {
                self.shared.wake.notify_one();
            }
            return;
        };
        drop(queue);
        self.shared.room.count_refused(&refusal);
        (waiting.done)(Err(refusal));
    }

    /// What is known of the disk.
    pub(crate) fn room(&self) -> &Room {
        &self.shared.room
    }

    /// Bytes taken and not yet answered.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.shared.backlog.load(Ordering::Relaxed)
    }

    /// Takes nothing more, writes and syncs what waits, and ends the thread.
    pub(crate) fn close(&self) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A `done` may drop the last handle, and then this runs on the store thread, which cannot wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            // The thread catches the panics of every `done`; one of its own has been printed by the panic hook.
            drop(thread.join());
        }
    }
}

/// What the last group tells about the next one.
struct Pace {
    members: usize,
    cost: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            members: 1,
            cost: Duration::ZERO,
        }
    }
}

/// The state of the store thread.
struct Writer {
    shared: Arc<Shared>,
    pace: Pace,
    /// Since when something is written but not synced.
    unsynced: Option<Instant>,
    /// The failure after which nothing is written any more.
    failed: Option<CommitError>,
    lookout: Lookout,
    /// Something was deleted since the engine was last swept.
    unswept: bool,
}

impl Drop for Writer {
    /// Nobody waits for ever: not even should the thread end by a mistake of its own.
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        let left = std::mem::take(&mut queue.waiting);
        drop(queue);
        self.answer(left.into(), &Err(CommitError::Closed));
    }
}

impl Writer {
    fn run(mut self) {
        while let Some(group) = self.take_group() {
            if !group.is_empty() {
                self.commit(group);
            }
            self.sync_when_due();
            self.look_when_due();
        }
        self.sync_now();
    }

    /// Waits for work. An empty group means that a sync or a look is due; `None` that the store is closed and drained.
    fn take_group(&self) -> Option<Vec<Waiting>> {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue();
        while queue.waiting.is_empty() {
            if queue.closed {
                return None;
            }
            let sync = self
                .unsynced
                .map(|since| shared.options.sync_interval.saturating_sub(since.elapsed()));
            let look = self.lookout.due_in();
            let left = sync.map_or(look, |sync| sync.min(look));
            if left.is_zero() {
                return Some(Vec::new());
            }
            queue = shared
                .wake
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Some(self.take_waiting(self.gather(&shared, queue)))
    }

    /// Holds the first arrivals back for a moment when the last group was larger: those who were just answered are
    /// about to come back, and would otherwise have to wait for a sync that only serves the first of them.
    fn gather<'a>(&self, shared: &'a Shared, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let hold = (self.pace.cost / 2).min(shared.options.commit_latency_max);
        let enough = self.pace.members;
        if queue.waiting.len() >= enough || hold.is_zero() {
            return queue;
        }
        queue.wake_at = enough;
        let deadline = Instant::now() + hold;
        while queue.waiting.len() < enough && !queue.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = shared
                .wake
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        queue.wake_at = 1;
        queue
    }

    /// Takes the next group: what waits in front of the first one that needs a sync, so that it need not wait for
    /// it; or that one and all behind it, which have to wait anyway.
    fn take_waiting(&self, mut queue: MutexGuard<'_, Queue>) -> Vec<Waiting> {
        let sync = queue
            .waiting
            .front()
            .is_some_and(|first| first.durability == Durability::Fsync);
        let mut bytes = 0;
        let fits = queue.waiting.iter().take_while(|waiting| {
            let first = bytes == 0;
            bytes += waiting.weight();
            first
                || (bytes <= self.shared.options.group_bytes_max
                    && (sync || waiting.durability != Durability::Fsync))
        });
        let count = fits.count();
        queue.waiting.drain(..count).collect()
    }

    fn commit(&mut self, group: Vec<Waiting>) {
        let started = Instant::now();
        let sync = group
            .iter()
            .any(|waiting| waiting.durability == Durability::Fsync);
        let early = self.shared.options.acknowledge_before_sync;
        let result = match &self.failed {
            Some(failed) => Err(failed.clone()),
            None => self.write(&group, sync && !early),
        };
        self.pace = Pace {
            members: if sync { group.len() } else { 1 },
            cost: Duration::ZERO,
        };
        self.answer(group, &result);
        if sync && early {
            self.sync_now();
        }
        self.pace.cost = started.elapsed();
    }

    fn write(&mut self, group: &[Waiting], sync: bool) -> Result<(), CommitError> {
        let batches: Vec<&Batch> = group
            .iter()
            .map(|waiting| &waiting.batch)
            .filter(|b| !b.is_empty())
            .collect();
        let result = match (batches.is_empty(), sync) {
            (false, _) => self.shared.engine.write(&batches, sync),
            (true, true) if self.shared.room.is_full() => Err(CommitError::Full),
            (true, true) => self.shared.engine.sync(),
            (true, false) => return Ok(()),
        };
        if result.is_ok() {
            self.shared.room.set_full(false);
            self.unswept |= batches.iter().any(|batch| batch.deletes());
        }
        self.lookout
            .wrote(batches.iter().map(|batch| batch.len_bytes()).sum());
        match &result {
            Ok(()) if sync => self.unsynced = None,
            Ok(())
                if group
                    .iter()
                    .any(|waiting| waiting.durability > Durability::Memory) =>
            {
                self.unsynced = self.unsynced.or_else(|| Some(Instant::now()));
            }
            Ok(()) => (),
            Err(error) => self.note(error),
        }
        result
    }

    fn sync_when_due(&mut self) {
        if self
            .unsynced
            .is_some_and(|since| since.elapsed() >= self.shared.options.sync_interval)
        {
            self.sync_now();
        }
    }

    fn sync_now(&mut self) {
        if self.unsynced.take().is_some()
            && self.failed.is_none()
            && let Err(error) = self.shared.engine.sync()
        {
            self.note(&error);
        }
    }

    /// Looks at the disk. If the last write found no room and there seems to be some, an empty one finds out: nobody may
    /// come with another while it is said that there is none.
    fn look_when_due(&mut self) {
        if !self.lookout.due_in().is_zero() {
            return;
        }
        let room = &self.shared.room;
        let free = self.shared.engine.free_bytes();
        self.lookout.saw(free, room);
        // Sweeping begins with writing out what is in memory, which has to fit.
        let fits = free.is_some_and(|free| free > self.shared.options.write_buffer_bytes as u64);
        if room.is_short() && self.unswept && fits && self.failed.is_none() {
            self.unswept = !self.shared.engine.sweep();
        }
        if room.is_full() && !room.is_short() && self.failed.is_none() {
            match self.shared.engine.write(&[], false) {
                Ok(()) => room.set_full(false),
                Err(error) => self.note(&error),
            }
        }
    }

    /// After a write or sync that found no room the engine's log cannot be synced: it would fail for good. Once there is
    /// room the engine writes everything to synced tables and begins a new log, which shows in the next write that
    /// succeeds.
    fn note(&mut self, error: &CommitError) {
        match error {
            CommitError::Failed(why) => {
                self.failed = Some(error.clone());
                self.shared.room.failed(why);
            }
            CommitError::Full => {
                if !self.shared.room.is_full() {
                    self.lookout.look_at_once();
                }
                self.shared.room.set_full(true);
                self.unsynced = None;
            }
            _ => (),
        }
    }

    /// Calls each `done` in order. One that panics (the hook has printed it) must not keep the others from theirs.
    fn answer(&self, group: Vec<Waiting>, result: &Result<(), CommitError>) {
        for waiting in group {
            if let Err(error) = result {
                self.shared.room.count_refused(error);
            }
            self.shared.backlog.fetch_sub(waiting.weight(), Ordering::Relaxed);
            drop(catch_unwind(AssertUnwindSafe(|| (waiting.done)(result.clone()))));
        }
    }
}
