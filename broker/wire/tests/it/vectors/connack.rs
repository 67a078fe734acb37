//! Vectors of CONNACK, named by clause.

use mqtt_wire::ReasonCode::{self, MalformedPacket, ProtocolError};
use mqtt_wire::Version::{V5, V311};
use mqtt_wire::{ConnAck, Packet, QoS};

use super::{From, accepts, only, refuses};
use crate::hex;

const ALL: &str = "20 00 00 p[ 11 00000009 21 0005 24 01 25 01 27 00010000 12 s:id 22 0003 1f s:ok 26 s:k s:v \
                   28 00 29 01 2a 01 13 001e 1a s:ri 1c s:sr 15 s:m 16 s:d ]";

#[test]
fn well_formed_connacks_are_read() {
    accepts(
        From::Server,
        V311,
        &[
            ("accepted", "20 00 00"),
            ("session present", "20 01 00"),
            ("not authorized", "20 00 05"),
        ],
    );
    accepts(
        From::Server,
        V5,
        &[
            ("everything", ALL),
            ("session present", "20 01 00 00"),
            ("refused", "20 00 87 p[ 1f s:no ]"),
        ],
    );
}

#[test]
fn each_field_of_a_connack_is_found() {
    let text = |text: &str| Some(text.to_owned());
    let connack = ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        session_expiry_secs: Some(9),
        receive_maximum: Some(5),
        maximum_qos: Some(QoS::AtLeastOnce),
        retain_available: Some(true),
        max_packet_size: Some(65536),
        assigned_client_id: text("id"),
        topic_alias_maximum: Some(3),
        reason_string: text("ok"),
        wildcard_available: Some(false),
        subscription_ids_available: Some(true),
        shared_available: Some(true),
        server_keep_alive_secs: Some(30),
        response_information: text("ri"),
        server_reference: text("sr"),
        authentication_method: text("m"),
        authentication_data: Some(b"d".to_vec()),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    };
    assert_eq!(
        only(From::Server, V5, &hex::packet(ALL)),
        Packet::ConnAck(connack)
    );
}

#[test]
fn return_codes_of_311_become_reasons() {
    let expected = [
        ReasonCode::Success,
        ReasonCode::UnsupportedProtocolVersion,
        ReasonCode::ClientIdentifierNotValid,
        ReasonCode::ServerUnavailable,
        ReasonCode::BadUserNameOrPassword,
        ReasonCode::NotAuthorized,
    ];
    for (code, reason) in (0..).zip(expected) {
        let connack = ConnAck {
            reason,
            ..ConnAck::default()
        };
        assert_eq!(
            only(From::Server, V311, &[0x20, 2, 0, code]),
            Packet::ConnAck(connack)
        );
        assert_eq!(mqtt_wire::connack_return_code(reason), code);
    }
}

#[test]
fn broken_connacks_are_refused() {
    refuses(
        From::Server,
        V311,
        &[
            ("MQTT311 3.2.2.1", MalformedPacket, "reserved bits", "20 fe 00"),
            ("MQTT311 3.2.2.3", ProtocolError, "return code 6", "20 00 06"),
            (
                "MQTT-3.2.2-4",
                ProtocolError,
                "session present in a refusal",
                "20 01 05",
            ),
            ("MQTT311 2.2.3", MalformedPacket, "a third byte", "20 00 00 00"),
        ],
    );
    refuses(
        From::Server,
        V5,
        &[
            ("MQTT-3.2.2-1", MalformedPacket, "reserved bits", "20 fe 00 00"),
            ("MQTT-3.2.2-8", ProtocolError, "reason 0x01", "20 00 01 00"),
            (
                "MQTT-3.2.2-8",
                ProtocolError,
                "reason 0x8e, of DISCONNECT",
                "20 00 8e 00",
            ),
            (
                "MQTT-3.2.2-6",
                ProtocolError,
                "session present in a refusal",
                "20 01 87 00",
            ),
            ("MQTT5 4.13.1", MalformedPacket, "no block", "20 00 00"),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "bytes behind the block",
                "20 00 00 00 00",
            ),
            (
                "MQTT5 3.1.2.11.3",
                ProtocolError,
                "receive maximum 0",
                "20 00 00 p[ 21 0000 ]",
            ),
            (
                "MQTT5 3.1.2.11.4",
                ProtocolError,
                "maximum packet size 0",
                "20 00 00 p[ 27 00000000 ]",
            ),
            (
                "MQTT5 3.2.2.3.4",
                ProtocolError,
                "maximum QoS 2",
                "20 00 00 p[ 24 02 ]",
            ),
            (
                "MQTT5 3.2.2.3.5",
                ProtocolError,
                "retain available 2",
                "20 00 00 p[ 25 02 ]",
            ),
            (
                "MQTT5 3.2.2.3.11",
                ProtocolError,
                "wildcards available 2",
                "20 00 00 p[ 28 02 ]",
            ),
            (
                "MQTT5 3.2.2.3.12",
                ProtocolError,
                "subscription ids available 2",
                "20 00 00 p[ 29 02 ]",
            ),
            (
                "MQTT5 3.2.2.3.13",
                ProtocolError,
                "shared available 2",
                "20 00 00 p[ 2a 02 ]",
            ),
            (
                "MQTT5 2.2.2.2",
                ProtocolError,
                "two assigned ids",
                "20 00 00 p[ 12 s:a 12 s:b ]",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "a will delay",
                "20 00 00 p[ 18 00000001 ]",
            ),
        ],
    );
}
