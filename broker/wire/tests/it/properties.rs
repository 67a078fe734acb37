//! The properties of a message as the broker uses them.

use std::borrow::Cow;

use mqtt_wire::{EncodeError, Properties, Property, QoS, ReasonCode, put_property};

use crate::hex;

const FULL: &str = "26 s:a s:1 23 0007 02 00000009 0b 01 08 s:r/t 01 01 09 s:cd 0b 8001 03 s:ct 26 s:a s:2";

#[test]
fn each_getter_finds_its_property() {
    let block = hex::bytes(FULL);
    let properties = Properties::parse_publish(&block).unwrap();
    assert_eq!(properties.topic_alias(), Some(7));
    assert_eq!(properties.message_expiry_secs(), Some(9));
    assert_eq!(properties.subscription_ids().collect::<Vec<_>>(), [1, 128]);
    assert_eq!(properties.response_topic(), Some("r/t"));
    assert_eq!(properties.correlation_data(), Some(&b"cd"[..]));
    assert_eq!(properties.content_type(), Some("ct"));
    assert!(properties.payload_is_text());
    assert_eq!(
        properties.user_properties().collect::<Vec<_>>(),
        [("a", "1"), ("a", "2")]
    );
    assert_eq!(properties.as_bytes(), block);
    assert!(!properties.is_empty());
}

#[test]
fn no_properties_are_found_in_none() {
    let none = Properties::EMPTY;
    assert_eq!(Properties::parse_publish(&[]), Ok(none));
    assert!(none.is_empty() && none.iter().next().is_none() && !none.payload_is_text());
    assert_eq!((none.topic_alias(), none.message_expiry_secs()), (None, None));
    assert_eq!(
        (
            none.response_topic(),
            none.correlation_data(),
            none.content_type()
        ),
        (None, None, None)
    );
    assert_eq!(
        (none.subscription_ids().count(), none.user_properties().count()),
        (0, 0)
    );
}

/// [MQTT5-3.3.2-17] [MQTT5-3.3.2-18]
#[test]
fn mqtt_3_3_2_17_what_goes_on_keeps_its_order_and_loses_only_what_is_per_hop() {
    let block = hex::bytes(FULL);
    let forwardable = Properties::parse_publish(&block).unwrap().forwardable();
    let expected = hex::bytes("26 s:a s:1 08 s:r/t 01 01 09 s:cd 03 s:ct 26 s:a s:2");
    assert_eq!(forwardable, expected);
    assert!(Properties::parse_publish(&forwardable).is_ok());
}

#[test]
fn nothing_is_copied_when_nothing_is_per_hop() {
    for text in ["", "26 s:a s:1 08 s:r/t 01 01"] {
        let block = hex::bytes(text);
        let forwardable = Properties::parse_publish(&block).unwrap().forwardable();
        assert!(
            matches!(forwardable, Cow::Borrowed(same) if same == block),
            "{text:?}"
        );
    }
}

#[test]
fn a_block_that_no_publish_may_carry_is_refused() {
    for (text, reason) in [
        ("11 00000001", ReasonCode::MalformedPacket),
        ("18 00000001", ReasonCode::MalformedPacket),
        ("23 0000", ReasonCode::TopicAliasInvalid),
        ("01 01 01 01", ReasonCode::ProtocolError),
        ("02 0000", ReasonCode::MalformedPacket),
        ("80", ReasonCode::MalformedPacket),
    ] {
        let block = hex::bytes(text);
        assert_eq!(
            Properties::parse_publish(&block).unwrap_err().reason,
            reason,
            "{text}"
        );
    }
}

#[test]
fn every_property_is_written_under_its_number() {
    let long = "x".repeat(300);
    let all = [
        (Property::PayloadFormatIndicator(true), "01 01"),
        (Property::MessageExpiryInterval(1), "02 00000001"),
        (Property::ContentType("a"), "03 s:a"),
        (Property::ResponseTopic("a"), "08 s:a"),
        (Property::CorrelationData(&[0, 255]), "09 0002 00ff"),
        (Property::SubscriptionIdentifier(128), "0b 8001"),
        (Property::SessionExpiryInterval(u32::MAX), "11 ffffffff"),
        (Property::AssignedClientIdentifier("a"), "12 s:a"),
        (Property::ServerKeepAlive(0), "13 0000"),
        (Property::AuthenticationMethod("a"), "15 s:a"),
        (Property::AuthenticationData(b"a"), "16 s:a"),
        (Property::RequestProblemInformation(false), "17 00"),
        (Property::WillDelayInterval(2), "18 00000002"),
        (Property::RequestResponseInformation(true), "19 01"),
        (Property::ResponseInformation("a"), "1a s:a"),
        (Property::ServerReference("a"), "1c s:a"),
        (Property::ReasonString("a"), "1f s:a"),
        (Property::ReceiveMaximum(1), "21 0001"),
        (Property::TopicAliasMaximum(0), "22 0000"),
        (Property::TopicAlias(1), "23 0001"),
        (Property::MaximumQoS(QoS::AtLeastOnce), "24 01"),
        (Property::RetainAvailable(false), "25 00"),
        (Property::UserProperty("", &long), &format!("26 s: s:{long}")),
        (Property::MaximumPacketSize(1), "27 00000001"),
        (Property::WildcardSubscriptionAvailable(true), "28 01"),
        (Property::SubscriptionIdentifiersAvailable(true), "29 01"),
        (Property::SharedSubscriptionAvailable(false), "2a 00"),
    ];
    assert_eq!(all.len(), 27);
    for (property, text) in all {
        let mut out = Vec::new();
        put_property(&mut out, &property).unwrap();
        assert_eq!(out, hex::bytes(text), "{property:?}");
        assert_eq!(out[0], property.id());
    }
}

#[test]
fn a_property_that_may_not_be_is_not_written() {
    let long = "x".repeat(65_536);
    for property in [
        Property::TopicAlias(0),
        Property::ReceiveMaximum(0),
        Property::MaximumPacketSize(0),
        Property::SubscriptionIdentifier(0),
        Property::SubscriptionIdentifier(268_435_456),
        Property::MaximumQoS(QoS::ExactlyOnce),
        Property::ResponseTopic("a/#"),
        Property::ResponseTopic(""),
        Property::ContentType("a\0"),
        Property::ReasonString(&long),
        Property::CorrelationData(long.as_bytes()),
        Property::UserProperty("name", "\0"),
    ] {
        let mut out = vec![1, 2];
        assert!(put_property(&mut out, &property).is_err(), "{property:?}");
        assert_eq!(out, [1, 2], "{property:?}");
    }
    let refused = put_property(&mut Vec::new(), &Property::UserProperty("a", &long));
    assert_eq!(
        refused,
        Err(EncodeError::FieldTooLong {
            what: "User Property value",
            len: 65_536
        })
    );
}
