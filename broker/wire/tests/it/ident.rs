//! Packet identifiers, client identifiers, QoS and versions.

use std::collections::HashMap;

use mqtt_wire::{ClientId, ClientIdError, PacketId, QoS, Version};

/// [MQTT311-2.3.1-1] [MQTT5-2.2.1-3]
#[test]
fn mqtt_2_3_1_1_a_packet_id_is_never_zero() {
    assert_eq!(PacketId::new(0), None);
    assert_eq!(PacketId::new(1), Some(PacketId::FIRST));
    assert_eq!(PacketId::new(65_535).unwrap().next(), PacketId::FIRST);
    let mut id = PacketId::FIRST;
    for expected in 1..=u16::MAX {
        assert_eq!(id.get(), expected);
        id = id.next();
    }
    assert_eq!(id, PacketId::FIRST, "all 65535 were visited");
}

#[test]
fn a_client_id_is_text_that_is_there() {
    assert_eq!(ClientId::parse("").unwrap_err(), ClientIdError::Empty);
    assert_eq!(ClientId::parse("a\0b").unwrap_err(), ClientIdError::Nul);
    assert_eq!(
        ClientId::parse(&"x".repeat(65_536)).unwrap_err(),
        ClientIdError::TooLong(65_536)
    );
    for id in ["a", "device-42", "日本", " ", &"x".repeat(65_535)] {
        let parsed = ClientId::parse(id).unwrap();
        assert_eq!((parsed.as_str(), parsed.to_string().as_str()), (id, id));
    }
}

#[test]
fn a_client_id_is_found_by_its_text() {
    let sessions = HashMap::from([(ClientId::parse("a").unwrap(), 1)]);
    assert_eq!(sessions.get("a"), Some(&1));
}

#[test]
fn the_lower_promise_is_the_smaller_qos() {
    assert!(QoS::AtMostOnce < QoS::AtLeastOnce && QoS::AtLeastOnce < QoS::ExactlyOnce);
    for value in 0..=u8::MAX {
        match QoS::try_from(value) {
            Ok(qos) => assert_eq!(qos as u8, value),
            Err(error) => assert!(value > 2 && error.0 == value),
        }
    }
}

#[test]
fn a_version_and_its_level_name_each_other() {
    for level in 0..=u8::MAX {
        match Version::from_level(level) {
            Some(version) => assert_eq!(version.level(), level),
            None => assert!(level != 4 && level != 5),
        }
    }
}
