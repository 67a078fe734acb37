//! Several listeners in one file of settings: limits and a mount point of their own.

use mqtt_wire::{Connect, QoS, Version};

use crate::support::{House, Mqtt, OPEN, run};

const SITE: &str = "\n[[listener]]\nname = \"site\"\nbind = \"127.0.0.1:0\"\nmount_point = \"site-a/\"\n\
                    packet_bytes_max = \"64KiB\"\nsubscriptions_max = 3\n";

/// A site that names its topics as if it were alone, a house that sees them in full, and a kill between them.
#[test]
fn a_site_sees_itself_only_also_after_a_kill() {
    let house = House::new(&format!("{OPEN}{SITE}"));
    let running = house.serve();
    let (mut lamp, present) = Mqtt::kept(running.address("site"), "lamp");
    assert!(!present);
    lamp.subscribe("room/+", QoS::AtLeastOnce);
    let mut watcher = Mqtt::clean(running.mqtt(), "watcher");
    watcher.subscribe("#", QoS::AtLeastOnce);
    let mut switch = Mqtt::clean(running.address("site"), "switch");
    switch.publish_acked("room/1", b"on", false);
    assert_eq!(lamp.message().topic, "room/1");
    assert_eq!(watcher.message().topic, "site-a/room/1");
    watcher.publish_acked("room/1", b"not for the site", false);
    drop(lamp);
    switch.publish_acked("room/2", b"off", false);
    running.kill();

    let running = house.serve();
    let (mut lamp, present) = Mqtt::kept(running.address("site"), "lamp");
    assert!(present);
    let found = lamp.message();
    assert_eq!((found.topic.as_str(), found.text()), ("room/2", "off"));
    drop(lamp);
    let (_, present) = Mqtt::kept(running.mqtt(), "lamp");
    assert!(!present, "another mount point, another session");
}

#[test]
fn a_client_is_told_the_limits_of_its_listener() {
    let house = House::new(&format!("{OPEN}{SITE}"));
    let running = house.serve();
    for (listener, bytes_max) in [("site", 64 << 10), ("mqtt", 1 << 20)] {
        let hello = Connect::new(Version::V5, "client");
        let (_, connack) = Mqtt::connect(running.address(listener), hello).unwrap();
        assert_eq!(connack.max_packet_size, Some(bytes_max));
    }
}

#[test]
fn a_wrong_mount_point_is_told_with_its_reason() {
    let wrong = SITE.replace("site-a/", "site-a").replace("64KiB", "64");
    let house = House::new(&format!("{OPEN}{wrong}"));
    let (code, _, told) = run(house.command());
    assert_eq!(code, 2);
    for part in [
        "listener[0].mount_point",
        "does not end with `/`",
        "listener[0].packet_bytes_max",
    ] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
}
