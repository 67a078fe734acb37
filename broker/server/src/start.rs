//! From settings to a broker that serves, in two stages: links are attached before any client can connect.

use std::{
    hash::{BuildHasher, RandomState},
    mem,
    sync::{Arc, Mutex, Once, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use broker_core::{EntranceId, Overload, Recovered, Shard, ShardId};
use mqtt_wire::{ClientId, ReasonCode};
use plugin_api::{Link, LinkSpec};
use rustls::ServerConfig;
use tokio::{runtime, sync::watch};
use tracing::{info, warn};

use crate::{
    clock::Clock,
    drain::{self, Undrained},
    error::StartError,
    gate::{Desk, Gates},
    handshake::Flapping,
    house::House,
    journal::{Journal, Kept},
    link::{Attached, Door},
    listener::{Handshakes, Listener, Reception, Seats, Visitors, tls},
    mailbox::{Letter, Mailbox},
    memory::{self, Measured, Memory},
    metrics::{self, Stats},
    recall::{self, Recalls},
    settings::{self, Address, Settings},
    worker,
};

/// A broker that has its sessions back and does not serve yet.
#[derive(Debug)]
pub struct Broker {
    house: Arc<House>,
    shards: Vec<Shard>,
    listeners: Vec<Planned>,
    links: Vec<Attached>,
    measure: Measured,
    runtime: runtime::Handle,
}

/// A listener that is not bound yet.
#[derive(Debug)]
struct Planned {
    settings: settings::Listener,
    tls: Option<Arc<ServerConfig>>,
    reception: Option<Reception>,
}

/// A broker that serves. Dropping it stops it without a farewell to its clients; see [`Handle::drain`].
#[derive(Debug)]
pub struct Handle {
    house: Arc<House>,
    addresses: Vec<(String, Address)>,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Broker {
    /// Reads certificates and brings sessions back from the journal. `runtime` must be a multi-thread runtime; it
    /// serves what is slow.
    ///
    /// # Errors
    /// When a file cannot be used or the journal cannot be read.
    pub fn prepare(
        settings: Settings,
        gates: Gates,
        journal: Arc<dyn Journal>,
        runtime: runtime::Handle,
    ) -> Result<Self, StartError> {
        let Settings {
            broker,
            listeners,
            rules,
        } = settings;
        let listeners = listeners
            .into_iter()
            .map(|settings| {
                let tls = settings
                    .tls
                    .as_ref()
                    .map(|tls| tls::server_config(&settings.name, tls))
                    .transpose()?;
                Ok(Planned {
                    settings,
                    tls,
                    reception: None,
                })
            })
            .collect::<Result<_, StartError>>()?;
        let rules = Arc::new(rules);
        let recovered = broker_core::recover(&Kept(journal.as_ref()), broker.shards, Clock::wall())
            .map_err(|why| StartError::Recovery(why.to_string()))?;
        tell_recovered(&recovered);
        // Every RandomState has keys of its own from the system's randomness: no peer can guess a shard's seed.
        let seed = || RandomState::new().hash_one(broker.shards);
        let shards = (0..)
            .zip(recovered)
            .map(|(id, recovered)| {
                Shard::new(ShardId(id), broker.shards, Arc::clone(&rules), seed(), recovered)
            })
            .collect();
        let link_messages_max = broker.link_messages_max as usize;
        let house = House {
            clock: Clock::start(),
            mailboxes: (0..broker.shards)
                .map(|_| Mailbox::new(broker.shards, link_messages_max))
                .collect(),
            journal,
            journal_failed: Once::new(),
            gates: Arc::new(Desk::new(gates, runtime.clone(), broker.gate_timeout)),
            flapping: broker.flapping.map(Flapping::new),
            recalls: Recalls::default(),
            memory: Memory::default(),
            settings: broker,
            rules,
        };
        Ok(Self {
            house: Arc::new(house),
            shards,
            listeners,
            links: Vec::new(),
            measure: Measured(Box::new(memory::resident)),
            runtime,
        })
    }

    /// Attaches a link. What it publishes through the answer before [`Broker::open`] waits until then.
    ///
    /// # Panics
    /// At the 257th link.
    pub fn attach_link(&mut self, spec: LinkSpec, link: Arc<dyn Link>) -> Arc<dyn plugin_api::Broker> {
        assert!(self.links.len() <= usize::from(u8::MAX), "there can be 256 links");
        let door = Door::new(&spec.name, Arc::clone(&self.house));
        self.links.push(Attached { spec, link });
        Arc::new(door)
    }

    /// Whoever asks for one of these protocols by ALPN at a listener, and not for MQTT too, is a visitor from now on, and
    /// taken by whoever holds the answer. `None` if the listener speaks no TLS, or WebSocket, whose clients ask for
    /// `http/1.1` as well; and if there is none of this name, or one that has visitors already.
    pub fn attach_visitors(&mut self, listener: &str, protocols: &[&str]) -> Option<Visitors> {
        let named = |planned: &&mut Planned| planned.settings.name == listener;
        let planned = self.listeners.iter_mut().find(named)?;
        if planned.settings.websocket.is_some() || planned.reception.is_some() {
            return None;
        }
        let (reception, visitors) = Reception::open(planned.tls.as_ref()?, protocols);
        planned.reception = Some(reception);
        Some(visitors)
    }

    /// Lets this say how many bytes of memory the process has, instead of asking the system.
    pub fn measure_memory_by(&mut self, measure: impl FnMut() -> Option<u64> + Send + 'static) {
        self.measure = Measured(Box::new(measure));
    }

    /// Listens, and starts all threads.
    ///
    /// # Errors
    /// When an address cannot be listened on or the system gives us no thread.
    pub fn open(self) -> Result<Handle, StartError> {
        let Self {
            house,
            shards,
            listeners,
            links,
            measure,
            runtime,
        } = self;
        metrics::describe();
        let listeners = bind(listeners, house.settings.connections_max, &runtime)?;
        let addresses = listeners
            .iter()
            .filter_map(|listener| Some((listener.name().to_owned(), listener.address().ok()?)))
            .collect();
        info!(
            shards = house.settings.shards,
            connections_max = house.settings.connections_max,
            memory_max = house.settings.memory_max,
            "the broker starts"
        );
        let threads = start_threads(&house, shards, links.into())?;
        let (stop, stopped) = watch::channel(false);
        let handshakes = Handshakes::new(house.settings.handshakes_max);
        for listener in listeners {
            runtime.spawn(listener.serve(Arc::clone(&house), Arc::clone(&handshakes), stopped.clone()));
        }
        if let Some(interval) = house.settings.sys_interval {
            beside(
                &runtime,
                stopped.clone(),
                metrics::keep_up(Arc::clone(&house), interval),
            );
        }
        if let Some(bytes_max) = house.settings.memory_max {
            beside(
                &runtime,
                stopped,
                memory::watch(Arc::clone(&house), bytes_max, measure.0),
            );
        }
        Ok(Handle {
            house,
            addresses,
            stop,
            threads: Mutex::new(threads),
        })
    }
}

/// Does something until the broker stops.
fn beside(
    runtime: &runtime::Handle,
    mut stopped: watch::Receiver<bool>,
    work: impl Future<Output = ()> + Send + 'static,
) {
    runtime.spawn(async move {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => {}
            () = work => {}
        }
    });
}

fn tell_recovered(recovered: &[Recovered]) {
    let sum = |count: fn(&Recovered) -> usize| recovered.iter().map(count).sum::<usize>();
    let (sessions, retained) = (sum(|share| share.counts().0), sum(|share| share.counts().1));
    info!(sessions, retained, "recovered sessions and retained messages");
    let damaged: u64 = recovered.iter().map(Recovered::damaged).sum();
    if damaged > 0 {
        warn!(damaged, "some records could not be read and were left out");
    }
}

fn bind(
    listeners: Vec<Planned>,
    connections_max: u32,
    runtime: &runtime::Handle,
) -> Result<Vec<Listener>, StartError> {
    let _inside = runtime.enter();
    let seats = Seats::new(connections_max);
    (0..)
        .map(EntranceId)
        .zip(listeners)
        .map(|(entrance, planned)| {
            let seats = Seats::within(&seats, planned.settings.connections_max);
            Listener::bind(&planned.settings, entrance, planned.tls, planned.reception, seats)
        })
        .collect()
}

fn start_threads(
    house: &Arc<House>,
    shards: Vec<Shard>,
    links: Arc<[Attached]>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let mut threads = recall::start(house)?;
    for (id, shard) in (0..).map(ShardId).zip(shards) {
        let (house, links, name) = (Arc::clone(house), Arc::clone(&links), format!("shard-{}", id.0));
        let thread = thread::Builder::new().name(name.clone());
        let started = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| thread.spawn(move || worker::run(&runtime, id, shard, house, links)));
        threads.push(started.map_err(|why| StartError::Thread { name, why })?);
    }
    Ok(threads)
}

impl Handle {
    /// The name and address of every listener, with the port the system chose where none was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[(String, Address)] {
        &self.addresses
    }

    /// How things stand. Also brings the metrics up to date.
    pub async fn stats(&self) -> Stats {
        metrics::take_stock(&self.house).await
    }

    /// How near memory is to its ceiling.
    #[must_use]
    pub fn overload(&self) -> Overload {
        self.house.memory.overload()
    }

    /// What is done because memory runs short, if it does, in words for operators.
    #[must_use]
    pub fn memory_problem(&self) -> Option<String> {
        self.house.memory.problem(self.house.settings.memory_max?)
    }

    /// Disconnects a client, if it is connected. Its session stays.
    pub fn expel(&self, client_id: ClientId, reason: ReasonCode) {
        self.house
            .home(client_id.as_str())
            .post(Letter::Expel { client_id, reason });
    }

    /// The gates may decide otherwise than before: nothing they said is remembered any longer.
    pub fn policy_changed(&self) {
        for mailbox in &self.house.mailboxes {
            mailbox.post(Letter::PolicyChanged);
        }
    }

    /// Stops in order: accepts nobody, disconnects everybody, waits until everything is written and kept, ends the
    /// threads. Must be called inside a runtime, and once: afterwards nobody answers.
    ///
    /// # Errors
    /// When not everything was done by the deadline. The threads have ended all the same.
    pub async fn drain(&self, deadline: Duration) -> Result<(), Undrained> {
        self.stop.send_replace(true);
        let drained = drain::drain(&self.house, deadline).await;
        self.stop_threads();
        let threads = mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // Panics have been told by the threads themselves.
        let _joined =
            tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join()))).await;
        drained
    }

    fn stop_threads(&self) {
        for mailbox in &self.house.mailboxes {
            mailbox.post(Letter::Stop);
        }
        self.house.recalls.close();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.stop_threads();
    }
}
