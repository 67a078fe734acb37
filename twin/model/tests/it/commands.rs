//! What commands do to a twin as a whole: all or nothing, records, quiet writes, sync status.

use proptest::prelude::*;
use serde_json::json;
use twin_model::*;

use crate::support::{Desk, commands, content, document, law, patch, patches};

#[test]
fn a_refused_command_leaves_twin_and_stamps_as_they_were() {
    law(prop::collection::vec((commands(), 0_u64..4), 1..12), |history| {
        let mut desk = Desk::with("any");
        desk.limits.section_bytes_max = 40; // small, so that many commands are too large
        for (command, version) in history {
            desk.condition = if version == 0 {
                Condition::None
            } else {
                Condition::IfVersion(Version::new(version))
            };
            let (twin, stamps) = (desk.twin.clone(), desk.stamps.clone());
            if desk.attempt(command).is_err() {
                prop_assert_eq!(&desk.twin, &twin);
                prop_assert_eq!(&desk.stamps, &stamps);
            }
            for section in [desk.twin.desired(), desk.twin.reported(), desk.twin.tags()]
                .into_iter()
                .flatten()
            {
                prop_assert!(section.document.bytes() <= 40);
            }
        }
        Ok(())
    });
}

#[test]
fn half_an_update_is_never_applied() {
    let mut desk = Desk::with("crane");
    desk.limits.section_bytes_max = 20;
    desk.report(json!({"load": 1}));
    let update = Update {
        desired: SectionChange::Merge(patch(json!({"load": 2}))),
        reported: SectionChange::Merge(patch(json!({"note": "far too long for this section"}))),
    };
    let refused = desk.attempt(Command::Update(update)).unwrap_err();
    assert!(
        matches!(
            refused,
            Refused::TooLarge {
                what: "reported",
                bytes: 49,
                bytes_max: 20,
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(desk.twin.state(), json!({"reported": {"load": 1}}));
    assert_eq!(desk.twin.version(), Version::new(1));
}

#[test]
fn a_twin_taken_apart_and_written_down_is_the_same_twin() {
    law(prop::collection::vec(commands(), 1..8), |history| {
        let mut desk = Desk::with("any");
        for command in history {
            let _refused = desk.attempt(command);
            desk.pass_millis(1);
        }
        let record = serde_json::to_vec(desk.twin.parts()).unwrap();
        let parts: TwinParts = serde_json::from_slice(&record).unwrap();
        prop_assert_eq!(Twin::from_parts(desk.twin.id().clone(), parts), desk.twin);
        Ok(())
    });
}

#[test]
fn a_record_made_under_wider_limits_is_still_readable() {
    let mut desk = Desk::with("tank");
    desk.set_desired(json!({"note": "x".repeat(1000)}));
    let record = serde_json::to_vec(desk.twin.parts()).unwrap();
    let parts: TwinParts = serde_json::from_slice(&record).unwrap();
    desk.twin = Twin::from_parts(desk.twin.id().clone(), parts);
    desk.limits.section_bytes_max = 600;
    assert!(
        desk.attempt(Command::SetDesired(patch(json!({"more": 1}))))
            .is_err()
    );
    desk.set_desired(json!({"note": "x".repeat(900)})); // it may still shrink
    desk.set_desired(json!({"note": null}));
    assert_eq!(content(desk.twin.desired()), json!({}));
}

#[test]
fn a_record_whose_metadata_points_nowhere_is_refused() {
    let mut desk = Desk::with("tank");
    desk.set_desired(json!({"level": 3}));
    let good = serde_json::to_string(desk.twin.parts()).unwrap();
    for damaged in [
        good.replace("\"level\":0", "\"level\":7"),
        good.replace("\"level\":0", "\"level\":\"x\""),
    ] {
        assert_ne!(damaged, good);
        assert!(serde_json::from_str::<TwinParts>(&damaged).is_err(), "{damaged}");
    }
}

#[test]
fn a_quiet_write_that_changes_nothing_leaves_no_trace() {
    law(
        (prop::collection::vec(commands(), 0..4), patches()),
        |(history, patch)| {
            let mut desk = Desk::with("any");
            for command in history {
                let _refused = desk.attempt(command);
            }
            desk.carry_out(Command::SetDesired(patch.clone()));
            let before = desk.twin.clone();
            desk.pass_millis(1000);
            desk.no_change = NoChange::KeepVersion;
            let applied = desk.carry_out(Command::SetDesired(patch));
            prop_assert!(!applied.changed && applied.events.is_empty());
            prop_assert_eq!(&desk.twin, &before);
            prop_assert_eq!(desk.twin.entity_tag(), before.entity_tag());
            Ok(())
        },
    );
}

#[test]
fn a_loud_write_that_changes_nothing_moves_the_version_and_the_times() {
    let mut desk = Desk::with("valve");
    desk.report(json!({"open": true}));
    desk.pass_millis(5000);
    let applied = desk.report(json!({"open": true}));
    assert_eq!(applied.events, [Event::Reported { changed: vec![] }]);
    assert_eq!(desk.twin.version(), Version::new(2));
    let shown = desk.twin.metadata(Form::Seconds);
    assert_eq!(shown, json!({"reported": {"open": {"timestamp": 1_790_000_005}}}));
}

#[test]
fn another_spelling_of_a_number_is_a_change_but_no_delta() {
    let mut desk = Desk::with("valve");
    desk.report(json!({"turns": 1}));
    desk.no_change = NoChange::KeepVersion;
    let applied = desk.set_desired(json!({"turns": crate::support::number("1.0")}));
    assert!(applied.changed);
    assert!(desk.twin.delta().is_empty());
    let applied = desk.set_desired(json!({"turns": 1}));
    assert_eq!(
        applied.events,
        [Event::DesiredChanged {
            changed: vec![Path::parse("turns")]
        }]
    );
}

#[test]
fn replacing_desired_drops_what_the_document_does_not_hold() {
    let mut desk = Desk::with("oven");
    desk.set_desired(json!({"celsius": 200, "fan": true}));
    desk.pass_millis(1);
    desk.carry_out(Command::ReplaceDesired(document(json!({"celsius": 180}))));
    assert_eq!(content(desk.twin.desired()), json!({"celsius": 180}));
    let metadata = &desk.twin.desired().unwrap().metadata;
    assert!(metadata.at(&Path::parse("fan")).is_none());
    assert_eq!(
        metadata.at(&Path::parse("celsius")).unwrap().accepted_at,
        desk.now
    );
}

#[test]
fn tags_do_not_move_the_version_and_are_not_part_of_the_state() {
    let mut desk = Desk::with("oven");
    desk.report(json!({"celsius": 20}));
    let applied = desk.carry_out(Command::SetTags(patch(json!({"site": "north"}))));
    assert_eq!(
        applied.events,
        [Event::TagsChanged {
            changed: vec![Path::parse("site")]
        }]
    );
    assert_eq!(
        (desk.twin.version(), desk.twin.tags_version()),
        (Version::new(1), Version::new(1))
    );
    assert_eq!(desk.twin.state(), json!({"reported": {"celsius": 20}}));
    assert_eq!(desk.twin.entity_tag().to_string(), "1.1");
}

#[test]
fn a_device_can_be_tagged_before_it_ever_speaks() {
    let mut desk = Desk::with("oven");
    let applied = desk.carry_out(Command::SetTags(patch(json!({"site": "north"}))));
    assert_eq!(applied.events.first(), Some(&Event::Created));
    assert!(desk.twin.exists());
    assert_eq!(desk.twin.version(), Version::new(1));
    assert_eq!(desk.twin.sync().since, desk.now);
}

#[test]
fn removing_takes_tags_and_refusals_with_it() {
    let mut desk = Desk::with("oven");
    desk.set_desired(json!({"celsius": 900}));
    desk.report(json!({"$rejected": {"celsius": "too hot"}}));
    desk.carry_out(Command::SetTags(patch(json!({"site": "north"}))));
    desk.carry_out(Command::Remove);
    assert_eq!(desk.twin.life(), Life::Removed);
    assert!(desk.twin.tags().is_none() && desk.twin.rejections().next().is_none());
    assert_eq!(desk.twin.sync().status, SyncStatus::InSync);
    let tag_when_removed = desk.twin.entity_tag();
    desk.set_desired(json!({"celsius": 900}));
    assert_eq!(desk.twin.sync().status, SyncStatus::Pending);
    assert_ne!(desk.twin.entity_tag(), tag_when_removed);
}

#[test]
fn sync_status_follows_reach_and_since_moves_only_with_it() {
    let mut desk = Desk::with("gate");
    desk.reach = Reach::Offline;
    let applied = desk.set_desired(json!({"open": true}));
    let change = Event::SyncChanged {
        from: SyncStatus::InSync,
        to: SyncStatus::Offline,
    };
    assert_eq!(applied.events.last(), Some(&change));
    let waiting_since = desk.now;
    desk.pass_millis(10);
    desk.set_desired(json!({"speed": 2}));
    assert_eq!(
        desk.twin.sync(),
        SyncState {
            status: SyncStatus::Offline,
            since: waiting_since
        }
    );
    let version = desk.twin.version();
    desk.pass_millis(10);
    let change = Event::SyncChanged {
        from: SyncStatus::Offline,
        to: SyncStatus::Pending,
    };
    assert_eq!(desk.twin.settle(desk.now, Reach::Online), Some(change));
    assert_eq!(desk.twin.settle(desk.now, Reach::Online), None);
    let change = Event::SyncChanged {
        from: SyncStatus::Pending,
        to: SyncStatus::Stalled,
    };
    assert_eq!(desk.twin.settle(desk.now, Reach::Exhausted), Some(change));
    assert_eq!(desk.twin.version(), version);
    desk.reach = Reach::Online;
    desk.report(json!({"open": true, "speed": 2}));
    assert_eq!(desk.twin.sync().status, SyncStatus::InSync);
}

#[test]
fn coming_into_being_is_a_change_even_for_a_quiet_writer_with_nothing_to_say() {
    let mut desk = Desk::with("bell");
    desk.no_change = NoChange::KeepVersion;
    let applied = desk.set_desired(json!({}));
    assert!(applied.changed);
    assert_eq!(applied.events, [Event::Created]);
    assert_eq!(desk.twin.version(), Version::new(1));
    assert_eq!(content(desk.twin.desired()), serde_json::Value::Null);
}

#[test]
fn a_twin_is_in_sync_since_it_came_into_being() {
    let mut desk = Desk::with("bell");
    desk.report(json!({"rings": 0}));
    let state = SyncState {
        status: SyncStatus::InSync,
        since: desk.now,
    };
    assert_eq!(desk.twin.sync(), state);
    desk.carry_out(Command::Remove);
    desk.pass_millis(60_000);
    desk.report(json!({"rings": 0}));
    assert_eq!(desk.twin.sync().since, desk.now);
}
