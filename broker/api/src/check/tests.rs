//! What a section takes, and what it says to what it does not take.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn told(ask: impl FnOnce(&mut Check<'_>)) -> Vec<String> {
    let mut problems = Vec::new();
    ask(&mut Check::of("room", &mut problems));
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_typed_is_the_default() {
    let told = told(|check| {
        assert_eq!(check.number("seats", None, 7_u8, 1..=9), 7);
        assert_eq!(check.size("floor", None, 8_u32, 1..=9), 8);
        assert_eq!(check.duration("nap", None, SECOND, SECOND..=SECOND * 9), SECOND);
        assert_eq!(
            check.interval("bell", None, SECOND, SECOND..=SECOND * 9),
            Some(SECOND)
        );
        assert!(check.choice("light", None, true, &[("on", true), ("off", false)]));
    });
    assert_eq!(told, [""; 0]);
}

#[test]
fn what_is_typed_is_used_up_to_both_ends_of_its_range() {
    let text = |text: &str| Some(text.to_owned());
    let told = told(|check| {
        assert_eq!(check.number("seats", Some(1), 7_u8, 1..=9), 1);
        assert_eq!(check.number("seats", Some(9), 7_u8, 1..=9), 9);
        assert_eq!(check.size("floor", text("2KiB"), 0_usize, 2048..=4096), 2048);
        assert_eq!(check.size("floor", text("4096B"), 0_usize, 2048..=4096), 4096);
        assert_eq!(
            check.duration("nap", text("1000ms"), SECOND * 2, SECOND..=SECOND * 60),
            SECOND
        );
        assert_eq!(
            check.duration("nap", text("1min"), SECOND, SECOND..=SECOND * 60),
            SECOND * 60
        );
        assert_eq!(
            check.interval("bell", text("3s"), SECOND, SECOND..=SECOND * 9),
            Some(SECOND * 3)
        );
        assert_eq!(
            check.interval("bell", text("never"), SECOND, SECOND..=SECOND * 9),
            None
        );
        assert_eq!(
            check.size_or_none("roof", text("2KiB"), Some(7), 0..=4096),
            Some(2048)
        );
        assert_eq!(check.size_or_none("roof", text("none"), Some(7), 0..=4096), None);
        assert_eq!(check.size_or_none("roof", None, Some(7), 0..=4096), Some(7));
        assert!(!check.choice("light", text("off"), true, &[("on", true), ("off", false)]));
        assert!(check.address("door", "[::1]:0").is_some());
    });
    assert_eq!(told, [""; 0]);
}

#[test]
fn every_mistake_is_told_with_its_key_what_was_found_and_what_is_allowed() {
    let text = |text: &str| Some(text.to_owned());
    let told = told(|check| {
        assert_eq!(check.number("seats", Some(0), 7_u8, 1..=9), 7);
        assert_eq!(check.number("seats", Some(-1), 7_u8, 1..=9), 7);
        assert_eq!(check.size("floor", text("1B"), 8_u64, 1 << 20..=1 << 40), 8);
        assert_eq!(
            check.duration("nap", text("10"), SECOND, Duration::ZERO..=SECOND * 90),
            SECOND
        );
        assert_eq!(
            check.interval("bell", text("0s"), SECOND, SECOND..=SECOND * 60),
            None
        );
        assert_eq!(
            check.size_or_none("roof", text("never"), Some(7), 1024..=4096),
            Some(7)
        );
        assert!(check.choice("light", text("dim"), true, &[("on", true), ("off", false)]));
        assert_eq!(check.address("door", "localhost:1"), None);
    });
    assert_eq!(
        told,
        [
            "room.seats: found 0, allowed: 1 to 9",
            "room.seats: found -1, allowed: 1 to 9",
            r#"room.floor: found "1B", allowed: a size with its unit, from "1MiB" to "1024GiB""#,
            r#"room.nap: found "10", allowed: a time with its unit, from "0ms" to "90s""#,
            r#"room.bell: found "0s", allowed: "never", or a time with its unit, from "1s" to "1min""#,
            r#"room.roof: found "never", allowed: "none", or a size with its unit, from "1KiB" to "4KiB""#,
            r#"room.light: found "dim", allowed: "on", "off""#,
            r#"room.door: found "localhost:1", allowed: an IP address and a port, for example "127.0.0.1:1883" or "[::]:8883""#,
        ]
    );
}

#[test]
fn what_the_code_cannot_hold_is_a_mistake_and_not_cut_off() {
    let told = told(|check| {
        assert_eq!(check.number("seats", Some(300), 7_u8, 1..=1000), 7);
        assert_eq!(check.size("floor", Some("8GiB".into()), 8_u32, 0..=1 << 40), 8);
    });
    assert_eq!(told.len(), 2, "{told:?}");
}
