//! A disk that fills up: what would be added is refused, what waits is drained, and it goes on once there is room.

use std::{
    fs::File,
    io,
    path::PathBuf,
    process::{Command, Stdio},
};

use mqtt_wire::{Connect, Packet, QoS, ReasonCode, Version};
use serde_json::Value;

use crate::support::{Dice, House, Http, Message, Mqtt, OPEN, Running, eventually, say};

const SETTINGS: &str = "[store]\nreserve_bytes = \"32MiB\"\nwrite_buffer_bytes = \"4MiB\"\n\
                        [mqtt]\nqueue_messages_max = 100000\nqueue_bytes_max = \"1GiB\"\n";

/// More messages than the disk can hold.
const MANY: u32 = 10_000;

/// A file system of a small size. Unmounts at its end.
struct Small(PathBuf);

impl Small {
    /// Mounting needs root; without it the story is not told, and that is said.
    fn mount(path: PathBuf, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(&path)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        say("NOT TOLD: the story of the full disk needs root, to mount a small file system");
        None
    }

    /// Somebody else fills the disk up to the last few MiB, so that nothing the store gives back is enough.
    fn fill(&self, left_mib: u64) {
        let free = Command::new("df")
            .args(["-B1", "--output=avail"])
            .arg(&self.0)
            .output()
            .unwrap();
        let free = String::from_utf8(free.stdout).unwrap();
        let free: u64 = free.lines().nth(1).unwrap().trim().parse().unwrap();
        let ballast = free.saturating_sub(left_mib << 20);
        std::fs::write(self.ballast(), vec![0; usize::try_from(ballast).unwrap()]).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// The other is gone, and the disk larger.
    fn grow(&self, mib: u32) {
        std::fs::remove_file(self.ballast()).unwrap();
        let grown = Command::new("mount")
            .args(["-o", &format!("remount,size={mib}m")])
            .arg(&self.0)
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ended = Command::new("umount").arg(&self.0).status();
    }
}

/// A message that no compression makes smaller, and its number.
fn payload(number: u32) -> Vec<u8> {
    let mut dice = Dice(u64::from(number));
    let noise = (0..2_000).flat_map(|_| dice.below(u64::MAX).to_le_bytes());
    number.to_be_bytes().into_iter().chain(noise).collect()
}

fn number(message: &Message) -> u32 {
    u32::from_be_bytes(message.payload[..4].try_into().unwrap())
}

/// A publisher that can be told why.
fn publisher(broker: &Running) -> Mqtt {
    Mqtt::connect(broker.mqtt(), Connect::new(Version::V5, "publisher"))
        .unwrap()
        .0
}

/// Publishes a message to the sessions and says what it was answered.
fn publish(publisher: &mut Mqtt, number: u32) -> ReasonCode {
    answered(publisher, "room", &payload(number))
}

/// Publishes at QoS 1 and says what it was answered.
fn answered(publisher: &mut Mqtt, topic: &str, payload: &[u8]) -> ReasonCode {
    publisher
        .publish(topic, payload, QoS::AtLeastOnce, 1, false, false)
        .unwrap();
    match publisher.await_packet(|packet| matches!(packet, Packet::PubAck(_))) {
        Packet::PubAck(ack) => ack.reason,
        other => panic!("{other:?}"),
    }
}

/// A persistent session on this broker takes and acknowledges the messages from one number up to another, in order.
fn take(broker: &Running, client_id: &str, numbers: std::ops::Range<u32>) -> Mqtt {
    let (mut client, present) = Mqtt::kept(broker.mqtt(), client_id);
    assert!(present, "the session of {client_id} is there");
    for expected in numbers {
        assert_eq!(number(&client.message()), expected, "at {client_id}");
    }
    client
}

fn readiness(http: Http) -> (u16, Value) {
    let answer = http.get("/readyz");
    (answer.status, answer.json())
}

fn times(house: &House, words: &str) -> usize {
    house.log().matches(words).count()
}

fn metric(http: Http, name: &str) -> f64 {
    let page = http.get("/metrics").body;
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {page}"))
        .trim()
        .parse()
        .unwrap()
}

fn remove_twin(http: Http, device: &str) -> io::Result<u16> {
    let path = format!("/v1/devices/{device}/twin");
    http.ask("DELETE", &path, &[], "").map(|answer| answer.status)
}

#[test]
fn waiting_messages_are_drained_while_the_disk_is_full_and_nothing_acknowledged_is_lost() {
    let house = House::new(&format!("{OPEN}{SETTINGS}"));
    let Some(small) = Small::mount(house.data(), 64) else {
        return;
    };
    let broker = house.serve();
    let http = broker.http();
    for client_id in ["early", "late"] {
        Mqtt::kept(broker.mqtt(), client_id)
            .0
            .subscribe("room", QoS::AtLeastOnce);
    }
    assert_eq!(http.desire("lamp", r#"{"on": true}"#).unwrap().status, 200);
    assert_eq!(
        readiness(http),
        (
            200,
            serde_json::json!({ "status": "ready", "set_aside": [], "store": null, "memory": null })
        )
    );

    let mut filler = publisher(&broker);
    let kept = (0..MANY)
        .find(|number| publish(&mut filler, *number) == ReasonCode::QuotaExceeded)
        .expect("the disk is small");
    say(&format!("{kept} messages fit above the reserve"));
    small.fill(6);
    let (code, page) = readiness(http);
    assert_eq!((code, &page["status"]), (503, &Value::from("degraded")));
    assert!(
        page["store"].as_str().unwrap().contains("store.reserve_bytes"),
        "{page}"
    );
    assert_eq!(http.desire("lamp", r#"{"on": false}"#).unwrap().status, 503);
    let (update, report) = (
        "$aws/things/lamp/shadow/update",
        br#"{"state": {"reported": {"on": false}}}"#,
    );
    assert_eq!(answered(&mut filler, update, report), ReasonCode::QuotaExceeded);
    assert_eq!(remove_twin(http, "lamp").unwrap(), 204);

    let mut early = take(&broker, "early", 0..kept);
    assert_eq!(publish(&mut filler, kept), ReasonCode::QuotaExceeded);
    let mut newcomer = Mqtt::kept(broker.mqtt(), "newcomer").0;
    newcomer.subscribe("passing", QoS::AtLeastOnce);
    filler
        .publish("passing", b"on", QoS::AtMostOnce, 0, false, false)
        .unwrap();
    assert_eq!(newcomer.message().text(), "on");
    assert_eq!(metric(http, "twinmq_store_takes_more "), 0.0);
    assert!(metric(http, "twinmq_messages_refused_total{reason=\"no_room\"} ") >= 2.0);
    assert!(metric(http, "twinmq_store_refused_total{reason=\"no_room\"} ") >= 1.0);
    assert!(metric(http, "twinmq_store_free_bytes ") > 0.0);
    eventually("the log says when it began", || {
        times(&house, "full or short of room") == 1
    });

    small.grow(512);
    eventually("there is room", || {
        publish(&mut filler, kept) == ReasonCode::Success
    });
    assert_eq!(
        number(&early.message()),
        kept,
        "what was acknowledged does not come again"
    );
    assert_eq!(readiness(http).0, 200);
    eventually("the log says when it ended", || {
        times(&house, "that is over") == 1
    });
    assert_eq!(times(&house, "full or short of room"), 1);
    drop(early);
    broker.kill();

    let broker = house.serve();
    let mut early = Mqtt::kept(broker.mqtt(), "early").0;
    take(&broker, "late", 0..kept + 1);
    assert_eq!(publish(&mut publisher(&broker), kept + 1), ReasonCode::Success);
    // The last acknowledgement before the kill may not have been read.
    let first = number(&early.message());
    assert!(
        first == kept + 1 || first == kept,
        "{first} came again, of {kept}"
    );
    assert_eq!(broker.http().get("/v1/devices/lamp/twin").status, 404);
    assert!(broker.stop().success());
}

/// Whoever drains makes room by that, though nothing is added that would make the store tidy up.
#[test]
fn what_was_drained_is_room_again() {
    let house = House::new(&format!("{OPEN}{SETTINGS}"));
    let Some(_small) = Small::mount(house.data(), 64) else {
        return;
    };
    let broker = house.serve();
    let http = broker.http();
    for client_id in ["early", "late"] {
        Mqtt::kept(broker.mqtt(), client_id)
            .0
            .subscribe("room", QoS::AtLeastOnce);
    }
    let mut filler = publisher(&broker);
    let kept = (0..MANY)
        .find(|number| publish(&mut filler, *number) == ReasonCode::QuotaExceeded)
        .expect("the disk is small");
    let free = metric(http, "twinmq_store_free_bytes ");
    let _early = take(&broker, "early", 0..kept);
    let _late = take(&broker, "late", 0..kept);
    eventually("what was drained is room", || readiness(http).0 == 200);
    let more = metric(http, "twinmq_store_free_bytes ") - free;
    say(&format!(
        "{more} bytes more are free after {kept} messages were drained"
    ));
    assert_eq!(publish(&mut filler, kept), ReasonCode::Success);
    assert!(broker.stop().success());
}

/// No file may grow beyond a limit, which to the store is a disk that fails.
fn serve_on_a_failing_disk(house: &House) -> Running {
    let serve = house.command();
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .args(["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(house.folder.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    Running::when_ready(child).unwrap_or_else(|| panic!("it did not get ready:\n{}", house.log()))
}

#[test]
fn a_store_that_has_failed_is_told_once_and_readyz_says_so_until_the_restart() {
    let house = House::open();
    let broker = serve_on_a_failing_disk(&house);
    Mqtt::kept(broker.mqtt(), "listener")
        .0
        .subscribe("room", QoS::AtLeastOnce);
    let mut publisher = publisher(&broker);
    let failed = (0..MANY).find(|number| publish(&mut publisher, *number) != ReasonCode::Success);
    let failed = failed.expect("files are small");
    for number in failed..failed + 20 {
        assert_eq!(publish(&mut publisher, number), ReasonCode::UnspecifiedError);
    }
    let (code, page) = readiness(broker.http());
    assert_eq!((code, &page["status"]), (503, &Value::from("degraded")));
    assert!(
        page["store"].as_str().unwrap().contains("until a restart"),
        "{page}"
    );
    assert!(metric(broker.http(), "twinmq_store_refused_total{reason=\"failed\"} ") >= 20.0);
    eventually("the log says so", || {
        times(&house, "writing has failed, and nothing") == 1
    });
    assert_eq!(times(&house, "could not be kept"), 1, "{}", house.log());
    broker.kill();
    let broker = house.serve();
    assert_eq!(readiness(broker.http()).0, 200);
    take(&broker, "listener", 0..failed);
    assert!(broker.stop().success());
}
