//! How memory grows: a straight line through readings.

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    pub(crate) minutes: f64,
    pub(crate) bytes: f64,
}

/// Bytes per minute over the last two thirds of the time, by least squares; `None` for fewer than two moments.
/// The first third is left out: caches and buffers fill in it.
pub(crate) fn slope(readings: &[Reading]) -> Option<f64> {
    let end = readings.last()?.minutes;
    let late: Vec<&Reading> = readings
        .iter()
        .filter(|reading| reading.minutes >= end / 3.0)
        .collect();
    let count = late.len() as f64;
    let mean = |value: fn(&Reading) -> f64| late.iter().map(|reading| value(reading)).sum::<f64>() / count;
    let (mid_minutes, mid_bytes) = (mean(|reading| reading.minutes), mean(|reading| reading.bytes));
    let (mut product, mut square) = (0.0, 0.0);
    for reading in late {
        let from_middle = reading.minutes - mid_minutes;
        product += from_middle * (reading.bytes - mid_bytes);
        square += from_middle * from_middle;
    }
    (square > 0.0).then(|| product / square)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(bytes: impl Fn(f64) -> f64) -> Vec<Reading> {
        (0..=60)
            .map(f64::from)
            .map(|minutes| Reading {
                minutes,
                bytes: bytes(minutes),
            })
            .collect()
    }

    #[test]
    fn a_leak_shows_as_its_rate() {
        let slope = slope(&readings(|minutes| 30e6 + 5_000.0 * minutes)).unwrap();
        assert!((slope - 5_000.0).abs() < 1e-6, "{slope}");
    }

    #[test]
    fn what_grows_in_the_first_third_only_is_no_leak() {
        let slope = slope(&readings(|minutes| minutes.min(20.0) * 1e6)).unwrap();
        assert!(slope.abs() < 1e-6, "{slope}");
    }

    #[test]
    fn one_moment_has_no_slope() {
        assert_eq!(slope(&[]), None);
        let reading = Reading {
            minutes: 1.0,
            bytes: 1.0,
        };
        assert_eq!(slope(&[reading, reading]), None);
    }
}
