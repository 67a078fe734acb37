//! The device contract: requests on twin topics, and what is answered, to whom, in which order.

use plugin_api::{Answer, LinkPublish, Property, QoS, ReasonCode, To, put_property};
use serde_json::{Value, json};
use twin::Settings;
use twin_model::Limits;

use crate::support::{BEGIN, Message, World, client_id, received, topics};

const P: &str = "$aws/things/pump-7/shadow";

fn only(messages: &[Message], topic: &str) -> Value {
    let found: Vec<&Message> = messages
        .iter()
        .filter(|message| message.topic() == topic)
        .collect();
    assert_eq!(found.len(), 1, "{topic} in {messages:?}");
    found[0].json()
}

/// A twin at version 41 that reports 900 turns a minute.
async fn pump() -> World {
    let world = World::new();
    for _ in 0..41 {
        world
            .publish(
                "pump-7",
                &format!("{P}/update"),
                r#"{"state":{"reported":{"rpm":900,"mode":"auto"}}}"#,
            )
            .await;
    }
    world
}

#[tokio::test]
async fn a_wish_travels_from_update_to_convergence_and_beyond_deletion() {
    let world = pump().await;
    let update =
        r#"{"state":{"desired":{"rpm":1200,"mode":"auto","tmp":null}},"clientToken":"a1","version":41}"#;
    let messages = world.publish("app-1", &format!("{P}/update"), update).await;
    let app = received(&messages, "app-1", &[&format!("{P}/#")]);
    let tails = ["update/delta", "update/documents", "update/accepted"].map(|tail| format!("{P}/{tail}"));
    assert_eq!(topics(&app), tails);
    assert_eq!(
        app[0].json(),
        json!({"version": 42, "timestamp": BEGIN, "clientToken": "a1", "state": {"rpm": 1200},
               "metadata": {"rpm": {"timestamp": BEGIN}}})
    );
    let (stamp, both) = (json!({"timestamp": BEGIN}), json!({"rpm": 900, "mode": "auto"}));
    let stamps = json!({"rpm": stamp, "mode": stamp});
    assert_eq!(
        app[1].json(),
        json!({
            "previous": {"state": {"reported": both}, "metadata": {"reported": stamps}, "version": 41},
            "current": {"state": {"desired": {"rpm": 1200, "mode": "auto"}, "reported": both},
                        "metadata": {"desired": stamps, "reported": stamps}, "version": 42},
            "timestamp": BEGIN, "clientToken": "a1",
        })
    );
    assert_eq!(
        app[2].json(),
        json!({"state": {"desired": {"rpm": 1200, "mode": "auto", "tmp": null}}, "metadata": {"desired": stamps},
               "version": 42, "timestamp": BEGIN, "clientToken": "a1"})
    );

    let messages = world
        .publish(
            "pump-7",
            &format!("{P}/update"),
            r#"{"state":{"reported":{"rpm":1200}}}"#,
        )
        .await;
    let app = received(&messages, "app-1", &[&format!("{P}/#")]);
    assert_eq!(topics(&app), tails[1..], "no delta once they agree");
    assert_eq!(app[1].json()["version"], 43);

    let late = r#"{"state":{"desired":{"rpm":1}},"version":41}"#;
    let messages = world.publish("app-1", &format!("{P}/update"), late).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        only(&messages, &format!("{P}/update/rejected")),
        json!({"code": 409, "message": "Version conflict", "timestamp": BEGIN})
    );

    let messages = world
        .publish("pump-7", &format!("{P}/delete"), r#"{"clientToken":"d1"}"#)
        .await;
    assert_eq!(
        only(&messages, &format!("{P}/delete/accepted")),
        json!({"version": 43, "timestamp": BEGIN, "clientToken": "d1"})
    );
    let messages = world
        .publish("app-1", &format!("{P}/get"), r#"{"clientToken":"g1"}"#)
        .await;
    assert_eq!(
        only(&messages, &format!("{P}/get/rejected")),
        json!({"code": 404, "message": "No shadow exists with name: pump-7", "timestamp": BEGIN, "clientToken": "g1"})
    );
    let messages = world
        .publish(
            "pump-7",
            &format!("{P}/update"),
            r#"{"state":{"reported":{"rpm":0}}}"#,
        )
        .await;
    let accepted = only(&messages, &format!("{P}/update/accepted"));
    assert_eq!(accepted["version"], 45, "the version goes on after a deletion");
    assert_eq!(
        only(&messages, &format!("{P}/update/documents"))["previous"],
        Value::Null
    );
}

#[tokio::test]
async fn get_shows_state_delta_metadata_and_version() {
    let world = World::new();
    let update = r#"{"state":{"desired":{"a":[1,2],"b":{"c":1}},"reported":{"b":{"c":1.0}}}}"#;
    world
        .publish("app", &format!("{P}/name/motor/update"), update)
        .await;
    for payload in ["", "{}", r#"{"clientToken":"t"}"#] {
        let messages = world
            .publish("app", &format!("{P}/name/motor/get"), payload)
            .await;
        let mut shown = only(&messages, &format!("{P}/name/motor/get/accepted"));
        let token = shown.as_object_mut().unwrap().remove("clientToken");
        assert_eq!(token.is_some(), payload.contains("clientToken"));
        let at = json!({"timestamp": BEGIN});
        assert_eq!(
            shown,
            json!({"state": {"desired": {"a": [1, 2], "b": {"c": 1}}, "reported": {"b": {"c": 1.0}},
                             "delta": {"a": [1, 2]}},
                   "metadata": {"desired": {"a": [at, at], "b": {"c": at}}, "reported": {"b": {"c": at}}},
                   "version": 1, "timestamp": BEGIN})
        );
    }
}

#[tokio::test]
async fn every_refusal_has_its_code_its_words_and_the_client_token() {
    let world = World::with(Settings {
        limits: Limits {
            section_bytes_max: 40,
            request_bytes_max: 300,
            depth_max: 3,
            ..Limits::default()
        },
        ..Settings::default()
    });
    let long = format!(
        r#"{{"state":{{"desired":{{"a":"{}"}}}},"clientToken":"t"}}"#,
        "x".repeat(60)
    );
    let endless = format!(r#"{{"state":{{"desired":{{"a":"{}"}}}}}}"#, "x".repeat(600));
    let token = "x".repeat(65);
    let with_long_token = format!(r#"{{"state":{{}},"clientToken":"{token}"}}"#);
    let cases: [(&str, &str, u64, &str); 16] = [
        ("update", "", 400, "Invalid JSON"),
        ("update", "{", 400, "Invalid JSON"),
        ("update", "[]", 400, "Missing required node: state"),
        (
            "update",
            r#"{"clientToken":"t"}"#,
            400,
            "Missing required node: state",
        ),
        (
            "update",
            r#"{"state":1,"clientToken":"t"}"#,
            400,
            "State node must be an object",
        ),
        (
            "update",
            r#"{"state":{"desired":1},"clientToken":"t"}"#,
            400,
            "Desired node must be an object",
        ),
        (
            "update",
            r#"{"state":{"reported":[]},"clientToken":"t"}"#,
            400,
            "Reported node must be an object",
        ),
        (
            "update",
            r#"{"state":{},"version":"1","clientToken":"t"}"#,
            400,
            "Invalid version",
        ),
        (
            "update",
            r#"{"state":{"desired":{"a":1}},"version":7,"clientToken":"t"}"#,
            400,
            "Invalid version",
        ),
        ("update", &with_long_token, 400, "Invalid clientToken"),
        (
            "update",
            r#"{"state":{"desired":{"a":{"b":{"c":{"d":1}}}}},"clientToken":"t"}"#,
            400,
            "JSON contains too many levels of nesting; maximum is 3",
        ),
        (
            "update",
            r#"{"state":{"desired":{"a":[null]}},"clientToken":"t"}"#,
            400,
            "State contains an invalid node",
        ),
        (
            "update",
            &long,
            413,
            "The payload exceeds the maximum size allowed",
        ),
        (
            "update",
            &endless,
            413,
            "The payload exceeds the maximum size allowed",
        ),
        (
            "delete",
            r#"{"clientToken":"t"}"#,
            404,
            "No shadow exists with name: pump-7",
        ),
        (
            "get",
            r#"{"clientToken":"t"}"#,
            404,
            "No shadow exists with name: pump-7",
        ),
    ];
    for (verb, payload, code, message) in cases {
        let messages = world.publish("pump-7", &format!("{P}/{verb}"), payload).await;
        assert_eq!(messages.len(), 1, "{payload}");
        let rejected = only(&messages, &format!("{P}/{verb}/rejected"));
        assert_eq!(
            (&rejected["code"], &rejected["message"]),
            (&json!(code), &json!(message)),
            "{payload}"
        );
        let expected = if payload.contains(r#""clientToken":"t""#) {
            json!("t")
        } else {
            Value::Null
        };
        assert_eq!(rejected["clientToken"], expected, "{payload}");
    }
    assert_eq!(world.count("twin.state"), 0);
    assert_eq!(world.count("twin.feed"), 0);
}

#[tokio::test]
async fn bytes_that_are_no_text_and_names_that_are_no_names_are_refused() {
    let world = World::new();
    for verb in ["update", "get"] {
        let number = world.send(
            "app",
            &format!("{P}/{verb}"),
            b"{\"state\":{\"desired\":\"\xff\"}}",
            &[],
        );
        world.answer(number).await;
        let rejected = only(&world.published(), &format!("{P}/{verb}/rejected"));
        assert_eq!(rejected["code"], 415);
        assert_eq!(
            rejected["message"],
            "Unsupported documented encoding; supported encoding is UTF-8"
        );
    }
    let messages = world
        .publish(
            "app",
            "$twin/bad name/update",
            r#"{"state":{},"clientToken":"t"}"#,
        )
        .await;
    let rejected = only(&messages, "$twin/bad name/update/rejected");
    assert_eq!(
        (&rejected["code"], &rejected["clientToken"]),
        (&json!(400), &json!("t"))
    );
    let messages = world
        .publish("app", "$aws/things/me/shadow/update", r#"{"state":{}}"#)
        .await;
    assert_eq!(
        only(&messages, "$aws/things/me/shadow/update/rejected")["code"],
        400
    );
    assert_eq!(world.count("twin.state"), 0);
}

#[tokio::test]
async fn both_prefixes_speak_of_one_twin_and_answers_go_back_the_way_they_came() {
    let world = World::new();
    world
        .publish(
            "pump-7",
            "$twin/pump-7/update",
            r#"{"state":{"reported":{"rpm":1}}}"#,
        )
        .await;
    let messages = world
        .publish("app", "$twin/pump-7/update", r#"{"state":{"desired":{"rpm":2}}}"#)
        .await;
    assert_eq!(
        topics(&received(&messages, "app", &["$aws/#", "$twin/#"])),
        [
            "$aws/things/pump-7/shadow/update/delta",
            "$twin/pump-7/update/delta",
            "$aws/things/pump-7/shadow/update/documents",
            "$twin/pump-7/update/documents",
            "$twin/pump-7/update/accepted",
        ]
    );
    let messages = world.publish("app", &format!("{P}/get"), "").await;
    assert_eq!(only(&messages, &format!("{P}/get/accepted"))["version"], 2);
}

#[tokio::test]
async fn me_is_the_callers_own_device_and_its_answers_are_for_the_caller_alone() {
    let world = World::new();
    world.connect("pump-7");
    world.subscribe("pump-7", "pump-7", "$twin/me/#", false);
    let messages = world
        .publish("pump-7", "$twin/me/update", r#"{"state":{"desired":{"rpm":2}}}"#)
        .await;
    let mine = received(&messages, "pump-7", &["$twin/me/#"]);
    assert_eq!(
        topics(&mine),
        [
            "$twin/me/update/delta",
            "$twin/me/update/documents",
            "$twin/me/update/accepted"
        ]
    );
    assert!(received(&messages, "other", &["$twin/me/#"]).is_empty());
    assert!(
        received(&messages, "other", &["$twin/pump-7/#"]).len() == 2,
        "delta and documents"
    );
    let messages = world.publish("pump-7", "$twin/me/name/motor/get", "").await;
    assert_eq!(messages[0].0.to, To::Only(client_id("pump-7")));
    assert_eq!(messages[0].topic(), "$twin/me/name/motor/get/rejected");
}

#[tokio::test]
async fn a_response_topic_takes_the_place_of_accepted_and_rejected() {
    let world = World::new();
    let mut properties = Vec::new();
    put_property(&mut properties, &Property::ResponseTopic("app/answers")).unwrap();
    put_property(&mut properties, &Property::CorrelationData(b"\x01\x02")).unwrap();
    put_property(&mut properties, &Property::UserProperty("trace", "1")).unwrap();
    let mut expected = Vec::new();
    put_property(&mut expected, &Property::CorrelationData(b"\x01\x02")).unwrap();
    for (payload, key) in [(r#"{"state":{"desired":{"a":1}}}"#, "version"), ("{", "code")] {
        let number = world.send("app", &format!("{P}/update"), payload, &properties);
        assert_eq!(world.answer(number).await, Answer::Taken);
        let messages = world.published();
        let LinkPublish {
            topic,
            properties,
            qos,
            retain,
            to,
            ..
        } = messages.last().unwrap().0.clone();
        assert_eq!((&*topic, qos, retain), ("app/answers", QoS::AtLeastOnce, false));
        assert_eq!(properties, expected);
        assert_eq!(
            to,
            To::Only(client_id("app")),
            "nobody is reached through somebody else's rights"
        );
        assert!(messages.last().unwrap().json().get(key).is_some());
        assert!(!messages.iter().any(|message| message.topic().ends_with("ted")));
    }
}

#[tokio::test]
async fn a_burst_beyond_what_one_client_may_have_under_way_is_throttled() {
    let world = World::with(Settings {
        in_flight_per_client_max: 3,
        partitions: 1,
        ..Settings::default()
    });
    let sent: Vec<u64> = (0..50)
        .map(|n| {
            world.send(
                "app",
                &format!("{P}/update"),
                format!(r#"{{"state":{{"desired":{{"n":{n}}}}}}}"#),
                &[],
            )
        })
        .collect();
    for number in sent {
        assert_eq!(world.answer(number).await, Answer::Taken);
    }
    let messages = world.published();
    let accepted = messages
        .iter()
        .filter(|message| message.topic().ends_with("/accepted"))
        .count();
    let throttled: Vec<_> = messages
        .iter()
        .filter(|message| message.topic().ends_with("/rejected"))
        .collect();
    assert!(accepted >= 3, "{accepted}");
    assert_eq!(accepted + throttled.len(), 50);
    assert!(throttled.iter().all(|message| message.json()["code"] == 429));
    let messages = world.publish("app", &format!("{P}/get"), "").await;
    assert_eq!(messages.len(), 1, "and afterwards there is room again");
    assert_eq!(messages[0].json()["version"], accepted);
}

/// A will is a message like any other; only its publisher is gone.
#[tokio::test]
async fn a_will_to_the_update_topic_updates_the_twin() {
    let world = World::new();
    world.connect("pump-7");
    world.depart("pump-7", "pump-7", plugin_api::Departure::Lost);
    world
        .publish(
            "pump-7",
            &format!("{P}/update"),
            r#"{"state":{"reported":{"alive":false}}}"#,
        )
        .await;
    let shown = world.get("/v1/devices/pump-7/twin").await.body;
    assert_eq!(shown["reported"], json!({"alive": false}));
    assert_eq!(shown["presence"]["reason"], "lost");
}

#[tokio::test]
async fn what_a_device_refuses_is_not_sent_again_until_the_wish_changes() {
    let world = World::new();
    world.connect("pump-7");
    world.subscribe("pump-7", "pump-7", "$twin/pump-7/update/delta", false);
    world
        .publish(
            "app",
            "$twin/pump-7/update",
            r#"{"state":{"desired":{"rpm":9000}}}"#,
        )
        .await;
    let refusal = r#"{"state":{"reported":{"$rejected":{"/rpm":"too fast"}}}}"#;
    let messages = world.publish("pump-7", "$twin/pump-7/update", refusal).await;
    assert!(received(&messages, "pump-7", &["$twin/pump-7/update/delta"]).is_empty());
    let shown = world.get("/v1/devices/pump-7/twin").await.body;
    assert_eq!(shown["sync"]["status"], "rejected");
    assert_eq!(shown["rejected"][0]["reason"], "too fast");
    let messages = world
        .publish(
            "app",
            "$twin/pump-7/update",
            r#"{"state":{"desired":{"rpm":900}}}"#,
        )
        .await;
    assert_eq!(
        received(&messages, "pump-7", &["$twin/pump-7/update/delta"]).len(),
        1
    );
}

/// Otherwise one device could fill the disk, and keep its partition busy whenever it connects.
#[tokio::test]
async fn a_device_has_only_so_many_twins_and_removed_ones_count() {
    let world = World::with(Settings {
        twins_per_device_max: 3,
        ..Settings::default()
    });
    let update = async |name: &str| {
        let topic = format!("$twin/pump-7/name/{name}/update");
        world
            .publish("pump-7", &topic, r#"{"state":{"reported":{}}}"#)
            .await
            .pop()
            .unwrap()
    };
    for name in ["a", "b", "c"] {
        assert!(update(name).await.topic().ends_with("/accepted"));
    }
    world.publish("pump-7", "$twin/pump-7/name/a/delete", "").await;
    let refused = update("d").await;
    assert_eq!(refused.json()["code"], 413);
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains("twins_per_device")
    );
    assert_eq!(
        world
            .patch("/v1/devices/pump-7/twins/d/desired", "{}")
            .await
            .status,
        413
    );
    assert!(
        update("a").await.topic().ends_with("/accepted"),
        "a removed one may come back"
    );
    assert_eq!(
        world
            .patch("/v1/devices/pump-8/twins/d/desired", "{}")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_service_that_stops_finishes_what_it_took_and_refuses_the_rest() {
    let world = World::new();
    let before = world.send(
        "pump-7",
        "$twin/pump-7/update",
        r#"{"state":{"reported":{"a":1}}}"#,
        &[],
    );
    world.service.stop().await;
    assert_eq!(world.answer(before).await, Answer::Taken);
    let after = world.send(
        "pump-7",
        "$twin/pump-7/update",
        r#"{"state":{"reported":{"a":2}}}"#,
        &[],
    );
    assert_eq!(world.answer(after).await, Answer::Refused(ReasonCode::ServerBusy));
    assert_eq!(world.get("/v1/devices/pump-7/twin").await.status, 503);
}
