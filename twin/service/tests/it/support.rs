//! A world for stories: a service on a store, a pretend broker, a clock that moves when the story says so.

use std::collections::BTreeMap;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::{Extension, Router};
use plugin_api::{
    Access, Answer, Authorize, Broker, ClientId, Decision, Delivery, Departure, GateError, Link, LinkEvent,
    LinkPublish, Pending, Principal, QoS, ReplaceKey, Ticket, To, TopicFilter, TopicName, Version,
};
use serde_json::Value;
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tower::ServiceExt;
use twin::{Clock, Service, Settings, keyspaces};
use twin_model::Timestamp;

/// The wall time at which every story begins, in seconds.
pub(crate) const BEGIN: u64 = 1_790_000_000;

/// Longer than anything takes; only a story that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct StoryClock(watch::Sender<Duration>);

impl Clock for StoryClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN * 1000 + u64::try_from(self.0.borrow().as_millis()).unwrap())
    }

    fn elapsed(&self) -> Duration {
        *self.0.borrow()
    }

    fn reach(&self, elapsed: Duration) -> Pending<'_, ()> {
        let mut moved = self.0.subscribe();
        Box::pin(async move { drop(moved.wait_for(|now| *now >= elapsed).await) })
    }
}

/// Keeps everything that is published and answered, in order.
#[derive(Debug)]
pub(crate) struct PretendBroker {
    published: Mutex<Vec<LinkPublish>>,
    answers: watch::Sender<BTreeMap<u64, Answer>>,
}

impl Broker for PretendBroker {
    fn publish<'a>(&'a self, order: &'a str, messages: Vec<LinkPublish>) -> Pending<'a, ()> {
        assert!(!order.is_empty());
        self.published.lock().unwrap().extend(messages);
        Box::pin(ready(()))
    }

    fn answer(&self, ticket: Ticket, answer: Answer) {
        self.answers.send_modify(|answers| {
            assert_eq!(
                answers.insert(ticket.number, answer),
                None,
                "a delivery is answered once"
            );
        });
    }
}

/// Allows everything to `app`, nothing to `nobody`, and asks the service's own gate first.
#[derive(Debug)]
struct Rules(Arc<dyn Authorize>);

impl Authorize for Rules {
    fn authorize(
        &self,
        who: &Arc<Principal>,
        what: &Access,
    ) -> Pending<'static, Result<Decision, GateError>> {
        let own = self.0.authorize(who, what);
        let is_app = &*who.name == "app";
        Box::pin(async move {
            match own.await? {
                Decision::Silent if is_app => Ok(Decision::Allow),
                decision => Ok(decision),
            }
        })
    }
}

pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) broker: Arc<PretendBroker>,
    pub(crate) clock: Arc<StoryClock>,
    pub(crate) store: Store,
    link: Arc<dyn Link>,
    router: Router,
    tickets: std::sync::atomic::AtomicU64,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    /// Stops the service and closes its store: a process that ends while a store on disk is still open aborts.
    pub(crate) async fn end(self) {
        self.service.stop().await;
    }

    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::on(Store::memory(&keyspaces()), settings, Duration::ZERO)
    }

    /// A service on a store that may hold something, so long after the beginning.
    pub(crate) fn on(store: Store, settings: Settings, elapsed: Duration) -> Self {
        let clock = Arc::new(StoryClock(watch::Sender::new(elapsed)));
        let broker = Arc::new(PretendBroker {
            published: Mutex::default(),
            answers: watch::Sender::new(BTreeMap::new()),
        });
        let service = Service::start(
            settings,
            store.clone(),
            Arc::clone(&clock) as Arc<dyn Clock>,
            &Handle::current(),
        )
        .unwrap();
        service.attach(Arc::clone(&broker) as Arc<dyn Broker>);
        let link = service.link();
        let router = service.router(Arc::new(Rules(service.gate())));
        Self {
            service,
            broker,
            clock,
            store,
            link,
            router,
            tickets: 1.into(),
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.0.send_modify(|now| *now += time);
    }

    /// A client of a device's own, connected from now on.
    pub(crate) fn connect(&self, device: &str) {
        self.connect_as(device, device);
    }

    pub(crate) fn connect_as(&self, client: &str, device: &str) {
        self.link.take(LinkEvent::Connected {
            client_id: client_id(client),
            principal: device_principal(device),
            peer: SocketAddr::from(([192, 0, 2, 7], 4711)).into(),
            version: Version::V5,
            at: UNIX_EPOCH + Duration::from_millis(self.clock.wall().millis()),
        });
    }

    pub(crate) fn depart(&self, client: &str, device: &str, why: Departure) {
        self.link.take(LinkEvent::Departed {
            client_id: client_id(client),
            principal: device_principal(device),
            why,
            at: UNIX_EPOCH + Duration::from_millis(self.clock.wall().millis()),
        });
    }

    pub(crate) fn subscribe(&self, client: &str, device: &str, filter: &str, resumed: bool) {
        self.link.take(LinkEvent::Subscribed {
            client_id: client_id(client),
            principal: device_principal(device),
            filter: TopicFilter::parse(filter).unwrap(),
            resumed,
        });
    }

    pub(crate) fn settled(&self, client: &str, key: ReplaceKey) {
        self.link.take(LinkEvent::Settled {
            client_id: client_id(client),
            key,
        });
    }

    /// Publishes as a device and does not wait. Answers the ticket's number.
    pub(crate) fn send(
        &self,
        device: &str,
        topic: &str,
        payload: impl AsRef<[u8]>,
        properties: &[u8],
    ) -> u64 {
        let number = self.tickets.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.link.take(LinkEvent::Message(Delivery::new(
            Ticket { shard: 0, number },
            topic.into(),
            payload.as_ref().to_vec().into(),
            properties.to_vec().into(),
            QoS::AtLeastOnce,
            client_id(device),
            device_principal(device),
        )));
        number
    }

    /// How the publisher of a message was answered.
    pub(crate) async fn answer(&self, number: u64) -> Answer {
        let mut answers = self.broker.answers.subscribe();
        let answered = tokio::time::timeout(
            PATIENCE,
            answers.wait_for(|answers| answers.contains_key(&number)),
        )
        .await;
        answered.expect("an answer").unwrap()[&number]
    }

    /// Publishes as a device, waits for the acknowledgement, and returns what was published meanwhile.
    pub(crate) async fn publish(&self, device: &str, topic: &str, payload: &str) -> Vec<Message> {
        let number = self.send(device, topic, payload, &[]);
        assert_eq!(self.answer(number).await, Answer::Taken);
        self.published()
    }

    /// Waits until everything that was told about this device has been dealt with. The second question is taken up
    /// after everything that the first one was in a round with has been said.
    pub(crate) async fn catch_up(&self, device: &str) {
        for _ in 0..2 {
            let number = self.send(device, &format!("$twin/{device}/name/nothing/get"), "", &[]);
            self.answer(number).await;
        }
        self.broker
            .published
            .lock()
            .unwrap()
            .retain(|message| !message.topic.contains("/name/nothing/"));
    }

    /// What was published since the last call.
    pub(crate) fn published(&self) -> Vec<Message> {
        let published = std::mem::take(&mut *self.broker.published.lock().unwrap());
        published.into_iter().map(Message).collect()
    }

    pub(crate) fn router(&self, principal: Arc<Principal>) -> Router {
        self.router.clone().layer(Extension(principal))
    }

    /// An HTTP request of the app.
    pub(crate) async fn http(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.http_as(Arc::new(Principal::named("app")), method, path, headers, body)
            .await
    }

    pub(crate) async fn http_as(
        &self,
        principal: Arc<Principal>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router(principal).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        assert!(bytes.is_empty() || !body.is_null(), "not JSON: {bytes:?}");
        Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.http("GET", path, &[], "").await
    }

    /// A merge patch of the app.
    pub(crate) async fn patch(&self, path: &str, body: &str) -> Reply {
        self.http("PATCH", path, &[MERGE_PATCH], body).await
    }

    /// How many entries a keyspace has.
    pub(crate) fn count(&self, keyspace: &str) -> usize {
        use std::ops::{Bound, ControlFlow};
        let mut count = 0;
        let keyspace = self.store.keyspace(keyspace).unwrap();
        let counted = self
            .store
            .scan(keyspace, Bound::Unbounded, Bound::Unbounded, &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            });
        counted.unwrap();
        count
    }
}

pub(crate) const MERGE_PATCH: (&str, &str) = ("content-type", "application/merge-patch+json");

/// A message that was published.
#[derive(Debug, Clone)]
pub(crate) struct Message(pub(crate) LinkPublish);

impl Message {
    pub(crate) fn topic(&self) -> &str {
        &self.0.topic
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.payload).unwrap()
    }

    /// Whether a client with this subscription gets it.
    pub(crate) fn reaches(&self, client: &str, filter: &str) -> bool {
        let is_meant = match &self.0.to {
            To::Everyone => true,
            To::Only(only) => only.as_str() == client,
            To::Except(except) => except.as_str() != client,
        };
        is_meant
            && TopicFilter::parse(filter)
                .unwrap()
                .matches(TopicName::parse(self.topic()).unwrap())
    }
}

/// The messages that a client with these subscriptions gets.
pub(crate) fn received<'a>(messages: &'a [Message], client: &str, filters: &[&str]) -> Vec<&'a Message> {
    messages
        .iter()
        .filter(|message| filters.iter().any(|filter| message.reaches(client, filter)))
        .collect()
}

/// The topics of messages, in order.
pub(crate) fn topics<'a>(messages: &[&'a Message]) -> Vec<&'a str> {
    messages.iter().map(|message| message.topic()).collect()
}

pub(crate) fn client_id(client: &str) -> ClientId {
    ClientId::parse(client).unwrap()
}

pub(crate) fn device_principal(device: &str) -> Arc<Principal> {
    Arc::new(Principal::named(device).with_device(device))
}
