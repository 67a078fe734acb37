//! Vectors of UNSUBSCRIBE and UNSUBACK, named by clause.

use mqtt_wire::ReasonCode::{self, MalformedPacket, ProtocolError, TopicFilterInvalid};
use mqtt_wire::Version::{V5, V311};
use mqtt_wire::{Packet, PacketId, TopicFilter, UnsubAck, Unsubscribe};

use super::{From, accepts, only, refuses};
use crate::hex;

#[test]
fn well_formed_unsubscribes_and_their_answers_are_read() {
    accepts(
        From::Client,
        V311,
        &[
            ("two filters", "a2 000a s:a/+ s:b"),
            ("a share", "a2 000a s:$share/g/#"),
        ],
    );
    accepts(
        From::Client,
        V5,
        &[
            ("a property", "a2 0005 p[ 26 s:k s:v ] s:a/+ s:b"),
            ("none", "a2 0005 00 s:b"),
        ],
    );
    accepts(From::Server, V311, &[("UNSUBACK", "b0 0009")]);
    accepts(
        From::Server,
        V5,
        &[
            (
                "UNSUBACK with properties",
                "b0 0005 p[ 1f s:why 26 s:k s:v ] 00 11 8f",
            ),
            ("UNSUBACK", "b0 0005 00 00"),
        ],
    );
}

#[test]
fn each_field_of_an_unsubscribe_and_its_answer_is_found() {
    let packet_id = PacketId::new(5).unwrap();
    let user_properties = vec![("k".to_owned(), "v".to_owned())];
    let filters = ["a/+", "b"]
        .map(|filter| TopicFilter::parse(filter).unwrap())
        .to_vec();
    let unsubscribe = Unsubscribe {
        packet_id,
        filters,
        user_properties: user_properties.clone(),
    };
    let bytes = hex::packet("a2 0005 p[ 26 s:k s:v ] s:a/+ s:b");
    assert_eq!(only(From::Client, V5, &bytes), Packet::Unsubscribe(unsubscribe));

    let reasons = vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    let unsuback = UnsubAck {
        packet_id,
        reasons,
        reason_string: Some("why".to_owned()),
        user_properties,
    };
    let bytes = hex::packet("b0 0005 p[ 1f s:why 26 s:k s:v ] 00 11");
    assert_eq!(only(From::Server, V5, &bytes), Packet::UnsubAck(unsuback));
}

/// [MQTT311-2.3.1-1] [MQTT5-2.2.1-3] [MQTT-3.10.3-1] [MQTT-3.10.3-2]
#[test]
fn broken_unsubscribes_are_refused() {
    refuses(
        From::Client,
        V311,
        &[
            ("MQTT-3.10.3-2", ProtocolError, "no filter", "a2 0001"),
            ("MQTT-2.3.1-1", ProtocolError, "packet id 0", "a2 0000 s:a"),
            ("MQTT-4.7.3-1", MalformedPacket, "an empty filter", "a2 0001 s:"),
            (
                "MQTT-4.7.1-2",
                TopicFilterInvalid,
                "a misplaced #",
                "a2 0001 s:a#",
            ),
            (
                "MQTT-4.8.0-1",
                MalformedPacket,
                "a filter beyond the packet",
                "a2 0001 0005 t:a",
            ),
            (
                "MQTT-1.5.3-1",
                MalformedPacket,
                "ill-formed UTF-8",
                "a2 0001 0002 c328",
            ),
        ],
    );
    refuses(
        From::Client,
        V5,
        &[
            ("MQTT-3.10.3-2", ProtocolError, "no filter", "a2 0001 00"),
            ("MQTT5 2.2.1", ProtocolError, "packet id 0", "a2 0000 00 s:a"),
            (
                "MQTT-1.5.4-1",
                MalformedPacket,
                "ill-formed UTF-8",
                "a2 0001 00 0002 c328",
            ),
            (
                "MQTT-4.7.3-1",
                MalformedPacket,
                "an empty filter",
                "a2 0001 00 s:",
            ),
            (
                "MQTT-4.7.1-2",
                TopicFilterInvalid,
                "a misplaced +",
                "a2 0001 00 s:a+",
            ),
            (
                "MQTT-4.8.2-1",
                TopicFilterInvalid,
                "a share without a name",
                "a2 0001 00 s:$share//a",
            ),
            (
                "MQTT5 4.13.1",
                MalformedPacket,
                "a filter beyond the packet",
                "a2 0001 00 0005 t:a",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "a subscription id",
                "a2 0001 p[ 0b 01 ] s:a",
            ),
            ("MQTT5 4.13.1", MalformedPacket, "no block", "a2 0001"),
        ],
    );
}

#[test]
fn broken_unsubacks_are_refused() {
    refuses(
        From::Server,
        V311,
        &[
            ("MQTT311 2.2.3", MalformedPacket, "reasons in 3.1.1", "b0 0001 00"),
            ("MQTT-2.3.1-1", ProtocolError, "packet id 0", "b0 0000"),
        ],
    );
    refuses(
        From::Server,
        V5,
        &[
            ("MQTT-3.11.3-2", ProtocolError, "no reason", "b0 0001 00"),
            ("MQTT-3.11.3-2", ProtocolError, "reason 0x01", "b0 0001 00 01"),
            (
                "MQTT-3.11.3-2",
                ProtocolError,
                "a byte that is no reason",
                "b0 0001 00 00 7f",
            ),
            (
                "MQTT5 2.2.2.2",
                MalformedPacket,
                "a server reference",
                "b0 0001 p[ 1c s:a ] 00",
            ),
        ],
    );
}
