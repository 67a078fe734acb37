//! Every way an update document can be wrong, with the code, the words and the place.

use serde_json::json;
use twin_model::*;

fn refused(text: &str) -> Refused {
    UpdateRequest::parse(text.as_bytes(), &Limits::default()).expect_err(text)
}

#[test]
fn each_fault_has_its_code_its_words_and_its_place() {
    let deep = r#"{"state":{"desired":{"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":{"9":1}}}}}}}}}}}"#;
    let token = format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "x".repeat(65));
    let key = format!(r#"{{"state":{{"desired":{{"{}":1}}}}}}"#, "k".repeat(1025));
    let number = format!(r#"{{"state":{{"desired":{{"n":{}}}}}}}"#, "9".repeat(129));
    let nesting = "JSON contains too many levels of nesting; maximum is 8";
    let node = "State contains an invalid node";
    for (text, code, message, place) in [
        ("", 400, "Invalid JSON", None),
        ("{", 400, "Invalid JSON", None),
        (r#"{"state":{}} trailing"#, 400, "Invalid JSON", None),
        (r#"{"state":{"desired":{"n":NaN}}}"#, 400, "Invalid JSON", None),
        (r#"{"state":{"desired":{"n":01}}}"#, 400, "Invalid JSON", None),
        ("[]", 400, "Missing required node: state", None),
        ("{}", 400, "Missing required node: state", None),
        (
            r#"{"state":7}"#,
            400,
            "State node must be an object",
            Some("/state"),
        ),
        (
            r#"{"state":{"desired":[]}}"#,
            400,
            "Desired node must be an object",
            Some("/state/desired"),
        ),
        (
            r#"{"state":{"reported":"x"}}"#,
            400,
            "Reported node must be an object",
            Some("/state/reported"),
        ),
        (
            r#"{"state":{},"version":"1"}"#,
            400,
            "Invalid version",
            Some("/version"),
        ),
        (
            r#"{"state":{},"version":-1}"#,
            400,
            "Invalid version",
            Some("/version"),
        ),
        (
            r#"{"state":{},"version":1.5}"#,
            400,
            "Invalid version",
            Some("/version"),
        ),
        (
            r#"{"state":{},"version":null}"#,
            400,
            "Invalid version",
            Some("/version"),
        ),
        (
            r#"{"state":{},"clientToken":5}"#,
            400,
            "Invalid clientToken",
            Some("/clientToken"),
        ),
        (&token, 400, "Invalid clientToken", Some("/clientToken")),
        (deep, 400, nesting, Some("/state/desired/1/2/3/4/5/6/7/8/9")),
        (
            r#"{"state":{"desired":{"a":[1,null]}}}"#,
            400,
            node,
            Some("/state/desired/a/1"),
        ),
        (
            r#"{"state":{"desired":{"a":[{"b":null}]}}}"#,
            400,
            node,
            Some("/state/desired/a/0/b"),
        ),
        (
            r#"{"state":{"reported":{"n":1e99999999999999999999}}}"#,
            400,
            node,
            Some("/state/reported/n"),
        ),
        (
            &key,
            400,
            node,
            Some(&format!("/state/desired/{}", "k".repeat(1025))),
        ),
        (&number, 400, node, Some("/state/desired/n")),
    ] {
        let refused = refused(text);
        assert_eq!(
            (refused.code(), refused.shadow_message().as_str()),
            (code, message),
            "{text}"
        );
        assert_eq!(refused.at().map(|at| at.to_string()).as_deref(), place, "{text}");
        assert!(!refused.to_string().is_empty());
    }
}

#[test]
fn a_limit_that_was_hit_is_named_with_its_value() {
    let limits = Limits {
        string_bytes_max: 3,
        ..Limits::default()
    };
    let refused = Document::from_value(json!({"name": "four"}), &limits).unwrap_err();
    let text = "`/name` has a string of 4 bytes, at most 3 are allowed (string_bytes_max)";
    assert_eq!(refused.to_string(), text);
    let limits = Limits {
        request_bytes_max: 5,
        ..Limits::default()
    };
    let refused = Document::parse(br#"{"a":1}"#, &limits).unwrap_err();
    assert_eq!(
        (refused.code(), refused.shadow_message().as_str()),
        (413, "The payload exceeds the maximum size allowed")
    );
    assert_eq!(
        refused.to_string(),
        "the request would have 7 bytes, at most 5 are allowed (request_bytes_max)"
    );
}

#[test]
fn bytes_that_are_not_utf8_are_refused_by_their_own_code() {
    let refused = UpdateRequest::parse(b"{\"state\":\xff}", &Limits::default()).unwrap_err();
    assert_eq!(refused, Refused::NotUtf8 { offset: 9 });
    let message = "Unsupported documented encoding; supported encoding is UTF-8";
    assert_eq!(
        (refused.code(), refused.shadow_message().as_str()),
        (415, message)
    );
}

#[test]
fn eight_levels_below_a_section_are_allowed_and_nine_are_not() {
    let nested = |levels: usize| {
        (0..levels)
            .rev()
            .fold(json!({}), |inner, level| json!({ level.to_string(): inner }))
    };
    assert!(Document::from_value(nested(8), &Limits::default()).is_ok());
    assert!(matches!(
        Document::from_value(nested(9), &Limits::default()),
        Err(Refused::TooDeep { depth_max: 8, .. })
    ));
}

#[test]
fn a_document_holds_no_null_but_a_patch_does() {
    let refused = Document::from_value(json!({"a": {"b": null}}), &Limits::default()).unwrap_err();
    assert_eq!(refused.at().unwrap().to_string(), "/a/b");
    assert!(Patch::from_value(json!({"a": {"b": null}}), &Limits::default()).is_ok());
}

#[test]
fn the_client_token_is_found_even_in_a_document_that_is_wrong_elsewhere() {
    let limits = Limits::default();
    let found =
        |text: &str| ClientToken::find(text.as_bytes(), &limits).map(|token| token.as_str().to_owned());
    assert_eq!(found(r#"{"state":7,"clientToken":"t"}"#).as_deref(), Some("t"));
    assert_eq!(found(r#"{"clientToken":5}"#), None);
    assert_eq!(found("not json"), None);
    assert_eq!(ClientToken::parse(b"", &limits), Ok(None));
    assert!(ClientToken::parse(b"[]", &limits).is_err());
}

#[test]
fn names_are_held_to_their_characters_and_their_length() {
    let limits = Limits::default();
    for good in ["a", "pump-7", "urn:dev:ops_1.b", &"x".repeat(128)] {
        assert_eq!(DeviceName::new(good, &limits).unwrap().as_str(), good);
    }
    for bad in [
        "",
        "a/b",
        "a+b",
        "#",
        "$aws",
        "a b",
        "\u{e4}",
        "a\0",
        &"x".repeat(129),
    ] {
        let refused = DeviceName::new(bad, &limits).expect_err(bad);
        assert_eq!(refused.code(), 400, "{bad}");
    }
    assert!(
        TwinName::new("", &limits).is_err(),
        "the default twin is never named"
    );
    assert!(TwinName::default_twin().is_default());
    assert!(TwinName::new(&"x".repeat(65), &limits).is_err());
    assert!(
        DeviceName::try_from("x".repeat(500).as_str()).is_ok(),
        "a stored name outlives a lowered limit"
    );
}

#[test]
fn a_device_and_its_twin_are_written_with_a_slash() {
    let device = DeviceName::try_from("press").unwrap();
    let name = TwinName::try_from("cfg").unwrap();
    assert_eq!(TwinId::default_of(device.clone()).to_string(), "press");
    let id = TwinId { device, name };
    assert_eq!(id.to_string(), "press/cfg");
    assert_eq!(
        Refused::NotFound { id }.shadow_message(),
        "No shadow exists with name: cfg"
    );
}
