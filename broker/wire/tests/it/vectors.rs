//! Tables of packets that are right, and of packets that are refused and for which clause.

mod acks;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod header;
mod ping;
mod publish;
mod subscribe;
mod unsubscribe;

use mqtt_wire::{DecodeError, Packet, ReasonCode, Version, decode, decode_from_server};

use crate::hex;

/// Who sent the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

pub(crate) type Read<'a> = Result<Option<(Packet<'a>, usize)>, DecodeError>;

pub(crate) fn read(from: From, version: Version, bytes: &[u8]) -> Read<'_> {
    match from {
        From::Client => decode(bytes, version, u32::MAX),
        From::Server => decode_from_server(bytes, version, u32::MAX),
    }
}

/// What is right: it is read whole, survives a round trip, is "not there yet" at every length before its
/// end, and does not touch what follows.
pub(crate) fn accepts(from: From, version: Version, cases: &[(&str, &str)]) {
    for (name, text) in cases {
        let bytes = hex::packet(text);
        let (packet, len) = read(from, version, &bytes)
            .unwrap_or_else(|error| panic!("{version:?} {name}: {error}"))
            .unwrap_or_else(|| panic!("{version:?} {name}: taken for incomplete"));
        assert_eq!(len, bytes.len(), "{version:?} {name}");
        let version = match &packet {
            Packet::Connect(connect) => connect.version,
            _ => version,
        };
        let mut again = Vec::new();
        packet
            .encode(version, &mut again)
            .unwrap_or_else(|error| panic!("{version:?} {name}: {error}"));
        assert_eq!(
            read(from, version, &again),
            Ok(Some((packet.clone(), again.len()))),
            "{version:?} {name}"
        );
        for cut in 0..bytes.len() {
            assert_eq!(
                read(from, version, &bytes[..cut]),
                Ok(None),
                "{version:?} {name} cut at {cut}"
            );
        }
        let longer = [&bytes[..], &[0xff, 0, 0x30]].concat();
        assert_eq!(
            read(from, version, &longer),
            Ok(Some((packet, bytes.len()))),
            "{version:?} {name}"
        );
    }
}

/// What is refused, with its clause and reason code.
pub(crate) fn refuses(from: From, version: Version, cases: &[(&str, ReasonCode, &str, &str)]) {
    for (clause, reason, name, text) in cases {
        let bytes = match text.strip_prefix("raw ") {
            Some(raw) => hex::bytes(raw),
            None => hex::packet(text),
        };
        match read(from, version, &bytes) {
            Err(error) => {
                assert_eq!(
                    (error.clause, error.reason),
                    (*clause, *reason),
                    "{version:?} {name}: {error}"
                );
            }
            other => panic!("{version:?} {name} should break {clause}, but: {other:?}"),
        }
    }
}

/// The one packet of some bytes, for a closer look.
pub(crate) fn only(from: From, version: Version, bytes: &[u8]) -> Packet<'_> {
    let (packet, len) = read(from, version, bytes).unwrap().unwrap();
    assert_eq!(len, bytes.len());
    packet
}
