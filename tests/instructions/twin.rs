//! Twin: a device with twenty leaves, one of which changes.

use std::hint::black_box;

use serde_json::{Value, json};
use twin_model::{
    Applied, Command, Condition, Delta, DeviceName, Document, Limits, NoChange, NodeId, Patch, Reach,
    StampClock, Timestamp, Twin, TwinId, Write, Writer,
};

/// What a device should be, what it says it is, and a patch of one leaf.
pub(crate) struct Pair {
    limits: Limits,
    desired: Document,
    reported: Document,
    patch: Patch,
    twin: Twin,
    stamps: StampClock,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let limits = Limits::default();
        let document = |on| Document::from_value(leaves(on), &limits).unwrap();
        let id = TwinId::default_of(DeviceName::new("device-42", &limits).unwrap());
        let mut pair = Self {
            desired: document(true),
            reported: document(false),
            patch: Patch::from_value(json!({ "room-9": { "lamp": { "on": true } } }), &limits).unwrap(),
            twin: Twin::never(id),
            stamps: StampClock::new(NodeId(1), None),
            limits,
        };
        pair.twin = pair.write(Command::ReplaceDesired(pair.desired.clone())).twin;
        let all = Patch::from_value(leaves(false), &pair.limits).unwrap();
        pair.twin = pair.write(Command::Report(all)).twin;
        pair
    }

    /// The patch becomes part of what is reported.
    pub(crate) fn merge(&mut self) {
        black_box(self.patch.applied_to(&self.reported));
    }

    /// What differs is found.
    pub(crate) fn delta(&mut self) {
        let delta = Delta::between(Some(&self.desired), Some(&self.reported));
        assert!(!delta.is_empty(), "one leaf differs");
    }

    /// The device reports the leaf that differed: the whole of a change but its storage.
    pub(crate) fn report(&mut self) {
        let applied = self.write(Command::Report(self.patch.clone()));
        assert!(applied.twin.delta().is_empty(), "it is as it should be");
    }

    fn write(&mut self, command: Command) -> Applied {
        let write = Write {
            now: Timestamp::from_millis(1),
            writer: Writer::new("device-42"),
            reach: Reach::Online,
            condition: Condition::None,
            no_change: NoChange::BumpVersion,
            command,
        };
        self.twin.apply(&write, &mut self.stamps, &self.limits).unwrap()
    }
}

/// Ten rooms with two leaves each; the last lamp is on or off.
fn leaves(on: bool) -> Value {
    let room = |at: u32| {
        let lamp = if at == 9 { on } else { true };
        (
            format!("room-{at}"),
            json!({ "lamp": { "on": lamp }, "celsius": 20 + at }),
        )
    };
    Value::Object((0..10).map(room).collect())
}
