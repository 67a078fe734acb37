//! A simulated device as a rule: a moment and what came go in, what to do comes out.

use std::{mem, time::Duration};

use mqtt_wire::{Connect, QoS, Version, Will};
use serde_json::{Map, Value, json};

use super::{
    dice::Dice,
    kind::{Gauge, Kind},
};

/// Time since the fleet began.
pub(super) type Moment = Duration;

/// What came.
#[derive(Debug)]
pub(super) enum Input {
    /// Time has passed.
    Tick,
    /// The broker has let it in.
    Connected,
    /// The connection is lost, or could not be had.
    Lost,
    /// A delta document.
    Delta(Vec<u8>),
    /// The report under way was acknowledged.
    Acknowledged,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Duty {
    Connect,
    /// Publish this to the update topic with QoS 1. Never more than one is under way.
    Report {
        document: String,
        again: bool,
    },
    /// Lose the connection, without a goodbye.
    Drop,
}

/// What sort of a device it is, besides its kind.
#[derive(Debug, Clone, Copy)]
struct Temper {
    /// How long it takes to do what it should.
    takes: (Duration, Duration),
    /// How long it stays connected, if it ever loses its connection.
    stays: Option<(Duration, Duration)>,
}

/// Whether it is connected.
#[derive(Debug)]
enum Presence {
    Away { until: Moment },
    Calling,
    Here { until: Option<Moment> },
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    kind: &'static Kind,
    temper: Temper,
    dice: Dice,
    presence: Presence,
    reading: i32,
    reads_at: Moment,
    /// What it is.
    is: Map<String, Value>,
    /// What of it is not reported yet.
    unsaid: Map<String, Value>,
    /// The report that is not acknowledged.
    under_way: Option<String>,
    /// What it should be, and when it will see to it. A newer delta takes the place of an older one.
    wish: Option<(Moment, Map<String, Value>)>,
}

const fn millis(shortest: u64, longest: u64) -> (Duration, Duration) {
    (Duration::from_millis(shortest), Duration::from_millis(longest))
}

const QUICK: (Duration, Duration) = millis(300, 2_000);
const SLOW: (Duration, Duration) = millis(8_000, 25_000);
const STAYS: (Duration, Duration) = millis(15_000, 60_000);
const STAYS_AWAY: (Duration, Duration) = millis(4_000, 20_000);
const CALLS_AGAIN: (Duration, Duration) = millis(500, 3_000);
const READS: (Duration, Duration) = millis(2_000, 6_000);

impl Device {
    /// A device that connects at a moment. By its number it is slow, or loses its connection now and then, or neither.
    pub(super) fn new(
        name: &str,
        kind: &'static Kind,
        number: u32,
        mut dice: Dice,
        comes_at: Moment,
    ) -> Self {
        let temper = Temper {
            takes: if number % 7 == 5 { SLOW } else { QUICK },
            stays: (number % 4 == 3 || number % 6 == 4).then_some(STAYS),
        };
        let dials = kind
            .dials
            .iter()
            .map(|dial| (dial.name.to_owned(), dial.initial()));
        Self {
            name: name.to_owned(),
            kind,
            temper,
            presence: Presence::Away { until: comes_at },
            reading: kind.gauge.begin(&mut dice),
            reads_at: comes_at,
            is: dials.collect(),
            unsaid: Map::new(),
            under_way: None,
            wish: None,
            dice,
        }
    }

    /// How it introduces itself: with a session that is kept, and a will that tells its twin that it is lost.
    pub(super) fn hello(&self) -> Connect {
        let mut connect = Connect::new(Version::V311, &self.name);
        connect.clean_start = false;
        connect.keep_alive_secs = 60;
        connect.will = Some(Will {
            topic: self.update_topic(),
            payload: report(json!({ "connection": "lost" })).into_bytes(),
            qos: QoS::AtLeastOnce,
            retain: false,
            delay_secs: 0,
            properties: Vec::new(),
        });
        connect
    }

    pub(super) fn update_topic(&self) -> String {
        format!("$twin/{}/update", self.name)
    }

    pub(super) fn delta_topic(&self) -> String {
        format!("$twin/{}/update/delta", self.name)
    }

