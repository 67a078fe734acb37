//! Vectors of CONNECT, named by clause.

use std::num::{NonZeroU16, NonZeroU32};

use mqtt_wire::ReasonCode::{
    ClientIdentifierNotValid, MalformedPacket, ProtocolError, TopicNameInvalid, UnsupportedProtocolVersion,
};
use mqtt_wire::Version::{V5, V311};
use mqtt_wire::{Connect, Packet, QoS, Will, connect_version};

use super::{From, accepts, only, refuses};
use crate::hex;

const ALL: &str = "10 s:MQTT 05 ee 003c p[ 11 00000009 21 000a 27 00010000 22 0005 19 01 17 00 26 s:k s:v \
                   15 s:SCRAM 16 000200ff ] s:cid p[ 18 00000001 01 01 02 00000009 03 s:ct 08 s:r/t 09 s:cd \
                   26 s:k s:v ] s:will/t s:bye s:user s:pass";

/// [MQTT5-3.1.2-19]
#[test]
fn well_formed_connects_are_read() {
    accepts(
        From::Client,
        V311,
        &[
            (
                "everything",
                "10 s:MQTT 04 ee 003c s:cid s:will/t s:bye s:user s:pass",
            ),
            ("the least", "10 s:MQTT 04 02 003c s:cid"),
            (
                "an empty client id with a clean session",
                "10 s:MQTT 04 02 0000 s:",
            ),
            (
                "a password of any bytes",
                "10 s:MQTT 04 c2 003c s:c s:u 0002 fffe",
            ),
            ("an empty user name", "10 s:MQTT 04 82 003c s:c s:"),
            (
                "an empty user name and password",
                "10 s:MQTT 04 c2 003c s:c s: s:",
            ),
            ("an empty will payload", "10 s:MQTT 04 06 003c s:c s:t s:"),
            ("MQTT 3.1", "10 s:MQIsdp 03 02 003c s:cid"),
            ("a bridge", "10 s:MQTT 84 02 003c s:cid"),
            ("a bridge of MQTT 3.1", "10 s:MQIsdp 83 02 003c s:cid"),
            (
                "MQTT 3.1 with everything",
                "10 s:MQIsdp 03 ee 003c s:cid s:will/t s:bye s:user s:pass",
            ),
        ],
    );
    accepts(
        From::Client,
        V5,
        &[
            ("everything", ALL),
            ("the least", "10 s:MQTT 05 02 003c 00 s:"),
            (
                "an empty client id for a session that stays",
                "10 s:MQTT 05 00 003c 00 s:",
            ),
            (
                "a password without a user name",
                "10 s:MQTT 05 42 003c 00 s:c s:pw",
            ),
            ("a password of any bytes", "10 s:MQTT 05 42 003c 00 s: 0002 ff00"),
            (
                "a will without properties",
                "10 s:MQTT 05 06 003c 00 s:c 00 s:t s:bye",
            ),
            ("a method without data", "10 s:MQTT 05 02 003c p[ 15 s:m ] s:c"),
            ("an empty method", "10 s:MQTT 05 02 003c p[ 15 s: ] s:c"),
        ],
    );
}

/// Mosquitto's bridges set the highest bit of the level.
#[test]
fn a_bridge_is_known_by_its_level() {
    for (text, is_31, is_bridge) in [
        ("10 s:MQTT 04 02 003c s:cid", false, false),
        ("10 s:MQTT 84 02 003c s:cid", false, true),
        ("10 s:MQIsdp 03 02 003c s:cid", true, false),
        ("10 s:MQIsdp 83 02 003c s:cid", true, true),
    ] {
        let connect = Connect {
            is_31,
            is_bridge,
            keep_alive_secs: 60,
            ..Connect::new(V311, "cid")
        };
        let bytes = hex::packet(text);
        assert_eq!(
            only(From::Client, V5, &bytes),
            Packet::Connect(Box::new(connect.clone()))
        );
        assert_eq!(connect_version(&bytes), Some(V311));
        let mut written = Vec::new();
        Packet::Connect(Box::new(connect))
            .encode(V311, &mut written)
            .unwrap();
        assert_eq!(written, bytes);
    }
}

