//! Service: the partitions and the doors to them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use plugin_api::{
    Answer, Authorize, Broker, Link, LinkEvent, LinkSpec, LinkSubscription, ReasonCode, TopicFilter,
};
use store::{Batch, CommitError, Durability, ReadError, Store};
use tokio::runtime::Handle;
use tokio::sync::watch;
use twin_model::{NodeId, Stamp, StampClock, SyncStatus};

use crate::clock::Clock;
use crate::feed::Feed;
use crate::gate::TwinGate;
use crate::keys::{self, Meta, Spaces};
use crate::presence::Presences;
use crate::settings::Settings;
use crate::shared::{Shared, Stage};
use crate::topics::{self, Prefix, Topic};
use crate::worker::{Mail, Mailbox, Worker, partition_of};
use crate::{http, metrics, record};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store was opened without the list of [`keyspaces`](crate::keyspaces).
    #[error("the store has no keyspace {0}; open it with the twins' keyspaces")]
    NoKeyspace(&'static str),
    /// The store cannot be read.
    #[error("the twins cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error("the twins cannot be stored: {0}")]
    Commit(#[from] CommitError),
    /// The system has no thread to give.
    #[error("no thread for the twins: {0}")]
    Thread(#[from] std::io::Error),
}

/// The digital twins: a link to a broker, an HTTP API, and a gate that guards the twins' topics.
///
/// Each partition is a thread of its own, because it reads the store; it uses the runtime for timers and for
/// publishing. The service ends when it is stopped or dropped.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    link: Arc<TwinLink>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Service {
    /// Starts the partitions on what the store holds.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        settings: Settings,
        store: Store,
        clock: Arc<dyn Clock>,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        metrics::describe();
        let spaces = Spaces::of(&store).map_err(StartError::NoKeyspace)?;
        let feed = Feed::open(store.clone(), spaces, settings.changes_kept_max)?;
        let (node, mark) = (node(&store, spaces)?, mark(&store, spaces)?);
        count(&store, spaces)?;
        let started = clock.wall();
        let partitions = settings.partitions.max(1);
        let shared = Arc::new(Shared {
            presences: Presences::new(store.clone(), spaces, started),
            broker: OnceLock::new(),
            mailboxes: (0..partitions).map(|_| Mailbox::default()).collect(),
            feed: Arc::new(feed),
            settings,
            clock,
            store,
            spaces,
            started,
            stage: watch::Sender::new(Stage::Serving),
        });
        let link = Arc::new(TwinLink {
            shared: Arc::clone(&shared),
            hasher: RandomState::new(),
        });
        let service = Self {
            shared,
            link,
            threads: Mutex::default(),
        };
        for number in 0..partitions {
            service.start_partition(number, StampClock::new(node, mark), runtime)?;
        }
        Ok(service)
    }

    fn start_partition(&self, number: u16, stamps: StampClock, runtime: &Handle) -> Result<(), StartError> {
        let live = crate::worker::live(&self.shared.store, self.shared.spaces, number)?;
        let seed = self.link.hasher.hash_one(number);
        let worker = Worker::new(Arc::clone(&self.shared), number, stamps, live, seed);
        let runtime = runtime.clone();
        let thread = thread::Builder::new()
            .name(format!("twin-{number}"))
            .spawn(move || runtime.block_on(worker.run()))?;
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        Ok(())
    }

    /// What the link hears: the twins' requests, presence, and who subscribes to a delta.
    #[must_use]
    pub fn spec(&self) -> LinkSpec {
        let filter = |text: &str| TopicFilter::parse(text).expect("the table holds valid filters");
        let subscription = |(text, responsible): &(&str, bool)| LinkSubscription {
            filter: filter(text),
            responsible: *responsible,
        };
        LinkSpec {
            name: "twin".to_owned(),
            subscriptions: topics::REQUESTS.iter().map(subscription).collect(),
            alone: topics::REQUESTS_OF_ME.map(filter).to_vec(),
            watches: topics::DELTAS
                .iter()
                .chain([&topics::MINE])
                .map(|text| filter(text))
                .collect(),
            presence: true,
        }
    }

    /// The link, to be attached to a broker as [`spec`](Self::spec) says.
    #[must_use]
    pub fn link(&self) -> Arc<dyn Link> {
        Arc::clone(&self.link) as Arc<dyn Link>
    }

    /// The broker through which the service speaks. Until then nothing is published; only the first one counts.
    pub fn attach(&self, broker: Arc<dyn Broker>) {
        if self.shared.broker.set(broker).is_err() {
            tracing::warn!("the twins are attached to a broker already");
        }
    }

    /// The rules about twin topics, to be asked before all others.
    #[must_use]
    pub fn gate(&self) -> Arc<dyn Authorize> {
        Arc::new(TwinGate)
    }

    /// The HTTP API. Every request must carry an `Extension<Arc<Principal>>`, which the caller's authentication put
    /// there; what that principal may do is asked of `authorize`.
    pub fn router(&self, authorize: Arc<dyn Authorize>) -> axum::Router {
        http::router(Arc::clone(&self.shared), Arc::clone(&self.link), authorize)
    }

    /// The number of the last committed change, for those who watch from inside.
    #[must_use]
    pub fn committed_changes(&self) -> u64 {
        self.shared.feed.committed()
    }

    /// Ends all streams of changes, now and from now on, so that an HTTP server which waits for open responses can end.
    pub fn end_streams(&self) {
        self.shared.enter(Stage::EndingStreams);
    }

    /// Stops taking requests, ends open streams, waits until everything under way is stored and said, and ends the
    /// partitions.
    pub async fn stop(&self) {
        self.hang_up();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a partition of the twins has ended by a panic");
                }
            }
        });
        drop(joined.await); // it only waits, so there is nothing it could fail with
    }

    fn hang_up(&self) {
        self.shared.enter(Stage::Stopping);
        self.shared
            .mailboxes
            .iter()
            .for_each(|mailbox| mailbox.put(Mail::Stop));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Brings what the broker tells to the partition of the device it is about.
#[derive(Debug)]
pub(crate) struct TwinLink {
    shared: Arc<Shared>,
    hasher: RandomState,
}

impl TwinLink {
    /// The mailbox of a device's partition.
    pub(crate) fn mailbox_of(&self, device: &str) -> &Mailbox {
        let hash = usize::try_from(self.hasher.hash_one(device) & 0x7fff_ffff).unwrap_or(0);
        self.shared.mailbox(hash)
    }
}

impl Link for TwinLink {
    fn take(&self, event: LinkEvent) {
        match event {
            LinkEvent::Message(delivery) => {
                let own = delivery.principal.device.as_deref();
                let device = match Topic::parse(&delivery.topic) {
                    Some(Topic {
                        prefix: Prefix::Me, ..
                    }) => own.unwrap_or_default(),
                    Some(Topic { device, .. }) => device,
                    None => "",
                };
                let mailbox = self.mailbox_of(device);
                if let Some(delivery) = mailbox.offer(delivery)
                    && let Some(broker) = self.shared.broker.get()
                {
                    broker.answer(delivery.ticket, Answer::Refused(ReasonCode::ServerBusy));
                }
            }
            LinkEvent::Connected { ref principal, .. }
            | LinkEvent::Departed { ref principal, .. }
            | LinkEvent::Subscribed { ref principal, .. } => {
                if let Some(device) = principal.device.clone() {
                    self.mailbox_of(&device).put(Mail::Event(event));
                }
            }
            LinkEvent::Settled { key, .. } => {
                let partition = usize::try_from(partition_of(key)).unwrap_or(0);
                self.shared.mailbox(partition).put(Mail::Event(event));
            }
            _ => {}
        }
    }
}

/// The identity of this broker in stamps, made at the first start.
fn node(store: &Store, spaces: Spaces) -> Result<NodeId, StartError> {
    let key = Meta::Node.key();
    if let Some(node) = store
        .get(spaces.meta, &key)?
        .and_then(|bytes| record::from_bytes(&bytes).ok())
    {
        return Ok(node);
    }
    let node = NodeId(RandomState::new().hash_one(std::process::id()));
    let mut batch = Batch::new();
    batch.put(spaces.meta, &key, &record::to_bytes(&node));
    store.commit_blocking(batch, Durability::Fsync)?;
    Ok(node)
}

/// The latest stamp any partition gave, also one that is no more.
fn mark(store: &Store, spaces: Spaces) -> Result<Option<Stamp>, ReadError> {
    let span = Meta::marks();
    let (from, to) = keys::span(&span);
    let mut mark = None;
    store.scan(spaces.meta, from, to, &mut |_, bytes| {
        mark = mark.max(record::from_bytes::<Stamp>(bytes).ok());
        ControlFlow::Continue(())
    })?;
    Ok(mark)
}

/// Sets the gauges: all twins there are, less those that are not in sync.
fn count(store: &Store, spaces: Spaces) -> Result<(), ReadError> {
    let mut unsettled: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    store.scan(
        spaces.pending,
        Bound::Unbounded,
        Bound::Unbounded,
        &mut |_, status| {
            *unsettled.entry(status.to_vec()).or_default() += 1;
            ControlFlow::Continue(())
        },
    )?;
    let span = Meta::lives();
    let (from, to) = keys::span(&span);
    let mut live = 0;
    store.scan(spaces.meta, from, to, &mut |_, bytes| {
        live += record::from_bytes::<i64>(bytes).unwrap_or(0);
        ControlFlow::Continue(())
    })?;
    let mut of = |status: SyncStatus| unsettled.remove(status.as_str().as_bytes()).unwrap_or(0);
    // Nobody is connected yet, so what was out waits for its device again.
    let offline = of(SyncStatus::Offline) + of(SyncStatus::Pending) + of(SyncStatus::Stalled);
    let rejected = of(SyncStatus::Rejected);
    metrics::found(SyncStatus::Offline.as_str(), offline);
    metrics::found(SyncStatus::Rejected.as_str(), rejected);
    metrics::found(SyncStatus::InSync.as_str(), live - offline - rejected);
    Ok(())
}
