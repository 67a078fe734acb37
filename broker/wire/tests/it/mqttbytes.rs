//! Why mqttbytes 0.6 does not read what clients send to the broker: each defect once, beside what we do.
//!
//! The list belongs to docs/decisions/0002-own-codec.md. A test that fails here after an update of
//! mqttbytes is good news: strike the defect from that page.

use bytes::{BufMut, BytesMut};
use mqtt_wire::{Packet, TopicFilter, TopicName, Version, decode, decode_from_server};
use mqttbytes::{Error, matches, v4, v5};

use crate::hex;

fn old(text: &str) -> Result<v4::Packet, Error> {
    v4::read(&mut BytesMut::from(&hex::packet(text)[..]), 1 << 20)
}

fn new(text: &str) -> Result<v5::Packet, Error> {
    v5::read(&mut BytesMut::from(&hex::packet(text)[..]), 1 << 20)
}

fn ours(version: Version, text: &str) -> bool {
    decode(&hex::packet(text), version, u32::MAX).is_ok_and(|read| read.is_some())
}

#[test]
fn matching_a_topic_that_begins_with_a_wide_character_panics() {
    let theirs = std::panic::catch_unwind(|| matches("é/x", "#"));
    assert!(theirs.is_err(), "topic.rs slices the first byte of a character");
    assert!(
        TopicFilter::parse("#")
            .unwrap()
            .matches(TopicName::parse("é/x").unwrap())
    );
}

#[test]
fn a_dollar_topic_matches_not_even_its_own_filter() {
    assert!(!matches("$SYS/x", "$SYS/#"));
    assert!(
        TopicFilter::parse("$SYS/#")
            .unwrap()
            .matches(TopicName::parse("$SYS/x").unwrap())
    );
}

#[test]
fn the_ordinary_disconnect_of_5_is_refused() {
    assert_eq!(new("e0"), Err(Error::PayloadRequired));
    assert!(new("e0 8e").is_err());
    assert!(ours(Version::V5, "e0") && ours(Version::V5, "e0 8e"));
}

#[test]
fn auth_does_not_exist() {
    assert!(new("f0 18 p[ 15 s:m ]").is_err());
    assert!(ours(Version::V5, "f0 18 p[ 15 s:m ]"));
}

#[test]
fn three_subscription_identifiers_leak_into_the_payload() {
    let text = "30 s:a p[ 0b 01 0b 02 0b 03 ] t:PAY";
    let Ok(v5::Packet::Publish(theirs)) = new(text) else {
        panic!("not a PUBLISH")
    };
    assert_eq!(&theirs.payload[..], b"\x0b\x03PAY");
    let bytes = hex::packet(text);
    let Ok(Some((Packet::Publish(publish), _))) = decode_from_server(&bytes, Version::V5, u32::MAX) else {
        panic!("not a PUBLISH")
    };
    assert_eq!(publish.payload, b"PAY");
}

#[test]
fn packet_identifier_zero_is_accepted() {
    for text in ["40 0000", "82 0000 s:a 00", "a2 0000 s:a"] {
        assert!(old(text).is_ok(), "{text}");
        assert!(!ours(Version::V311, text), "{text}");
    }
}

#[test]
fn an_empty_user_name_looks_like_none() {
    let text = "10 s:MQTT 04 82 003c s:c s:";
    let Ok(v4::Packet::Connect(theirs)) = old(text) else {
        panic!("not a CONNECT")
    };
    assert_eq!(theirs.login, None);
    let bytes = hex::packet(text);
    let Ok(Some((Packet::Connect(connect), _))) = decode(&bytes, Version::V311, u32::MAX) else {
        panic!("not a CONNECT")
    };
    assert_eq!(connect.username.as_deref(), Some(""));
}

#[test]
fn a_password_of_any_bytes_is_refused() {
    let text = "10 s:MQTT 04 c2 003c s:c s:u 0002 fffe";
    assert!(old(text).is_err());
    assert!(ours(Version::V311, text));
}

#[test]
fn a_broken_packet_is_taken_for_an_incomplete_one_and_lost() {
    let mut bytes = BytesMut::from(&hex::packet("30 s:a 80")[..]);
    assert!(matches!(
        v5::read(&mut bytes, 1 << 20),
        Err(Error::InsufficientBytes(_))
    ));
    assert!(
        bytes.is_empty(),
        "a reader that waits for more bytes is out of step from here"
    );
    assert!(decode(&hex::packet("30 s:a 80"), Version::V5, u32::MAX).is_err());
}

#[test]
fn a_connect_written_behind_something_damages_it() {
    let mut out = BytesMut::new();
    out.put_slice(&[0xaa; 32]);
    let written = v4::Connect::new("c").write(&mut out);
    assert!(written.is_ok());
    assert_ne!(
        out[..32],
        [0xaa; 32],
        "the flags were written into bytes that were there before"
    );
}

#[test]
fn malformed_packets_are_accepted() {
    for text in [
        "30 s:a/# 78",
        "30 s: 78",
        "38 s:a 78",
        "82 0001",
        "82 0001 s:a# 00",
        "82 0001 s:a c0",
        "10 s:MQTT 04 03 003c s:c",
        "10 s:MQTT 04 02 003c s:c t:junk",
        "4f 0001",
    ] {
        assert!(old(text).is_ok(), "{text}");
        assert!(!ours(Version::V311, text), "{text}");
    }
    for text in [
        "30 s:a p[ 01 01 01 01 ] 78",
        "30 s:a p[ 23 0000 ] 78",
        "10 s:MQTT 05 02 003c p[ 21 0000 ] s:c",
        "82 0001 00 s:$share/g/a 04",
    ] {
        assert!(new(text).is_ok(), "{text}");
        assert!(!ours(Version::V5, text), "{text}");
    }
}
