//! Reading any bytes never panics, and what is accepted means the same when it is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_wire::{DecodeError, Packet, Version, decode, decode_from_server, frame_len};

type Read = for<'a> fn(&'a [u8], Version, u32) -> Result<Option<(Packet<'a>, usize)>, DecodeError>;

const MAX: u32 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::V311, Version::V5] {
        stream(decode, version, bytes);
        stream(decode_from_server, version, bytes);
    }
});

/// Reads packet after packet, as a connection does.
fn stream(read: Read, version: Version, mut bytes: &[u8]) {
    while let Ok(Some((packet, len))) = read(bytes, version, MAX) {
        assert_eq!(frame_len(bytes, MAX), Ok(Some(len)));
        survives(read, version, &packet);
        assert_eq!(read(&bytes[..len - 1], version, MAX), Ok(None));
        bytes = &bytes[len..];
    }
}

fn survives(read: Read, version: Version, packet: &Packet<'_>) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    if let Packet::Publish(publish) = packet {
        let forwardable = publish.properties.forwardable();
        assert!(mqtt_wire::Properties::parse_publish(&forwardable).is_ok());
        assert!(!format!("{publish:?}").is_empty());
    }
    let mut again = Vec::new();
    packet
        .encode(version, &mut again)
        .expect("what was read can be written");
    assert_eq!(packet.encoded_len(version), Ok(again.len()));
    let (same, len) = read(&again, version, u32::MAX)
        .expect("what was written can be read")
        .expect("whole");
    assert_eq!((&same, len), (packet, again.len()));
}
