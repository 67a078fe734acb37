//! What clients, time and fate do, read from bytes: any bytes are some stream of operations.

use std::num::NonZeroU16;

use mqtt_wire::{QoS, RetainHandling, Version};

use crate::{Entrance, Settings, SharedStrategy};

/// The clients there are, by their ids.
pub const CLIENTS: [&str; 4] = ["ann", "bob", "cid", "dee"];
/// What they publish to.
pub const TOPICS: [&str; 5] = ["room", "room/1", "room/2", "hall/1", "$own/1"];
/// What they subscribe to.
pub const FILTERS: [&str; 12] = [
    "room/1",
    "room/+",
    "room/#",
    "#",
    "+/1",
    "hall/1",
    "$own/#",
    "room",
    "$share/g/room/#",
    "$share/g/room/1",
    "$share/h/room/1",
    "$share/h/+/1",
];
/// Where their wills go, each to a topic of its own: of those that are sent at one moment the order is not said.
const LAST_PLACES: [&str; 4] = ["room", "room/1", "room/2", "hall/1"];
/// Operations of one stream; the rest is not played.
const OPERATIONS_MAX: usize = 32;
const EXPIRIES: [u32; 4] = [0, 2, 30, u32::MAX];
const MESSAGE_EXPIRIES: [Option<u32>; 4] = [None, None, Some(1), Some(20)];
const DELAYS: [u32; 4] = [0, 0, 1, 10];
const MILLIS: [u64; 6] = [1, 500, 1000, 2000, 10_000, 31_000];
const STRATEGIES: [SharedStrategy; 6] = [
    SharedStrategy::RoundRobin,
    SharedStrategy::Random,
    SharedStrategy::Sticky,
    SharedStrategy::LeastInflight,
    SharedStrategy::HashClient,
    SharedStrategy::HashTopic,
];
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// The message of a will, without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Testament {
    /// Where it goes.
    pub topic: &'static str,
    /// Its quality of service.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// How long it waits. In MQTT 3.1.1 it does not.
    pub delay_secs: u32,
    /// How long it lives. In MQTT 3.1.1 for ever.
    pub expiry_secs: Option<u32>,
}

/// What a client says when it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// The version it speaks.
    pub version: Version,
    /// Clean start, or `CleanSession`.
    pub clean_start: bool,
    /// How long its session outlives the connection. Not said in MQTT 3.1.1.
    pub expiry_secs: u32,
    /// What it takes at once. Not said in MQTT 3.1.1.
    pub receive_maximum: Option<NonZeroU16>,
    /// Whether it takes a topic alias.
    pub takes_alias: bool,
    /// Whether it acknowledges by itself all it hears.
    pub automatic: bool,
    /// Its will.
    pub will: Option<Testament>,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The filter, shared or not.
    pub filter: &'static str,
    /// What is asked for.
    pub qos: QoS,
    /// No messages of its own.
    pub no_local: bool,
    /// RETAIN as it was published.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// How a client answers a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// As it should.
    Next,
    /// With a reason that is an error.
    Refusal,
    /// With a PUBREC for what may have had one.
    Again,
    /// With an acknowledgement of what was never sent.
    Stray,
}

/// Something that happens. `which` counts what is open, round and round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A client connects, though it may be connected.
    Connect(Greeting),
    /// A client subscribes.
    Subscribe {
        /// In MQTT 3.1.1 there is none.
        subscription_id: Option<u32>,
        /// One or two.
        wishes: Vec<Wish>,
    },
    /// A client unsubscribes, though it may not have subscribed.
    Unsubscribe(&'static str),
    /// A client publishes.
    Publish {
        /// Where.
        topic: &'static str,
        /// The quality of service.
        qos: QoS,
        /// Whether it is to be retained.
        retain: bool,
        /// Whether there is no payload.
        empty: bool,
        /// How long it lives. In MQTT 3.1.1 for ever.
        expiry_secs: Option<u32>,
        /// Whether DUP is set, which means nothing for a message that is new.
        dup: bool,
    },
    /// A client that does not by itself answers a message.
    Answer {
        /// Which of those it has.
        which: usize,
        /// What it says.
        reply: Reply,
    },
    /// A client sends PUBREL.
    Release {
        /// For which of those that had PUBREC.
        which: usize,
        /// Or for an id that is not in use.
        stray: bool,
    },
    /// A client sends a PUBLISH at `QoS` 2 again.
    Resend {
        /// Which of those that had PUBREC.
        which: usize,
    },
    /// A client sends DISCONNECT.
    Disconnect {
        /// And wants its will published, which MQTT 3.1.1 has no word for.
        with_will: bool,
        /// With another expiry, for which it has none either.
        expiry_secs: Option<u32>,
    },
    /// A client's connection is lost.
    Lose,
    /// Time passes.
    Pass {
        /// So many milliseconds.
        millis: u64,
    },
    /// The process dies and starts again.
    Crash {
        /// With so many shards.
        shards: u16,
    },
}