/// [MQTT5-3.1.3-1]
#[test]
fn each_field_of_a_connect_is_found() {
    let will_block = hex::bytes("01 01 02 00000009 03 s:ct 08 s:r/t 09 s:cd 26 s:k s:v");
    let connect = Connect {
        version: V5,
        is_31: false,
        is_bridge: false,
        client_id: "cid".to_owned(),
        clean_start: true,
        keep_alive_secs: 60,
        username: Some("user".to_owned()),
        password: Some(b"pass".to_vec()),
        will: Some(Will {
            topic: "will/t".to_owned(),
            payload: b"bye".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
            delay_secs: 1,
            properties: will_block,
        }),
        session_expiry_secs: Some(9),
        receive_maximum: NonZeroU16::new(10),
        max_packet_size: NonZeroU32::new(65536),
        topic_alias_maximum: 5,
        request_response_information: true,
        request_problem_information: false,
        user_properties: vec![("k".to_owned(), "v".to_owned())],
        authentication_method: Some("SCRAM".to_owned()),
        authentication_data: Some(vec![0, 0xff]),
    };
    assert_eq!(
        only(From::Client, V5, &hex::packet(ALL)),
        Packet::Connect(Box::new(connect))
    );
}

/// [MQTT311-3.1.3-1]
#[test]
fn each_field_of_a_connect_of_311_is_found() {
    let bytes = hex::packet("10 s:MQTT 04 ee 003c s:cid s:will/t s:bye s:user s:pass");
    let connect = Connect {
        clean_start: true,
        keep_alive_secs: 60,
        username: Some("user".to_owned()),
        password: Some(b"pass".to_vec()),
        will: Some(Will {
            topic: "will/t".to_owned(),
            payload: b"bye".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
            delay_secs: 0,
            properties: Vec::new(),
        }),
        ..Connect::new(V311, "cid")
    };
    assert_eq!(
        only(From::Client, V311, &bytes),
        Packet::Connect(Box::new(connect))
    );
}

#[test]
fn what_a_connect_leaves_out_has_its_default() {
    let bytes = hex::packet("10 s:MQTT 05 00 0000 00 s:c");
    let Packet::Connect(connect) = only(From::Client, V5, &bytes) else {
        panic!("not a CONNECT")
    };
    assert_eq!(
        *connect,
        Connect {
            clean_start: false,
            ..Connect::new(V5, "c")
        }
    );
    assert!(connect.request_problem_information && !connect.request_response_information);
}

#[test]
fn a_connect_names_its_own_version() {
    for (level, own) in [("04", V311), ("05", V5)] {
        let block = if own == V5 { "00" } else { "" };
        let bytes = hex::packet(&format!("10 s:MQTT {level} 02 003c {block} s:c"));
        for connection in [V311, V5] {
            let Packet::Connect(connect) = only(From::Client, connection, &bytes) else {
                panic!("not a CONNECT")
            };
            assert_eq!(connect.version, own);
        }
        assert_eq!(connect_version(&bytes), Some(own));
    }
}

#[test]
fn the_version_of_a_refused_connect_is_known_as_soon_as_it_can_be() {
    let bytes = hex::packet("10 s:MQTT 05 03 003c 00 s:c");
    assert!(super::read(From::Client, V311, &bytes).is_err());
    for cut in 0..bytes.len() {
        let known = (cut >= 9).then_some(V5);
        assert_eq!(connect_version(&bytes[..cut]), known, "cut at {cut}");
    }
    for other in ["10 s:MQTT 06 02 003c s:c", "c0", "30 s:MQTT 05"] {
        assert_eq!(connect_version(&hex::packet(other)), None, "{other}");
    }
}

