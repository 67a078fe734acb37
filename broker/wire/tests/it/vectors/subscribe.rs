//! Vectors of SUBSCRIBE and SUBACK, named by clause.

use mqtt_wire::ReasonCode::{self, MalformedPacket, ProtocolError, TopicFilterInvalid};
use mqtt_wire::Version::{V5, V311};
use mqtt_wire::{Packet, PacketId, QoS, RetainHandling, SubAck, Subscribe, Subscription, TopicFilter};

use super::{From, accepts, only, refuses};
use crate::hex;

#[test]
fn well_formed_subscribes_and_their_answers_are_read() {
    accepts(
        From::Client,
        V311,
        &[
            ("two filters", "82 0005 s:a/+/# 01 s:$share/g/x 02"),
            (
                "a filter that begins with a byte order mark",
                "82 0005 s:\u{feff}a 01",
            ),
            ("levels of nothing", "82 0005 s:// 00"),
        ],
    );
    accepts(
        From::Client,
        V5,
        &[
            (
                "everything",
                "82 0005 p[ 0b ff01 26 s:k s:v ] s:a/+/# 2d s:$share/g/x 02",
            ),
            ("the largest subscription id", "82 0005 p[ 0b ffffff7f ] s:a 00"),
            ("nothing special", "82 0005 00 s:a 00"),
        ],
    );
    accepts(From::Server, V311, &[("SUBACK", "90 0005 00010280")]);
    accepts(
        From::Server,
        V5,
        &[
            ("SUBACK", "90 0005 00 00"),
            (
                "SUBACK with properties",
                "90 0005 p[ 1f s:why 26 s:k s:v ] 00010280879e",
            ),
        ],
    );
}

#[test]
fn each_option_of_a_subscription_is_found() {
    let bytes = hex::packet("82 0005 p[ 26 s:k s:v 0b ff01 ] s:a/+/# 2d s:$share/g/x 12");
    let first = Subscription {
        filter: TopicFilter::parse("a/+/#").unwrap(),
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let second = Subscription {
        filter: TopicFilter::parse("$share/g/x").unwrap(),
        qos: QoS::ExactlyOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::SendIfNew,
    };
    let subscribe = Subscribe {
        packet_id: PacketId::new(5).unwrap(),
        subscription_id: Some(255),
        filters: vec![first, second],
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    };
    assert_eq!(only(From::Client, V5, &bytes), Packet::Subscribe(subscribe));
}

#[test]
fn each_field_of_a_suback_is_found() {
    let suback = SubAck {
        packet_id: PacketId::new(5).unwrap(),
        reasons: vec![ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized],
        reason_string: Some("why".to_owned()),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    };
    let bytes = hex::packet("90 0005 p[ 1f s:why 26 s:k s:v ] 0287");
    assert_eq!(only(From::Server, V5, &bytes), Packet::SubAck(suback));
}

/// [MQTT311-1.5.3-1] [MQTT311-1.5.3-2] [MQTT311-2.3.1-1] [MQTT311-3.8.3-1] [MQTT311-3.8.3-3] [MQTT311-3.8.3-4]
/// [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT311-4.7.3-1]
#[test]
fn broken_subscribes_are_refused_in_311() {
    refuses(
        From::Client,
        V311,
        &[
            ("MQTT-2.3.1-1", ProtocolError, "packet id 0", "82 0000 s:a 00"),
            ("MQTT-3.8.3-3", ProtocolError, "no filter", "82 0001"),
            (
                "MQTT-4.7.3-1",
                MalformedPacket,
                "an empty filter",
                "82 0001 s: 00",
            ),
            ("MQTT-4.7.1-2", TopicFilterInvalid, "a#", "82 0001 s:a# 00"),
            ("MQTT-4.7.1-2", TopicFilterInvalid, "#/a", "82 0001 s:#/a 00"),
            ("MQTT-4.7.1-2", TopicFilterInvalid, "##", "82 0001 s:## 00"),
            ("MQTT-4.7.1-3", TopicFilterInvalid, "a+/b", "82 0001 s:a+/b 00"),
            ("MQTT-4.7.1-3", TopicFilterInvalid, "++", "82 0001 s:++ 00"),
            ("MQTT-1.5.3-2", MalformedPacket, "U+0000", "82 0001 0002 6100 00"),
            (
                "MQTT-1.5.3-1",
                MalformedPacket,
                "ill-formed UTF-8",
                "82 0001 0001 ff 00",
            ),
            (
                "MQTT5 4.8.2",
                TopicFilterInvalid,
                "a share without a filter",
                "82 0001 s:$share/g 00",
            ),
            ("MQTT-3.8.3-4", MalformedPacket, "reserved bits", "82 0001 s:a c0"),
            (
                "MQTT-3.8.3-4",
                MalformedPacket,
                "an option of 5.0",
                "82 0001 s:a 04",
            ),
            ("MQTT-3.8.3-4", ProtocolError, "QoS 3", "82 0001 s:a 03"),
            ("MQTT-4.8.0-1", MalformedPacket, "no options", "82 0001 s:a"),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "half a second filter",
                "82 0001 s:a 00 0002 62",
            ),
            ("MQTT-4.8.0-1", MalformedPacket, "half a packet id", "82 00"),
        ],
    );
}

