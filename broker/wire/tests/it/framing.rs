//! How long a packet is, and what is told before it is all there.

use mqtt_wire::ReasonCode::{MalformedPacket, PacketTooLarge, ProtocolError};
use mqtt_wire::{MAX_VARINT, Version, decode, decode_from_server, frame_len};

use crate::hex;

#[test]
fn the_length_is_known_with_the_fixed_header() {
    for (bytes, expected) in [
        ("", None),
        ("30", None),
        ("30 80", None),
        ("30 ffffff", None),
        ("30 00", Some(2)),
        ("30 7f", Some(129)),
        ("30 8001", Some(131)),
        ("30 ff7f", Some(16_386)),
        ("30 808001", Some(16_388)),
        ("30 80808001", Some(2_097_157)),
        ("30 ffffff7f", Some(268_435_460)),
    ] {
        assert_eq!(frame_len(&hex::bytes(bytes), u32::MAX), Ok(expected), "{bytes}");
    }
}

/// [MQTT5-3.2.2-15]
#[test]
fn mqtt_3_2_2_15_a_packet_above_the_limit_is_refused_before_its_body_comes() {
    let header = hex::bytes("30 8008");
    for version in [Version::V311, Version::V5] {
        assert_eq!(decode(&header, version, 1024 + 3), Ok(None));
        for bytes in [&header[..], &[&header[..], &[0; 2000]].concat()] {
            assert_eq!(
                decode(bytes, version, 1024 + 2).unwrap_err().reason,
                PacketTooLarge
            );
            assert_eq!(
                decode_from_server(bytes, version, 1024 + 2).unwrap_err().reason,
                PacketTooLarge
            );
        }
    }
    assert_eq!(frame_len(&header, 1024 + 2).unwrap_err().reason, PacketTooLarge);
    assert_eq!(frame_len(&header, 1024 + 3), Ok(Some(1024 + 3)));
}

#[test]
fn the_limit_counts_the_fixed_header() {
    let bytes = hex::packet("30 s:abc t:hello");
    let limit = bytes.len() as u32;
    assert!(decode(&bytes, Version::V311, limit).unwrap().is_some());
    assert_eq!(
        decode(&bytes, Version::V311, limit - 1).unwrap_err().reason,
        PacketTooLarge
    );
    assert!(decode(&bytes, Version::V311, 0).is_err());
}

#[test]
fn a_wrong_first_byte_is_refused_at_once() {
    for (byte, version, reason) in [
        (0x00, Version::V5, MalformedPacket),
        (0x36, Version::V5, MalformedPacket),
        (0x38, Version::V5, MalformedPacket),
        (0x80, Version::V5, MalformedPacket),
        (0x20, Version::V5, ProtocolError),
        (0xf0, Version::V311, MalformedPacket),
    ] {
        assert_eq!(
            decode(&[byte], version, u32::MAX).unwrap_err().reason,
            reason,
            "{byte:#x}"
        );
    }
    assert!(frame_len(&[0x0f], u32::MAX).is_err());
    assert!(frame_len(&[0xc1], u32::MAX).is_err());
}

#[test]
fn a_wrong_length_is_refused_as_soon_as_it_is_there() {
    for (bytes, version) in [
        ("30 ffffffff", Version::V5),
        ("30 8000", Version::V5),
        ("c0 01", Version::V5),
        ("40 04", Version::V311),
        ("e0 01", Version::V311),
    ] {
        let error = decode(&hex::bytes(bytes), version, u32::MAX).unwrap_err();
        assert_eq!(error.reason, MalformedPacket, "{bytes}");
    }
}

#[test]
fn the_largest_packet_is_written_and_one_byte_more_is_not() {
    let payload = vec![0; MAX_VARINT as usize - 3 + 1];
    let (fits, too_long) = (&payload[..MAX_VARINT as usize - 3], &payload[..]);
    let publish = |payload| mqtt_wire::Publish {
        dup: false,
        qos: mqtt_wire::QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        properties: mqtt_wire::Properties::EMPTY,
        payload,
    };
    let mut out = Vec::new();
    let refused = publish(too_long).encode(Version::V311, &mut out);
    assert_eq!(
        refused,
        Err(mqtt_wire::EncodeError::TooLarge(MAX_VARINT as usize + 1))
    );
    assert!(out.is_empty() && out.capacity() == 0);
    publish(fits).encode(Version::V311, &mut out).unwrap();
    assert_eq!(out.len(), 268_435_460);
    assert_eq!(
        decode(&out, Version::V311, u32::MAX).unwrap().unwrap().1,
        out.len()
    );
}
