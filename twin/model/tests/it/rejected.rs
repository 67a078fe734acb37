//! A device may say no: `$rejected` parks leaves until the wish changes.

use serde_json::json;
use twin_model::*;

use crate::support::{Desk, content, patch};

fn refusing_thermostat() -> Desk {
    let mut desk = Desk::with("thermostat");
    desk.set_desired(json!({"celsius": 90, "fan": {"speed": 3, "mode": "turbo"}, "rooms": [1, 2]}));
    desk
}

fn parked(desk: &Desk) -> Vec<(String, String)> {
    desk.twin
        .rejections()
        .map(|each| (each.path.to_string(), each.reason.clone()))
        .collect()
}

#[test]
fn a_refused_leaf_is_shown_as_differing_but_not_sent_again() {
    let mut desk = refusing_thermostat();
    let applied = desk.report(json!({"rooms": [1, 2], "$rejected": {"/celsius": "at most 35"}}));
    let told = Event::Rejected {
        path: Path::parse("celsius"),
        reason: "at most 35".to_owned(),
    };
    assert!(applied.events.contains(&told));
    assert_eq!(
        desk.twin.delta().to_value(),
        json!({"celsius": 90, "fan": {"speed": 3, "mode": "turbo"}})
    );
    assert_eq!(
        desk.twin.open_delta().to_value(),
        json!({"fan": {"speed": 3, "mode": "turbo"}})
    );
    assert_eq!(desk.twin.sync().status, SyncStatus::Pending);
    assert_eq!(content(desk.twin.reported()), json!({"rooms": [1, 2]}));
}

#[test]
fn a_device_that_refuses_everything_ends_the_matter() {
    let mut desk = refusing_thermostat();
    let applied = desk.report(json!({"$rejected": {"": "I am a toaster"}}));
    assert_eq!(parked(&desk).len(), 4);
    assert_eq!(desk.twin.sync().status, SyncStatus::Rejected);
    assert!(
        !applied
            .events
            .iter()
            .any(|event| matches!(event, Event::DeltaPending { .. }))
    );
    // Saying it again is no news.
    let applied = desk.report(json!({"$rejected": {"": "I am a toaster"}}));
    assert!(
        !applied
            .events
            .iter()
            .any(|event| matches!(event, Event::Rejected { .. }))
    );
    // Neither is going away and coming back.
    assert_eq!(desk.twin.settle(desk.now, Reach::Offline), None);
}

#[test]
fn a_path_may_be_dotted_name_an_object_or_lead_into_an_array() {
    let mut desk = refusing_thermostat();
    desk.report(
        json!({"$rejected": {"fan.speed": "no fan", "fan": "no fan at all", "/rooms/0": "one room"}}),
    );
    let no_fan = "no fan at all".to_owned();
    assert_eq!(
        parked(&desk),
        [
            ("/fan/mode".to_owned(), no_fan.clone()),
            ("/fan/speed".to_owned(), no_fan),
            ("/rooms".to_owned(), "one room".to_owned()),
        ]
    );
}

#[test]
fn a_refusal_ends_when_the_wish_changes_its_value_and_not_when_it_is_repeated() {
    let mut desk = refusing_thermostat();
    desk.report(json!({"$rejected": {"celsius": "at most 35", "fan": "no fan"}}));
    desk.set_desired(json!({"celsius": crate::support::number("90.0")}));
    assert_eq!(parked(&desk).len(), 3);
    let applied = desk.set_desired(json!({"celsius": 30}));
    assert_eq!(parked(&desk).len(), 2);
    let delta = json!({"celsius": 30, "rooms": [1, 2]});
    assert!(
        applied
            .events
            .iter()
            .any(|e| matches!(e, Event::DeltaPending { delta: d } if d.to_value() == delta))
    );
}

#[test]
fn a_refusal_ends_when_the_device_reports_the_value_after_all() {
    let mut desk = refusing_thermostat();
    desk.report(json!({"$rejected": {"celsius": "at most 35"}}));
    desk.report(json!({"celsius": 90}));
    assert!(parked(&desk).is_empty());
}

#[test]
fn a_refusal_can_be_taken_back() {
    let mut desk = refusing_thermostat();
    desk.report(json!({"$rejected": {"celsius": "cold", "fan": "no fan"}}));
    desk.report(json!({"$rejected": {"/fan/mode": null}}));
    assert_eq!(
        parked(&desk)
            .iter()
            .map(|(path, _)| path.as_str())
            .collect::<Vec<_>>(),
        ["/celsius", "/fan/speed"]
    );
    let applied = desk.report(json!({"$rejected": null}));
    assert!(parked(&desk).is_empty());
    assert!(
        applied
            .events
            .iter()
            .any(|event| matches!(event, Event::DeltaPending { .. }))
    );
}

#[test]
fn a_refusal_of_what_nobody_asks_for_is_out_of_date_and_changes_nothing() {
    let mut desk = refusing_thermostat();
    desk.report(json!({"$rejected": {"/volume": "no speaker", "cel": "?", "/celsius2": "?"}}));
    assert!(parked(&desk).is_empty());
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    let mut desk = refusing_thermostat();
    desk.limits.reason_bytes_max = 5;
    desk.report(json!({"$rejected": {"celsius": "heiß!"}}));
    assert_eq!(parked(&desk), [("/celsius".to_owned(), "heiß".to_owned())]);
}

#[test]
fn a_reason_that_is_no_text_is_refused_with_its_place() {
    let mut desk = refusing_thermostat();
    for (value, pointer) in [
        (json!({"a/b": 5}), "/$rejected/a~1b"),
        (json!("all"), "/$rejected"),
    ] {
        let refused = desk
            .attempt(Command::Report(patch(json!({"$rejected": value}))))
            .unwrap_err();
        assert_eq!(refused.at().unwrap().to_string(), pointer);
        assert_eq!(refused.shadow_message(), "State contains an invalid node");
    }
}

#[test]
fn only_a_device_refuses() {
    let mut desk = refusing_thermostat();
    let no = || patch(json!({"$rejected": {"celsius": "no"}}));
    for command in [Command::SetDesired(no()), Command::SetTags(no())] {
        assert_eq!(
            desk.attempt(command).unwrap_err().at().unwrap().to_string(),
            "/$rejected"
        );
    }
    let request = br#"{"state":{"desired":{"$rejected":{}}}}"#;
    let refused = UpdateRequest::parse(request, &desk.limits).unwrap_err();
    assert_eq!(refused.at().unwrap().to_string(), "/state/desired/$rejected");
}

#[test]
fn a_refusal_alone_is_a_change_for_a_quiet_writer() {
    let mut desk = refusing_thermostat();
    desk.no_change = NoChange::KeepVersion;
    assert!(desk.report(json!({"$rejected": {"celsius": "cold"}})).changed);
    assert!(!desk.report(json!({"$rejected": {"celsius": "cold"}})).changed);
}
