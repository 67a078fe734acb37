//! One timer for everything a shard's thread waits for.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use broker_core::Moment;
use tokio::time::{Sleep, sleep_until};

use crate::clock::Clock;

/// Fires at the earliest moment it was set to. It is moved only to an earlier one: one that fires too early costs less
/// than setting it anew for every packet.
#[derive(Debug)]
pub(crate) struct Timer {
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
    at: Option<Moment>,
}

impl Timer {
    /// A timer that is not set. Must be made inside the runtime it is used in.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            sleep: Box::pin(sleep_until(clock.instant(clock.now()))),
            at: None,
        }
    }

    /// Sees to it that the timer fires at `moment` or earlier.
    pub(crate) fn set(&mut self, moment: Moment) {
        if self.at.is_none_or(|at| moment < at) {
            self.at = Some(moment);
            self.sleep.as_mut().reset(self.clock.instant(moment));
        }
    }

    /// Ready when it has fired; it is not set then.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.at.is_none() || self.sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.at = None;
        Poll::Ready(())
    }
}
