//! Pace: how many sends may leave within a window, over all devices.

use std::time::Duration;

use super::Moment;

#[derive(Debug)]
pub(super) struct Pace {
    burst_max: u32,
    window: Duration,
    window_ends: Moment,
    used: u32,
}

impl Pace {
    pub(super) fn new(burst_max: u32, window: Duration) -> Self {
        // With no send at all nothing would ever converge, and an empty window would never let time pass.
        let window = window.max(Duration::from_millis(1));
        Self {
            burst_max: burst_max.max(1),
            window,
            window_ends: Moment::default(),
            used: 0,
        }
    }

    /// Counts one more send, or says that this window is used up.
    pub(super) fn admits(&mut self, now: Moment) -> bool {
        if now >= self.window_ends {
            self.window_ends = now + self.window;
            self.used = 0;
        }
        let admitted = self.used < self.burst_max;
        self.used += u32::from(admitted);
        admitted
    }

    /// When there is room again; `None` when there is room.
    pub(super) fn free_at(&self) -> Option<Moment> {
        (self.used >= self.burst_max).then_some(self.window_ends)
    }
}
