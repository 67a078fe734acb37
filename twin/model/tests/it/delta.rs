//! Laws of the delta, and of comparing numbers.

use proptest::prelude::*;
use serde_json::{Value, json};
use twin_model::*;

use crate::support::{Desk, document, documents, law, leaves, number, patch, patches};

fn between(desired: &Document, reported: &Document) -> Delta {
    Delta::between(Some(desired), Some(reported))
}

fn as_patch(delta: &Delta) -> Patch {
    patch(delta.to_value())
}

#[test]
fn nothing_differs_from_itself() {
    law(documents(), |document| {
        prop_assert!(between(&document, &document).is_empty());
        Ok(())
    });
}

#[test]
fn a_device_that_reports_its_delta_has_converged() {
    law((documents(), documents()), |(desired, reported)| {
        let delta = between(&desired, &reported);
        let after = as_patch(&delta).applied_to(&reported);
        prop_assert_eq!(between(&desired, &after), Delta::default());
        Ok(())
    });
}

#[test]
fn a_patched_wish_converges_when_its_delta_is_reported() {
    law((patches(), patches(), patches()), |(first, report, second)| {
        let mut desk = Desk::with("any");
        desk.carry_out(Command::SetDesired(first));
        desk.carry_out(Command::Report(report));
        desk.carry_out(Command::SetDesired(second));
        let delta = desk.twin.delta();
        desk.carry_out(Command::Report(as_patch(&delta)));
        prop_assert!(
            desk.twin.delta().is_empty(),
            "left over: {}",
            desk.twin.delta().to_value()
        );
        prop_assert_eq!(desk.twin.sync().status, SyncStatus::InSync);
        Ok(())
    });
}

#[test]
fn a_delta_holds_leaves_of_desired_and_nothing_that_only_reported_has() {
    law((documents(), documents()), |(desired, reported)| {
        let delta = between(&desired, &reported);
        let wished = leaves(desired.as_map());
        for leaf in delta.leaves() {
            prop_assert!(wished.contains(&leaf), "{} is no leaf of desired", leaf);
            prop_assert_eq!(leaf.find(delta.as_map()), leaf.find(desired.as_map()));
            prop_assert_ne!(leaf.find(reported.as_map()), leaf.find(desired.as_map()));
        }
        Ok(())
    });
}

#[test]
fn the_delta_holds_everything_that_differs_and_not_only_the_last_wish() {
    let mut lift = Desk::with("lift");
    lift.set_desired(json!({"floor": 3}));
    let applied = lift.set_desired(json!({"door": {"open": true, "light": "on"}}));
    let delta = json!({"floor": 3, "door": {"open": true, "light": "on"}});
    assert!(matches!(&applied.events[1], Event::DeltaPending { delta: found } if found.to_value() == delta));
    let applied = lift.report(json!({"door": {"open": true}}));
    let rest = json!({"floor": 3, "door": {"light": "on"}});
    assert!(matches!(&applied.events[1], Event::DeltaPending { delta: found } if found.to_value() == rest));
}

#[test]
fn an_array_is_one_leaf_and_its_numbers_are_compared_by_value() {
    let desired = document(json!({"steps": [1, number("2.0"), {"at": number("30e-1")}]}));
    assert!(between(&desired, &document(json!({"steps": [1, 2, {"at": 3}]}))).is_empty());
    let other = between(&desired, &document(json!({"steps": [1, 2, {"at": 4}]})));
    assert_eq!(other.as_map(), desired.as_map());
    assert!(!between(&desired, &document(json!({"steps": [1, 2]}))).is_empty());
}

#[test]
fn an_empty_object_is_asked_for_until_there_is_an_object() {
    let desired = document(json!({"slot": {}}));
    for (reported, satisfied) in [
        (json!({}), false),
        (json!({"slot": 1}), false),
        (json!({"slot": {}}), true),
        (json!({"slot": {"x": 1}}), true),
    ] {
        assert_eq!(
            between(&desired, &document(reported.clone())).is_empty(),
            satisfied,
            "{reported}"
        );
    }
}

#[test]
fn withdrawing_a_wish_asks_nothing_of_the_device() {
    let mut heater = Desk::with("heater");
    heater.set_desired(json!({"zone": {"celsius": 21}}));
    heater.report(json!({"zone": {"celsius": 21}}));
    heater.set_desired(json!({"zone": {"celsius": null}}));
    assert!(heater.twin.delta().is_empty());
    assert_eq!(heater.twin.sync().status, SyncStatus::InSync);
}

/// A number and one of its many spellings.
#[derive(Debug, Clone)]
struct Spelled {
    /// The value, scaled by ten to the eighth: exact for what the strategy makes.
    scaled: i128,
    literal: String,
}

fn spelled() -> impl Strategy<Value = Spelled> {
    (
        -999_i128..1000,
        0_u32..4,
        0_u32..5,
        0_u32..5,
        prop::sample::select(vec!['e', 'E']),
    )
        .prop_map(|(digits, places, zeros, shift, letter)| {
            // digits / 10^places, with zeros appended behind the point, then shifted and shifted back.
            let (sign, whole) = (if digits < 0 { "-" } else { "" }, digits.abs());
            let divisor = 10_i128.pow(places);
            let fraction = format!(
                "{:0width$}",
                whole % divisor,
                width = usize::try_from(places).unwrap()
            );
            let mut mantissa = format!("{sign}{}", whole / divisor);
            if places > 0 || zeros > 0 {
                let tail = if places > 0 { fraction } else { String::new() };
                let zeros = "0".repeat(usize::try_from(zeros).unwrap());
                let behind = format!("{tail}{zeros}");
                mantissa = format!("{mantissa}.{behind}");
            }
            let exponent = i64::from(shift) - 2;
            let scaled = digits * 10_i128.pow(8 - places);
            let scaled = if exponent >= 0 {
                scaled * 10_i128.pow(shift - 2)
            } else {
                scaled / 10_i128.pow(2 - shift)
            };
            Spelled {
                scaled,
                literal: format!("{mantissa}{letter}{exponent}"),
            }
        })
}

#[test]
fn numbers_are_the_same_exactly_when_their_values_are() {
    law((spelled(), spelled()), |(left, right)| {
        let holder = |spelled: &Spelled| document(json!({"n": number(&spelled.literal)}));
        let same = between(&holder(&left), &holder(&right)).is_empty();
        prop_assert_eq!(same, left.scaled == right.scaled);
        prop_assert_eq!(same, between(&holder(&right), &holder(&left)).is_empty());
        Ok(())
    });
}

#[test]
fn every_spelling_of_one_value_is_the_same_as_every_other() {
    let spellings = ["5", "5.0", "50e-1", "0.5e1", "0.05E+2", "5e0", "500.00e-2"];
    for left in spellings {
        for right in spellings {
            let (left, right) = (
                document(json!({"n": number(left)})),
                document(json!({"n": number(right)})),
            );
            assert!(between(&left, &right).is_empty());
        }
    }
    let near: Value = number("5.0000000000000000000000000001");
    assert!(!between(&document(json!({"n": near})), &document(json!({"n": 5}))).is_empty());
}