/// [MQTT311-3.1.2-1] [MQTT5-3.1.2-1] [MQTT311-3.1.2-2] [MQTT5-3.1.2-2]
#[test]
fn mqtt_3_1_2_2_other_protocols_are_refused() {
    let code = UnsupportedProtocolVersion;
    for version in [V311, V5] {
        refuses(
            From::Client,
            version,
            &[
                (
                    "MQTT-3.1.2-1",
                    code,
                    "MQTT 3.1 of level 4",
                    "10 s:MQIsdp 04 02 003c s:cid",
                ),
                (
                    "MQTT-3.1.2-1",
                    code,
                    "another name",
                    "10 s:MQTX 05 02 003c 00 s:cid",
                ),
                ("MQTT-3.1.2-1", code, "lower case", "10 s:mqtt 04 02 003c s:cid"),
                ("MQTT-3.1.2-1", code, "no name", "10 s: 04 02 003c s:cid"),
                (
                    "MQTT-3.1.2-1",
                    code,
                    "a name of ill-formed UTF-8",
                    "10 0004 ffffffff 04 02 003c s:cid",
                ),
                (
                    "MQTT-3.1.2-2",
                    code,
                    "level 3 with the new name",
                    "10 s:MQTT 03 02 003c s:cid",
                ),
                ("MQTT-3.1.2-2", code, "level 6", "10 s:MQTT 06 02 003c 00 s:cid"),
                (
                    "MQTT-3.1.2-2",
                    code,
                    "the bridge bit of MQTT 5",
                    "10 s:MQTT 85 02 003c 00 s:cid",
                ),
                (
                    "MQTT-3.1.2-2",
                    code,
                    "the bridge bit alone",
                    "10 s:MQTT 80 02 003c s:cid",
                ),
                (
                    "MQTT-3.1.2-1",
                    code,
                    "the bridge bit of level 4 with the old name",
                    "10 s:MQIsdp 84 02 003c s:cid",
                ),
            ],
        );
    }
}

/// [MQTT311-1.5.3-1] [MQTT311-1.5.3-2] [MQTT311-3.1.2-3] [MQTT311-3.1.2-9] [MQTT311-3.1.2-11]
/// [MQTT311-3.1.2-13] [MQTT311-3.1.2-14] [MQTT311-3.1.2-15] [MQTT311-3.1.2-18] [MQTT311-3.1.2-19]
/// [MQTT311-3.1.2-20] [MQTT311-3.1.2-21] [MQTT311-3.1.2-22] [MQTT311-3.1.3-3] [MQTT311-3.1.3-4]
/// [MQTT311-3.1.3-7] [MQTT311-3.1.3-8] [MQTT311-3.1.3-10] [MQTT311-3.1.3-11] [MQTT311-3.1.4-1]
#[test]
fn broken_connects_are_refused_in_311() {
    refuses(
        From::Client,
        V311,
        &[
            (
                "MQTT-3.1.2-3",
                MalformedPacket,
                "the reserved flag",
                "10 s:MQTT 04 03 003c s:c",
            ),
            (
                "MQTT-3.1.2-14",
                MalformedPacket,
                "will QoS 3",
                "10 s:MQTT 04 1e 003c s:c s:t s:m",
            ),
            (
                "MQTT-3.1.2-13",
                MalformedPacket,
                "will QoS without a will",
                "10 s:MQTT 04 0a 003c s:c",
            ),
            (
                "MQTT-3.1.2-13",
                MalformedPacket,
                "will QoS 3 without a will",
                "10 s:MQTT 04 1a 003c s:c",
            ),
            (
                "MQTT-3.1.2-15",
                MalformedPacket,
                "will retain without a will",
                "10 s:MQTT 04 22 003c s:c",
            ),
            (
                "MQTT-3.1.2-22",
                MalformedPacket,
                "a password without a user name",
                "10 s:MQTT 04 42 003c s:c s:p",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "bytes at the end",
                "10 s:MQTT 04 02 003c s:c t:junk",
            ),
            (
                "MQTT-1.5.3-2",
                MalformedPacket,
                "U+0000 in the client id",
                "10 s:MQTT 04 02 003c 0003 610062",
            ),
            (
                "MQTT-1.5.3-1",
                MalformedPacket,
                "ill-formed client id",
                "10 s:MQTT 04 02 003c 0002 c328",
            ),
            (
                "MQTT-1.5.3-1",
                MalformedPacket,
                "a surrogate in the client id",
                "10 s:MQTT 04 02 003c 0003 eda080",
            ),
            (
                "MQTT-4.7.1-1",
                TopicNameInvalid,
                "a will topic with #",
                "10 s:MQTT 04 06 003c s:c s:a/# s:m",
            ),
            (
                "MQTT-4.7.3-1",
                MalformedPacket,
                "an empty will topic",
                "10 s:MQTT 04 06 003c s:c s: s:m",
            ),
            (
                "MQTT-1.5.3-1",
                MalformedPacket,
                "ill-formed will topic",
                "10 s:MQTT 04 06 003c s:c 0002 c328 s:m",
            ),
            (
                "MQTT-1.5.3-2",
                MalformedPacket,
                "U+0000 in the will topic",
                "10 s:MQTT 04 06 003c s:c 0001 00 s:m",
            ),
            (
                "MQTT-3.1.3-8",
                ClientIdentifierNotValid,
                "no client id for a session that stays",
                "10 s:MQTT 04 00 003c s:",
            ),
            (
                "MQTT-3.1.3-8",
                ClientIdentifierNotValid,
                "no client id in MQTT 3.1",
                "10 s:MQIsdp 03 02 003c s:",
            ),
            (
                "MQTT-1.5.3-2",
                MalformedPacket,
                "U+0000 in the user name",
                "10 s:MQTT 04 82 003c s:c 0001 00",
            ),
            (
                "MQTT-1.5.3-1",
                MalformedPacket,
                "ill-formed user name",
                "10 s:MQTT 04 82 003c s:c 0001 ff",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "a user name that is not there",
                "10 s:MQTT 04 82 003c s:c",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "a password that is not there",
                "10 s:MQTT 04 c2 003c s:c s:u",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "a user name without its flag",
                "10 s:MQTT 04 02 003c s:c s:u",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "a password without its flag",
                "10 s:MQTT 04 82 003c s:c s:u s:p",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "a will that is not there",
                "10 s:MQTT 04 06 003c s:c",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "no client id",
                "10 s:MQTT 04 02 003c",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "half a keep alive",
                "10 s:MQTT 04 02 00",
            ),
        ],
    );
}

