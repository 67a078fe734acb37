//! Many offline sessions with messages waiting: how long a start with them takes, and what memory they hold then.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mqtt_wire::{Packet, PacketId, Properties, Publish, QoS, Version};

use super::{Bout, Uses};
use crate::broker::{Broker, Wishes};
use crate::client::{Client, ClientPlan};
use crate::process::Process;
use crate::report::Outcome;
use crate::sequence::Faults;
use crate::stamp::Stamp;

pub(super) const USES: Uses = Uses {
    default_count: 100_000,
    ..Uses::NO_MESSAGES
};

/// What is asked of a start with 100,000 sessions.
const START_WITHIN: Duration = Duration::from_secs(5);
const RESIDENT_BYTES_MAX: u64 = 200_000_000;

/// Messages that wait for each session.
const MESSAGES: u32 = 3;

/// Bytes of each message.
const PAYLOAD_BYTES: usize = 64;

/// Sessions that are made at a time, and messages without their PUBACK.
const WAVE: u32 = 200;
const WINDOW: usize = 100;

/// Sessions that come back at the end to look for their messages.
const SAMPLE: u32 = 200;

const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

pub(super) fn run(bout: &Bout<'_>) -> Result<Outcome> {
    let wishes = Wishes {
        set: &["store.durability=os"],
        ..bout.wishes(true)
    };
    let mut broker = Broker::start(bout.target, bout.programs, wishes)?;
    let count = bout.settings.count;
    make_sessions(bout, &broker, count)?;
    send_messages(bout, &broker, count)?;
    let full = resident(&broker)?;
    let begun = Instant::now();
    broker.stop()?;
    let stop_seconds = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    broker.start_again()?;
    wait_for_connack(bout, &mut broker, begun)?;
    let elapsed = begun.elapsed();
    let reopened = resident(&broker)?;
    let process = broker.process.context("the process of our broker is known")?;
    let cpu_seconds = process.cpu()?.in_all().as_secs_f64();
    let lost = look_for_messages(bout, &broker, count)?;

    let mut outcome = Outcome::new(
        "ms from start to first CONNACK",
        Some(elapsed.as_secs_f64() * 1e3),
    );
    outcome.beside.resident_bytes = Some(reopened);
    outcome.beside.more = [
        ("messages_waiting", f64::from(count) * f64::from(MESSAGES)),
        ("resident_before_stop_bytes", full as f64),
        ("stop_ms", stop_seconds * 1e3),
        ("cpu_ms_to_first_connack", cpu_seconds * 1e3),
        ("sessions_looked_at", f64::from(SAMPLE.min(count))),
    ]
    .into();
    outcome.faults = Faults {
        lost,
        ..Faults::default()
    };
    outcome.missed = (elapsed > START_WITHIN || reopened > RESIDENT_BYTES_MAX)
        .then(|| format!("the bar is {START_WITHIN:?} and {RESIDENT_BYTES_MAX} resident bytes"));
    Ok(outcome)
}

fn name(number: u32) -> String {
    format!("bench-reopen-{number:07}")
}

fn topic(number: u32) -> String {
    format!("bench/reopen/{number:07}")
}

/// Everybody connects, subscribes and leaves in one write.
fn make_sessions(bout: &Bout<'_>, broker: &Broker, count: u32) -> Result<()> {
    let speech = bout.speech();
    let (codec, version) = (speech.codec(), speech.version());
    let disconnect = codec.disconnect(version)?;
    let mut made = 0;
    while made < count {
        let end = count.min(made + WAVE);
        let mut clients = Vec::new();
        for number in made..end {
            let mut client = Client::dial(&broker.door)?;
            client.send_connect(codec, version, &plan(number))?;
            client.write(&codec.subscribe(version, &[topic(number)], QoS::AtLeastOnce)?)?;
            clients.push(client);
        }
        for mut client in clients {
            client.receive_connack(codec, version)?;
            codec.check_suback(version, &client.read_frame()?, 1, QoS::AtLeastOnce)?;
            client.write(&disconnect)?;
            client.wait_for_the_end()?;
        }
        made = end;
    }
    Ok(())
}

