//! The whole assembly on one page: settings, store, gates, broker, twins, HTTP; and the same backwards at the end.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use broker::{Broker, Gates, Handle, settings::Address};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use plugin_api::{Authenticate, Authorize};
use store::{SetAside, Store};
use tokio::{runtime, sync::watch, task::JoinHandle};
use twin::Service;

use crate::{
    Failure, alarm, gauges,
    http::{self, Door},
    journal::{self, StoreJournal},
    settings::{Http, Settings},
    status::{self, Status},
};

/// How long clients, the store and open requests have when the program ends.
const FAREWELL: Duration = Duration::from_secs(10);
/// How often the files of `[auth]` are looked at.
const LOOK_AT_POLICY: Duration = Duration::from_secs(1);

/// A running house.
#[derive(Debug)]
pub struct App {
    data: PathBuf,
    store: Store,
    twins: Service,
    served: Served,
}

/// Everything that others can reach.
#[derive(Debug)]
struct Served {
    addresses: Vec<(String, Address)>,
    broker: Arc<Handle>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl App {
    /// Starts everything. Must be called inside a multi-thread runtime. Links are attached before listeners open, so that no
    /// client can be served by half a house.
    ///
    /// # Errors
    /// When anything of it cannot start; then nothing runs.
    pub async fn start(settings: Settings) -> Result<Self, Failure> {
        let keyspaces = [journal::keyspaces(), twin::keyspaces()].concat();
        let store::Opened { store, set_aside } = Store::open(&settings.data, &settings.store, &keyspaces)?;
        set_aside.iter().for_each(tell_of_damage);
        let started = Self::start_on(store.clone(), settings).await;
        if started.is_err() {
            close(store).await?;
        }
        started
    }

    async fn start_on(store: Store, settings: Settings) -> Result<Self, Failure> {
        let Settings {
            data,
            durability,
            broker,
            http,
            auth,
            twin,
            ..
        } = settings;
        let clock = Arc::new(twin::SystemClock::default());
        let runtime = runtime::Handle::current();
        let twins = Service::start(twin, store.clone(), clock, &runtime).context("the twins do not start")?;
        let journal = StoreJournal {
            store: store.clone(),
            durability,
        };
        match Served::open(&twins, journal, broker, &http, &auth).await {
            Ok(served) => Ok(Self {
                data,
                store,
                twins,
                served,
            }),
            Err(failure) => {
                twins.stop().await;
                Err(failure)
            }
        }
    }

    /// The name and address of every listener; HTTP at a listener of MQTT has the address of that.
    #[must_use]
    pub fn addresses(&self) -> &[(String, Address)] {
        &self.served.addresses
    }

    /// The one line that says that everybody is served, and where.
    #[must_use]
    pub fn ready_line(&self) -> String {
        let mut line = "twinmq ready".to_owned();
        for (name, address) in &self.served.addresses {
            // Writing to a String cannot fail.
            let _never = write!(line, " {name}={address}");
        }
        let _never = write!(line, " data={}", self.data.display());
        line
    }

    /// Stops in order: no new requests, clients told, twins and store finished.
    ///
    /// # Errors
    /// When something was not finished in time; everything has ended all the same.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.twins.end_streams();
        let ended = self.served.end().await;
        self.twins.stop().await;
        drop(self.twins);
        close(self.store).await?;
        ended
    }
}

impl Served {
    async fn open(
        twins: &Service,
        journal: StoreJournal,
        broker: broker::Settings,
        http: &[Http],
        auth: &plugin_auth::Auth,
    ) -> Result<Self, Failure> {
        let metrics = metrics_page()?;
        let store = journal.store.clone();
        let watched = store.clone();
        let gates = plugin_auth::Gates::build(auth, vec![twins.gate()]);
        let gates = Arc::new(gates.map_err(|error| Failure::Place(error.to_string()))?);
        let doors: Gates = Gates {
            authenticator: gates.clone(),
            authorizer: gates.clone(),
        };
        let send_timeout = broker.broker.send_timeout;
        let mut broker = Broker::prepare(broker, doors, Arc::new(journal), runtime::Handle::current())?;
        twins.attach(broker.attach_link(twins.spec(), twins.link()));
        let mut http_doors = Vec::new();
        for http in http {
            http_doors.push(Door::open(http, &mut broker, send_timeout).await?);
        }
        let broker = Arc::new(broker.open()?);
        let mut addresses = broker.addresses().to_vec();
        let status = Status {
            store,
            broker: broker.clone(),
            metrics,
            authorize: gates.clone(),
        };
        let pages = pages(status, twins, &gates);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = vec![tokio::spawn(follow_policy(
            gates,
            broker.clone(),
            stopped.clone(),
        ))];
        tasks.push(tokio::spawn(alarm::follow(
            watched,
            broker.clone(),
            stopped.clone(),
        )));
        for door in http_doors {
            let address = door.address(broker.addresses());
            addresses.push(address.context("an [[http]] has no address")?);
            tasks.push(tokio::spawn(door.serve(pages.clone(), stopped.clone())));
        }
        Ok(Self {
            addresses,
            broker,
            stop,
            tasks,
        })
    }

    async fn end(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.context("a task has panicked")?;
        }
        let drained = self.broker.drain(FAREWELL).await;
        drained.context("not every client was served to its end")
    }
}

/// Waits for the store's own threads: a process that ends under them ends badly.
async fn close(store: Store) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || store.close())
        .await
        .context("closing the store has panicked")
}

/// Everything HTTP serves: the twins' API and operators' pages to those who say who they are, health to everybody.
fn pages(status: Status, twins: &Service, gates: &Arc<plugin_auth::Gates>) -> axum::Router {
    let authenticate: Arc<dyn Authenticate> = gates.clone();
    let authorize: Arc<dyn Authorize> = gates.clone();
    let known = twins
        .router(authorize)
        .merge(status::operator_routes(status.clone()));
    status::open_routes(status).merge(http::identified(known, authenticate))
}

/// Tells the broker when what the gates go by has changed.
async fn follow_policy(gates: Arc<plugin_auth::Gates>, broker: Arc<Handle>, mut stop: watch::Receiver<bool>) {
    let mut look = tokio::time::interval(LOOK_AT_POLICY);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let looking = Arc::clone(&gates);
        if tokio::task::spawn_blocking(move || looking.refresh())
            .await
            .unwrap_or(false)
        {
            tracing::info!("the files of [auth] have changed: what they say holds from now on");
            broker.policy_changed();
        }
    }
}

fn tell_of_damage(damage: &SetAside) {
    let SetAside {
        file,
        reason,
        may_have_held,
    } = damage;
    tracing::error!(
        file,
        reason,
        may_have_held,
        "damage was set aside; the rest is served"
    );
}

/// The page of all metrics. One process has one; a second house in it (in tests) shares it.
fn metrics_page() -> Result<PrometheusHandle, Failure> {
    use std::sync::{Mutex, PoisonError};
    static PAGE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut page = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    if page.is_none() {
        *page = Some(
            PrometheusBuilder::new()
                .install_recorder()
                .context("metrics cannot be kept")?,
        );
        gauges::describe();
    }
    page.clone()
        .context("metrics were just installed")
        .map_err(Failure::from)
}
