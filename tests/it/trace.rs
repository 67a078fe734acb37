//! Under a system-call trace: no acknowledgement leaves before what it promises was written and synced.

mod calls;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
};

use mqtt_wire::{Ack, Packet, PacketId, QoS};

use crate::support::{Heard, House, Mqtt, PATIENCE, Running};
use calls::{Call, Calls};

const CLIENTS: u16 = 20;
const ROUNDS: u16 = 5;

/// 20 clients at once publish at QoS 1 and 2 to a persistent session, update twins over MQTT and over HTTP; every payload
/// carries a mark of its own. Each mark is found in a write to the log, then a sync of that log that began after the write,
/// then the write to the socket that acknowledges it.
#[test]
fn no_acknowledgement_leaves_before_its_sync() {
    let faults = trace(&House::open());
    assert!(
        faults.is_empty(),
        "{} too early, for example: {}",
        faults.len(),
        faults[0]
    );
}

/// The same test finds a broker that acknowledges early.
#[test]
fn the_trace_would_find_an_early_acknowledgement() {
    let mut house = House::open();
    house.flags = ["--set", "store.acknowledge_before_sync_and_lose_data=true"]
        .map(str::to_owned)
        .to_vec();
    assert!(
        !trace(&house).is_empty(),
        "acknowledged before the sync, and not found out"
    );
}

/// Runs the load under strace and answers every promise that was made too early.
fn trace(house: &House) -> Vec<String> {
    let broker = house.serve();
    let (mut keeper, _) = Mqtt::kept(broker.mqtt(), "keeper");
    keeper.subscribe("marked/#", QoS::ExactlyOnce);
    drop(keeper);
    let file = house.folder.path().join("trace");
    let strace = attach(&broker, &file);
    let marks = load(&broker);
    assert!(broker.stop().success());
    assert!(
        strace.wait_with_output().unwrap().status.success(),
        "strace did not end well"
    );
    let calls = Calls::read(&std::fs::read_to_string(file).unwrap());
    marks.iter().filter_map(|mark| mark.fault(&calls)).collect()
}

fn attach(broker: &Running, file: &std::path::Path) -> Child {
    let calls = "trace=write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,sync_file_range";
    let mut strace = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-xx",
            "-s",
            "1000000",
            "-e",
            calls,
            "-e",
            "signal=none",
            "-p",
            &broker.pid().to_string(),
            "-o",
        ])
        .arg(file)
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("strace is installed (make test does it)");
    let mut line = String::new();
    BufReader::new(strace.stderr.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("attached"), "strace said: {line}");
    strace
}

/// What was promised, and by which bytes on a socket.
struct Mark {
    mark: String,
    acknowledged_by: Vec<u8>,
}

impl Mark {
    fn fault(&self, calls: &Calls) -> Option<String> {
        let Some(written) = calls.log_write(self.mark.as_bytes()) else {
            return Some(format!("{} was never written to the log", self.mark));
        };
        let Some(acknowledged) = calls.socket_write(&self.acknowledged_by) else {
            return Some(format!("{} was never acknowledged", self.mark));
        };
        let synced = calls.sync_after(written);
        let in_time = |sync: &Call| sync.ended < acknowledged.began;
        if synced.is_some_and(in_time) {
            None
        } else {
            Some(format!("{}: {acknowledged:?} before {synced:?}", self.mark))
        }
    }
}

fn load(broker: &Running) -> Vec<Mark> {
    let (mqtt, http) = (broker.mqtt(), broker.http());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            thread::spawn(move || {
                let mut client = Mqtt::clean(mqtt, &format!("marker-{number}"));
                if number % 4 == 2 {
                    client.subscribe(
                        &format!("$aws/things/thing-{number}/shadow/update/accepted"),
                        QoS::AtMostOnce,
                    );
                }
                let mut marks = Vec::new();
                for round in 0..ROUNDS {
                    let mark = format!("mark-{number:02}-{round}-marked");
                    let id = 1000 + number * ROUNDS + round;
                    let acknowledged_by = match number % 4 {
                        0 => publish(&mut client, &mark, id, QoS::AtLeastOnce),
                        1 => publish(&mut client, &mark, id, QoS::ExactlyOnce),
                        2 => update(&mut client, number, &mark),
                        _ => {
                            let answer = http.desire(
                                &format!("thing-{number}"),
                                &format!(r#"{{"mark": "{}"}}"#, twice(&mark)),
                            );
                            assert_eq!(answer.unwrap().status, 200);
                            // The answer shows the new state, and nobody else is shown it before.
                            mark.clone().into_bytes()
                        }
                    };
                    marks.push(Mark {
                        mark,
                        acknowledged_by,
                    });
                }
                marks
            })
        })
        .collect();
    clients
        .into_iter()
        .flat_map(|client| client.join().unwrap())
        .collect()
}

/// The log splits records at its blocks: of two copies far apart one is whole.
fn twice(mark: &str) -> String {
    format!("{mark}{}{mark}", " ".repeat(64))
}

/// Publishes, and answers the bytes that acknowledge it.
fn publish(client: &mut Mqtt, mark: &str, id: u16, qos: QoS) -> Vec<u8> {
    client
        .publish(
            &format!("marked/{id}"),
            twice(mark).as_bytes(),
            qos,
            id,
            false,
            false,
        )
        .unwrap();
    let ours = |ack: &Ack| ack.packet_id.get() == id;
    client.await_packet(|packet| matches!(packet, Packet::PubAck(ack) | Packet::PubRec(ack) if ours(ack)));
    let packet_id = PacketId::new(id).unwrap();
    let [high, low] = id.to_be_bytes();
    if qos == QoS::AtLeastOnce {
        return vec![0x40, 2, high, low];
    }
    client.send(&Packet::PubRel(Ack::new(packet_id))).unwrap();
    client.await_packet(|packet| matches!(packet, Packet::PubComp(_)));
    vec![0x50, 2, high, low]
}

/// Updates a twin at QoS 0 and waits for `accepted`, which shows the mark.
fn update(client: &mut Mqtt, number: u16, mark: &str) -> Vec<u8> {
    let payload = format!(
        r#"{{"state":{{"reported":{{"mark":"{}"}}}},"clientToken":"{mark}"}}"#,
        twice(mark)
    );
    let topic = format!("$aws/things/thing-{number}/shadow/update");
    client
        .publish(&topic, payload.as_bytes(), QoS::AtMostOnce, 0, false, false)
        .unwrap();
    match client.hear(PATIENCE).unwrap() {
        Some(Heard::Message(message)) => assert!(message.text().contains(mark), "{message:?}"),
        other => panic!("{other:?} instead of accepted"),
    }
    mark.as_bytes().to_vec()
}
