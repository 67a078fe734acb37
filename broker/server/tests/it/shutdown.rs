//! The end of a broker, and the beginning of the next.

use mqtt_wire::{Ack, Packet, QoS, ReasonCode, Version};

use crate::{
    client::{Client, Heard, connect, id},
    house::{House, Plan},
};

#[test]
fn everybody_is_told_that_the_broker_shuts_down() {
    let house = Plan::shards(2).open();
    let mut clients: Vec<_> = (0..10)
        .map(|number| Client::named(house.address(), Version::V5, &format!("client-{number}")))
        .collect();
    let mut old = Client::named(house.address(), Version::V311, "old");
    let address = house.address();
    let told = std::thread::spawn(move || {
        for client in &mut clients {
            assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::ServerShuttingDown));
            assert_eq!(client.hear(), Heard::Closed);
        }
        assert_eq!(old.hear(), Heard::Closed);
    });
    house.drain().unwrap();
    told.join().unwrap();
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
}

#[test]
fn a_drain_waits_for_the_store_and_says_so_if_it_waits_in_vain() {
    let house = House::open();
    let mut persistent = connect(Version::V5, "lamp");
    persistent.session_expiry_secs = Some(3600);
    let mut lamp = Client::enter(house.address(), &persistent);
    lamp.subscribe("t", QoS::AtLeastOnce);
    house.journal.hold();
    lamp.publish("t", "on", QoS::AtLeastOnce, 1);
    lamp.hears_nothing();
    let journal = house.journal.clone();
    drop(lamp);
    let refused = house
        .drain_within(std::time::Duration::from_millis(300))
        .unwrap_err();
    assert_eq!(refused.busy, 1);
    journal.resume();
}

#[test]
fn the_next_broker_has_what_the_last_one_kept() {
    let house = House::open();
    let journal = house.journal.clone();
    let mut persistent = connect(Version::V5, "lamp");
    persistent.clean_start = false;
    persistent.session_expiry_secs = Some(3600);
    let mut lamp = Client::enter(house.address(), &persistent);
    lamp.subscribe("t", QoS::AtLeastOnce);
    lamp.disconnect();
    assert_eq!(lamp.hear(), Heard::Closed);
    let mut switch = Client::named(house.address(), Version::V5, "switch");
    switch.publish("t", "on", QoS::AtLeastOnce, 1);
    assert_eq!(switch.hear(), Heard::PubAck(Ack::new(id(1))));
    drop(switch);
    house.drain().unwrap();

    let next = Plan {
        journal,
        ..Plan::shards(3)
    }
    .open();
    let mut lamp = Client::dial(next.address());
    assert!(lamp.introduce(&persistent).session_present);
    let message = lamp.message();
    assert_eq!(message.payload, "on");
    lamp.send(&Packet::PubAck(Ack::new(message.id.unwrap())));
    lamp.hears_nothing();
}

#[test]
fn an_address_in_use_is_one_clear_line() {
    let house = House::open();
    let plan = Plan {
        bind: house.address().to_string(),
        ..Plan::default()
    };
    let error = plan.try_open().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "listener `test`: cannot listen on {}: another process uses this port; stop it or choose another `bind`",
            house.address()
        )
    );
}
