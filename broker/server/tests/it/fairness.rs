//! Nobody pays for somebody else's pace.

use mqtt_wire::{QoS, ReasonCode, Version};

use crate::{
    client::{Client, Heard, bytes, publication},
    house::{House, Plan},
};

/// One that subscribes and then does not read.
fn sleeper(house: &House) -> Client {
    let mut sleeper = Client::named(house.address(), Version::V5, "sleeper");
    assert_eq!(sleeper.subscribe("flood", QoS::AtMostOnce), ReasonCode::Success);
    sleeper
}

#[test]
fn a_receiver_that_does_not_read_disturbs_nobody() {
    let mut plan = Plan::default();
    // Less than what the sleeper leaves unread, so that it would hold everybody up if it counted.
    plan.broker.unsent_bytes_max = Some("1MiB".into());
    plan.mqtt.unsent_bytes_max = Some("2MiB".into());
    let house = plan.open();
    let _sleeper = sleeper(&house);
    let mut reader = Client::named(house.address(), Version::V5, "reader");
    reader.subscribe("echo", QoS::AtMostOnce);
    let mut flood = Client::named(house.address(), Version::V5, "flood");
    let payload = "x".repeat(10_000);
    let message = bytes(
        Version::V5,
        &publication("flood", &payload, QoS::AtMostOnce, 0, false),
    );
    for _ in 0..2_000 {
        flood.write(&message);
    }
    flood.publish("echo", "all through", QoS::AtMostOnce, 0);
    assert_eq!(reader.message().payload, "all through");
}

#[test]
fn a_receiver_that_takes_nothing_for_too_long_is_disconnected() {
    let mut plan = Plan::default();
    plan.broker.send_timeout = Some("1s".into());
    let house = plan.open();
    let mut sleeper = sleeper(&house);
    let mut flood = Client::named(house.address(), Version::V5, "flood");
    let payload = "x".repeat(10_000);
    for _ in 0..2_000 {
        flood.publish("flood", &payload, QoS::AtMostOnce, 0);
    }
    let connected = || house.block_on(house.handle().stats()).counters.clients_connected;
    let since = std::time::Instant::now();
    while connected() == 2 {
        assert!(
            since.elapsed() < crate::client::SOON,
            "the sleeper is still connected"
        );
        std::thread::yield_now();
    }
    while sleeper.hear() != Heard::Closed {}
}

/// While one connection sends without a pause, another is served as if it were alone.
#[test]
fn a_flood_does_not_keep_a_newcomer_waiting() {
    let house = House::open();
    let address = house.address();
    let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(0);
    let flood = std::thread::spawn(move || {
        let mut flood = Client::named(address, Version::V5, "flood");
        let burst = bytes(
            Version::V5,
            &publication("nowhere", "x", QoS::AtMostOnce, 0, false),
        )
        .repeat(10_000);
        let mut bursts = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            flood.write(&burst);
            bursts += 1;
        }
        bursts
    });
    for number in 0..50 {
        let mut newcomer = Client::named(address, Version::V5, &format!("newcomer-{number}"));
        newcomer.hears_nothing();
        newcomer.disconnect();
    }
    drop(stop);
    assert!(flood.join().unwrap() > 0);
}
