//! Topic aliases towards a client, chosen by the broker to save bytes.

use broker_core::{
    Entrance, Settings,
    testing::{ClientRef, World, clean, message, persistent},
};
use mqtt_wire::{Connect, Properties, Property, Publish, QoS, Version, put_property};

use crate::{everywhere, everywhere_with};

fn taking(aliases: u16, connect: Connect) -> Connect {
    Connect {
        topic_alias_maximum: aliases,
        ..connect
    }
}

/// The alias of each message a client got.
fn aliases(world: &World, client: ClientRef) -> Vec<Option<u16>> {
    world
        .client(client)
        .messages()
        .map(|message| {
            Properties::parse_publish(&message.properties)
                .unwrap()
                .topic_alias()
        })
        .collect()
}

fn topics(world: &World, client: ClientRef) -> Vec<String> {
    let messages = world.client(client).messages();
    messages.map(|message| message.topic.clone()).collect()
}

/// [MQTT5-3.1.2-27] A client that takes no aliases is sent none.
#[test]
fn client_that_takes_no_aliases_gets_none() {
    everywhere(|world| {
        let client = world.connect(clean(Version::V5, "client"));
        world.subscribe(client, "#", QoS::AtLeastOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for _ in 0..5 {
            world.publish(publisher, "room/lamp", "on", QoS::AtLeastOnce);
        }
        assert_eq!(aliases(world, client), [None; 5]);
    });
}

/// [MQTT5-3.1.2-26] [MQTT5-3.3.2-11] A topic that comes again gets an alias, and never more topics than the client takes.
#[test]
fn topics_that_come_again_get_aliases() {
    everywhere(|world| {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let client = world.connect(taking(2, clean(Version::V5, "client")));
            world.subscribe(client, "#", qos);
            let publisher = world.connect(clean(Version::V5, "publisher"));
            let sent = [
                "a/one", "a/one", "a/one", "a/two", "a/two", "a/one", "a/three", "a/three", "a/two",
            ];
            for topic in sent {
                world.publish(publisher, topic, "on", qos);
            }
            assert_eq!(topics(world, client), sent);
            let (one, two) = (Some(1), Some(2));
            // The third topic takes the alias that was not used for longest.
            assert_eq!(
                aliases(world, client),
                [None, one, one, None, two, one, None, two, None]
            );
        }
    });
}

/// The broker sets no more aliases than its own limit, however many a client takes.
#[test]
fn aliases_are_bounded_by_the_setting() {
    let settings = Settings::by(Entrance {
        topic_alias_max: 3,
        ..Entrance::default()
    });
    everywhere_with(&settings, |world| {
        let client = world.connect(taking(u16::MAX, clean(Version::V5, "client")));
        world.subscribe(client, "#", QoS::AtMostOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for _ in 0..200 {
            let topic = format!("room/{}", world.dice().below(6));
            world.publish(publisher, &topic, "on", QoS::AtMostOnce);
        }
        let highest = aliases(world, client).into_iter().flatten().max();
        assert_eq!(highest, Some(3));
    });
}

/// [MQTT5-3.3.2-7] Aliases end with the connection: a returning client gets full names first, also of what it gets again.
#[test]
fn aliases_end_with_the_connection() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        let client = world.connect(taking(10, persistent(Version::V5, "client")));
        world.subscribe(client, "#", QoS::AtLeastOnce);
        world.client_mut(client).acknowledges = false;
        for _ in 0..3 {
            world.publish(publisher, "room/lamp", "on", QoS::AtLeastOnce);
        }
        assert_eq!(aliases(world, client), [None, Some(1), Some(1)]);
        world.drop_connection(client);
        let client = world.connect(taking(10, persistent(Version::V5, "client")));
        assert_eq!(topics(world, client), ["room/lamp"; 3]);
        assert_eq!(aliases(world, client), [None, Some(1), Some(1)]);
        world.connect(clean(Version::V5, "client"));
    });
}

/// The alias stands beside the message's own properties, and a publisher's alias is not passed on.
#[test]
fn aliases_leave_other_properties_alone() {
    everywhere(|world| {
        let client = world.connect(taking(10, clean(Version::V5, "client")));
        world.subscribe(client, "#", QoS::AtMostOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        for _ in 0..2 {
            let mut block = Vec::new();
            put_property(&mut block, &Property::TopicAlias(7)).unwrap();
            put_property(&mut block, &Property::MessageExpiryInterval(10)).unwrap();
            put_property(&mut block, &Property::UserProperty("name", "value")).unwrap();
            let publish = Publish {
                properties: Properties::parse_publish(&block).unwrap(),
                ..message("room/lamp", "on", QoS::AtMostOnce)
            };
            world.message(publisher, publish);
        }
        assert_eq!(aliases(world, client), [None, Some(1)]);
        for message in world.client(client).messages() {
            let properties = Properties::parse_publish(&message.properties).unwrap();
            assert_eq!(properties.message_expiry_secs(), Some(10));
            assert_eq!(
                properties.user_properties().collect::<Vec<_>>(),
                [("name", "value")]
            );
        }
    });
}

/// A message that is too large for the client with its full name is not sent, and sets no alias.
#[test]
fn message_that_is_too_large_sets_no_alias() {
    everywhere(|world| {
        let client = world.connect(Connect {
            max_packet_size: std::num::NonZeroU32::new(40),
            ..taking(10, clean(Version::V5, "client"))
        });
        world.subscribe(client, "#", QoS::AtMostOnce);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        let long = "x".repeat(25);
        for payload in ["on", &long, "on", &long] {
            world.publish(publisher, "room/of/lamps", payload, QoS::AtMostOnce);
        }
        assert_eq!(aliases(world, client), [None, Some(1), Some(1)]);
        assert_eq!(topics(world, client), ["room/of/lamps"; 3]);
    });
}
