//! Quantities: durations and sizes as people write them, a whole number and a unit.

use std::time::Duration;

const TIMES: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// `"250ms"`, `"10s"`, `"5min"`, `"2h"`, `"7d"`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    quantity(text, &TIMES).map(Duration::from_millis)
}

/// `"100B"`, `"64KiB"`, `"1MiB"`, `"2GiB"`.
pub(super) fn size(text: &str) -> Option<usize> {
    quantity(text, &SIZES).and_then(|bytes| usize::try_from(bytes).ok())
}

/// The shortest way to write a duration that `duration` reads.
pub(super) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

/// The shortest way to write a size that `size` reads.
pub(super) fn show_size(bytes: usize) -> String {
    show(bytes as u64, &SIZES)
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let unit = units
        .iter()
        .rev()
        .find(|(_, scale)| value != 0 && value.is_multiple_of(*scale));
    unit.map_or_else(
        || value.to_string(),
        |(name, scale)| format!("{}{name}", value / scale),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_a_number_and_a_unit() {
        assert_eq!(duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(duration("250 ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("7d"), Some(Duration::from_secs(7 * 86400)));
        assert_eq!(size("64KiB"), Some(65536));
        assert_eq!(size("12B"), Some(12));
    }

    #[test]
    fn a_number_alone_a_fraction_or_too_much_is_nothing() {
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "10 parsecs",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["1ms", "90s", "5min", "1d"] {
            assert_eq!(duration(text).map(show_duration).as_deref(), Some(text));
        }
        for text in ["1B", "1000B", "64KiB", "1MiB"] {
            assert_eq!(size(text).map(show_size).as_deref(), Some(text));
        }
    }
}
