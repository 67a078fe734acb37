//! What must not reach a log when a packet is printed.

use mqtt_wire::{Auth, ConnAck, Connect, Packet, Properties, Publish, QoS, Version, Will};

const SECRET: &str = "hunter2";

#[test]
fn printing_a_connect_shows_no_password_no_data_and_no_will_payload() {
    let connect = Connect {
        password: Some(SECRET.into()),
        authentication_method: Some("SCRAM".to_owned()),
        authentication_data: Some(SECRET.into()),
        user_properties: vec![("token".to_owned(), SECRET.to_owned())],
        will: Some(Will {
            topic: "w".to_owned(),
            payload: SECRET.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay_secs: 0,
            properties: SECRET.into(),
        }),
        ..Connect::new(Version::V5, "me")
    };
    let printed = format!("{:?} {:#?}", connect, Packet::Connect(Box::new(connect.clone())));
    is_hidden(&printed);
    assert!(
        printed.contains("\"me\"") && printed.contains("SCRAM"),
        "{printed}"
    );
}

#[test]
fn printing_the_steps_of_authentication_shows_no_data() {
    is_hidden(&format!(
        "{:?}",
        Auth {
            data: Some(SECRET.into()),
            ..Auth::default()
        }
    ));
    is_hidden(&format!(
        "{:?}",
        ConnAck {
            authentication_data: Some(SECRET.into()),
            ..ConnAck::default()
        }
    ));
}

#[test]
fn printing_a_message_shows_neither_payload_nor_properties() {
    let mut block = Vec::new();
    mqtt_wire::put_property(&mut block, &mqtt_wire::Property::UserProperty("token", SECRET)).unwrap();
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        properties: Properties::parse_publish(&block).unwrap(),
        payload: SECRET.as_bytes(),
    };
    is_hidden(&format!("{publish:?} {:?}", publish.properties.iter()));
}

/// Neither as text nor as a list of numbers.
fn is_hidden(printed: &str) {
    let numbers = format!("{:?}", SECRET.as_bytes());
    let numbers = numbers.trim_matches(['[', ']']);
    assert!(
        !printed.contains(SECRET) && !printed.contains(numbers),
        "{printed}"
    );
}
