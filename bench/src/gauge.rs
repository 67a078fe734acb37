//! What our broker says of itself at `/metrics`, read by name.

use std::net::SocketAddr;

use anyhow::Result;

use crate::http::HttpClient;

/// All metrics of one moment.
#[derive(Debug)]
pub(crate) struct Gauges(String);

impl Gauges {
    /// # Errors
    /// Nobody serves HTTP there.
    pub(crate) fn read(http: SocketAddr) -> Result<Self> {
        let answer = HttpClient::open(http)?.request("GET", "/metrics", None)?;
        Ok(Self(String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// The value of a metric without labels; not a number when there is none of that name.
    pub(crate) fn value(&self, name: &str) -> f64 {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
        self.0.lines().find_map(value).unwrap_or(f64::NAN)
    }

    /// The sum of a metric over its labels; not a number when there is none of that name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let value = |line: &str| -> Option<f64> {
            let labels = line.strip_prefix(name)?.strip_prefix('{')?;
            labels.rsplit_once('}')?.1.trim().parse().ok()
        };
        self.0
            .lines()
            .filter_map(value)
            .reduce(|sum, value| sum + value)
            .unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_found_by_its_whole_name() {
        let gauges = Gauges("# TYPE queued gauge\nqueued_bytes 7\nqueued 12\n".to_owned());
        assert!((gauges.value("queued") - 12.0).abs() < f64::EPSILON);
        assert!(gauges.value("sessions").is_nan());
    }

    #[test]
    fn a_gauge_is_summed_over_its_labels() {
        let gauges =
            Gauges("memory{part=\"tables\"} 7\nmemory{part=\"cache\"} 12\nmemory_free 3\n".to_owned());
        assert!((gauges.sum("memory") - 19.0).abs() < f64::EPSILON);
        assert!(gauges.sum("memory_free").is_nan());
    }
}
