//! Kinds of devices: what they measure, what can be set on them, and what they refuse.

use serde_json::{Value, json};

use super::dice::Dice;

/// A kind of device.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(super) gauge: Gauge,
    pub(super) dials: &'static [Dial],
}

/// What is measured. Values are tenths.
#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) name: &'static str,
    low: i32,
    high: i32,
    /// How far it moves at most from one reading to the next.
    step: i32,
}

/// What can be set.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) name: &'static str,
    range: Range,
}

#[derive(Debug)]
enum Range {
    /// Numbers from `low` to `high`; apps ask for up to `asked`, which is more than the device does, and `why` is why.
    Number {
        low: i32,
        high: i32,
        asked: i32,
        why: &'static str,
    },
    /// One of some words.
    Words(&'static [&'static str]),
    /// On or off.
    Switch,
}

const fn gauge(name: &'static str, low: i32, high: i32, step: i32) -> Gauge {
    Gauge {
        name,
        low,
        high,
        step,
    }
}

const fn dial(name: &'static str, range: Range) -> Dial {
    Dial { name, range }
}

/// All there are.
pub(super) static KINDS: [Kind; 4] = [
    Kind {
        name: "thermostat",
        gauge: gauge("temperature", 160, 260, 3),
        dials: &[
            dial(
                "target",
                Range::Number {
                    low: 5,
                    high: 28,
                    asked: 32,
                    why: "the house would get too hot",
                },
            ),
            dial("mode", Range::Words(&["off", "eco", "comfort"])),
        ],
    },
    Kind {
        name: "pump",
        gauge: gauge("pressure", 10, 40, 2),
        dials: &[
            dial(
                "rpm",
                Range::Number {
                    low: 0,
                    high: 1500,
                    asked: 1800,
                    why: "the bearings would not last",
                },
            ),
            dial("running", Range::Switch),
        ],
    },
    Kind {
        name: "lamp",
        gauge: gauge("watts", 0, 90, 8),
        dials: &[
            dial(
                "level",
                Range::Number {
                    low: 0,
                    high: 100,
                    asked: 110,
                    why: "brighter than bright",
                },
            ),
            dial("color", Range::Words(&["warm", "neutral", "cold"])),
            dial("power", Range::Switch),
        ],
    },
    Kind {
        name: "lock",
        gauge: gauge("battery", 250, 1000, 1),
        dials: &[
            dial("locked", Range::Switch),
            dial(
                "autolock_secs",
                Range::Number {
                    low: 0,
                    high: 300,
                    asked: 360,
                    why: "the door would stand open",
                },
            ),
        ],
    },
];

impl Kind {
    /// Whether a device of this kind does this, or why not.
    pub(super) fn judge(&self, dial: &str, value: &Value) -> Result<(), String> {
        match self.dials.iter().find(|known| known.name == dial) {
            None => Err(format!("a {} has no such setting", self.name)),
            Some(dial) => dial.range.judge(value),
        }
    }
}

impl Gauge {
    /// Some reading to begin with.
    pub(super) fn begin(&self, dice: &mut Dice) -> i32 {
        dice.between(self.low, self.high)
    }

    /// The reading after this one: a little more or less.
    pub(super) fn wander(&self, from: i32, dice: &mut Dice) -> i32 {
        (from + dice.between(-self.step, self.step)).clamp(self.low, self.high)
    }

    /// A reading as it is reported.
    pub(super) fn shown(tenths: i32) -> Value {
        json!(f64::from(tenths) / 10.0)
    }
}

impl Dial {
    /// What it stands at before anybody touched it.
    pub(super) fn initial(&self) -> Value {
        match self.range {
            Range::Number { low, .. } => json!(low),
            Range::Words(words) => json!(words.first()),
            Range::Switch => json!(false),
        }
    }

    /// What an app might ask for.
    pub(super) fn wish(&self, dice: &mut Dice) -> Value {
        match self.range {
            Range::Number { low, asked, .. } => json!(dice.between(low, asked)),
            Range::Words(words) => json!(dice.pick(words)),
            Range::Switch => json!(dice.below(2) == 1),
        }
    }
}

impl Range {
    fn judge(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Number { low, high, why, .. }, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                if number > f64::from(*high) {
                    Err(format!("at most {high}: {why}"))
                } else if number >= f64::from(*low) {
                    Ok(())
                } else {
                    Err(format!("at least {low}"))
                }
            }
            (Self::Words(words), Value::String(word)) if words.contains(&word.as_str()) => Ok(()),
            (Self::Switch, Value::Bool(_)) => Ok(()),
            (Self::Number { .. }, _) => Err("it takes a number".into()),
            (Self::Words(words), _) => Err(format!("it takes one of {}", words.join(", "))),
            (Self::Switch, _) => Err("it takes true or false".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_refuses_some_of_what_apps_ask_for_and_takes_most() {
        let mut dice = Dice::new(1);
        for kind in &KINDS {
            let asked = kind.dials.iter().flat_map(|dial| {
                let wishes: Vec<Value> = (0..500).map(|_| dial.wish(&mut dice)).collect();
                wishes.into_iter().map(|wish| kind.judge(dial.name, &wish))
            });
            let refused = asked.filter(Result::is_err).count();
            assert!((1..250).contains(&refused), "{}: {refused} refused", kind.name);
        }
    }

    #[test]
    fn what_a_device_begins_with_is_what_it_takes() {
        for kind in &KINDS {
            for dial in kind.dials {
                assert_eq!(
                    kind.judge(dial.name, &dial.initial()),
                    Ok(()),
                    "{} {}",
                    kind.name,
                    dial.name
                );
            }
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let [thermostat, pump, ..] = &KINDS;
        let why = |kind: &Kind, dial, value| kind.judge(dial, &value).expect_err("refused");
        assert_eq!(
            why(thermostat, "target", json!(29)),
            "at most 28: the house would get too hot"
        );
        assert_eq!(why(thermostat, "target", json!("hot")), "it takes a number");
        assert_eq!(
            why(thermostat, "mode", json!("party")),
            "it takes one of off, eco, comfort"
        );
        assert_eq!(why(pump, "running", json!(1)), "it takes true or false");
        assert_eq!(why(pump, "wings", json!(2)), "a pump has no such setting");
    }

    #[test]
    fn a_gauge_stays_within_its_bounds() {
        let mut dice = Dice::new(2);
        for Kind { gauge, .. } in &KINDS {
            let mut reading = gauge.begin(&mut dice);
            for _ in 0..1000 {
                reading = gauge.wander(reading, &mut dice);
                assert!(
                    (gauge.low..=gauge.high).contains(&reading),
                    "{}: {reading}",
                    gauge.name
                );
            }
        }
    }
}
