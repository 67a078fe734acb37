//! Topic names and filters: what they are and what matches.

use mqtt_wire::{MAX_TOPIC_LEN, Share, TopicError, TopicFilter, TopicName, Version};

fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text).unwrap()
}

/// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3] [MQTT311-4.7.1-1] [MQTT5-4.7.0-1]
#[test]
fn mqtt_4_7_3_names_are_1_to_65535_bytes_without_wildcards_and_nul() {
    let longest = "x".repeat(MAX_TOPIC_LEN);
    for name in [
        "a",
        "/",
        "//",
        " ",
        "a/b",
        "$SYS/x",
        "日本/é",
        "\u{feff}",
        "\u{1}",
        &longest,
    ] {
        assert_eq!(TopicName::parse(name).unwrap().as_str(), name);
    }
    let too_long = "x".repeat(MAX_TOPIC_LEN + 1);
    for (name, error) in [
        ("", TopicError::Empty),
        ("+", TopicError::WildcardInName),
        ("a/b#", TopicError::WildcardInName),
        ("a+b/c", TopicError::WildcardInName),
        ("a\0", TopicError::Nul),
        ("a\0+", TopicError::Nul),
        (&too_long, TopicError::TooLong),
    ] {
        assert_eq!(TopicName::parse(name), Err(error), "{name:.20?}");
    }
}

#[test]
fn a_flaw_is_found_wherever_it_stands() {
    for len in 1..100 {
        for at in 0..len {
            for (flaw, error) in [(b'+', TopicError::WildcardInName), (0, TopicError::Nul)] {
                let mut name = vec![b'x'; len];
                name[at] = flaw;
                let name = String::from_utf8(name).unwrap();
                assert_eq!(TopicName::parse(&name), Err(error), "{flaw} at {at} of {len}");
            }
        }
    }
}

/// [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT5-4.7.1-1] [MQTT5-4.7.1-2]
#[test]
fn mqtt_4_7_1_filters_have_their_wildcards_in_the_right_place() {
    let longest = "x".repeat(MAX_TOPIC_LEN);
    for text in [
        "#", "+", "a", "/", "a/#", "+/+", "/+", "a/+/b/#", "+/#", "a//b", "$SYS/#", "日/+", "$share",
        &longest,
    ] {
        let parsed = filter(text);
        assert_eq!((parsed.as_str(), parsed.shared()), (text, None));
    }
    let too_long = "x".repeat(MAX_TOPIC_LEN + 1);
    for (text, error) in [
        ("", TopicError::Empty),
        ("a#", TopicError::MisplacedHash),
        ("#/a", TopicError::MisplacedHash),
        ("a/#/b", TopicError::MisplacedHash),
        ("#/", TopicError::MisplacedHash),
        ("##", TopicError::MisplacedHash),
        ("+#", TopicError::MisplacedHash),
        ("a+", TopicError::MisplacedPlus),
        ("a+/b", TopicError::MisplacedPlus),
        ("a/+b", TopicError::MisplacedPlus),
        ("++", TopicError::MisplacedPlus),
        ("a\0", TopicError::Nul),
        (&too_long, TopicError::TooLong),
    ] {
        assert_eq!(TopicFilter::parse(text), Err(error), "{text:.20?}");
    }
}

/// [MQTT5-4.8.2-1] [MQTT5-4.8.2-2]
#[test]
fn mqtt_4_8_2_shares_have_a_name_and_a_filter() {
    for (text, group, inner) in [
        ("$share/g/a", "g", "a"),
        ("$share/g/#", "g", "#"),
        ("$share/g//", "g", "/"),
        ("$share/日本/a/+/b", "日本", "a/+/b"),
        ("$share/$share/a", "$share", "a"),
    ] {
        let parsed = filter(text);
        assert_eq!(parsed.shared(), Some(Share { group, filter: inner }));
        assert!(parsed.levels().eq(inner.split('/')), "{text}");
        assert_eq!(parsed.is_wildcard(), inner.contains(['#', '+']), "{text}");
    }
    for (text, error) in [
        ("$share/", TopicError::NoShareName),
        ("$share//", TopicError::NoShareName),
        ("$share//a", TopicError::NoShareName),
        ("$share/+/a", TopicError::WildcardInShareName),
        ("$share/g+/a", TopicError::WildcardInShareName),
        ("$share/#", TopicError::WildcardInShareName),
        ("$share/g", TopicError::ShareFilter),
        ("$share/g/", TopicError::ShareFilter),
        ("$share/g/$share/h/a", TopicError::ShareFilter),
        ("$share/g/a#", TopicError::MisplacedHash),
    ] {
        assert_eq!(TopicFilter::parse(text), Err(error), "{text}");
    }
}

#[test]
fn an_error_names_its_clause_in_either_version() {
    let cases = [
        (TopicError::WildcardInName, "MQTT-4.7.1-1", "MQTT-4.7.0-1"),
        (TopicError::MisplacedHash, "MQTT-4.7.1-2", "MQTT-4.7.1-1"),
        (TopicError::MisplacedPlus, "MQTT-4.7.1-3", "MQTT-4.7.1-2"),
        (TopicError::NoShareName, "MQTT5 4.8.2", "MQTT-4.8.2-1"),
    ];
    for (error, old, new) in cases {
        assert_eq!(
            (error.clause(Version::V311), error.clause(Version::V5)),
            (old, new)
        );
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn levels_are_the_parts_between_slashes() {
    let levels = |name| {
        TopicName::parse(name)
            .unwrap()
            .levels()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(levels("a"), ["a"]);
    assert_eq!(levels("/a//b/"), ["", "a", "", "b", ""]);
}

/// [MQTT-3.3.2-3] [MQTT-4.7.3-4]
#[test]
fn filters_match_what_the_standard_says() {
    for (text, topic, expected) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
            true,
        ),
        ("sport/tennis/player1/#", "sport/tennis/player2", false),
        ("sport/#", "sport", true),
        ("#", "a/b/c", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("a/b", "a/b", true),
        ("a/b", "a/b/", false),
        ("a/b/", "a/b", false),
        ("a//b", "a//b", true),
        ("a/+/b", "a//b", true),
        ("a/b", "A/b", false),
        ("é", "e\u{301}", false),
        ("日/+", "日/本", true),
        ("+/+/#", "a", false),
        ("+/#", "a", true),
    ] {
        assert_eq!(
            filter(text).matches(TopicName::parse(topic).unwrap()),
            expected,
            "{text} on {topic}"
        );
    }
}

/// [MQTT-4.7.2-1]
#[test]
fn mqtt_4_7_2_1_a_leading_wildcard_hides_topics_that_begin_with_dollar() {
    for (text, topic, expected) in [
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("+/#", "$SYS/x", false),
        ("$SYS/#", "$SYS/x", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/+", "$SYS/x", true),
        ("#", "a/$SYS", true),
        ("a/+", "a/$b", true),
        ("$share/g/#", "$SYS/x", false),
        ("$share/g/#", "a", true),
        ("$share/g/$SYS/#", "$SYS/x", true),
        ("$share/g/a/+", "a/b", true),
        ("$share/g/a", "$share/g/a", false),
    ] {
        assert_eq!(
            filter(text).matches(TopicName::parse(topic).unwrap()),
            expected,
            "{text} on {topic}"
        );
    }
}

#[test]
fn filters_are_cheap_to_clone_and_found_by_their_text() {
    let original = filter("a/+");
    let clone = original.clone();
    assert_eq!(original.as_str().as_ptr(), clone.as_str().as_ptr());
    assert!(std::collections::HashSet::from([original]).contains("a/+"));
}
