//! Bridges of other brokers that speak MQTT 3.1.1 or 3.1: what comes from one does not go back to it.

use broker_core::testing::{World, clean, filter, persistent};
use mqtt_wire::{Connect, Packet, QoS, Subscribe, Subscription, Version};

use crate::everywhere;

fn bridge(is_31: bool, connect: Connect) -> Connect {
    Connect {
        is_31,
        is_bridge: true,
        ..connect
    }
}

/// The payloads and retain flags that a client has heard.
fn heard(world: &World, client: broker_core::testing::ClientRef) -> Vec<(String, bool)> {
    let messages = world.client(client).messages();
    messages
        .map(|message| {
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            (payload, message.retain)
        })
        .collect()
}

/// A bridge gets everything but its own, with RETAIN as it was published; its own reach everybody else.
#[test]
fn bridge_hears_all_but_its_own() {
    everywhere(|world| {
        for is_31 in [false, true] {
            let bridge = world.connect(bridge(is_31, clean(Version::V311, "bridge")));
            let listener = world.connect(clean(Version::V311, "listener"));
            for client in [bridge, listener] {
                world.subscribe(client, "#", QoS::ExactlyOnce);
            }
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                world.publish(bridge, "room", "from there", qos);
                world.retain(bridge, "light", "from there", qos);
            }
            assert_eq!(heard(world, bridge), []);
            assert_eq!(world.client(listener).payloads(), ["from there"; 6]);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            world.publish(publisher, "room", "from here", QoS::AtLeastOnce);
            world.retain(publisher, "light", "from here", QoS::AtLeastOnce);
            let from_here = |retain| ("from here".to_owned(), retain);
            assert_eq!(heard(world, bridge), [from_here(false), from_here(true)]);
            world.retain(publisher, "light", "", QoS::AtLeastOnce);
        }
    });
}

/// Whoever else speaks these versions gets its own, and RETAIN is for what was retained before.
#[test]
fn client_that_is_no_bridge_hears_its_own() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V311, "client"));
        world.subscribe(client, "#", QoS::AtLeastOnce);
        world.retain(client, "light", "on", QoS::AtLeastOnce);
        assert_eq!(heard(world, client), [("on".to_owned(), false)]);
    });
}

/// What a bridge's subscriptions are is kept with them: a message of its own does not wait for it, and the flag of those
/// that do is as it was.
#[test]
fn subscriptions_of_a_bridge_outlast_a_crash() {
    everywhere(|world| {
        let connect = || bridge(false, persistent(Version::V311, "bridge"));
        let client = world.connect(connect());
        world.subscribe(client, "#", QoS::AtLeastOnce);
        world.crash();
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.retain(publisher, "light", "waits", QoS::AtLeastOnce);
        world.crash();
        let client = world.connect(connect());
        assert_eq!(heard(world, client), [("waits".to_owned(), true)]);
        world.publish(client, "room", "its own", QoS::AtLeastOnce);
        assert_eq!(heard(world, client).len(), 1);
    });
}

/// A shared subscription of a bridge is shared as any: where it is the only member it gets its own.
#[test]
fn bridge_may_be_a_member_of_a_group() {
    everywhere(|world| {
        let client = world.connect(bridge(false, clean(Version::V311, "bridge")));
        let packet_id = world.client_mut(client).take_id();
        world.send(
            client,
            &Packet::Subscribe(Subscribe {
                packet_id,
                subscription_id: None,
                filters: vec![Subscription::new(filter("$share/group/room"), QoS::AtLeastOnce)],
                user_properties: Vec::new(),
            }),
        );
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room", "on", QoS::AtLeastOnce);
        world.publish(client, "room", "its own", QoS::AtLeastOnce);
        assert_eq!(world.client(client).payloads(), ["on", "its own"]);
    });
}
