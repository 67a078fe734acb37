//! When a device is told again: stories of one device, and a small world with loss, absence and restarts.

use std::time::Duration;

use twin_model::*;

mod world;

struct Watch {
    reconciler: Reconciler,
    now: Moment,
    out: Vec<Output>,
}

fn twin(device: &str) -> TwinId {
    TwinId::default_of(DeviceName::try_from(device).unwrap())
}

fn listens(device: &str) -> Input {
    Input::Listens {
        twin: twin(device),
        open: true,
        on_its_way: false,
    }
}

fn changed(device: &str, open: bool) -> Input {
    Input::Changed {
        twin: twin(device),
        open,
    }
}

impl Watch {
    fn new() -> Self {
        Self {
            reconciler: Reconciler::new(RetryPolicy::default(), 42),
            now: Moment::from_millis(0),
            out: Vec::new(),
        }
    }

    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.reconciler.step(self.now, input, &mut self.out);
        std::mem::take(&mut self.out)
    }

    fn pass(&mut self, delay: Duration) -> Vec<Output> {
        self.now = self.now + delay;
        self.tell(Input::Tick)
    }

    /// Lets time jump to the next deadline.
    fn wait(&mut self) -> Vec<Output> {
        self.now = self.reconciler.next_deadline().expect("something to wait for");
        self.tell(Input::Tick)
    }
}

fn sends(device: &str) -> Vec<Output> {
    vec![Output::SendDelta(twin(device))]
}

#[test]
fn a_device_that_begins_to_listen_is_told_once() {
    let mut watch = Watch::new();
    assert_eq!(watch.tell(listens("tap")), sends("tap"));
    assert_eq!(watch.pass(Duration::from_millis(9_999)), []);
}

#[test]
fn a_device_that_is_in_sync_is_told_nothing() {
    let mut watch = Watch::new();
    assert_eq!(
        watch.tell(Input::Listens {
            twin: twin("tap"),
            open: false,
            on_its_way: false
        }),
        []
    );
    assert_eq!(watch.reconciler.next_deadline(), None);
}

#[test]
fn resuming_and_subscribing_again_is_one_arrival() {
    let mut watch = Watch::new();
    assert_eq!(watch.tell(listens("tap")), sends("tap"));
    watch.now = watch.now + Duration::from_millis(300);
    assert_eq!(watch.tell(listens("tap")), []);
    watch.tell(Input::Offline(twin("tap").device));
    assert_eq!(
        watch.tell(listens("tap")),
        sends("tap"),
        "a new connection is a new arrival"
    );
    watch.now = watch.now + Duration::from_secs(2);
    assert_eq!(
        watch.tell(listens("tap")),
        sends("tap"),
        "and so is a later subscription"
    );
}

#[test]
fn subscribing_again_and_again_does_not_put_the_retry_off() {
    let mut watch = Watch::new();
    watch.tell(listens("tap"));
    let retry = watch.reconciler.next_deadline();
    watch.now = watch.now + Duration::from_millis(900);
    watch.tell(listens("tap"));
    assert_eq!(watch.reconciler.next_deadline(), retry);
}

#[test]
fn a_delta_the_session_already_holds_is_not_sent_beside_it() {
    let mut watch = Watch::new();
    assert_eq!(
        watch.tell(Input::Listens {
            twin: twin("tap"),
            open: true,
            on_its_way: true
        }),
        []
    );
    assert_eq!(
        watch.wait(),
        sends("tap"),
        "but the device is told again if it stays silent"
    );
}

#[test]
fn retries_wait_longer_each_time_and_end() {
    let mut watch = Watch::new();
    let mut told = watch.tell(listens("tap"));
    let mut waits = Vec::new();
    while watch.reconciler.next_deadline().is_some() {
        let before = watch.now;
        told.extend(watch.wait());
        waits.push((watch.now.millis() - before.millis()) / 1000);
    }
    let (last, sent) = told.split_last().unwrap();
    assert_eq!(*last, Output::Stalled(twin("tap")));
    assert_eq!(sent, vec![Output::SendDelta(twin("tap")); 10]);
    for (wait, least) in waits.iter().zip([10, 20, 40, 80, 160, 320, 600, 600, 600, 600]) {
        assert!((least..=least + least / 5).contains(wait), "{waits:?}");
    }
    assert_eq!(watch.tell(Input::Finished(twin("tap"))), []);
    assert_eq!(watch.reconciler.next_deadline(), None, "stalled is the end");
}

#[test]
fn a_stalled_device_gets_a_new_chance_when_something_happens() {
    for restart in [changed("tap", true), listens("tap")] {
        let mut watch = Watch::new();
        watch.tell(listens("tap"));
        while watch.reconciler.next_deadline().is_some() {
            watch.wait();
        }
        watch.tell(restart);
        let mut again = 0;
        while watch.reconciler.next_deadline().is_some() {
            again += watch
                .wait()
                .iter()
                .filter(|output| matches!(output, Output::SendDelta(_)))
                .count();
        }
        assert_eq!(again, 9, "the first of ten went out with the event itself");
    }
}

