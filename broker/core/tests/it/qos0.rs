//! Messages that are sent once and not answered.

use broker_core::{
    Settings,
    testing::{clean, persistent},
};
use mqtt_wire::{QoS, Version};

use crate::{VERSIONS, everywhere, everywhere_with};

/// [MQTT-4.3.1-1] [MQTT-4.5.0-1] [MQTT311-2.3.1-5] [MQTT5-2.2.1-2]
/// A message reaches every subscriber, on whatever shard, once and without an id.
#[test]
fn message_reaches_every_subscriber_once() {
    everywhere(|world| {
        let subscribers: Vec<_> = (0..8)
            .map(|at| {
                let client = world.connect(clean(VERSIONS[at % 2], &format!("listener-{at}")));
                world.subscribe(client, "room/+", QoS::ExactlyOnce);
                client
            })
            .collect();
        let publisher = world.connect(clean(Version::V311, "publisher"));
        world.publish(publisher, "room/1", "on", QoS::AtMostOnce);
        for subscriber in subscribers {
            let messages: Vec<_> = world.client(subscriber).messages().collect();
            assert_eq!(messages.len(), 1);
            assert_eq!(messages[0].id, None);
            assert_eq!(messages[0].payload, b"on");
            assert!(!messages[0].dup && !messages[0].retain);
        }
    });
}

/// Messages at QoS 0 are not kept for a client that is away.
#[test]
fn message_is_not_kept_for_the_absent() {
    everywhere(|world| {
        let kept = world.connect(persistent(Version::V5, "kept"));
        world.subscribe(kept, "room/+", QoS::ExactlyOnce);
        world.drop_connection(kept);
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "room/1", "on", QoS::AtMostOnce);
        let kept = world.connect(persistent(Version::V5, "kept"));
        assert_eq!(world.client(kept).payloads(), [""; 0]);
    });
}

/// [MQTT5-3.8.4-8] A subscription at QoS 0 gets everything at QoS 0.
#[test]
fn subscription_at_zero_lowers_everything() {
    everywhere(|world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room/+", QoS::AtMostOnce);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            world.publish(publisher, "room/1", "on", qos);
        }
        assert_eq!(world.client(listener).messages().count(), 3);
        assert!(
            world
                .client(listener)
                .messages()
                .all(|message| message.qos == QoS::AtMostOnce)
        );
    });
}

/// A client that does not read loses messages at QoS 0 beyond its bound, which are counted, and nobody else loses any.
#[test]
fn slow_reader_loses_only_its_own() {
    let settings = Settings {
        unsent_bytes_max: 10_000,
        ..Settings::default()
    };
    everywhere_with(&settings, |world| {
        let slow = world.connect(clean(Version::V5, "slow"));
        let quick = world.connect(clean(Version::V5, "quick"));
        world.subscribe(slow, "room", QoS::AtMostOnce);
        world.subscribe(quick, "room", QoS::AtMostOnce);
        world.client_mut(slow).reads = false;
        let publisher = world.connect(clean(Version::V5, "publisher"));
        let payload = "x".repeat(1000);
        for _ in 0..50 {
            world.publish(publisher, "room", &payload, QoS::AtMostOnce);
        }
        world.read_again(slow);
        let got = world.client(slow).messages().count() as u64;
        assert!((10..20).contains(&got), "{got}");
        assert_eq!(world.count(|counters| counters.dropped_slow_reader), 50 - got);
        assert_eq!(world.client(quick).messages().count(), 50);
    });
}
