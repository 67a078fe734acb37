//! Bytes from a peer: never a panic, and nothing past a limit.

use proptest::prelude::*;
use serde_json::{Value, json};
use twin_model::*;

use crate::support::{Desk, law, leaves};

fn small() -> Limits {
    Limits {
        request_bytes_max: 300,
        depth_max: 3,
        key_bytes_max: 4,
        string_bytes_max: 6,
        number_bytes_max: 5,
        ..Limits::default()
    }
}

fn within_limits(value: &Value, depth: usize) -> bool {
    let limits = small();
    depth <= limits.depth_max
        && match value {
            Value::Null | Value::Bool(_) => true,
            Value::Number(number) => number.as_str().len() <= limits.number_bytes_max,
            Value::String(text) => text.len() <= limits.string_bytes_max,
            Value::Array(elements) => elements.iter().all(|each| within_limits(each, depth + 1)),
            Value::Object(map) => map
                .iter()
                .all(|(key, each)| key.len() <= limits.key_bytes_max && within_limits(each, depth + 1)),
        }
}

fn try_everything(bytes: &[u8]) -> Result<(), TestCaseError> {
    let limits = small();
    let _token = ClientToken::find(bytes, &limits);
    if let Ok(document) = Document::parse(bytes, &limits) {
        prop_assert!(bytes.len() <= limits.request_bytes_max);
        prop_assert!(within_limits(&document.to_value(), 0));
    }
    if let Ok(patch) = Patch::parse(bytes, &limits) {
        prop_assert!(within_limits(&Value::Object(patch.as_map().clone()), 0));
    }
    if let Ok(request) = UpdateRequest::parse(bytes, &limits) {
        let mut desk = Desk::with("any");
        let _refused = desk.attempt(Command::Update(request.update));
    }
    Ok(())
}

#[test]
fn any_bytes_are_read_or_refused() {
    law(prop::collection::vec(any::<u8>(), 0..400), |bytes| {
        try_everything(&bytes)
    });
}

#[test]
fn any_broken_document_is_read_or_refused() {
    let whole = br#"{"state":{"desired":{"a":[1,{"b":"\u00e4"}],"c":{"d":{}}},"reported":{"$rejected":{"a":"no"}}},"clientToken":"t","version":3}"#;
    law(
        (0..whole.len(), any::<u8>(), 0..whole.len()),
        |(at, byte, cut)| {
            let mut changed = whole.to_vec();
            changed[at] = byte;
            try_everything(&changed)?;
            try_everything(&whole[..cut])
        },
    );
}

#[test]
fn json_made_of_hostile_pieces_is_read_or_refused() {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\"",
        "\"\"",
        "null",
        "1e9",
        "-0",
        "1e99999999999999999999",
        "\"\\ud800\"",
        "\"$serde_json::private::Number\"",
        "\"$rejected\"",
        "\"state\"",
        "\"desired\"",
        "\"reported\"",
        "true",
    ]);
    law(prop::collection::vec(piece, 0..40), |pieces| {
        try_everything(pieces.concat().as_bytes())
    });
}

#[test]
fn nesting_beyond_reason_is_refused_and_does_not_exhaust_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 127, 128, 129, 20_000] {
            let inner = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let text = format!(r#"{{"state":{{"desired":{{"a":{inner}}}}}}}"#);
            let refused = UpdateRequest::parse(text.as_bytes(), &Limits::default()).unwrap_err();
            assert_eq!(refused.code(), 400);
        }
    }
    let unclosed = "[".repeat(200_000);
    assert!(matches!(
        Document::parse(unclosed.as_bytes(), &Limits::default()),
        Err(Refused::InvalidJson { .. })
    ));
}

/// The JSON library carries numbers as an object with this key. Stored as a peer's own key, it could make a record
/// unreadable: alone in its object, it would be read back as a number or not at all.
#[test]
fn the_key_by_which_numbers_travel_cannot_be_stored() {
    let limits = Limits::default();
    for text in [
        r#"{"a":{"x":1,"$serde_json::private::Number":{}}}"#,
        r#"{"a":{"x":1,"\u0024serde_json::private::Number":"7"}}"#,
        r#"{"a":{"$serde_json::private::Number":{}}}"#,
        r#"{"a":{"$serde_json::private::Number":"x"}}"#,
        r#"{"$serde_json::private::Number":"7"}"#,
    ] {
        assert!(Patch::parse(text.as_bytes(), &limits).is_err(), "{text}");
        assert!(Document::parse(text.as_bytes(), &limits).is_err(), "{text}");
    }
    // Alone and with a number inside, it is that number: harmless, and stays what it was read as.
    let document = Document::parse(br#"{"a":{"$serde_json::private::Number":"7"}}"#, &limits).unwrap();
    assert_eq!(document.to_value(), json!({"a": 7}));
}

#[test]
fn of_a_key_that_stands_twice_the_last_one_counts() {
    let document = Document::parse(br#"{"a":1,"b":2,"a":{"c":3}}"#, &Limits::default()).unwrap();
    assert_eq!(document.to_value(), json!({"a": {"c": 3}, "b": 2}));
}

/// Work must grow with the size of a request and not with its square.
#[test]
fn large_requests_of_the_worst_shape_are_carried_out() {
    let mut desk = Desk::with("any");
    let wide: Value = (0..5000).map(|n| (format!("k{n}"), Value::from(n))).collect();
    let gone: Value = (0..5000).map(|n| (format!("k{n}"), Value::Null)).collect();
    let no: Value = (0..5000).map(|n| (format!("k{n}"), Value::from("no"))).collect();
    desk.set_desired(wide);
    assert_eq!(desk.twin.delta().leaves().len(), 5000);
    desk.report(json!({ "$rejected": no }));
    assert_eq!(desk.twin.rejections().count(), 5000);
    assert!(desk.twin.open_delta().is_empty());
    desk.set_desired(gone);
    assert!(leaves(desk.twin.desired().unwrap().document.as_map()).is_empty());
    assert_eq!(desk.twin.rejections().count(), 0);
}
