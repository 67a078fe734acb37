//! Reconciler: which device is sent its delta when, and when to give up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;
use std::time::Duration;

use crate::reconcile::pace::Pace;
use crate::reconcile::retry::Jitter;
use crate::{DeviceName, TwinId, TwinName};

pub use self::retry::RetryPolicy;

mod pace;
mod retry;

/// A point on the caller's monotonic clock, in milliseconds from a start of the caller's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The point so many milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// What the reconciler is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A device subscribed to the delta topic of this twin, or resumed a session that holds the subscription.
    Listens {
        /// Which twin.
        twin: TwinId,
        /// Whether its open delta is not empty.
        open: bool,
        /// Whether the session already holds the current delta, so that the broker delivers it by itself.
        on_its_way: bool,
    },
    /// The device does not listen to this twin any more, but stays connected.
    StopsListening(TwinId),
    /// The device is gone, with everything it listened to.
    Offline(DeviceName),
    /// Desired or reported of this twin was written. When `open`, the write itself has published the delta.
    Changed {
        /// Which twin.
        twin: TwinId,
        /// Whether its open delta is not empty now.
        open: bool,
    },
    /// A delta of this twin went out to its device and is not acknowledged yet.
    InFlight(TwinId),
    /// What was in flight was acknowledged or given up.
    Finished(TwinId),
    /// Time has passed.
    Tick,
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Publish the current open delta of this twin to its device.
    SendDelta(TwinId),
    /// The retries are used up: settle the twin as `Reach::Exhausted`.
    Stalled(TwinId),
}

/// Decides for the devices of one worker when their deltas are sent.
///
/// * Who begins to listen while something differs is sent exactly one delta.
/// * While the device listens and something differs, the delta is sent again after growing delays, never while
///   one is in flight; after the last attempt and its delay the twin is stalled. Whoever begins to listen, and any
///   write after which something differs, starts the count again.
/// * All sends together keep a pace, so that a mass reconnect does not become a burst.
///
/// It holds one entry per twin a connected device listens to, so connections times subscriptions bound it; a device
/// that is offline costs nothing. The same inputs and seed give the same outputs.
#[derive(Debug)]
pub struct Reconciler {
    policy: RetryPolicy,
    jitter: Jitter,
    pace: Pace,
    watches: BTreeMap<TwinId, Watch>,
    timers: BTreeSet<(Moment, TwinId)>,
}

#[derive(Debug, Default)]
struct Watch {
    open: bool,
    in_flight: bool,
    stalled: bool,
    /// How often the device was told since the count started.
    told: u32,
    last_told: Option<Moment>,
    due: Option<Moment>,
}

impl Reconciler {
    /// A reconciler that watches nothing yet; `seed` drives the jitter.
    #[must_use]
    pub fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            pace: Pace::new(policy.burst_max, policy.burst_every),
            policy,
            jitter: Jitter::seeded(seed),
            watches: BTreeMap::new(),
            timers: BTreeSet::new(),
        }
    }

    /// Takes one input and adds what it makes necessary to `out`.
    pub fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Listens {
                twin,
                open,
                on_its_way,
            } => self.listens(now, twin, open, on_its_way),
            Input::StopsListening(twin) => self.forget(&twin),
            Input::Offline(device) => self.forget_device(&device),
            Input::Changed { twin, open } => self.changed(now, &twin, open),
            Input::InFlight(twin) => self.in_flight(&twin),
            Input::Finished(twin) => self.finished(now, &twin),
            Input::Tick => {}
        }
        self.perform_due(now, out);
    }

    /// When `step` wants to be called with `Input::Tick`, if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let (due, _) = self.timers.first()?;
        Some(self.pace.free_at().map_or(*due, |free| free.max(*due)))
    }

    /// How many twins are watched.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.watches.len()
    }

    fn listens(&mut self, now: Moment, twin: TwinId, open: bool, on_its_way: bool) {
        let grace = self.policy.resubscribe_grace;
        let watch = self.watches.entry(twin.clone()).or_default();
        watch.open = open;
        let just_told = watch.due.is_some() && watch.last_told.is_some_and(|told| now <= told + grace);
        if !open {
            self.rest(&twin);
        } else if on_its_way || watch.in_flight {
            self.told(now, &twin, 1);
        } else if !just_told {
            watch.told = 0;
            watch.stalled = false;
            self.wake_at(&twin, now);
        }
    }

    fn changed(&mut self, now: Moment, twin: &TwinId, open: bool) {
        let Some(watch) = self.watches.get_mut(twin) else {
            return;
        };
        watch.open = open;
        if open {
            self.told(now, twin, 1)
        } else {
            self.rest(twin)
        }
    }

    fn in_flight(&mut self, twin: &TwinId) {
        if let Some(watch) = self.watches.get_mut(twin) {
            watch.in_flight = true;
            self.rest(twin);
        }
    }

    fn finished(&mut self, now: Moment, twin: &TwinId) {
        let Some(watch) = self.watches.get_mut(twin) else {
            return;
        };
        watch.in_flight = false;
        if watch.open && !watch.stalled {
            let told = watch.told;
            self.told(now, twin, told);
        }
    }

    /// The device has been told for the `count`th time: wait before telling it again, unless it is still being told.
    fn told(&mut self, now: Moment, twin: &TwinId, count: u32) {
        let Some(watch) = self.watches.get_mut(twin) else {
            return;
        };
        watch.told = count;
        watch.stalled = false;
        watch.last_told = Some(now);
        if watch.in_flight {
            self.rest(twin);
        } else {
            let delay = self.policy.delay_after(count, &mut self.jitter);
            self.wake_at(twin, now + delay);
        }
    }

    fn perform_due(&mut self, now: Moment, out: &mut Vec<Output>) {
        while let Some((due, twin)) = self.timers.first().cloned() {
            if due > now {
                return;
            }
            let told = self.watches.get(&twin).map_or(0, |watch| watch.told);
            if told >= self.policy.attempts_max {
                self.give_up(&twin);
                out.push(Output::Stalled(twin));
            } else if self.pace.admits(now) {
                self.told(now, &twin, told + 1);
                out.push(Output::SendDelta(twin));
            } else {
                return;
            }
        }
    }

    fn give_up(&mut self, twin: &TwinId) {
        self.rest(twin);
        if let Some(watch) = self.watches.get_mut(twin) {
            watch.stalled = true;
        }
    }

    fn wake_at(&mut self, twin: &TwinId, moment: Moment) {
        self.rest(twin);
        if let Some(watch) = self.watches.get_mut(twin) {
            watch.due = Some(moment);
            self.timers.insert((moment, twin.clone()));
        }
    }

    fn rest(&mut self, twin: &TwinId) {
        if let Some(due) = self.watches.get_mut(twin).and_then(|watch| watch.due.take()) {
            self.timers.remove(&(due, twin.clone()));
        }
    }

    fn forget(&mut self, twin: &TwinId) {
        self.rest(twin);
        self.watches.remove(twin);
    }

    fn forget_device(&mut self, device: &DeviceName) {
        let first = TwinId {
            device: device.clone(),
            name: TwinName::default_twin(),
        };
        let theirs = self
            .watches
            .range(first..)
            .map(|(twin, _)| twin)
            .take_while(|twin| twin.device == *device);
        let theirs: Vec<TwinId> = theirs.cloned().collect();
        theirs.iter().for_each(|twin| self.forget(twin));
    }
}