fn plan(number: u32) -> ClientPlan {
    ClientPlan {
        clean: false,
        ..ClientPlan::publisher(name(number))
    }
}

fn send_messages(bout: &Bout<'_>, broker: &Broker, count: u32) -> Result<()> {
    let speech = bout.speech();
    let plan = ClientPlan::publisher("bench-reopen-publisher".to_owned());
    let mut client = Client::open(&broker.door, speech, &plan)?;
    let mut packet_id = PacketId::FIRST;
    let mut frames = Vec::new();
    let mut waiting = 0;
    for message in 0..MESSAGES {
        for number in 0..count {
            publish(&mut frames, speech.version(), packet_id, number, message)?;
            packet_id = packet_id.next();
            waiting += 1;
            if waiting == WINDOW {
                settle(&mut client, &mut frames, &mut waiting)?;
            }
        }
    }
    settle(&mut client, &mut frames, &mut waiting)
}

fn publish(
    frames: &mut Vec<u8>,
    version: Version,
    packet_id: PacketId,
    number: u32,
    message: u32,
) -> Result<()> {
    let stamp = Stamp {
        publisher: number,
        number: u64::from(message),
        sent_at: 0,
    };
    let mut payload = stamp.bytes().to_vec();
    payload.resize(PAYLOAD_BYTES, 0);
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: &topic(number),
        packet_id: Some(packet_id),
        properties: Properties::EMPTY,
        payload: &payload,
    };
    Packet::Publish(publish).encode(version, frames)?;
    Ok(())
}

/// Writes the window and waits for its acknowledgements.
fn settle(client: &mut Client, frames: &mut Vec<u8>, waiting: &mut usize) -> Result<()> {
    client.write(frames)?;
    frames.clear();
    for _ in 0..std::mem::take(waiting) {
        let frame = client.read_frame()?;
        ensure!(frame.first() == Some(&0x40), "not a PUBACK: {frame:02x?}");
    }
    Ok(())
}

fn wait_for_connack(bout: &Bout<'_>, broker: &mut Broker, begun: Instant) -> Result<()> {
    let plan = ClientPlan::publisher("bench-reopen-first".to_owned());
    while let Err(error) = Client::open(&broker.door, bout.speech(), &plan) {
        broker.check_alive().context("it did not start again")?;
        if begun.elapsed() > GIVE_UP_AFTER {
            return Err(error).context("no CONNACK");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Some sessions come back; answers how many of their messages are missing.
fn look_for_messages(bout: &Bout<'_>, broker: &Broker, count: u32) -> Result<u64> {
    let speech = bout.speech();
    let (codec, version) = (speech.codec(), speech.version());
    let mut lost = 0;
    for index in 0..SAMPLE.min(count) {
        let number = (u64::from(index) * u64::from(count) / u64::from(SAMPLE.min(count))) as u32;
        let mut client = Client::dial(&broker.door)?;
        client.send_connect(codec, version, &plan(number))?;
        let connack = client.read_frame()?;
        ensure!(
            connack.get(2) == Some(&1),
            "{} has no session any more",
            name(number)
        );
        for message in 0..MESSAGES {
            let frame = client.read_frame()?;
            let payload = frame
                .len()
                .checked_sub(PAYLOAD_BYTES)
                .and_then(|at| frame.get(at..));
            let stamp = payload.and_then(Stamp::read);
            let is_expected =
                stamp.is_some_and(|stamp| (stamp.publisher, stamp.number) == (number, u64::from(message)));
            lost += u64::from(!is_expected);
        }
    }
    Ok(lost)
}

fn resident(broker: &Broker) -> Result<u64> {
    let process = broker.process.context("the process of our broker is known")?;
    Process::memory(process).map(|memory| memory.resident)
}
