//! One shadow through its life, with the documents devices and apps see.

use serde_json::{Value, json};
use twin_model::*;

use crate::support::{Desk, content};

fn update(desk: &mut Desk, request: Value) -> Result<(UpdateRequest, Applied), Refused> {
    let request = UpdateRequest::parse(request.to_string().as_bytes(), &desk.limits)?;
    desk.condition = request.condition.clone();
    let applied = desk.attempt(Command::Update(request.update.clone()))?;
    Ok((request, applied))
}

fn delta_of(applied: &Applied) -> Option<&Delta> {
    applied.events.iter().find_map(|event| match event {
        Event::DeltaPending { delta } => Some(delta),
        _ => None,
    })
}

#[test]
fn a_kiln_is_told_reports_is_removed_and_comes_back() {
    let mut kiln = Desk::with("kiln-2");
    for celsius in 20..29 {
        update(
            &mut kiln,
            json!({"state": {"reported": {"celsius": celsius, "door": "shut"}}}),
        )
        .unwrap();
    }
    assert_eq!(kiln.twin.version(), Version::new(9));

    // The app asks for more heat, agrees about the door, and drops a field that was never there.
    kiln.pass_millis(60_000);
    let before = kiln.twin.clone();
    let (request, applied) = update(
        &mut kiln,
        json!({
            "state": {"desired": {"celsius": 1240, "door": "shut", "fan": null}},
            "clientToken": "t-1",
            "version": 9,
        }),
    )
    .unwrap();
    assert_eq!(request.client_token.as_ref().unwrap().as_str(), "t-1");
    let delta = delta_of(&applied).unwrap();
    assert_eq!(delta.to_value(), json!({"celsius": 1240}));
    let at = json!({"timestamp": 1_790_000_060});
    assert_eq!(
        kiln.twin.metadata_of_delta(delta, Form::Seconds),
        json!({"celsius": at})
    );
    assert_eq!(
        request.echo,
        json!({"desired": {"celsius": 1240, "door": "shut", "fan": null}})
    );
    let touched = kiln.twin.metadata_of(&request.update, Form::Seconds);
    assert_eq!(touched, json!({"desired": {"celsius": at, "door": at}}));
    let old = json!({"timestamp": 1_790_000_000});
    assert_eq!(
        before.snapshot(Form::Seconds),
        json!({
            "state": {"reported": {"celsius": 28, "door": "shut"}},
            "metadata": {"reported": {"celsius": old, "door": old}},
            "version": 9,
        })
    );
    assert_eq!(
        kiln.twin.snapshot(Form::Seconds),
        json!({
            "state": {
                "desired": {"celsius": 1240, "door": "shut"},
                "reported": {"celsius": 28, "door": "shut"},
            },
            "metadata": {
                "desired": {"celsius": at, "door": at},
                "reported": {"celsius": old, "door": old},
            },
            "version": 10,
        })
    );
    assert_eq!(kiln.twin.state_with_delta()["delta"], json!({"celsius": 1240}));
    assert_eq!(kiln.twin.sync().status, SyncStatus::Pending);

    // The device is hot: nothing differs any more, so no delta is due.
    let (_, applied) = update(&mut kiln, json!({"state": {"reported": {"celsius": 1240.0}}})).unwrap();
    assert_eq!(delta_of(&applied), None);
    assert!(applied.events.contains(&Event::Converged));
    assert_eq!(kiln.twin.version(), Version::new(11));
    assert_eq!(kiln.twin.state_with_delta().get("delta"), None);

    // Someone still believes in version 9.
    let refused = update(
        &mut kiln,
        json!({"state": {"desired": {"celsius": 5}}, "version": 9}),
    )
    .unwrap_err();
    assert_eq!(
        (refused.code(), refused.shadow_message().as_str()),
        (409, "Version conflict")
    );

    // Removed: the answer names the version that was, the tombstone is one ahead.
    kiln.condition = Condition::None;
    let removed = kiln.carry_out(Command::Remove);
    assert!(removed.events.contains(&Event::Removed {
        last: Version::new(11)
    }));
    assert!(!kiln.twin.exists());
    let refused = kiln.attempt(Command::Remove).unwrap_err();
    let message = "No shadow exists with name: kiln-2";
    assert_eq!(
        (refused.code(), refused.shadow_message().as_str()),
        (404, message)
    );

    // It comes back, and its version goes on upward.
    let (_, applied) = update(&mut kiln, json!({"state": {"reported": {"celsius": 0}}})).unwrap();
    assert_eq!(applied.events.first(), Some(&Event::Created));
    assert_eq!(kiln.twin.version(), Version::new(13));
    assert_eq!(content(kiln.twin.desired()), Value::Null);
}

#[test]
fn every_element_of_an_array_shows_the_time_of_the_whole() {
    let mut sign = Desk::with("sign");
    sign.set_desired(json!({"lines": ["open", {"text": "9-17", "size": [1, 2]}, {}], "lit": {}}));
    let at = json!({"timestamp": 1_790_000_000});
    assert_eq!(
        sign.twin.metadata(Form::Seconds),
        json!({"desired": {"lines": [at, {"text": at, "size": [at, at]}, at], "lit": at}})
    );
    let whole = json!({"at": 1_790_000_000_000_u64, "by": "workshop", "stamp": "1790000000000.0.1"});
    assert_eq!(
        sign.twin.metadata(Form::Full),
        json!({"desired": {"lines": whole, "lit": whole}})
    );
}

#[test]
fn state_null_clears_the_content_and_the_shadow_stays() {
    let mut lamp = Desk::with("lamp");
    update(
        &mut lamp,
        json!({"state": {"desired": {"on": true}, "reported": {"on": false}}}),
    )
    .unwrap();
    let (request, _) = update(&mut lamp, json!({"state": null})).unwrap();
    assert_eq!(request.echo, Value::Null);
    assert!(lamp.twin.exists());
    assert_eq!(
        lamp.twin.snapshot(Form::Seconds),
        json!({"state": {}, "metadata": {}, "version": 2})
    );
}

#[test]
fn a_section_set_to_null_is_gone_and_the_other_stays() {
    let mut lamp = Desk::with("lamp");
    update(
        &mut lamp,
        json!({"state": {"desired": {"on": true}, "reported": {"on": false}}}),
    )
    .unwrap();
    update(&mut lamp, json!({"state": {"desired": null}})).unwrap();
    assert_eq!(lamp.twin.state(), json!({"reported": {"on": false}}));
    assert!(lamp.twin.delta().is_empty());
}

#[test]
fn keys_that_are_not_sections_are_ignored_and_not_echoed() {
    let mut lamp = Desk::with("lamp");
    let request = json!({"state": {"delta": {"x": 1}, "desired": {"on": true}}, "extra": [null]});
    let (request, _) = update(&mut lamp, request).unwrap();
    assert_eq!(request.echo, json!({"desired": {"on": true}}));
    assert_eq!(lamp.twin.state(), json!({"desired": {"on": true}}));
}

#[test]
fn numbers_keep_the_literal_they_came_with() {
    let limits = Limits::default();
    let bytes = br#"{"id":12345678901234567890123,"ratio":0.10,"zero":-0}"#;
    let document = Document::parse(bytes, &limits).unwrap();
    assert_eq!(document.to_value().to_string().as_bytes(), bytes);
}