/// [MQTT5-1.5.4-1] [MQTT5-1.5.4-2] [MQTT5-2.2.1-3] [MQTT5-3.8.3-1] [MQTT5-3.8.3-2] [MQTT5-3.8.3-4]
/// [MQTT5-3.8.3-5] [MQTT5-4.7.1-1] [MQTT5-4.7.1-2] [MQTT5-4.7.3-1] [MQTT5-4.8.2-1] [MQTT5-4.8.2-2]
#[test]
fn broken_subscribes_are_refused_in_5() {
    refuses(
        From::Client,
        V5,
        &[
            ("MQTT5 2.2.1", ProtocolError, "packet id 0", "82 0000 00 s:a 00"),
            ("MQTT-3.8.3-2", ProtocolError, "no filter", "82 0001 00"),
            (
                "MQTT-4.7.3-1",
                MalformedPacket,
                "an empty filter",
                "82 0001 00 s: 00",
            ),
            ("MQTT-4.7.1-1", TopicFilterInvalid, "a#", "82 0001 00 s:a# 00"),
            ("MQTT-4.7.1-1", TopicFilterInvalid, "#/a", "82 0001 00 s:#/a 00"),
            ("MQTT-4.7.1-2", TopicFilterInvalid, "a+/b", "82 0001 00 s:a+/b 00"),
            (
                "MQTT-1.5.4-2",
                MalformedPacket,
                "U+0000",
                "82 0001 00 0002 6100 00",
            ),
            (
                "MQTT-1.5.4-1",
                MalformedPacket,
                "ill-formed UTF-8",
                "82 0001 00 0001 ff 00",
            ),
            ("MQTT5 3.8.3.1", ProtocolError, "QoS 3", "82 0001 00 s:a 03"),
            (
                "MQTT5 3.8.3.1",
                ProtocolError,
                "retain handling 3",
                "82 0001 00 s:a 30",
            ),
            (
                "MQTT-3.8.3-5",
                MalformedPacket,
                "reserved bits",
                "82 0001 00 s:a c0",
            ),
            (
                "MQTT-3.8.3-5",
                MalformedPacket,
                "one reserved bit",
                "82 0001 00 s:a 40",
            ),
            (
                "MQTT-3.8.3-4",
                ProtocolError,
                "No Local on a share",
                "82 0001 00 s:$share/g/a 04",
            ),
            (
                "MQTT-4.8.2-1",
                TopicFilterInvalid,
                "$share//a",
                "82 0001 00 s:$share//a 00",
            ),
            (
                "MQTT-4.8.2-2",
                TopicFilterInvalid,
                "$share/g+/a",
                "82 0001 00 s:$share/g+/a 00",
            ),
            (
                "MQTT-4.8.2-2",
                TopicFilterInvalid,
                "$share/g",
                "82 0001 00 s:$share/g 00",
            ),
            (
                "MQTT-4.8.2-2",
                TopicFilterInvalid,
                "$share/g/",
                "82 0001 00 s:$share/g/ 00",
            ),
            (
                "MQTT-4.7.1-1",
                TopicFilterInvalid,
                "$share/g/a#",
                "82 0001 00 s:$share/g/a# 00",
            ),
            (
                "MQTT5 3.8.2.1.2",
                ProtocolError,
                "subscription id 0",
                "82 0001 p[ 0b 00 ] s:a 00",
            ),
            (
                "MQTT5 2.2.2.2",
                ProtocolError,
                "two subscription ids",
                "82 0001 p[ 0b 01 0b 02 ] s:a 00",
            ),
            (
                "MQTT-1.5.5-1",
                MalformedPacket,
                "an overlong subscription id",
                "82 0001 p[ 0b 8100 ] s:a 00",
            ),
            (
                "MQTT-1.5.5-1",
                MalformedPacket,
                "a subscription id too large",
                "82 0001 p[ 0b ffffffff01 ] s:a 00",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "a reason string",
                "82 0001 p[ 1f s:a ] s:a 00",
            ),
            ("MQTT5 4.13.1", MalformedPacket, "no options", "82 0001 00 s:a"),
            ("MQTT5 4.13.1", MalformedPacket, "no block", "82 0001"),
        ],
    );
}

#[test]
fn broken_subacks_are_refused() {
    refuses(
        From::Server,
        V311,
        &[
            ("MQTT-3.9.3-2", ProtocolError, "no return code", "90 0001"),
            ("MQTT-3.9.3-2", ProtocolError, "return code 3", "90 0001 0003"),
            ("MQTT-3.9.3-2", ProtocolError, "a reason of 5.0", "90 0001 87"),
            ("MQTT-2.3.1-1", ProtocolError, "packet id 0", "90 0000 00"),
        ],
    );
    refuses(
        From::Server,
        V5,
        &[
            ("MQTT-3.9.3-2", ProtocolError, "no reason", "90 0001 00"),
            (
                "MQTT-3.9.3-2",
                ProtocolError,
                "reason 0x11, of UNSUBACK",
                "90 0001 00 11",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "a subscription id",
                "90 0001 p[ 0b 01 ] 00",
            ),
        ],
    );
}
