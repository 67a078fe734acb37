//! A broker on a free loopback port, with gates that a story can set.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use broker::{
    Broker, Gates, Handle, Journal, MemoryJournal, Settings, StartError, Undrained, Visitors,
    settings::{RawBroker, RawListener, RawMqtt, RawTls, RawWebSocket},
};
use plugin_api::{
    Access, Authenticate, Authorize, Decision, Exchange, GateError, Link, LinkSpec, Login, Pending,
    Principal, Secret, Step, Verdict,
};
use tokio::{
    runtime::{self, Runtime},
    time::timeout,
};

use crate::client::SOON;

#[derive(Debug)]
pub(crate) struct House {
    pub(crate) journal: MemoryJournal,
    handle: Option<Handle>,
    runtime: Runtime,
}

/// What a story changes before the broker opens.
pub(crate) struct Plan {
    pub(crate) broker: RawBroker,
    pub(crate) mqtt: RawMqtt,
    pub(crate) tls: Option<RawTls>,
    pub(crate) websocket: Option<RawWebSocket>,
    pub(crate) bind: String,
    pub(crate) unix_mode: Option<String>,
    pub(crate) connections_max: Option<i64>,
    /// What else its listener has.
    pub(crate) more: RawListener,
    /// Listeners besides that one.
    pub(crate) others: Vec<RawListener>,
    pub(crate) gate: Gate,
    pub(crate) journal: MemoryJournal,
}

/// Knows users by their passwords and what nobody may do; slow on request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    pub(crate) users: Option<HashMap<String, String>>,
    pub(crate) forbidden: Arc<Mutex<Vec<String>>>,
    pub(crate) thinks: bool,
    pub(crate) panics: bool,
    pub(crate) sleeps: bool,
    pub(crate) logins: Arc<Mutex<Vec<Login>>>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            broker: RawBroker {
                shards: Some(1),
                sys_interval: Some("never".into()),
                ..RawBroker::default()
            },
            mqtt: RawMqtt::default(),
            tls: None,
            websocket: None,
            bind: "127.0.0.1:0".into(),
            unix_mode: None,
            connections_max: None,
            more: RawListener::default(),
            others: Vec::new(),
            gate: Gate::default(),
            journal: MemoryJournal::start().unwrap(),
        }
    }
}

impl House {
    pub(crate) fn open() -> Self {
        Plan::default().open()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address_of("test")
    }

    /// The address of the listener with this name.
    pub(crate) fn address_of(&self, name: &str) -> SocketAddr {
        let addresses = self.handle().addresses();
        let found = addresses.iter().find(|(listener, _)| listener == name);
        found.unwrap().1.ip().unwrap()
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.handle.as_ref().unwrap()
    }

    /// Waits for what happens soon, or the story is over.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let soon = async { timeout(SOON, future).await };
        self.runtime.block_on(soon).expect("what was to happen soon")
    }

    pub(crate) fn drain(self) -> Result<(), Undrained> {
        self.drain_within(Duration::from_secs(10))
    }

    pub(crate) fn drain_within(mut self, deadline: Duration) -> Result<(), Undrained> {
        let handle = self.handle.take().unwrap();
        self.runtime.block_on(handle.drain(deadline))
    }
}

impl Plan {
    pub(crate) fn shards(shards: i64) -> Self {
        let mut plan = Self::default();
        plan.broker.shards = Some(shards);
        plan
    }

    pub(crate) fn open(self) -> House {
        self.open_with(|_| {})
    }

    pub(crate) fn open_with(self, attach: impl FnOnce(&mut Broker)) -> House {
        self.try_open_with(attach).unwrap()
    }

    pub(crate) fn try_open(self) -> Result<House, StartError> {
        self.try_open_with(|_| {})
    }

    fn try_open_with(self, attach: impl FnOnce(&mut Broker)) -> Result<House, StartError> {
        let (mut broker, journal, runtime) = self.prepare()?;
        attach(&mut broker);
        let handle = broker.open()?;
        Ok(House {
            journal,
            handle: Some(handle),
            runtime,
        })
    }

    /// Opens with visitors for the protocol `knitting` at its listener.
    pub(crate) fn with_visitors(self) -> (House, Visitors) {
        let mut visitors = None;
        let house = self.open_with(|broker| visitors = broker.attach_visitors("test", &["knitting"]));
        (house, visitors.unwrap())
    }

    pub(crate) fn with_link(
        self,
        spec: LinkSpec,
        link: Arc<dyn Link>,
    ) -> (House, Arc<dyn plugin_api::Broker>) {
        let mut door = None;
        let house = self.open_with(|broker| door = Some(broker.attach_link(spec, link)));
        (house, door.unwrap())
    }

