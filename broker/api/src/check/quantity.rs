//! Quantities as people write them: a whole number and a unit.

/// A unit, and how many of the smallest one it is. Smallest first.
pub(super) type Unit = (&'static str, u64);

/// Times, in milliseconds.
pub(super) const TIMES: [Unit; 5] = [
    ("ms", 1),
    ("s", 1000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Sizes, in bytes.
pub(super) const SIZES: [Unit; 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// How many of the smallest unit a text such as `"10s"` or `"64 KiB"` means.
pub(super) fn parse(text: &str, units: &[Unit]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// The shortest text that [`parse`] reads as this value.
pub(super) fn show(value: u64, units: &[Unit]) -> String {
    let fits = |(_, scale): &&Unit| value != 0 && value.is_multiple_of(*scale);
    let unit = units.iter().rev().find(fits).or(units.first());
    unit.map_or_else(String::new, |(name, scale)| format!("{}{name}", value / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_a_number_and_a_unit() {
        assert_eq!(parse("10s", &TIMES), Some(10_000));
        assert_eq!(parse("250 ms", &TIMES), Some(250));
        assert_eq!(parse("7d", &TIMES), Some(7 * 86_400_000));
        assert_eq!(parse("64KiB", &SIZES), Some(65_536));
        assert_eq!(parse("12B", &SIZES), Some(12));
        assert_eq!(parse("0B", &SIZES), Some(0));
    }

    #[test]
    fn a_number_alone_a_fraction_or_too_much_is_nothing() {
        for text in [
            "",
            "10",
            "0",
            "s",
            "1.5s",
            "-1s",
            "+1s",
            "1m",
            "10S",
            "10 parsecs",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert_eq!(parse(text, &TIMES), None, "{text}");
        }
        for text in ["64", "64KB", "64kib", "17179869184GiB"] {
            assert_eq!(parse(text, &SIZES), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["0ms", "1ms", "90s", "5min", "1d", "36500d"] {
            assert_eq!(
                parse(text, &TIMES).map(|time| show(time, &TIMES)).as_deref(),
                Some(text)
            );
        }
        for text in ["0B", "1B", "1000B", "64KiB", "1MiB", "1024GiB"] {
            assert_eq!(
                parse(text, &SIZES).map(|size| show(size, &SIZES)).as_deref(),
                Some(text)
            );
        }
    }
}
