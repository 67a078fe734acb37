//! Streams of operations, held against a naive model of the specification after each; and the model against broken brokers.

use std::{env, fs, path::Path};

use broker_core::testing::{
    Dice, Heard,
    trial::{play, play_with},
};
use mqtt_wire::{Packet, QoS};

/// Streams tried of each story.
const SEEDS: u64 = 2000;

fn random(seed: u64) -> Vec<u8> {
    let mut dice = Dice::seeded(seed);
    let len = dice.below(240);
    let byte = |_| u8::try_from(dice.below(256)).unwrap();
    (0..len).map(byte).collect()
}

/// Streams of which each must be followed, with their names.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/operations");
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// What fuzzing has found worth keeping is played without it.
#[test]
fn corpus_follows_the_model() {
    let corpus = corpus();
    assert!(corpus.len() > 20, "{} streams", corpus.len());
    for (name, bytes) in corpus {
        if let Err(broken) = play(&bytes) {
            panic!("{name}: {broken}");
        }
    }
}

/// `TWINMQ_STREAMS` sets how many are tried.
#[test]
fn random_operations_follow_the_model() {
    let asked = env::var("TWINMQ_STREAMS").ok();
    let streams = asked.map_or(SEEDS, |number| number.parse().unwrap());
    for seed in 1..=streams {
        if let Err(broken) = play(&random(seed)) {
            panic!("seed {seed}: {broken}");
        }
    }
}

/// In how many of some streams a broker is found out that does this to what it sends.
fn found_out(wrong: impl Fn(&mut Vec<Heard>)) -> usize {
    let is_found = |seed: &u64| play_with(&random(*seed), &mut |heard| wrong(heard)).is_err();
    (1..=SEEDS).filter(is_found).count()
}

fn is_message(heard: &Heard) -> bool {
    matches!(heard, Heard::Message(_))
}

/// A model that finds everything right would be of no use.
#[test]
fn broken_brokers_are_found_out() {
    let changed = |change: fn(&mut broker_core::testing::Received)| {
        found_out(|heard| {
            for heard in heard {
                if let Heard::Message(message) = heard {
                    change(message);
                }
            }
        })
    };
    let found = [
        (
            "a message is lost",
            found_out(|heard| heard.retain(|heard| !is_message(heard))),
        ),
        (
            "a message comes twice",
            found_out(|heard| {
                let again = heard.iter().find(|heard| is_message(heard)).cloned();
                heard.extend(again);
            }),
        ),
        ("the order is turned", found_out(|heard| heard.reverse())),
        ("RETAIN is flipped", changed(|message| message.retain ^= true)),
        ("DUP is flipped", changed(|message| message.dup ^= true)),
        (
            "the level is lowered",
            changed(|message| message.qos = QoS::AtMostOnce),
        ),
        (
            "identifiers are dropped",
            changed(|message| message.properties.clear()),
        ),
        (
            "the payload is another",
            changed(|message| message.payload.push(b'!')),
        ),
        ("the topic is another", changed(|message| message.topic.push('!'))),
        (
            "a packet id is used twice",
            changed(|message| message.id = message.id.map(|_| mqtt_wire::PacketId::FIRST)),
        ),
        (
            "sessions are forgotten",
            found_out(|heard| {
                for heard in heard {
                    if let Heard::Packet(Packet::ConnAck(connack)) = heard {
                        connack.session_present = false;
                    }
                }
            }),
        ),
        (
            "an acknowledgement is lost",
            found_out(|heard| heard.retain(|heard| !matches!(heard, Heard::Packet(Packet::PubAck(_))))),
        ),
    ];
    for (fault, streams) in found {
        assert!(streams > 10, "{fault}, and only {streams} streams say so");
    }
}
