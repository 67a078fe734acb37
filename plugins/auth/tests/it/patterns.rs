//! Placeholders in rules, and names that try to be more than a name.

use plugin_auth::{ANONYMOUS, Gates};
use proptest::prelude::*;

use crate::support::{House, may, principal, publish, read_twin, subscribe, write_twin};

fn gates(rules: &str) -> Gates {
    House::closed().with_rules(rules).gates()
}

#[tokio::test]
async fn a_pattern_is_for_everybody_and_each_has_their_own() {
    let gates = gates("user bob\npattern readwrite dev/%c/#\npattern read mail/%u\npattern write %d/out\n");
    let ada = principal("ada", "c1").with_device("lamp");
    for (access, allowed) in [
        (publish("dev/c1/x"), true),
        (publish("dev/c2/x"), false),
        (subscribe("dev/c1/#"), true),
        (subscribe("dev/+/x"), false),
        (subscribe("dev/#"), false),
        (subscribe("mail/ada"), true),
        (subscribe("mail/bob"), false),
        (publish("mail/ada"), false),
        (publish("lamp/out"), true),
        (publish("c1/out"), false),
        (publish("ada/out"), false),
    ] {
        assert_eq!(may(&gates, &ada, access.clone()).await, allowed, "{access:?}");
    }
}

#[tokio::test]
async fn twins_have_patterns_too() {
    let gates = gates("pattern twin read %u\npattern twin readwrite %d\n");
    let ada = principal("ada", "c1").with_device("lamp");
    for (access, allowed) in [
        (read_twin("ada"), true),
        (write_twin("ada"), false),
        (write_twin("lamp"), true),
        (read_twin("other"), false),
        (read_twin("c1"), false),
    ] {
        assert_eq!(may(&gates, &ada, access.clone()).await, allowed, "{access:?}");
    }
}

#[tokio::test]
async fn a_pattern_does_not_apply_to_who_lacks_what_it_asks_for() {
    let gates = gates(
        "pattern readwrite u/%u\npattern readwrite c/%c\npattern readwrite d/%d\npattern deny d/%d/x\n",
    );
    let anonymous = principal(ANONYMOUS, "c1");
    assert!(!may(&gates, &anonymous, publish("u/anonymous")).await);
    assert!(may(&gates, &anonymous, publish("c/c1")).await);
    let over_http = plugin_api::Principal::named("ada");
    assert!(may(&gates, &over_http, publish("u/ada")).await);
    for topic in ["c/", "c/c1", "d/", "d/ada"] {
        assert!(!may(&gates, &over_http, publish(topic)).await, "{topic}");
    }
}

#[tokio::test]
async fn names_that_would_widen_a_pattern_match_nothing() {
    let gates = gates("pattern readwrite dev/%c/#\npattern readwrite %u/in\npattern twin %c\n");
    for name in ["+", "#", "a/b", "+/x", "$SYS", "$twin", "/", "a/../b", "a+", "a#"] {
        for principal in [principal("plain", name), principal(name, "plain")] {
            for access in [
                publish("dev/other/x"),
                publish(&format!("dev/{name}/x").replace(['+', '#'], "o")),
                subscribe("dev/#"),
                subscribe("dev/+/#"),
                subscribe("+/in"),
                publish("$SYS/in"),
                publish("$twin/in"),
                read_twin("other"),
            ] {
                assert!(
                    !may(&gates, &principal, access.clone()).await,
                    "{name:?} {access:?}"
                );
            }
        }
    }
}

/// Calling oneself `+` is no way around a rule that denies.
#[tokio::test]
async fn names_that_would_widen_a_pattern_are_denied_what_any_name_would_be_denied() {
    let gates = gates("user ada\ntopic readwrite #\npattern deny secret/%c\n");
    assert!(may(&gates, &principal("ada", "c1"), publish("secret/c2")).await);
    assert!(!may(&gates, &principal("ada", "c1"), publish("secret/c1")).await);
    for client_id in ["+", "#", "c1/x"] {
        assert!(
            !may(&gates, &principal("ada", client_id), publish("secret/c2")).await,
            "{client_id}"
        );
        assert!(
            may(&gates, &principal("ada", client_id), publish("open/c2")).await,
            "{client_id}"
        );
    }
}

proptest! {
    /// Whatever someone is called, a pattern for the client id allows the topics below that very id and no others.
    #[test]
    fn a_pattern_never_reaches_beyond_the_name(client_id in "[a-c+#/$%]{1,4}", topic in "[a-c$/]{1,8}") {
        let gates = gates("pattern readwrite dev/%c/#\n");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let topic = format!("dev/{topic}");
        let own = topic.split('/').nth(1) == Some(client_id.as_str());
        let allowed = runtime.block_on(may(&gates, &principal("ada", &client_id), publish(&topic)));
        prop_assert!(!allowed || own, "{client_id:?} reached {topic:?}");
        if own && !client_id.contains(['+', '#', '/', '$']) {
            prop_assert!(allowed, "{client_id:?} did not reach {topic:?}");
        }
    }
}
