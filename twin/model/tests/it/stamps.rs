//! Stamps grow whatever the clock does, and order writes of several brokers.

use proptest::prelude::*;
use serde_json::json;
use twin_model::*;

use crate::support::{Desk, law, patch};

#[test]
fn stamps_grow_under_any_clock_and_across_restarts() {
    let readings = prop::collection::vec((prop_oneof![0_u64..20, any::<u64>()], any::<bool>()), 1..50);
    law(readings, |readings| {
        let mut clock = StampClock::new(NodeId(3), None);
        let mut last = None;
        for (wall, restarts) in readings {
            if restarts {
                clock = StampClock::new(NodeId(3), clock.mark());
            }
            let stamp = clock.next(Timestamp::from_millis(wall / 2), None);
            prop_assert!(Some(stamp) > last, "{stamp:?} after {last:?}");
            prop_assert!(stamp.wall_ms >= wall / 2);
            prop_assert_eq!(clock.mark(), Some(stamp));
            last = Some(stamp);
        }
        Ok(())
    });
}

#[test]
fn a_stamp_is_above_what_it_replaces_even_when_that_came_from_the_future() {
    let stamps = (0_u64..1000, any::<u32>(), any::<u64>(), 0_u64..1000);
    law(stamps, |(wall_ms, counter, node, now)| {
        let theirs = Stamp {
            wall_ms,
            counter,
            node: NodeId(node),
        };
        let ours = StampClock::new(NodeId(0), None).next(Timestamp::from_millis(now), Some(theirs));
        prop_assert!(ours > theirs);
        Ok(())
    });
}

#[test]
fn a_clock_that_stands_still_counts() {
    let mut clock = StampClock::new(NodeId(1), None);
    let now = Timestamp::from_millis(500);
    let (first, second) = (clock.next(now, None), clock.next(now, None));
    assert_eq!((first.wall_ms, first.counter), (500, 0));
    assert_eq!((second.wall_ms, second.counter), (500, 1));
    let full = Stamp {
        wall_ms: 900,
        counter: u32::MAX,
        node: NodeId(1),
    };
    let after = clock.next(now, Some(full));
    assert_eq!((after.wall_ms, after.counter), (901, 0));
}

/// One boot in the year 2100 must not make times shown to people wrong for ever.
#[test]
fn a_wrong_clock_spoils_the_order_of_nothing_and_the_display_of_one_write() {
    let mut desk = Desk::with("meter");
    let right = desk.now;
    desk.now = Timestamp::from_millis(4_100_000_000_000);
    desk.report(json!({"kwh": 1}));
    desk.now = right;
    desk.report(json!({"kwh": 2}));
    let meta = desk
        .twin
        .reported()
        .unwrap()
        .metadata
        .at(&Path::parse("kwh"))
        .unwrap()
        .clone();
    assert_eq!(meta.accepted_at, right);
    assert!(meta.stamp.wall_ms >= 4_100_000_000_000);
}

/// What a removed leaf was stamped with still lies below its successor's stamp.
#[test]
fn a_leaf_that_comes_back_is_later_than_it_was() {
    let mut desk = Desk::with("meter");
    desk.report(json!({"kwh": 1}));
    let first = desk.twin.stamp().unwrap();
    desk.report(json!({"kwh": null}));
    // Another process without our mark, with a clock that is behind, takes over.
    desk.stamps = StampClock::new(NodeId(0), None);
    desk.now = Timestamp::from_millis(5);
    desk.carry_out(Command::Report(patch(json!({"kwh": 3}))));
    let metadata = &desk.twin.reported().unwrap().metadata;
    assert!(metadata.at(&Path::parse("kwh")).unwrap().stamp > first);
}
