//! Vectors of PUBLISH, named by clause.

use mqtt_wire::ReasonCode::{MalformedPacket, ProtocolError, TopicAliasInvalid, TopicNameInvalid};
use mqtt_wire::Version::{V5, V311};
use mqtt_wire::{Packet, PacketId, Property, Publish, QoS};

use super::{From, accepts, only, refuses};
use crate::hex;

const RICH: &str =
    "3b s:é/x 0007 p[ 01 01 02 00000009 23 0004 08 s:r/t 09 s:cd 26 s:k s:v 26 s:k s:v 03 s:ct ] t:hello";

#[test]
fn well_formed_publishes_are_read() {
    for from in [From::Client, From::Server] {
        accepts(
            from,
            V311,
            &[
                ("QoS 0", "30 s:a/b t:hello"),
                ("QoS 1, dup, retain", "3b s:a/é/c 0007 t:hello"),
                ("QoS 2 without payload", "34 s:a/b 0007"),
                ("nothing but a topic", "30 s:a"),
                ("a topic of slashes", "30 s:///"),
                ("a topic with a byte order mark", "30 s:\u{feff}a"),
                ("a topic of control and non-characters", "30 0005 7f01efbfbf 78"),
                ("a topic that begins with $", "30 s:$SYS/x"),
                ("any bytes as payload", "30 s:a 00ff80c328"),
            ],
        );
        accepts(
            from,
            V5,
            &[
                ("QoS 0", "30 s:a/b 00 t:hello"),
                ("QoS 1 with everything", RICH),
                ("empty topic with an alias", "30 s: p[ 23 0001 ] t:x"),
                ("a topic and the highest alias", "30 s:a p[ 23 ffff ] t:x"),
                ("a message that expires at once", "30 s:a p[ 02 00000000 ]"),
                (
                    "payload said to be text, and it is not looked at",
                    "30 s:a p[ 01 01 ] ff",
                ),
                ("empty strings", "30 s:a p[ 03 s: 09 s: 26 s: s: ]"),
            ],
        );
    }
    accepts(
        From::Server,
        V5,
        &[
            ("two subscription ids", "30 s:a/b p[ 0b 01 0b 8001 ] t:hello"),
            ("three subscription ids", "30 s:a p[ 0b 01 0b 02 0b 03 ] t:PAY"),
        ],
    );
}

#[test]
fn each_field_of_a_publish_is_found() {
    let bytes = hex::packet(RICH);
    let Packet::Publish(publish) = only(From::Client, V5, &bytes) else {
        panic!("not a PUBLISH")
    };
    let Publish {
        dup,
        qos,
        retain,
        topic,
        packet_id,
        properties,
        payload,
    } = publish;
    assert_eq!((dup, qos, retain), (true, QoS::AtLeastOnce, true));
    assert_eq!(
        (topic, packet_id, payload),
        ("é/x", PacketId::new(7), &b"hello"[..])
    );
    assert_eq!(
        properties.iter().collect::<Vec<_>>(),
        [
            Property::PayloadFormatIndicator(true),
            Property::MessageExpiryInterval(9),
            Property::TopicAlias(4),
            Property::ResponseTopic("r/t"),
            Property::CorrelationData(b"cd"),
            Property::UserProperty("k", "v"),
            Property::UserProperty("k", "v"),
            Property::ContentType("ct"),
        ]
    );
}

#[test]
fn a_publish_borrows_from_its_buffer() {
    let bytes = hex::packet("30 s:a/b 00 t:hello");
    let Packet::Publish(publish) = only(From::Client, V5, &bytes) else {
        panic!("not a PUBLISH")
    };
    assert!(bytes.as_ptr_range().contains(&publish.topic.as_ptr()));
    assert!(bytes.as_ptr_range().contains(&publish.payload.as_ptr()));
}

