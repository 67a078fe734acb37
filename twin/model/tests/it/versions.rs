//! Versions only grow, and conditions hold a write to what its author has read.

use proptest::prelude::*;
use serde_json::json;
use twin_model::*;

use crate::support::{Desk, commands, law, patch};

#[test]
fn every_accepted_command_moves_exactly_its_version_by_one() {
    law(prop::collection::vec(commands(), 1..24), |history| {
        let mut desk = Desk::with("any");
        for command in history {
            let before = desk.twin.clone();
            let is_tags = matches!(command, Command::SetTags(_));
            if desk.attempt(command).is_err() {
                continue;
            }
            let moved = desk.twin.version().number() - before.version().number();
            let moved_tags = desk.twin.tags_version().number() - before.tags_version().number();
            if is_tags {
                prop_assert_eq!((moved, moved_tags), (u64::from(!before.exists()), 1));
            } else {
                prop_assert_eq!(moved, 1);
                prop_assert!(moved_tags == 0 || !desk.twin.exists());
            }
        }
        Ok(())
    });
}

#[test]
fn a_version_never_comes_back_however_often_the_twin_is_removed() {
    let mut desk = Desk::with("phoenix");
    let mut last = Version::ZERO;
    for _ in 0..5 {
        for command in [Command::SetDesired(patch(json!({"n": 1}))), Command::Remove] {
            desk.carry_out(command);
            assert_eq!(desk.twin.version(), last.next());
            last = desk.twin.version();
        }
    }
}

fn attempt_with(desk: &mut Desk, condition: Condition) -> Result<Applied, Refused> {
    desk.condition = condition;
    desk.attempt(Command::SetDesired(patch(json!({"n": 1}))))
}

#[test]
fn a_write_for_another_version_is_refused_with_both() {
    let mut desk = Desk::with("lock");
    attempt_with(&mut desk, Condition::None).unwrap();
    attempt_with(&mut desk, Condition::IfVersion(Version::new(1))).unwrap();
    let refused = attempt_with(&mut desk, Condition::IfVersion(Version::new(1))).unwrap_err();
    assert_eq!(
        refused,
        Refused::VersionConflict {
            expected: Version::new(1),
            found: Version::new(2)
        }
    );
    attempt_with(&mut desk, Condition::IfVersion(Version::new(2))).unwrap();
}

#[test]
fn a_twin_that_does_not_exist_can_be_made_by_its_version_or_the_next_only() {
    for (version, allowed) in [(0, true), (1, true), (2, false)] {
        let mut desk = Desk::with("lock");
        let outcome = attempt_with(&mut desk, Condition::IfVersion(Version::new(version)));
        assert_eq!(outcome.is_ok(), allowed, "version {version}");
        if let Err(refused) = outcome {
            assert_eq!(
                (refused.code(), refused.shadow_message().as_str()),
                (400, "Invalid version")
            );
        }
    }
}

#[test]
fn an_entity_tag_covers_tags_as_well() {
    let mut desk = Desk::with("lock");
    desk.set_desired(json!({"shut": true}));
    let read = desk.twin.entity_tag();
    desk.carry_out(Command::SetTags(patch(json!({"site": "east"}))));
    let refused = attempt_with(&mut desk, Condition::IfMatch(vec![read])).unwrap_err();
    assert_eq!(
        refused,
        Refused::EntityTagConflict {
            found: desk.twin.entity_tag()
        }
    );
    let current = desk.twin.entity_tag();
    attempt_with(&mut desk, Condition::IfMatch(vec![read, current])).unwrap();
    assert!(attempt_with(&mut desk, Condition::IfMatch(vec![])).is_err());
}

#[test]
fn if_version_of_a_tag_write_means_the_version_of_the_tags() {
    let mut desk = Desk::with("lock");
    desk.set_desired(json!({"shut": true}));
    desk.set_desired(json!({"shut": false}));
    desk.condition = Condition::IfVersion(Version::new(2));
    assert!(
        desk.attempt(Command::SetTags(patch(json!({"site": "east"}))))
            .is_err()
    );
    desk.condition = Condition::IfVersion(Version::ZERO);
    desk.carry_out(Command::SetTags(patch(json!({"site": "east"}))));
}

#[test]
fn existence_can_be_asked_for_or_ruled_out() {
    let mut desk = Desk::with("lock");
    assert!(matches!(
        attempt_with(&mut desk, Condition::IfExists),
        Err(Refused::NotFound { .. })
    ));
    attempt_with(&mut desk, Condition::IfAbsent).unwrap();
    attempt_with(&mut desk, Condition::IfExists).unwrap();
    assert!(matches!(
        attempt_with(&mut desk, Condition::IfAbsent),
        Err(Refused::AlreadyExists { .. })
    ));
}

#[test]
fn a_removal_can_be_conditional_too() {
    let mut desk = Desk::with("lock");
    attempt_with(&mut desk, Condition::None).unwrap();
    desk.condition = Condition::IfVersion(Version::new(7));
    assert!(desk.attempt(Command::Remove).is_err());
    assert!(desk.twin.exists());
}

#[test]
fn an_entity_tag_is_read_only_as_it_is_written() {
    let tag: EntityTag = "42.3".parse().unwrap();
    assert_eq!(
        (tag.version, tag.tags_version),
        (Version::new(42), Version::new(3))
    );
    assert_eq!(tag.to_string(), "42.3");
    for wrong in [
        "",
        "42",
        "42.",
        ".3",
        "042.3",
        "+42.3",
        "42.3.1",
        " 42.3",
        "x.y",
        "18446744073709551616.0",
    ] {
        assert_eq!(wrong.parse::<EntityTag>(), Err(NotAnEntityTag), "{wrong:?}");
    }
}
