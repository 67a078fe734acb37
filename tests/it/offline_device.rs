//! A device that was away while its desired state changed many times is told once, what it should be now.

use mqtt_wire::QoS;

use crate::support::{House, Mqtt, Running};

const CHANGES: usize = 1000;
const DELTA: &str = "$aws/things/valve-1/shadow/update/delta";

/// Changes the desired state of an offline device a thousand times.
fn change_a_thousand_times(broker: &Running) {
    let http = broker.http();
    for number in 1..=CHANGES {
        assert_eq!(
            http.desire("valve-1", &format!(r#"{{"opening": {number}}}"#))
                .unwrap()
                .status,
            200
        );
    }
}

fn assert_one_delta(client: &mut Mqtt) {
    let message = client.message();
    assert_eq!(message.topic, DELTA);
    let delta: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(delta["state"], serde_json::json!({ "opening": CHANGES }));
    // The twins' answer to this request comes after every delta they had to send before it.
    client.subscribe("$aws/things/valve-1/shadow/get/accepted", QoS::AtLeastOnce);
    client
        .publish(
            "$aws/things/valve-1/shadow/get",
            b"",
            QoS::AtLeastOnce,
            9,
            false,
            false,
        )
        .unwrap();
    assert_eq!(
        client.message().topic,
        "$aws/things/valve-1/shadow/get/accepted",
        "exactly one delta comes"
    );
}

#[test]
fn a_clean_session_gets_one_delta_when_it_subscribes() {
    let house = House::open();
    let broker = house.serve();
    change_a_thousand_times(&broker);
    let mut device = Mqtt::clean(broker.mqtt(), "valve-1");
    device.subscribe_and_keep(DELTA);
    assert_one_delta(&mut device);
}

#[test]
fn a_resumed_session_gets_one_delta_without_subscribing_again() {
    let house = House::open();
    let broker = house.serve();
    let (mut device, _) = Mqtt::kept(broker.mqtt(), "valve-1");
    device.subscribe(DELTA, QoS::AtLeastOnce);
    drop(device);
    change_a_thousand_times(&broker);
    let (mut device, present) = Mqtt::kept(broker.mqtt(), "valve-1");
    assert!(present);
    assert_one_delta(&mut device);
}

#[test]
fn a_resumed_session_that_subscribes_again_gets_one_delta() {
    let house = House::open();
    let broker = house.serve();
    let (mut device, _) = Mqtt::kept(broker.mqtt(), "valve-1");
    device.subscribe(DELTA, QoS::AtLeastOnce);
    drop(device);
    change_a_thousand_times(&broker);
    let (mut device, present) = Mqtt::kept(broker.mqtt(), "valve-1");
    assert!(present);
    device.subscribe_and_keep(DELTA);
    assert_one_delta(&mut device);
}