/// [MQTT311-1.5.3-1] [MQTT311-1.5.3-2] [MQTT311-2.3.1-1] [MQTT311-3.3.1-2] [MQTT311-3.3.1-4] [MQTT311-3.3.2-1]
/// [MQTT311-3.3.2-2] [MQTT311-4.7.1-1] [MQTT311-4.7.3-1] [MQTT311-4.7.3-2]
#[test]
fn broken_publishes_are_refused_in_311() {
    for from in [From::Client, From::Server] {
        refuses(
            from,
            V311,
            &[
                ("MQTT-3.3.1-4", MalformedPacket, "QoS 3", "36 s:a 0001 78"),
                ("MQTT-3.3.1-4", MalformedPacket, "QoS 3 and DUP", "3e s:a 0001 78"),
                ("MQTT-3.3.1-2", MalformedPacket, "QoS 0 and DUP", "38 s:a 78"),
                (
                    "MQTT-2.3.1-1",
                    ProtocolError,
                    "QoS 1 with packet id 0",
                    "32 s:a 0000 78",
                ),
                (
                    "MQTT-2.3.1-1",
                    ProtocolError,
                    "QoS 2 with packet id 0",
                    "34 s:a 0000 78",
                ),
                ("MQTT-4.7.1-1", TopicNameInvalid, "a topic with #", "30 s:a/# 78"),
                ("MQTT-4.7.1-1", TopicNameInvalid, "a topic with +", "30 s:+ 78"),
                (
                    "MQTT-1.5.3-2",
                    MalformedPacket,
                    "a topic with U+0000",
                    "30 0002 6100 78",
                ),
                ("MQTT-4.7.3-1", MalformedPacket, "an empty topic", "30 s: 78"),
                (
                    "MQTT-1.5.3-1",
                    MalformedPacket,
                    "a topic of ill-formed UTF-8",
                    "30 0001 ff 78",
                ),
                (
                    "MQTT-1.5.3-1",
                    MalformedPacket,
                    "a topic with a surrogate",
                    "30 0003 eda080 78",
                ),
                (
                    "MQTT-1.5.3-1",
                    MalformedPacket,
                    "a topic with an overlong slash",
                    "30 0002 c0af 78",
                ),
                (
                    "MQTT-1.5.3-1",
                    MalformedPacket,
                    "a topic with an overlong U+0000",
                    "30 0002 c080 78",
                ),
                (
                    "MQTT-4.8.0-1",
                    MalformedPacket,
                    "a topic beyond the packet",
                    "30 0005 61",
                ),
                ("MQTT-4.8.0-1", MalformedPacket, "half a topic length", "30 00"),
                ("MQTT-4.8.0-1", MalformedPacket, "nothing", "30"),
                ("MQTT-4.8.0-1", MalformedPacket, "half a packet id", "32 s:a 00"),
            ],
        );
    }
}

