//! A desk with one twin on it, and the random documents that laws are tried on.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner};
use serde_json::{Map, Number, Value};
use twin_model::*;

/// One twin, its clock and its limits, with the patience of a story.
pub(crate) struct Desk {
    pub(crate) twin: Twin,
    pub(crate) stamps: StampClock,
    pub(crate) limits: Limits,
    pub(crate) now: Timestamp,
    pub(crate) reach: Reach,
    pub(crate) condition: Condition,
    pub(crate) no_change: NoChange,
    pub(crate) writer: &'static str,
}

impl Desk {
    pub(crate) fn with(device: &str) -> Self {
        Self {
            twin: Twin::never(TwinId::default_of(DeviceName::try_from(device).unwrap())),
            stamps: StampClock::new(NodeId(1), None),
            limits: Limits::default(),
            now: Timestamp::from_millis(1_790_000_000_000),
            reach: Reach::Online,
            condition: Condition::None,
            no_change: NoChange::BumpVersion,
            writer: "workshop",
        }
    }

    pub(crate) fn attempt(&mut self, command: Command) -> Result<Applied, Refused> {
        let write = Write {
            now: self.now,
            writer: Writer::new(self.writer),
            reach: self.reach,
            condition: self.condition.clone(),
            no_change: self.no_change,
            command,
        };
        let applied = self.twin.apply(&write, &mut self.stamps, &self.limits)?;
        self.twin = applied.twin.clone();
        Ok(applied)
    }

    pub(crate) fn carry_out(&mut self, command: Command) -> Applied {
        self.attempt(command).unwrap()
    }

    pub(crate) fn set_desired(&mut self, change: Value) -> Applied {
        self.carry_out(Command::SetDesired(patch(change)))
    }

    pub(crate) fn report(&mut self, change: Value) -> Applied {
        self.carry_out(Command::Report(patch(change)))
    }

    pub(crate) fn pass_millis(&mut self, millis: u64) {
        self.now = Timestamp::from_millis(self.now.millis() + millis);
    }
}

pub(crate) fn patch(value: Value) -> Patch {
    Patch::from_value(value, &Limits::default()).unwrap()
}

pub(crate) fn document(value: Value) -> Document {
    Document::from_value(value, &Limits::default()).unwrap()
}

pub(crate) fn number(literal: &str) -> Value {
    Value::Number(literal.parse::<Number>().unwrap())
}

pub(crate) fn content(section: Option<&Section>) -> Value {
    section.map_or(Value::Null, |section| section.document.to_value())
}

/// The paths of the leaves of a document: what is not an object, and objects with nothing in them.
pub(crate) fn leaves(map: &Map<String, Value>) -> Vec<Path> {
    fn walk(at: &Path, map: &Map<String, Value>, found: &mut Vec<Path>) {
        for (key, value) in map {
            match value {
                Value::Object(inner) if !inner.is_empty() => walk(&at.child(key), inner, found),
                _ => found.push(at.child(key)),
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::root(), map, &mut found);
    found
}

/// Tries a law on many random inputs. The seed is fixed, so that a failure repeats; `SEED=7` tries others, and a
/// failure prints the seed and the smallest input that breaks the law.
pub(crate) fn law<S: Strategy>(inputs: S, holds: impl Fn(S::Value) -> TestCaseResult) {
    let seed = seed();
    let config = Config {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    if let Err(failure) = TestRunner::new(config).run(&inputs, holds) {
        panic!("SEED={seed} breaks the law: {failure}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the seed of a test run is chosen by whoever runs it"
)]
pub(crate) fn seed() -> u64 {
    std::env::var("SEED").map_or(1, |text| text.parse().expect("SEED is a number"))
}

/// Few keys, so that documents and patches meet in the same places.
fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d/e", ""]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            "0",
            "-0",
            "1",
            "1.0",
            "10e-1",
            "-2.50",
            "1e300",
            "9007199254740993"
        ])
        .prop_map(number),
        prop::sample::select(vec!["", "on", "off", "\u{1F527}"]).prop_map(Value::from),
    ]
}

/// A value without `null`.
fn plain_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

/// A value as a patch holds it: `null` in objects at any level, never in arrays.
fn patch_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![3 => plain_value(), 1 => Just(Value::Null)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::vec((key(), inner), 0..4).prop_map(|entries| entries.into_iter().collect())
    })
}

pub(crate) fn documents() -> impl Strategy<Value = Document> {
    prop::collection::vec((key(), plain_value()), 0..5)
        .prop_map(|entries| document(entries.into_iter().collect()))
}

pub(crate) fn patches() -> impl Strategy<Value = Patch> {
    prop::collection::vec((key(), patch_value()), 0..5)
        .prop_map(|entries| patch(entries.into_iter().collect()))
}

/// Any command a caller may give.
pub(crate) fn commands() -> impl Strategy<Value = Command> {
    let changes = || {
        prop_oneof![
            2 => Just(SectionChange::Keep),
            4 => patches().prop_map(SectionChange::Merge),
            1 => documents().prop_map(SectionChange::Replace),
            1 => Just(SectionChange::Clear),
        ]
    };
    prop_oneof![
        4 => patches().prop_map(Command::SetDesired),
        4 => patches().prop_map(Command::Report),
        2 => (changes(), changes()).prop_map(|(desired, reported)| Command::Update(Update { desired, reported })),
        1 => documents().prop_map(Command::ReplaceDesired),
        2 => patches().prop_map(Command::SetTags),
        1 => Just(Command::Remove),
    ]
}
