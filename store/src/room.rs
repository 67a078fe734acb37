//! Room: how much of the disk is free, and whether the store takes what makes it grow.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::CommitError;

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Free bytes are not known.
const UNKNOWN: u64 = u64::MAX;

/// Whether a store can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything is taken.
    Well,
    /// The disk has less than [`Options::reserve_bytes`](crate::Options::reserve_bytes) free, or was full at the last
    /// write: nothing should be added.
    NoRoom,
    /// Writing failed, and nothing is written until the store is opened again.
    Failed(String),
}

/// Batches and additions that were refused since the store was opened, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Because there was no room.
    pub no_room: u64,
    /// Because too many bytes waited.
    pub overloaded: u64,
    /// Because writing had failed.
    pub failed: u64,
}

/// What the store thread knows of the disk, for everybody to see.
#[derive(Debug)]
pub(crate) struct Room {
    free: AtomicU64,
    /// Less is free than the reserve.
    short: AtomicBool,
    /// There was no room when last written.
    full: AtomicBool,
    failed: OnceLock<String>,
    no_room: AtomicU64,
    overloaded: AtomicU64,
    refused_failed: AtomicU64,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            free: AtomicU64::new(UNKNOWN),
            short: AtomicBool::new(false),
            full: AtomicBool::new(false),
            failed: OnceLock::new(),
            no_room: AtomicU64::new(0),
            overloaded: AtomicU64::new(0),
            refused_failed: AtomicU64::new(0),
        }
    }
}

impl Room {
    /// Whether what makes the store grow is taken.
    pub(crate) fn is_enough(&self) -> bool {
        !self.short.load(Ordering::Relaxed) && !self.full.load(Ordering::Relaxed)
    }

    pub(crate) fn condition(&self) -> Condition {
        match self.failed.get() {
            Some(why) => Condition::Failed(why.clone()),
            None if self.is_enough() => Condition::Well,
            None => Condition::NoRoom,
        }
    }

    pub(crate) fn free_bytes(&self) -> Option<u64> {
        Some(self.free.load(Ordering::Relaxed)).filter(|free| *free != UNKNOWN)
    }

    pub(crate) fn refusals(&self) -> Refusals {
        Refusals {
            no_room: self.no_room.load(Ordering::Relaxed),
            overloaded: self.overloaded.load(Ordering::Relaxed),
            failed: self.refused_failed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Whether the last write found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, why: &str) {
        self.failed.get_or_init(|| why.to_owned());
    }

    /// Counts a batch, or something that was to be added, as refused.
    pub(crate) fn count_refused(&self, error: &CommitError) {
        let counter = match error {
            CommitError::Full => &self.no_room,
            CommitError::Overloaded => &self.overloaded,
            CommitError::Failed(_) => &self.refused_failed,
            CommitError::Closed | CommitError::UnknownKeyspace(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// When to look at the disk, and what to make of it.
#[derive(Debug)]
pub(crate) struct Lookout {
    reserve_bytes: u64,
    looked: Option<Instant>,
    /// Written since.
    written: u64,
}

impl Lookout {
    pub(crate) const fn new(reserve_bytes: u64) -> Self {
        Self {
            reserve_bytes,
            looked: None,
            written: 0,
        }
    }

    pub(crate) const fn wrote(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes as u64);
    }

    /// The next look is due at once.
    pub(crate) const fn look_at_once(&mut self) {
        self.looked = None;
    }

    /// How long it is until the next look. Whoever writes fast is looked at more often: the log, the tables written out
    /// and one compaction may each take what was written.
    pub(crate) fn due_in(&self) -> Duration {
        let is_much = self.reserve_bytes > 0 && self.written > self.reserve_bytes / 8;
        let Some(looked) = self.looked.filter(|_| !is_much) else {
            return Duration::ZERO;
        };
        LOOK_EVERY.saturating_sub(looked.elapsed())
    }

    /// Notes what was seen.
    pub(crate) fn saw(&mut self, free: Option<u64>, room: &Room) {
        self.looked = Some(Instant::now());
        self.written = 0;
        room.free.store(free.unwrap_or(UNKNOWN), Ordering::Relaxed);
        let short = is_short(free, self.reserve_bytes, room.short.load(Ordering::Relaxed));
        room.short.store(short, Ordering::Relaxed);
    }
}

/// Whether less is free than the reserve. Where it was, an eighth more has to be free, so that tables that come and go do
/// not turn it to and fro. What is not known is no reason to refuse anything.
const fn is_short(free: Option<u64>, reserve_bytes: u64, was_short: bool) -> bool {
    let Some(free) = free else { return false };
    let margin = if was_short { reserve_bytes / 8 } else { 0 };
    free < reserve_bytes.saturating_add(margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_below_the_reserve_and_until_an_eighth_more_is_free() {
        assert!(!is_short(Some(800), 800, false));
        assert!(is_short(Some(799), 800, false));
        assert!(is_short(Some(899), 800, true));
        assert!(!is_short(Some(900), 800, true));
    }

    #[test]
    fn without_a_reserve_or_a_number_it_is_never_short() {
        for was_short in [true, false] {
            assert!(!is_short(Some(0), 0, was_short));
            assert!(!is_short(None, 800, was_short));
        }
    }

    #[test]
    fn a_look_is_due_at_first_after_a_failure_and_after_much_was_written() {
        let room = Room::default();
        let mut lookout = Lookout::new(800);
        assert_eq!(lookout.due_in(), Duration::ZERO);
        lookout.saw(Some(1000), &room);
        assert!(lookout.due_in() > Duration::ZERO);
        lookout.wrote(101);
        assert_eq!(lookout.due_in(), Duration::ZERO);
        lookout.saw(Some(1000), &room);
        lookout.look_at_once();
        assert_eq!(lookout.due_in(), Duration::ZERO);
    }

    #[test]
    fn the_condition_says_what_is_worst() {
        let room = Room::default();
        let mut lookout = Lookout::new(800);
        assert_eq!(room.condition(), Condition::Well);
        lookout.saw(Some(10), &room);
        assert_eq!(
            (room.condition(), room.free_bytes()),
            (Condition::NoRoom, Some(10))
        );
        lookout.saw(Some(1000), &room);
        assert_eq!(room.condition(), Condition::Well);
        room.set_full(true);
        assert_eq!(room.condition(), Condition::NoRoom);
        room.failed("broken");
        assert_eq!(room.condition(), Condition::Failed("broken".into()));
    }
}
