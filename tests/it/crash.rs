//! kill -9 at any moment: what was acknowledged is there again, and nothing that may come once comes twice.

mod publisher;
mod subscriber;
mod witness;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mqtt_wire::QoS;

use crate::support::{Dice, House, OPEN, PATIENCE, Running, say, seed};

/// What all threads of the load share.
pub(crate) struct Load {
    pub(crate) mqtt: SocketAddr,
    pub(crate) http: SocketAddr,
    /// Publishers stop.
    pub(crate) enough: AtomicBool,
    /// Everybody stops.
    pub(crate) over: AtomicBool,
}

fn spawn<R: Send + 'static>(
    load: &Arc<Load>,
    work: impl FnOnce(&Load) -> R + Send + 'static,
) -> JoinHandle<R> {
    let load = Arc::clone(load);
    thread::spawn(move || work(&load))
}

/// A load of QoS 1 and 2 to persistent sessions, retained messages and twin updates, through many kill -9 at random moments,
/// some of them while the broker recovers from the one before. `TWINMQ_CRASH_KILLS` sets how many, `TWINMQ_CRASH_SEED` the
/// moments.
#[test]
fn nothing_acknowledged_is_lost_and_nothing_comes_twice_through_many_kills() {
    let kills: u64 = std::env::var("TWINMQ_CRASH_KILLS").map_or(24, |text| text.parse().unwrap());
    let mut dice = Dice(seed("TWINMQ_CRASH_SEED"));
    let house = House::new(&format!(
        "{OPEN}[mqtt]\nqueue_messages_max = 1000000\nqueue_bytes_max = \"1GiB\"\n"
    ));
    let mut broker = house.serve();
    let (mqtt, http) = (broker.mqtt(), broker.address("http"));
    let load = Arc::new(Load {
        mqtt,
        http,
        enough: AtomicBool::new(false),
        over: AtomicBool::new(false),
    });

    let subscribers: Vec<_> = [QoS::AtLeastOnce, QoS::ExactlyOnce]
        .into_iter()
        .enumerate()
        .map(|(number, qos)| subscriber::Subscriber::subscribed(&load, number, qos))
        .collect();
    let watches: Vec<_> = subscribers
        .iter()
        .map(|subscriber| subscriber.seen.clone())
        .collect();
    let subscribers: Vec<_> = subscribers
        .into_iter()
        .map(|one| spawn(&load, move |load| one.run(load)))
        .collect();
    let publishers: Vec<_> = (0..4)
        .map(|number| {
            let qos = if number % 2 == 0 {
                QoS::AtLeastOnce
            } else {
                QoS::ExactlyOnce
            };
            spawn(&load, move |load| {
                publisher::Publisher::new(number, qos).run(load)
            })
        })
        .collect();
    let retained = spawn(&load, witness::keep_retained);
    let twins = spawn(&load, witness::change_twin);

    let mut in_recovery = 0;
    for _ in 0..kills {
        thread::sleep(Duration::from_millis(30 + dice.below(300))); // the moment of the kill is the subject of the test
        broker.kill();
        while dice.below(3) == 0 {
            let mut child = house.spawn_on(mqtt.port(), http.port());
            thread::sleep(Duration::from_millis(dice.below(80)));
            child.kill().unwrap();
            child.wait().unwrap();
            in_recovery += 1;
        }
        broker = house.serve_on(mqtt.port(), http.port());
    }
    load.enough.store(true, Ordering::SeqCst);
    let acked: Vec<u64> = publishers
        .into_iter()
        .map(|publisher| publisher.join().unwrap())
        .collect();
    let retained = retained.join().unwrap();
    let twins = twins.join().unwrap();
    wait_until_all_came(&watches, &acked, &broker);
    load.over.store(true, Ordering::SeqCst);
    let mut again = 0;
    for (subscriber, qos) in subscribers.into_iter().zip([QoS::AtLeastOnce, QoS::ExactlyOnce]) {
        let subscriber = subscriber.join().unwrap();
        for (publisher, acked) in acked.iter().enumerate() {
            again += subscriber.check(publisher, *acked, qos);
        }
    }
    say(&format!(
        "{} kills, {in_recovery} more during recovery; {acked:?} messages acknowledged, each delivered to 2 sessions, {again} \
         repeated at QoS 1; {retained} retained and {twins} twin versions acknowledged",
        kills
    ));
    assert!(
        acked.iter().all(|acked| *acked > 0) && retained > 0 && twins > 0,
        "every kind of load got through"
    );
    assert!(broker.stop().success());
}

fn wait_until_all_came(watches: &[subscriber::Seen], acked: &[u64], broker: &Running) {
    let deadline = Instant::now() + 4 * PATIENCE;
    let all = || {
        let came = |watch: &subscriber::Seen, publisher: usize| watch.lock().unwrap()[publisher];
        watches.iter().all(|watch| {
            acked
                .iter()
                .enumerate()
                .all(|(at, acked)| came(watch, at) >= *acked)
        })
    };
    while !all() {
        let state: Vec<_> = watches
            .iter()
            .map(|watch| watch.lock().unwrap().clone())
            .collect();
        assert!(
            Instant::now() < deadline,
            "acknowledged {acked:?}, but came {state:?} from {}",
            broker.line
        );
        thread::sleep(Duration::from_millis(20));
    }
}
