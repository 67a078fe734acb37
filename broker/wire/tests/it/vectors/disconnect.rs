//! Vectors of DISCONNECT, named by clause.

use mqtt_wire::ReasonCode::{self, MalformedPacket, ProtocolError};
use mqtt_wire::Version::{V5, V311};
use mqtt_wire::{Disconnect, Packet};

use super::{From, accepts, only, refuses};
use crate::hex;

#[test]
fn well_formed_disconnects_are_read() {
    accepts(From::Client, V311, &[("DISCONNECT", "e0")]);
    accepts(
        From::Client,
        V5,
        &[
            ("normal, short form", "e0"),
            ("normal, spelled out", "e0 00"),
            ("normal with an empty block", "e0 00 00"),
            ("reason alone", "e0 8e"),
            ("with will", "e0 04 p[ 11 00000009 1f s:x 26 s:k s:v 1c s:s ]"),
        ],
    );
    accepts(
        From::Server,
        V5,
        &[
            ("short form", "e0"),
            ("reason alone", "e0 8e"),
            ("elsewhere", "e0 9c p[ 1f s:x 26 s:k s:v 1c s:s ]"),
        ],
    );
}

#[test]
fn each_field_of_a_disconnect_is_found() {
    let bytes = hex::packet("e0 04 p[ 26 s:k s:v 1c s:other 1f s:why 11 ffffffff ]");
    let disconnect = Disconnect {
        reason: ReasonCode::DisconnectWithWill,
        session_expiry_secs: Some(u32::MAX),
        reason_string: Some("why".to_owned()),
        server_reference: Some("other".to_owned()),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    };
    assert_eq!(only(From::Client, V5, &bytes), Packet::Disconnect(disconnect));
}

/// [MQTT5-3.14.2-1] [MQTT5-3.14.2-2]
#[test]
fn broken_disconnects_are_refused() {
    refuses(
        From::Client,
        V311,
        &[("MQTT311 2.2.3", MalformedPacket, "a body", "e0 00")],
    );
    for from in [From::Client, From::Server] {
        refuses(
            from,
            V5,
            &[
                ("MQTT-3.14.2-1", ProtocolError, "reason 0x01", "e0 01 00"),
                (
                    "MQTT-3.14.2-1",
                    ProtocolError,
                    "reason 0x03, which does not exist",
                    "e0 03",
                ),
                (
                    "MQTT-3.14.2-1",
                    ProtocolError,
                    "reason 0x92, of other packets",
                    "e0 92",
                ),
                (
                    "MQTT5 2.2.2.2",
                    ProtocolError,
                    "two reason strings",
                    "e0 00 p[ 1f s:a 1f s:b ]",
                ),
                (
                    "MQTT5 2.2.2.2",
                    MalformedPacket,
                    "a receive maximum",
                    "e0 00 p[ 21 0001 ]",
                ),
                (
                    "MQTT5 4.13.1",
                    MalformedPacket,
                    "bytes behind the block",
                    "e0 00 00 00",
                ),
                (
                    "MQTT5 4.13.1",
                    MalformedPacket,
                    "half a session expiry",
                    "e0 00 p[ 11 0000 ]",
                ),
                ("MQTT5 4.13.1", MalformedPacket, "half a block length", "e0 00 80"),
            ],
        );
    }
    refuses(
        From::Server,
        V5,
        &[
            (
                "MQTT-3.14.2-2",
                ProtocolError,
                "session expiry from a server",
                "e0 00 p[ 11 00000009 ]",
            ),
            (
                "MQTT-3.14.2-1",
                ProtocolError,
                "reason 0x04 from a server",
                "e0 04",
            ),
        ],
    );
}
