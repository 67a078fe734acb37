//! What stands beside every figure: the commit, the number of cores, and how busy the machine was.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Where and with which code a run was made.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Seconds since 1970, when the run began.
    pub(crate) unix_seconds: u64,
    /// The commit of the working directory with `+` when files differ from it; absent outside a repository.
    pub(crate) commit: Option<String>,
    pub(crate) cores: usize,
    /// Load averages over 1, 5 and 15 minutes before the run.
    pub(crate) load_average: [f64; 3],
    pub(crate) kernel: String,
}

impl Machine {
    /// Looks at the machine as it is now.
    pub(crate) fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            unix_seconds: since_1970.map_or(0, |since| since.as_secs()),
            commit: commit(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_average: parse_load_average(&read("/proc/loadavg")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

fn commit() -> Option<String> {
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() {
        hash
    } else {
        format!("{hash}+")
    })
}

/// What git says, or `None` without git, repository or commit.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn parse_load_average(text: &str) -> [f64; 3] {
    let mut fields = text
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or(f64::NAN));
    std::array::from_fn(|_| fields.next().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_load_averages_are_read() {
        assert_eq!(
            parse_load_average("0.50 1.25 2.00 3/400 12345\n"),
            [0.5, 1.25, 2.0]
        );
        assert!(parse_load_average("").iter().all(|value| value.is_nan()));
    }
}
