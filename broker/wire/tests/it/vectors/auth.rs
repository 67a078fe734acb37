//! Vectors of AUTH, named by clause.

use mqtt_wire::ReasonCode::{self, MalformedPacket, ProtocolError};
use mqtt_wire::Version::V5;
use mqtt_wire::{Auth, Packet};

use super::{From, accepts, only, refuses};
use crate::hex;

#[test]
fn well_formed_auths_are_read() {
    let both = ("continue", "f0 18 p[ 15 s:SCRAM 16 s:data 1f s:r 26 s:k s:v ]");
    accepts(
        From::Client,
        V5,
        &[both, ("re-authenticate", "f0 19 p[ 15 s:m ]")],
    );
    accepts(
        From::Server,
        V5,
        &[
            both,
            ("success, short form", "f0"),
            ("success", "f0 00 p[ 15 s:m ]"),
        ],
    );
}

#[test]
fn each_field_of_an_auth_is_found() {
    let bytes = hex::packet("f0 18 p[ 26 s:k s:v 1f s:why 16 0002ff00 15 s:SCRAM ]");
    let auth = Auth {
        reason: ReasonCode::ContinueAuthentication,
        method: Some("SCRAM".to_owned()),
        data: Some(vec![0xff, 0]),
        reason_string: Some("why".to_owned()),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    };
    assert_eq!(only(From::Server, V5, &bytes), Packet::Auth(auth));
}

/// [MQTT5-3.15.2-1]
#[test]
fn broken_auths_are_refused() {
    for from in [From::Client, From::Server] {
        refuses(
            from,
            V5,
            &[
                ("MQTT-3.15.2-1", ProtocolError, "reason 0x01", "f0 01 p[ 15 s:m ]"),
                ("MQTT-3.15.2-1", ProtocolError, "reason 0x87", "f0 87 p[ 15 s:m ]"),
                ("MQTT5 3.15.2.2.2", ProtocolError, "no method", "f0 18 00"),
                (
                    "MQTT5 3.15.2.2.2",
                    ProtocolError,
                    "data without a method",
                    "f0 18 p[ 16 s:d ]",
                ),
                (
                    "MQTT5 2.2.2.2",
                    ProtocolError,
                    "two methods",
                    "f0 18 p[ 15 s:m 15 s:m ]",
                ),
                (
                    "MQTT5 2.2.2.2",
                    MalformedPacket,
                    "a server reference",
                    "f0 18 p[ 15 s:m 1c s:r ]",
                ),
                (
                    "MQTT5 4.13.1",
                    MalformedPacket,
                    "a reason without a block",
                    "f0 18",
                ),
                (
                    "MQTT5 4.13.1",
                    MalformedPacket,
                    "bytes behind the block",
                    "f0 18 p[ 15 s:m ] 00",
                ),
            ],
        );
    }
    let clause = "MQTT5 3.15.2.1";
    refuses(
        From::Client,
        V5,
        &[
            (
                clause,
                ProtocolError,
                "success from a client",
                "f0 00 p[ 15 s:m ]",
            ),
            (clause, ProtocolError, "success from a client, short form", "f0"),
        ],
    );
    refuses(
        From::Server,
        V5,
        &[(
            clause,
            ProtocolError,
            "re-authenticate from a server",
            "f0 19 p[ 15 s:m ]",
        )],
    );
}
