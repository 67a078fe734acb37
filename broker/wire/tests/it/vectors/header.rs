//! Vectors of the fixed header, named by clause.

use mqtt_wire::ReasonCode::{MalformedPacket, ProtocolError};
use mqtt_wire::Version::{V5, V311};

use super::{From, refuses};

/// [MQTT311-2.2.2-2] [MQTT311-3.6.1-1] [MQTT311-3.8.1-1] [MQTT311-3.10.1-1] [MQTT311-3.14.1-1]
#[test]
fn mqtt_2_2_2_2_wrong_fixed_headers_are_refused_in_311() {
    refuses(
        From::Client,
        V311,
        &[
            ("MQTT311 2.2.1", MalformedPacket, "type 0", "00"),
            ("MQTT311 2.2.1", MalformedPacket, "type 15", "f0"),
            (
                "MQTT-2.2.2-2",
                MalformedPacket,
                "CONNECT with a flag",
                "11 s:MQTT 04 02 003c s:c",
            ),
            ("MQTT-2.2.2-2", MalformedPacket, "PUBACK with flags", "4f 0001"),
            ("MQTT-2.2.2-2", MalformedPacket, "PUBREC with flags", "52 0001"),
            (
                "MQTT-3.6.1-1",
                MalformedPacket,
                "PUBREL without its flag",
                "60 0001",
            ),
            ("MQTT-2.2.2-2", MalformedPacket, "PUBCOMP with flags", "71 0001"),
            (
                "MQTT-3.8.1-1",
                MalformedPacket,
                "SUBSCRIBE without its flag",
                "80 0001 s:a 00",
            ),
            (
                "MQTT-3.10.1-1",
                MalformedPacket,
                "UNSUBSCRIBE without its flag",
                "a0 0001 s:a",
            ),
            ("MQTT-2.2.2-2", MalformedPacket, "PINGREQ with flags", "c5"),
            ("MQTT-3.14.1-1", MalformedPacket, "DISCONNECT with flags", "e3"),
            (
                "MQTT311 2.2.3",
                MalformedPacket,
                "a length padded with a zero byte",
                "raw 30 8400 s:a 78",
            ),
            (
                "MQTT311 2.2.3",
                MalformedPacket,
                "a length padded to four bytes",
                "raw 30 84808000 s:a 78",
            ),
            (
                "MQTT311 2.2.3",
                MalformedPacket,
                "a length of five bytes",
                "raw 30 ffffffff01",
            ),
            (
                "MQTT311 2.2.3",
                MalformedPacket,
                "a fourth length byte that announces a fifth",
                "raw 30 ffffffff",
            ),
        ],
    );
}

/// [MQTT5-2.1.3-1] [MQTT5-3.6.1-1] [MQTT5-3.8.1-1] [MQTT5-3.10.1-1] [MQTT5-3.14.1-1] [MQTT5-3.15.1-1]
/// [MQTT5-1.5.5-1]
#[test]
fn mqtt_2_1_3_1_wrong_fixed_headers_are_refused_in_5() {
    refuses(
        From::Client,
        V5,
        &[
            ("MQTT5 2.1.2", MalformedPacket, "type 0", "00"),
            (
                "MQTT-2.1.3-1",
                MalformedPacket,
                "CONNECT with a flag",
                "11 s:MQTT 05 02 003c 00 s:c",
            ),
            ("MQTT-2.1.3-1", MalformedPacket, "PUBACK with flags", "4f 0001"),
            ("MQTT-2.1.3-1", MalformedPacket, "PUBREC with flags", "52 0001"),
            (
                "MQTT-3.6.1-1",
                MalformedPacket,
                "PUBREL without its flag",
                "60 0001",
            ),
            ("MQTT-2.1.3-1", MalformedPacket, "PUBCOMP with flags", "72 0001"),
            (
                "MQTT-3.8.1-1",
                MalformedPacket,
                "SUBSCRIBE without its flag",
                "80 0001 00 s:a 00",
            ),
            (
                "MQTT-3.10.1-1",
                MalformedPacket,
                "UNSUBSCRIBE without its flag",
                "a0 0001 00 s:a",
            ),
            ("MQTT-2.1.3-1", MalformedPacket, "PINGREQ with flags", "c5"),
            (
                "MQTT-3.14.1-1",
                MalformedPacket,
                "DISCONNECT with flags",
                "e1 00 00",
            ),
            (
                "MQTT-3.15.1-1",
                MalformedPacket,
                "AUTH with flags",
                "f1 18 p[ 15 s:m ]",
            ),
            (
                "MQTT-1.5.5-1",
                MalformedPacket,
                "a length padded with a zero byte",
                "raw 30 8500 s:a 00 78",
            ),
            (
                "MQTT-1.5.5-1",
                MalformedPacket,
                "a length padded to four bytes",
                "raw 30 85808000 s:a 00 78",
            ),
            (
                "MQTT-1.5.5-1",
                MalformedPacket,
                "a length of five bytes",
                "raw 30 ffffffff01",
            ),
            (
                "MQTT-1.5.5-1",
                MalformedPacket,
                "a fourth length byte that announces a fifth",
                "raw 30 ffffffff",
            ),
        ],
    );
}

#[test]
fn nobody_sends_the_packets_of_the_other_side() {
    for (version, clause) in [(V311, "MQTT311 2.2.1"), (V5, "MQTT5 2.1.2")] {
        refuses(
            From::Client,
            version,
            &[
                (clause, ProtocolError, "CONNACK from a client", "20 0000"),
                (clause, ProtocolError, "SUBACK from a client", "90 0001 00"),
                (clause, ProtocolError, "UNSUBACK from a client", "b0 0001"),
                (clause, ProtocolError, "PINGRESP from a client", "d0"),
            ],
        );
        refuses(
            From::Server,
            version,
            &[
                (
                    clause,
                    ProtocolError,
                    "CONNECT from a server",
                    "10 s:MQTT 04 02 003c s:c",
                ),
                (clause, ProtocolError, "SUBSCRIBE from a server", "82 0001 s:a 00"),
                (clause, ProtocolError, "UNSUBSCRIBE from a server", "a2 0001 s:a"),
                (clause, ProtocolError, "PINGREQ from a server", "c0"),
            ],
        );
    }
    refuses(
        From::Server,
        V311,
        &[(
            "MQTT311 2.2.1",
            ProtocolError,
            "DISCONNECT from a 3.1.1 server",
            "e0",
        )],
    );
}
