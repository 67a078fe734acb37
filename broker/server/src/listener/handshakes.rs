//! Handshakes: places for connections on their way in, and who gives way when all are taken.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, timeout_at},
};

mod waiting;

use plugin_api::Peer;
use waiting::{Network, Waiting};

use crate::seldom::Seldom;

/// How long a peer has before it must give way: when a crowd comes at once, everybody has time for a round trip.
const GRACE: Duration = Duration::from_millis(500);

/// Bounds how many connections are on their way in, all listeners together.
///
/// When all places are taken, one that waits for its peer gives way to a newcomer: of the network that has most of
/// them the oldest. A connection that waits for us, because it is being judged, keeps its place.
#[derive(Debug)]
pub(crate) struct Handshakes {
    places: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    /// Paces the lines about those that gave way.
    told: Seldom,
}

/// A place on the way in, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    handshakes: Arc<Handshakes>,
    network: Network,
    number: u64,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Handshakes {
    pub(crate) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(max as usize)),
            waiting: Mutex::default(),
            told: Seldom::default(),
        })
    }

    /// A place for a connection that was accepted. Waits while nobody has to give way yet.
    pub(crate) async fn enter(self: &Arc<Self>, peer: Peer) -> Place {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                break permit;
            }
            let look_again = self.make_room(Instant::now());
            let freed = Arc::clone(&self.places).acquire_owned();
            if let Ok(Ok(permit)) = timeout_at(look_again, freed).await {
                break permit;
            }
        };
        Place {
            handshakes: Arc::clone(self),
            network: Network::of(peer),
            number: self.waiting().next_number(),
            since: Instant::now(),
            _permit: permit,
        }
    }

    /// Lets the one go that has to give way, if it has had its time. Answers when to look again.
    pub(crate) fn make_room(&self, now: Instant) -> Instant {
        let mut waiting = self.waiting();
        match waiting.first_to_go() {
            Some(first) if first.since + GRACE > now => return first.since + GRACE,
            Some(first) => waiting.remove(first.network, first.number),
            None => {}
        }
        now + GRACE
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// It is for this peer from now on: a proxy has said whose connection it is.
    pub(crate) fn is_for(&mut self, peer: Peer) {
        self.network = Network::of(peer);
    }

    /// Does what only the peer can hold up. `None` if the place had to be given to another meanwhile.
    pub(crate) async fn while_waiting<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (stay, gone) = oneshot::channel::<()>();
        self.handshakes
            .waiting()
            .insert(self.network, self.number, self.since, stay);
        let done = tokio::select! {
            biased;
            done = work => Some(done),
            _ = gone => None,
        };
        self.handshakes.waiting().remove(self.network, self.number);
        done
    }

    /// If the log may have a line about a connection that gave way: how many had none since the last one.
    pub(crate) fn tell(&self, uptime: Duration) -> Option<u64> {
        self.handshakes.told.turn(uptime)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It is still there if the work was cut short.
        self.handshakes.waiting().remove(self.network, self.number);
    }
}