/// A world and what happens in it, as some bytes say.
#[derive(Debug)]
pub struct Script<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl<'a> Script<'a> {
    /// The beginning of the world: seed, shards and settings; and the script of what happens then.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> (u64, u16, Settings, Self) {
        let mut script = Self {
            bytes,
            left: OPERATIONS_MAX,
        };
        let seed = script.byte();
        let bits = script.byte();
        let settings = Settings {
            inflight_max: pick(&[1, 2, 32], bits >> 2),
            shared_strategy: pick(&STRATEGIES, seed),
            queue_memory_bytes: pick(&[64 * 1024, 16], bits >> 6),
            recovery_grace: std::time::Duration::ZERO,
            ..Settings::by(Entrance {
                receive_maximum: pick(&[1, 2, 64], bits >> 4),
                ..Entrance::default()
            })
        };
        (u64::from(seed), u16::from(bits % 3) + 1, settings, script)
    }

    /// The next byte; zeros follow the last.
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        *byte
    }

    fn greeting(&mut self, client: u8) -> Greeting {
        let (bits, more) = (self.byte(), self.byte());
        let version = pick(&[Version::V5, Version::V311], bits);
        let will = (more & 0x08 != 0).then(|| self.testament(client, version));
        Greeting {
            version,
            clean_start: bits & 0x02 != 0,
            expiry_secs: pick(&EXPIRIES, bits >> 2),
            receive_maximum: NonZeroU16::new(u16::from(bits >> 4) % 4),
            takes_alias: bits & 0x40 != 0,
            automatic: more & 0x01 != 0,
            will,
        }
    }

    fn testament(&mut self, client: u8, version: Version) -> Testament {
        let (bits, more) = (self.byte(), self.byte());
        let new = version == Version::V5;
        Testament {
            topic: pick(&LAST_PLACES, client),
            qos: pick(&LEVELS, bits >> 4),
            retain: more & 0x01 != 0,
            delay_secs: if new { pick(&DELAYS, more >> 1) } else { 0 },
            expiry_secs: pick(&MESSAGE_EXPIRIES, more >> 3).filter(|_| new),
        }
    }

    fn wish(&mut self) -> Wish {
        let (at, bits) = (self.byte(), self.byte());
        let filter = pick(&FILTERS, at);
        let shared = filter.starts_with("$share/");
        Wish {
            filter,
            qos: pick(&LEVELS, bits),
            no_local: bits & 0x04 != 0 && !shared,
            retain_as_published: bits & 0x08 != 0,
            retain_handling: pick(
                &[
                    RetainHandling::SendAtSubscribe,
                    RetainHandling::SendIfNew,
                    RetainHandling::DoNotSend,
                ],
                bits >> 4,
            ),
        }
    }

    fn operation(&mut self, client: u8, what: u8) -> Operation {
        match what % 16 {
            0 | 1 => Operation::Connect(self.greeting(client)),
            2 | 3 => {
                let bits = self.byte();
                let wishes = (0..=bits & 1).map(|_| self.wish()).collect();
                Operation::Subscribe {
                    subscription_id: pick(&[None, Some(1), Some(200)], bits >> 1),
                    wishes,
                }
            }
            4 => Operation::Unsubscribe(pick(&FILTERS, self.byte())),
            5..=8 => {
                let (at, bits) = (self.byte(), self.byte());
                Operation::Publish {
                    topic: pick(&TOPICS, at),
                    qos: pick(&LEVELS, at >> 4),
                    retain: bits & 0x01 != 0,
                    empty: bits & 0x06 == 0x06,
                    expiry_secs: pick(&MESSAGE_EXPIRIES, bits >> 3),
                    dup: bits & 0x80 != 0,
                }
            }
            9 | 10 => {
                let bits = self.byte();
                let reply = match bits >> 4 {
                    0..=9 => Reply::Next,
                    10 | 11 => Reply::Refusal,
                    12 | 13 => Reply::Again,
                    _ => Reply::Stray,
                };
                let which = usize::from(bits % 16);
                Operation::Answer { which, reply }
            }
            11 => {
                let bits = self.byte();
                let which = usize::from(bits % 16);
                if bits & 0x80 == 0 {
                    let stray = bits & 0x40 != 0;
                    Operation::Release { which, stray }
                } else {
                    Operation::Resend { which }
                }
            }
            12 => {
                let bits = self.byte();
                Operation::Disconnect {
                    with_will: bits & 1 != 0,
                    expiry_secs: (bits & 2 != 0).then(|| pick(&EXPIRIES, bits >> 2)),
                }
            }
            13 => Operation::Lose,
            14 => {
                let millis = pick(&MILLIS, self.byte());
                Operation::Pass { millis }
            }
            _ => {
                let shards = u16::from(self.byte() % 3) + 1;
                Operation::Crash { shards }
            }
        }
    }
}

impl Iterator for Script<'_> {
    /// Who does it, by its place among [`CLIENTS`], and what it is.
    type Item = (usize, Operation);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some((usize::from(byte % 4), self.operation(byte % 4, byte / 4)))
    }
}

/// One of several, round and round.
fn pick<T: Copy>(among: &[T], at: u8) -> T {
    let Some(picked) = among.get(usize::from(at) % among.len().max(1)) else {
        unreachable!("there is something to pick from")
    };
    *picked
}