#[test]
fn a_write_has_told_the_device_itself_and_starts_the_count_again() {
    let mut watch = Watch::new();
    watch.tell(listens("tap"));
    watch.wait();
    watch.wait();
    assert_eq!(watch.tell(changed("tap", true)), []);
    let before = watch.now;
    assert_eq!(watch.wait(), sends("tap"));
    let wait = watch.now.millis() - before.millis();
    assert!((10_000..=12_000).contains(&wait), "{wait}");
}

#[test]
fn a_device_that_converged_is_left_alone() {
    let mut watch = Watch::new();
    watch.tell(listens("tap"));
    assert_eq!(watch.tell(changed("tap", false)), []);
    assert_eq!(watch.reconciler.next_deadline(), None);
    assert_eq!(watch.tell(Input::Finished(twin("tap"))), []);
    assert_eq!(watch.reconciler.next_deadline(), None);
}

#[test]
fn nothing_is_sent_while_something_is_in_flight() {
    let mut watch = Watch::new();
    watch.tell(listens("tap"));
    watch.tell(Input::InFlight(twin("tap")));
    assert_eq!(watch.reconciler.next_deadline(), None);
    assert_eq!(watch.pass(Duration::from_secs(3600)), []);
    assert_eq!(
        watch.tell(listens("tap")),
        [],
        "what is in flight answers a subscription too"
    );
    assert_eq!(watch.tell(Input::Finished(twin("tap"))), []);
    let before = watch.now;
    assert_eq!(watch.wait(), sends("tap"));
    assert!(
        watch.now.millis() - before.millis() >= 10_000,
        "it had time to act on what it got"
    );
}

#[test]
fn an_absent_device_costs_nothing_and_its_neighbors_stay() {
    let mut watch = Watch::new();
    let named = TwinId {
        device: twin("tap").device,
        name: TwinName::try_from("cfg").unwrap(),
    };
    watch.tell(listens("tap"));
    watch.tell(Input::Listens {
        twin: named,
        open: true,
        on_its_way: false,
    });
    watch.tell(listens("tap-2"));
    watch.tell(listens("ta"));
    assert_eq!(watch.reconciler.watched(), 4);
    watch.tell(Input::Offline(twin("tap").device));
    assert_eq!(watch.reconciler.watched(), 2);
    assert_eq!(watch.tell(changed("tap", true)), []);
    assert_eq!(
        watch.reconciler.watched(),
        2,
        "a write to an absent device is not remembered"
    );
    let mut told = watch.wait();
    told.extend(watch.wait());
    told.sort_by_key(|output| format!("{output:?}"));
    assert_eq!(
        told,
        [Output::SendDelta(twin("ta")), Output::SendDelta(twin("tap-2"))]
    );
}

#[test]
fn who_stops_listening_is_not_told() {
    let mut watch = Watch::new();
    watch.tell(listens("tap"));
    watch.tell(Input::StopsListening(twin("tap")));
    assert_eq!(
        (watch.reconciler.watched(), watch.reconciler.next_deadline()),
        (0, None)
    );
}

#[test]
fn a_mass_reconnect_is_paced_and_nobody_is_forgotten() {
    let mut watch = Watch::new();
    let mut told = Vec::new();
    for n in 0..1000 {
        told.extend(watch.tell(listens(&format!("tap-{n}"))));
    }
    assert_eq!(told.len(), 100, "a burst is all that leaves at once");
    while told.len() < 1000 {
        let before = told.len();
        told.extend(watch.wait());
        assert!(told.len() - before <= 100);
    }
    assert_eq!(watch.now, Moment::from_millis(900));
    told.sort_by_key(|output| format!("{output:?}"));
    told.dedup();
    assert_eq!(told.len(), 1000, "each exactly once");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = |seed| {
        let mut reconciler = Reconciler::new(RetryPolicy::default(), seed);
        let mut out = Vec::new();
        let mut times = Vec::new();
        for device in ["a", "b", "c"] {
            reconciler.step(Moment::from_millis(0), listens(device), &mut out);
        }
        while let Some(deadline) = reconciler.next_deadline() {
            reconciler.step(deadline, Input::Tick, &mut out);
            times.push(deadline.millis());
        }
        (times, out)
    };
    assert_eq!(story(1), story(1));
    assert_ne!(story(1).0, story(2).0);
}

#[test]
fn a_policy_without_room_still_lets_everyone_through() {
    let policy = RetryPolicy {
        burst_max: 0,
        burst_every: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let mut reconciler = Reconciler::new(policy, 1);
    let mut out = Vec::new();
    for device in ["a", "b"] {
        reconciler.step(Moment::from_millis(0), listens(device), &mut out);
    }
    while out.len() < 2 {
        let deadline = reconciler.next_deadline().unwrap();
        assert!(deadline <= Moment::from_millis(2));
        reconciler.step(deadline, Input::Tick, &mut out);
    }
}
