//! Seldom: how often the log has a line that any peer can cause.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// At most one line in so long.
const INTERVAL: Duration = Duration::from_secs(1);

/// Paces one kind of line, and counts what is left out.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Pace>);

#[derive(Debug, Default)]
struct Pace {
    next: Duration,
    left_out: u64,
}

impl Seldom {
    /// If there may be a line now: how many were left out since the last one. Takes the time since the start.
    pub(crate) fn turn(&self, uptime: Duration) -> Option<u64> {
        let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uptime < pace.next {
            pace.left_out += 1;
            return None;
        }
        pace.next = uptime + INTERVAL;
        Some(std::mem::take(&mut pace.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_line_a_second_and_it_counts_the_others() {
        let seldom = Seldom::default();
        let millis = Duration::from_millis;
        assert_eq!(seldom.turn(millis(0)), Some(0));
        assert_eq!(seldom.turn(millis(1)), None);
        assert_eq!(seldom.turn(millis(999)), None);
        assert_eq!(seldom.turn(millis(1000)), Some(2));
        assert_eq!(seldom.turn(millis(1999)), None);
        assert_eq!(seldom.turn(millis(5000)), Some(1));
        assert_eq!(seldom.turn(millis(6000)), Some(0));
    }
}
