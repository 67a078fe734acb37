//! Seats: how many connections there may be, in all and at one listener.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Counts taken seats against a limit; a listener's seats are also counted by the whole broker's.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: AtomicU32,
    max: u32,
    of: Option<Arc<Self>>,
}

/// A place for one connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Seats>);

impl Seats {
    pub(crate) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicU32::new(0),
            max,
            of: None,
        })
    }

    pub(crate) fn within(of: &Arc<Self>, max: u32) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicU32::new(0),
            max,
            of: Some(Arc::clone(of)),
        })
    }

    /// A seat, unless all are taken here or in the whole.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Seat> {
        if !self.count_up() {
            return None;
        }
        if let Some(whole) = &self.of
            && !whole.count_up()
        {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Seat(Arc::clone(self)))
    }

    fn count_up(&self) -> bool {
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < self.max).then_some(taken + 1)
            })
            .is_ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(whole) = &self.0.of {
            whole.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_once_it_is_dropped() {
        let seats = Seats::new(1);
        let seat = seats.take();
        assert!(seat.is_some());
        assert!(seats.take().is_none());
        drop(seat);
        assert!(seats.take().is_some());
    }

    #[test]
    fn a_listener_cannot_take_more_than_the_whole_has() {
        let whole = Seats::new(1);
        let (one, other) = (Seats::within(&whole, 5), Seats::within(&whole, 5));
        let seat = one.take();
        assert!(seat.is_some());
        assert!(other.take().is_none());
        drop(seat);
        assert!(other.take().is_some());
    }
}