    fn prepare(self) -> Result<(Broker, MemoryJournal, Runtime), StartError> {
        let listener = RawListener {
            name: "test".into(),
            bind: self.bind,
            unix_mode: self.unix_mode,
            connections_max: self.connections_max,
            tls: self.tls,
            websocket: self.websocket,
            ..self.more
        };
        let listeners = [vec![listener], self.others].concat();
        let mut problems = Vec::new();
        let settings = Settings::check(self.broker, listeners, self.mqtt, &mut problems);
        assert_eq!(problems, []);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let gate = Arc::new(self.gate);
        let gates = Gates {
            authenticator: Arc::clone(&gate) as _,
            authorizer: gate,
        };
        let journal: Arc<dyn Journal> = Arc::new(self.journal.clone());
        let broker = Broker::prepare(settings, gates, journal, runtime.handle().clone())?;
        Ok((broker, self.journal, runtime))
    }
}

impl Gate {
    pub(crate) fn with_user(name: &str, password: &str) -> Self {
        Self {
            users: Some(HashMap::from([(name.into(), password.into())])),
            ..Self::default()
        }
    }

    pub(crate) fn forbidding(text: &str) -> Self {
        let gate = Self::default();
        gate.forbidden.lock().unwrap().push(text.into());
        gate
    }
}

impl Authenticate for Gate {
    fn authenticate(&self, login: Login) -> Pending<'_, Result<Verdict, GateError>> {
        self.logins.lock().unwrap().push(login.clone());
        let verdict = match (&self.users, &login.username, &login.password) {
            (None, name, _) => {
                Verdict::Known(Arc::new(Principal::named(name.as_deref().unwrap_or("anonymous"))))
            }
            (Some(_), None, _) => Verdict::Silent,
            (Some(users), Some(name), password) => {
                let known = users.get(name).map(String::as_bytes);
                if known.is_some() && known == password.as_ref().map(Secret::expose) {
                    Verdict::Known(Arc::new(Principal::named(name)))
                } else {
                    Verdict::Refused(format!("wrong password for `{name}`"))
                }
            }
        };
        Box::pin(async { Ok(verdict) })
    }

    fn exchange(&self, login: Login) -> Option<Box<dyn Exchange>> {
        self.logins.lock().unwrap().push(login.clone());
        (login.method.as_deref() == Some("KNOCK")).then(|| Box::new(Knock) as Box<dyn Exchange>)
    }
}

/// Knows who says `I am NAME`, asks on after anything else, and has its moods.
#[derive(Debug)]
struct Knock;

impl Exchange for Knock {
    fn step(self: Box<Self>, data: Option<Secret>) -> Pending<'static, Result<Step, GateError>> {
        let said = data.map(|data| String::from_utf8(data.expose().to_vec()).unwrap());
        let say = |text: String| Some(Secret::new(text.into_bytes()));
        Box::pin(async move {
            let said = said.as_deref().unwrap_or("nothing");
            match said.strip_prefix("I am ") {
                Some("nobody") => Ok(Step::Refused("nobody comes in".into())),
                Some(name) => Ok(Step::Known {
                    principal: Arc::new(Principal::named(name)),
                    data: say(format!("welcome, {name}")),
                }),
                None => match said {
                    "sleep" => std::future::pending().await,
                    "panic" => panic!("this gate panics on purpose"),
                    "fail" => Err(GateError("this gate fails on purpose".into())),
                    _ => Ok(Step::Continue {
                        data: say(format!("{said}: who is there?")),
                        next: self,
                    }),
                },
            }
        })
    }
}

impl Authorize for Gate {
    fn authorize(
        &self,
        _: &Arc<Principal>,
        access: &Access,
    ) -> Pending<'static, Result<Decision, GateError>> {
        let text = match access {
            Access::Publish { topic, .. } => topic.clone(),
            Access::Subscribe { filter } => filter.to_string(),
            _ => String::new(),
        };
        let forbidden = self.forbidden.lock().unwrap().contains(&text);
        let decision = if forbidden {
            Decision::Deny
        } else {
            Decision::Allow
        };
        let Self {
            thinks,
            panics,
            sleeps,
            ..
        } = *self;
        Box::pin(async move {
            if thinks {
                tokio::task::yield_now().await;
            }
            if sleeps {
                std::future::pending::<()>().await;
            }
            assert!(!panics, "this gate panics on purpose");
            Ok(decision)
        })
    }
}