/// [MQTT5-1.5.4-1] [MQTT5-1.5.4-2] [MQTT5-1.5.5-1] [MQTT5-3.1.2-3] [MQTT5-3.1.2-9] [MQTT5-3.1.2-11]
/// [MQTT5-3.1.2-12] [MQTT5-3.1.2-13] [MQTT5-3.1.2-16] [MQTT5-3.1.2-17] [MQTT5-3.1.2-18] [MQTT5-3.1.2-19]
/// [MQTT5-3.1.3-3] [MQTT5-3.1.3-4] [MQTT5-3.1.3-11] [MQTT5-3.1.3-12] [MQTT5-3.1.4-1]
#[test]
fn broken_connects_are_refused_in_5() {
    refuses(
        From::Client,
        V5,
        &[
            (
                "MQTT-3.1.2-3",
                MalformedPacket,
                "the reserved flag",
                "10 s:MQTT 05 03 003c 00 s:c",
            ),
            (
                "MQTT-3.1.2-12",
                MalformedPacket,
                "will QoS 3",
                "10 s:MQTT 05 1e 003c 00 s:c 00 s:t s:m",
            ),
            (
                "MQTT-3.1.2-11",
                MalformedPacket,
                "will QoS without a will",
                "10 s:MQTT 05 0a 003c 00 s:c",
            ),
            (
                "MQTT-3.1.2-13",
                MalformedPacket,
                "will retain without a will",
                "10 s:MQTT 05 22 003c 00 s:c",
            ),
            (
                "MQTT5 2.2.2.2",
                ProtocolError,
                "two session expiries",
                "10 s:MQTT 05 02 003c p[ 11 00000001 11 00000002 ] s:c",
            ),
            (
                "MQTT5 3.1.2.11.3",
                ProtocolError,
                "receive maximum 0",
                "10 s:MQTT 05 02 003c p[ 21 0000 ] s:c",
            ),
            (
                "MQTT5 3.1.2.11.4",
                ProtocolError,
                "maximum packet size 0",
                "10 s:MQTT 05 02 003c p[ 27 00000000 ] s:c",
            ),
            (
                "MQTT5 3.1.2.11.7",
                ProtocolError,
                "request problem information 2",
                "10 s:MQTT 05 02 003c p[ 17 02 ] s:c",
            ),
            (
                "MQTT5 3.1.2.11.6",
                ProtocolError,
                "request response information 2",
                "10 s:MQTT 05 02 003c p[ 19 02 ] s:c",
            ),
            (
                "MQTT5 3.1.2.11.10",
                ProtocolError,
                "data without a method",
                "10 s:MQTT 05 02 003c p[ 16 s:d ] s:c",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "a topic alias",
                "10 s:MQTT 05 02 003c p[ 23 0001 ] s:c",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "a will delay outside the will",
                "10 s:MQTT 05 02 003c p[ 18 00000001 ] s:c",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "an unknown property",
                "10 s:MQTT 05 02 003c p[ 7f 0001 ] s:c",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "a property beyond its block",
                "10 s:MQTT 05 02 003c 02 11 00000001 s:c",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "half a block length",
                "10 s:MQTT 05 02 003c 80",
            ),
            (
                "MQTT-1.5.5-1",
                MalformedPacket,
                "an overlong block length",
                "10 s:MQTT 05 02 003c 8000 s:c",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "no block",
                "10 s:MQTT 05 02 003c",
            ),
            (
                "MQTT-1.5.4-2",
                MalformedPacket,
                "U+0000 in the client id",
                "10 s:MQTT 05 02 003c 00 0003 610062",
            ),
            (
                "MQTT-1.5.4-1",
                MalformedPacket,
                "ill-formed client id",
                "10 s:MQTT 05 02 003c 00 0002 c328",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "a topic alias in the will",
                "10 s:MQTT 05 06 003c 00 s:c p[ 23 0001 ] s:t s:m",
            ),
            (
                "MQTT5 2.2.2.2",
                ProtocolError,
                "two will delays",
                "10 s:MQTT 05 06 003c 00 s:c p[ 18 00000001 18 00000001 ] s:t s:m",
            ),
            (
                "MQTT-3.3.2-14",
                ProtocolError,
                "a wildcard response topic in the will",
                "10 s:MQTT 05 06 003c 00 s:c p[ 08 s:a/# ] s:t s:m",
            ),
            (
                "MQTT-4.7.0-1",
                TopicNameInvalid,
                "a will topic with +",
                "10 s:MQTT 05 06 003c 00 s:c 00 s:a/+ s:m",
            ),
            (
                "MQTT-4.7.3-1",
                MalformedPacket,
                "an empty will topic",
                "10 s:MQTT 05 06 003c 00 s:c 00 s: s:m",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "a user name that is not there",
                "10 s:MQTT 05 82 003c 00 s:c",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "bytes at the end",
                "10 s:MQTT 05 02 003c 00 s:c 00",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "a user name without its flag",
                "10 s:MQTT 05 02 003c 00 s:c s:u",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "a password without its flag",
                "10 s:MQTT 05 82 003c 00 s:c s:u s:p",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "a password that is not there",
                "10 s:MQTT 05 42 003c 00 s:c",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "a will that is not there",
                "10 s:MQTT 05 06 003c 00 s:c",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "no client id",
                "10 s:MQTT 05 02 003c 00",
            ),
            (
                "MQTT-1.5.4-1",
                MalformedPacket,
                "ill-formed will topic",
                "10 s:MQTT 05 06 003c 00 s:c 00 0002 c328 s:m",
            ),
            (
                "MQTT-1.5.4-1",
                MalformedPacket,
                "a surrogate in the user name",
                "10 s:MQTT 05 82 003c 00 s:c 0003 eda080",
            ),
        ],
    );
}

#[test]
fn the_delay_of_a_will_is_taken_out_of_its_block() {
    let text = "10 s:MQTT 05 06 0000 00 s:c p[ 26 s:a s:1 18 00000005 26 s:a s:2 ] s:t s:";
    let bytes = hex::packet(text);
    let Packet::Connect(connect) = only(From::Client, V5, &bytes) else {
        panic!("not a CONNECT")
    };
    let will = connect.will.unwrap();
    assert_eq!(will.delay_secs, 5);
    assert_eq!(will.properties, hex::bytes("26 s:a s:1 26 s:a s:2"));
}