    /// Takes what came, and says what to do about it.
    pub(super) fn step(&mut self, now: Moment, input: Input) -> Option<Duty> {
        match input {
            Input::Tick => {}
            Input::Connected => {
                self.arrive(now);
                if let Some(document) = &self.under_way {
                    return Some(Duty::Report {
                        document: document.clone(),
                        again: true,
                    });
                }
            }
            Input::Lost => {
                self.presence = Presence::Away {
                    until: now + self.time(CALLS_AGAIN),
                }
            }
            Input::Delta(document) => self.consider(now, &document),
            Input::Acknowledged => self.under_way = None,
        }
        match self.presence {
            Presence::Away { until } if until <= now => {
                self.presence = Presence::Calling;
                Some(Duty::Connect)
            }
            Presence::Here { until: Some(until) } if until <= now => {
                self.presence = Presence::Away {
                    until: now + self.time(STAYS_AWAY),
                };
                Some(Duty::Drop)
            }
            Presence::Away { .. } | Presence::Calling => None,
            Presence::Here { .. } => {
                self.read(now);
                self.obey(now);
                self.report()
            }
        }
    }

    /// The moment at which it wants a tick.
    pub(super) fn next(&self) -> Option<Moment> {
        match self.presence {
            Presence::Away { until } => Some(until),
            Presence::Calling => None,
            Presence::Here { until } => {
                let wish = self.wish.as_ref().map(|(due, _)| *due);
                [until, wish, Some(self.reads_at)].into_iter().flatten().min()
            }
        }
    }

    /// It is connected, and tells everything it is: who knows what was heard of it before.
    fn arrive(&mut self, now: Moment) {
        let until = self.temper.stays.map(|stays| now + self.time(stays));
        self.presence = Presence::Here { until };
        self.unsaid.extend(self.is.clone());
        self.unsaid.insert("connection".into(), "ok".into());
    }

    /// A delta holds everything that differs, so it takes the place of the one before.
    fn consider(&mut self, now: Moment, document: &[u8]) {
        let delta = serde_json::from_slice(document).ok();
        let state = delta.and_then(|mut delta: Value| Some(delta.get_mut("state")?.take()));
        if let Some(Value::Object(state)) = state {
            let due = self.wish.take().map(|(due, _)| due);
            self.wish = Some((due.unwrap_or_else(|| now + self.time(self.temper.takes)), state));
        }
    }

    /// Does what it should, when the time has come, or says why not.
    fn obey(&mut self, now: Moment) {
        let Some((_, wish)) = self.wish.take_if(|(due, _)| *due <= now) else {
            return;
        };
        let mut refused = Map::new();
        for (dial, value) in wish {
            match self.kind.judge(&dial, &value) {
                Ok(()) => self.set(&dial, value),
                Err(why) => {
                    let pointer = dial.replace('~', "~0").replace('/', "~1");
                    refused.insert(format!("/{pointer}"), why.into());
                }
            }
        }
        if !refused.is_empty() {
            self.unsaid.insert("$rejected".into(), refused.into());
        }
    }

    /// Looks at its gauge, when the time has come.
    fn read(&mut self, now: Moment) {
        if self.reads_at <= now {
            self.reading = self.kind.gauge.wander(self.reading, &mut self.dice);
            self.reads_at = now + self.time(READS);
            self.set(self.kind.gauge.name, Gauge::shown(self.reading));
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        self.is.insert(name.to_owned(), value.clone());
        self.unsaid.insert(name.to_owned(), value);
    }

    /// Reports what is unsaid, unless a report is under way; then it waits, and newer values take its place.
    fn report(&mut self) -> Option<Duty> {
        if self.under_way.is_some() || self.unsaid.is_empty() {
            return None;
        }
        let document = report(mem::take(&mut self.unsaid).into());
        self.under_way = Some(document.clone());
        Some(Duty::Report {
            document,
            again: false,
        })
    }

    fn time(&mut self, (shortest, longest): (Duration, Duration)) -> Duration {
        self.dice.time(shortest, longest)
    }
}

fn report(reported: Value) -> String {
    json!({ "state": { "reported": reported } }).to_string()
}

#[cfg(test)]
mod tests;
