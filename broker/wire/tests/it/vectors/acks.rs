//! PUBACK, PUBREC, PUBREL, PUBCOMP.

use mqtt_wire::ReasonCode::{self, MalformedPacket, ProtocolError};
use mqtt_wire::Version::{V5, V311};
use mqtt_wire::{Ack, Packet, PacketId};

use super::{From, accepts, only, refuses};
use crate::hex;

const SIDES: [From; 2] = [From::Client, From::Server];

#[test]
fn well_formed_acks_are_read() {
    for from in SIDES {
        accepts(
            from,
            V311,
            &[
                ("PUBACK", "40 0009"),
                ("PUBREC", "50 0009"),
                ("PUBREL", "62 0009"),
                ("PUBCOMP", "70 ffff"),
            ],
        );
        accepts(
            from,
            V5,
            &[
                ("PUBACK, short form", "40 0009"),
                ("PUBACK with a reason", "40 0009 10"),
                ("PUBACK with the reason spelled out", "40 0009 00"),
                ("PUBACK with an empty block", "40 0009 00 00"),
                ("PUBACK with properties", "40 0009 10 p[ 1f s:why 26 s:k s:v ]"),
                ("PUBREC, short form", "50 0009"),
                ("PUBREC with a reason", "50 0009 10"),
                ("PUBREC with properties", "50 0009 10 p[ 1f s:why 26 s:k s:v ]"),
                ("PUBREL, short form", "62 0009"),
                ("PUBREL with a reason", "62 0009 92"),
                ("PUBREL with properties", "62 0009 92 p[ 1f s:why 26 s:k s:v ]"),
                ("PUBCOMP, short form", "70 0009"),
                ("PUBCOMP with a reason", "70 0009 92"),
                ("PUBCOMP with properties", "70 0009 92 p[ 1f s:why 26 s:k s:v ]"),
            ],
        );
    }
}

#[test]
fn each_field_of_an_ack_is_found() {
    let bytes = hex::packet("50 0102 97 p[ 26 s:a s:1 1f s:full 26 s:a s:2 ]");
    let pairs = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
    let ack = Ack {
        packet_id: PacketId::new(0x0102).unwrap(),
        reason: ReasonCode::QuotaExceeded,
        reason_string: Some("full".to_owned()),
        user_properties: pairs,
    };
    assert_eq!(only(From::Server, V5, &bytes), Packet::PubRec(ack));
}

#[test]
fn broken_acks_are_refused() {
    for from in SIDES {
        for first in ["40", "50", "62", "70"] {
            let with = |body: &str| format!("{first} {body}");
            refuses(
                from,
                V311,
                &[
                    ("MQTT-2.3.1-1", ProtocolError, "packet id 0", &with("0000")),
                    (
                        "MQTT311 2.2.3",
                        MalformedPacket,
                        "a body of four bytes",
                        &with("0001 0000"),
                    ),
                    ("MQTT311 2.2.3", MalformedPacket, "half a packet id", &with("00")),
                    ("MQTT311 2.2.3", MalformedPacket, "no body", &with("")),
                ],
            );
            refuses(
                from,
                V5,
                &[
                    ("MQTT5 2.2.1", ProtocolError, "packet id 0", &with("0000")),
                    ("MQTT5 4.13.1", MalformedPacket, "half a packet id", &with("00")),
                    ("MQTT5 4.13.1", MalformedPacket, "no body", &with("")),
                    (
                        "MQTT5 2.2.2.2",
                        ProtocolError,
                        "two reason strings",
                        &with("0001 00 p[ 1f s:a 1f s:b ]"),
                    ),
                    (
                        "MQTT5 2.2.2.2",
                        MalformedPacket,
                        "a topic alias",
                        &with("0001 00 p[ 23 0001 ]"),
                    ),
                    (
                        "MQTT5 4.13.1",
                        MalformedPacket,
                        "bytes behind the block",
                        &with("0001 00 00 00"),
                    ),
                    (
                        "MQTT5 4.13.1",
                        MalformedPacket,
                        "a block beyond the packet",
                        &with("0001 00 05 1f"),
                    ),
                    (
                        "MQTT-1.5.5-1",
                        MalformedPacket,
                        "an overlong block length",
                        &with("0001 00 8000"),
                    ),
                ],
            );
        }
    }
}

/// [MQTT5-3.4.2-1] [MQTT5-3.5.2-1] [MQTT5-3.6.2-1] [MQTT5-3.7.2-1]
#[test]
fn an_ack_carries_only_its_own_reason_codes() {
    const TAKEN: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    const RELEASED: [u8; 2] = [0x00, 0x92];
    let kinds: [(u8, &str, &[u8]); 4] = [
        (0x40, "MQTT-3.4.2-1", &TAKEN),
        (0x50, "MQTT-3.5.2-1", &TAKEN),
        (0x62, "MQTT-3.6.2-1", &RELEASED),
        (0x70, "MQTT-3.7.2-1", &RELEASED),
    ];
    for (first, clause, allowed) in kinds {
        for reason in 0..=u8::MAX {
            let bytes = [first, 3, 0, 1, reason];
            match super::read(From::Client, V5, &bytes) {
                Ok(_) => assert!(allowed.contains(&reason), "{first:#x} took {reason:#x}"),
                Err(error) => {
                    assert!(!allowed.contains(&reason), "{first:#x} refused {reason:#x}");
                    assert_eq!((error.clause, error.reason), (clause, ProtocolError));
                }
            }
        }
    }
}
