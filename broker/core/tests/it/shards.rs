//! Where things live among several shards.

use broker_core::ShardId;

/// Names that differ only at their end, as device names do, are spread evenly.
#[test]
fn similar_names_are_spread() {
    for shards in [2_u16, 3, 4, 8, 16] {
        let mut counts = vec![0; usize::from(shards)];
        for at in 0..10_000 {
            counts[usize::from(ShardId::of(&format!("device-{at:04}"), shards).0)] += 1;
        }
        let even = 10_000 / i32::from(shards);
        assert!(
            counts
                .iter()
                .all(|count| (even * 8 / 10..even * 12 / 10).contains(count)),
            "{counts:?}"
        );
    }
}

/// A name's home is the same in every release.
#[test]
fn home_of_a_name_never_changes() {
    let homes = ["", "lamp", "device-0001", "room/1"].map(|name| ShardId::of(name, 1000).0);
    assert_eq!(homes, [144, 849, 917, 732]);
}
