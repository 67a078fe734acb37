//! A store without room for more: what would make it grow is refused, what is small or makes room goes on.

use broker_core::{
    Shelf,
    testing::{World, clean, persistent},
};
use mqtt_wire::{QoS, ReasonCode, Version};

use crate::{VERSIONS, everywhere};

const FULL: ReasonCode = ReasonCode::QuotaExceeded;

/// A persistent session that is away, with a subscription and messages at both levels waiting.
fn leave_with_messages(world: &mut World, version: Version) {
    let listener = world.connect(persistent(version, "listener"));
    world.subscribe(listener, "room", QoS::ExactlyOnce);
    world.drop_connection(listener);
    let publisher = world.connect(clean(Version::V5, "filler"));
    world.publish(publisher, "room", "one", QoS::AtLeastOnce);
    world.publish(publisher, "room", "two", QoS::ExactlyOnce);
    world.publish(publisher, "room", "three", QoS::AtLeastOnce);
}

/// A client with a queue comes in, takes its messages and acknowledges them, and none comes again after a crash.
#[test]
fn waiting_messages_are_drained_without_room() {
    everywhere(|world| {
        for version in VERSIONS {
            leave_with_messages(world, version);
            world.tell_of_room(false);
            let listener = world.connect(persistent(version, "listener"));
            assert_eq!(
                world.client(listener).connack(),
                Some((ReasonCode::Success, true))
            );
            assert_eq!(world.client(listener).payloads(), ["one", "two", "three"]);
            assert_eq!(world.disk().len(Shelf::Inflight), 0);
            world.crash();
            let listener = world.connect(persistent(version, "listener"));
            assert_eq!(world.client(listener).payloads().len(), 0);
            world.connect(clean(Version::V5, "listener"));
        }
    });
}

/// Messages for persistent sessions are refused with 0x97, or by closing those who cannot be told; nobody sees them, they are
/// counted, and the next is taken as soon as there is room.
#[test]
fn messages_to_be_kept_are_refused_without_room() {
    everywhere(|world| {
        let listener = world.connect(persistent(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::ExactlyOnce);
        let new = world.connect(clean(Version::V5, "new"));
        let old = world.connect(clean(Version::V311, "old"));
        world.tell_of_room(false);
        let one = world.publish(new, "room", "refused", QoS::AtLeastOnce);
        let two = world.publish(new, "room", "refused", QoS::ExactlyOnce);
        let acks: Vec<_> = world.client(new).acks().collect();
        assert_eq!(acks, [("PUBACK", one, FULL), ("PUBREC", two, FULL)]);
        world.publish(old, "room", "refused", QoS::AtLeastOnce);
        assert!(!world.client(old).is_connected());
        assert_eq!(world.count(|counters| counters.refused_no_room), 3);
        assert_eq!(world.count(|counters| counters.batches_refused), 0);
        world.publish(new, "room", "passes", QoS::AtMostOnce);
        world.tell_of_room(true);
        world.publish(new, "room", "fits", QoS::AtLeastOnce);
        assert_eq!(world.client(listener).payloads(), ["passes", "fits"]);
        world.crash();
        let listener = world.connect(persistent(Version::V5, "listener"));
        let again = world.client(listener).payloads();
        assert!(again.iter().all(|payload| payload == "fits"), "{again:?}");
    });
}

/// What needs no more than a record of bounded size goes on: sessions, subscriptions, and messages nobody keeps.
#[test]
fn sessions_subscriptions_and_passing_messages_go_on_without_room() {
    everywhere(|world| {
        world.tell_of_room(false);
        let kept = world.connect(persistent(Version::V5, "kept"));
        world.subscribe(kept, "mine", QoS::AtLeastOnce);
        world.subscribe(kept, "gone", QoS::AtLeastOnce);
        world.unsubscribe(kept, "gone");
        let listener = world.connect(clean(Version::V5, "listener"));
        world.subscribe(listener, "room", QoS::ExactlyOnce);
        let publisher = world.connect(persistent(Version::V5, "publisher"));
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            world.publish(publisher, "room", "on", qos);
        }
        assert_eq!(world.client(listener).payloads(), ["on"; 3]);
        assert!(
            world
                .client(publisher)
                .acks()
                .all(|(.., reason)| reason == ReasonCode::Success)
        );
        world.crash();
        let kept = world.connect(persistent(Version::V5, "kept"));
        assert_eq!(world.client(kept).connack(), Some((ReasonCode::Success, true)));
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.publish(publisher, "mine", "on", QoS::AtLeastOnce);
        world.publish(publisher, "gone", "on", QoS::AtLeastOnce);
        assert_eq!(world.client(kept).payloads(), ["on"]);
    });
}

/// A retained message is refused, or where nobody waits for it shown and not kept; the end of one is taken.
#[test]
fn retained_messages_end_but_do_not_begin_without_room() {
    everywhere(|world| {
        let publisher = world.connect(clean(Version::V5, "publisher"));
        world.retain(publisher, "old", "kept", QoS::AtLeastOnce);
        world.retain(publisher, "older", "kept", QoS::AtLeastOnce);
        world.tell_of_room(false);
        let stored = world.disk().len(Shelf::Retained);
        let refused = world.retain(publisher, "new", "refused", QoS::AtLeastOnce);
        assert_eq!(
            world.client(publisher).acks().last(),
            Some(("PUBACK", refused, FULL))
        );
        world.retain(publisher, "newer", "shown", QoS::AtMostOnce);
        assert_eq!(world.disk().len(Shelf::Retained), stored);
        world.retain(publisher, "old", "", QoS::AtLeastOnce);
        world.retain(publisher, "older", "", QoS::AtMostOnce);
        assert_eq!(world.disk().len(Shelf::Retained), 0);
        let shown = |world: &mut World| {
            let viewer = world.connect(clean(Version::V5, "viewer"));
            world.subscribe(viewer, "#", QoS::AtLeastOnce);
            world.client(viewer).payloads()
        };
        assert_eq!(shown(world), ["shown"]);
        world.crash();
        assert_eq!(shown(world).len(), 0);
    });
}