/// [MQTT5-1.5.4-1] [MQTT5-1.5.4-2] [MQTT5-1.5.5-1] [MQTT5-1.5.7-1] [MQTT5-2.2.1-3] [MQTT5-3.3.1-2]
/// [MQTT5-3.3.1-4] [MQTT5-3.3.2-1] [MQTT5-3.3.2-2] [MQTT5-3.3.2-8] [MQTT5-3.3.2-13] [MQTT5-3.3.2-14]
/// [MQTT5-3.3.2-19] [MQTT5-4.7.0-1] [MQTT5-4.7.3-1] [MQTT5-4.7.3-2]
#[test]
fn broken_publishes_are_refused_in_5() {
    for from in [From::Client, From::Server] {
        refuses(
            from,
            V5,
            &[
                ("MQTT-3.3.1-4", MalformedPacket, "QoS 3", "36 s:a 0001 00 78"),
                ("MQTT-3.3.1-2", MalformedPacket, "QoS 0 and DUP", "38 s:a 00 78"),
                (
                    "MQTT5 2.2.1",
                    ProtocolError,
                    "QoS 1 with packet id 0",
                    "32 s:a 0000 00 78",
                ),
                (
                    "MQTT-4.7.0-1",
                    TopicNameInvalid,
                    "a topic with #",
                    "30 s:a/# 00 78",
                ),
                ("MQTT-4.7.0-1", TopicNameInvalid, "a topic with +", "30 s:+ 00 78"),
                (
                    "MQTT-1.5.4-2",
                    MalformedPacket,
                    "a topic with U+0000",
                    "30 0002 6100 00 78",
                ),
                (
                    "MQTT5 3.3.2.1",
                    ProtocolError,
                    "neither topic nor alias",
                    "30 s: 00 78",
                ),
                (
                    "MQTT5 3.3.2.1",
                    ProtocolError,
                    "properties but neither topic nor alias",
                    "30 s: p[ 01 00 ] 78",
                ),
                (
                    "MQTT-1.5.4-1",
                    MalformedPacket,
                    "a topic of ill-formed UTF-8",
                    "30 0001 ff 00 78",
                ),
                (
                    "MQTT5 4.13.1",
                    MalformedPacket,
                    "a topic beyond the packet",
                    "30 0005 61",
                ),
                (
                    "MQTT-1.5.4-1",
                    MalformedPacket,
                    "a topic with a surrogate",
                    "30 0003 eda080 00 78",
                ),
                ("MQTT5 4.13.1", MalformedPacket, "no block", "30 s:a"),
                (
                    "MQTT5 4.13.1",
                    MalformedPacket,
                    "a block beyond the packet",
                    "30 s:a 05 01",
                ),
                (
                    "MQTT5 4.13.1",
                    MalformedPacket,
                    "half a block length",
                    "30 s:a 80",
                ),
                (
                    "MQTT-1.5.5-1",
                    MalformedPacket,
                    "an overlong block length",
                    "30 s:a 8000 78",
                ),
                (
                    "MQTT5 4.13.1",
                    MalformedPacket,
                    "a property beyond its block",
                    "30 s:a p[ 02 0000 ] 0000",
                ),
                (
                    "MQTT5 2.2.2.2",
                    ProtocolError,
                    "two payload formats",
                    "30 s:a p[ 01 01 01 01 ] 78",
                ),
                (
                    "MQTT5 2.2.2.2",
                    ProtocolError,
                    "two expiries",
                    "30 s:a p[ 02 00000001 02 00000001 ]",
                ),
                (
                    "MQTT5 2.2.2.2",
                    ProtocolError,
                    "two aliases",
                    "30 s:a p[ 23 0001 23 0001 ]",
                ),
                (
                    "MQTT5 2.2.2.2",
                    ProtocolError,
                    "two response topics",
                    "30 s:a p[ 08 s:a 08 s:a ]",
                ),
                (
                    "MQTT5 3.3.2.3.2",
                    ProtocolError,
                    "payload format 2",
                    "30 s:a p[ 01 02 ] 78",
                ),
                (
                    "MQTT-3.3.2-8",
                    TopicAliasInvalid,
                    "alias 0",
                    "30 s:a p[ 23 0000 ] 78",
                ),
                (
                    "MQTT-3.3.2-14",
                    ProtocolError,
                    "a response topic with +",
                    "30 s:a p[ 08 s:a/+ ] 78",
                ),
                (
                    "MQTT-3.3.2-14",
                    ProtocolError,
                    "a response topic with #",
                    "30 s:a p[ 08 s:# ] 78",
                ),
                (
                    "MQTT-4.7.3-1",
                    MalformedPacket,
                    "an empty response topic",
                    "30 s:a p[ 08 s: ] 78",
                ),
                (
                    "MQTT-1.5.4-2",
                    MalformedPacket,
                    "U+0000 in a response topic",
                    "30 s:a p[ 08 0002 6100 ] 78",
                ),
                (
                    "MQTT-1.5.4-2",
                    MalformedPacket,
                    "U+0000 in a user property",
                    "30 s:a p[ 26 0002 6b00 s:v ] 78",
                ),
                (
                    "MQTT-1.5.4-1",
                    MalformedPacket,
                    "ill-formed response topic",
                    "30 s:a p[ 08 0001 ff ] 78",
                ),
                (
                    "MQTT-1.5.4-1",
                    MalformedPacket,
                    "ill-formed user property",
                    "30 s:a p[ 26 s:k 0001 80 ] 78",
                ),
                (
                    "MQTT-1.5.4-1",
                    MalformedPacket,
                    "ill-formed name of a user property",
                    "30 s:a p[ 26 0001 80 s:v ] 78",
                ),
                (
                    "MQTT-1.5.4-2",
                    MalformedPacket,
                    "U+0000 in the value of a user property",
                    "30 s:a p[ 26 s:k 0002 7600 ] 78",
                ),
                (
                    "MQTT-1.5.4-1",
                    MalformedPacket,
                    "ill-formed content type",
                    "30 s:a p[ 03 0001 80 ] 78",
                ),
                (
                    "MQTT5 3.8.2.1.2",
                    ProtocolError,
                    "subscription id 0",
                    "30 s:a p[ 0b 00 ] 78",
                ),
                (
                    "MQTT5 2.2.2.2",
                    MalformedPacket,
                    "a property of CONNECT",
                    "30 s:a p[ 21 0001 ] 78",
                ),
                (
                    "MQTT5 2.2.2.2",
                    MalformedPacket,
                    "an unknown property",
                    "30 s:a p[ 7f 00 ] 78",
                ),
                (
                    "MQTT5 2.2.2.2",
                    MalformedPacket,
                    "property 0",
                    "30 s:a p[ 00 ] 78",
                ),
                (
                    "MQTT5 2.2.2.2",
                    MalformedPacket,
                    "a property id of two bytes",
                    "30 s:a p[ ab02 00 ] 78",
                ),
                (
                    "MQTT-1.5.5-1",
                    MalformedPacket,
                    "an overlong property id",
                    "30 s:a p[ 8100 01 ] 78",
                ),
            ],
        );
    }
}

/// [MQTT5-3.3.4-6]
#[test]
fn mqtt_3_3_4_6_a_client_sends_no_subscription_identifier() {
    refuses(
        From::Client,
        V5,
        &[
            ("MQTT-3.3.4-6", ProtocolError, "one", "30 s:a p[ 0b 01 ] 78"),
            (
                "MQTT-3.3.4-6",
                ProtocolError,
                "three",
                "30 s:a p[ 0b 01 0b 02 0b 03 ] 78",
            ),
        ],
    );
}
