//! Laws of merging, and what it does to metadata.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use twin_model::*;

use crate::support::{Desk, content, document, documents, law, leaves, patch, patches};

/// RFC 7396 section 2, word for word: the oracle.
fn merge_patch(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut target = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let old = target.remove(name).unwrap_or(Value::Null);
            target.insert(name.clone(), merge_patch(old, value));
        }
    }
    Value::Object(target)
}

#[test]
fn merging_is_json_merge_patch() {
    law((documents(), patches()), |(document, patch)| {
        let expected = merge_patch(document.to_value(), &Value::Object(patch.as_map().clone()));
        prop_assert_eq!(patch.applied_to(&document).to_value(), expected);
        Ok(())
    });
}

/// The examples of RFC 7396 appendix A whose target and patch are objects without null in the target.
#[test]
fn the_examples_of_the_rfc_come_out() {
    for (before, change, after) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        ),
    ] {
        assert_eq!(
            patch(change.clone()).applied_to(&document(before)).to_value(),
            after,
            "{change}"
        );
    }
}

#[test]
fn merging_twice_is_merging_once() {
    law((documents(), patches()), |(document, patch)| {
        let once = patch.applied_to(&document);
        prop_assert_eq!(patch.applied_to(&once), once);
        Ok(())
    });
}

#[test]
fn what_a_patch_says_it_changed_is_what_differs() {
    law((documents(), patches()), |(before, patch)| {
        let mut after = before.clone();
        let changed = patch.apply(&mut after);
        prop_assert_eq!(changed.is_empty(), before == after);
        for path in &changed {
            prop_assert_ne!(path.find(before.as_map()), path.find(after.as_map()));
        }
        let covered = |leaf: &Path| changed.iter().any(|path| path.covers(leaf) || leaf.covers(path));
        for leaf in leaves(before.as_map()).iter().chain(&leaves(after.as_map())) {
            let differs = leaf.find(before.as_map()) != leaf.find(after.as_map());
            prop_assert!(!differs || covered(leaf), "{} differs unannounced", leaf);
        }
        Ok(())
    });
}

#[test]
fn an_empty_object_is_stored_where_there_is_none_and_clears_nothing() {
    let mut door = Desk::with("door");
    door.set_desired(json!({"lock": {}, "log": {"level": 3}}));
    door.set_desired(json!({"log": {}}));
    assert_eq!(
        content(door.twin.desired()),
        json!({"lock": {}, "log": {"level": 3}})
    );
    door.set_desired(json!({"log": 1}));
    door.set_desired(json!({"log": {}}));
    assert_eq!(content(door.twin.desired()), json!({"lock": {}, "log": {}}));
}

#[test]
fn every_leaf_has_metadata_and_nothing_else_has() {
    law(
        (documents(), prop::collection::vec(patches(), 0..4)),
        |(first, patches)| {
            let mut desk = Desk::with("any");
            desk.carry_out(Command::ReplaceDesired(first));
            for patch in patches {
                desk.carry_out(Command::SetDesired(patch));
            }
            let section = desk.twin.desired().unwrap();
            let map = section.document.as_map();
            for leaf in leaves(map) {
                prop_assert!(section.metadata.at(&leaf).is_some(), "{} has no metadata", leaf);
            }
            // As many entries in the record's tree as there are leaves: none is left behind.
            let record = serde_json::to_value(&section.metadata).unwrap();
            prop_assert_eq!(
                leaves(record["tree"].as_object().unwrap()).len(),
                leaves(map).len()
            );
            Ok(())
        },
    );
}

#[test]
fn a_patch_stamps_what_it_names_and_nothing_else() {
    law((documents(), patches()), |(first, change)| {
        let mut desk = Desk::with("any");
        desk.carry_out(Command::ReplaceDesired(first));
        let before = desk.twin.clone();
        desk.pass_millis(1);
        desk.carry_out(Command::SetDesired(change.clone()));
        let stamp = desk.twin.stamp().unwrap();
        let named: BTreeSet<Path> = leaves(change.as_map()).into_iter().collect();
        let section = desk.twin.desired().unwrap();
        for leaf in leaves(section.document.as_map()) {
            let meta = section.metadata.at(&leaf).unwrap();
            if named.contains(&leaf) {
                prop_assert_eq!(meta.stamp, stamp, "{} was named", leaf);
            } else if !named.iter().any(|path| leaf.covers(path)) {
                let old = before.desired().unwrap().metadata.at(&leaf);
                prop_assert_eq!(Some(meta), old, "{} was not named", leaf);
            }
        }
        Ok(())
    });
}

#[test]
fn only_the_named_leaf_shows_the_new_writer() {
    let mut pump = Desk::with("pump");
    pump.set_desired(json!({"rpm": 100, "mode": "auto"}));
    pump.pass_millis(5);
    pump.writer = "night-shift";
    pump.set_desired(json!({"rpm": 200}));
    let metadata = &pump.twin.desired().unwrap().metadata;
    assert_eq!(
        metadata.at(&Path::parse("rpm")).unwrap().writer.as_str(),
        "night-shift"
    );
    assert_eq!(
        metadata.at(&Path::parse("mode")).unwrap().writer.as_str(),
        "workshop"
    );
}
