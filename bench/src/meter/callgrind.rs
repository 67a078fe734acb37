//! callgrind around the broker's process: asleep until it is told to count.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Count, Meter};
use crate::process::Process;

#[derive(Debug)]
pub(crate) struct Callgrind {
    process: Process,
    profile: PathBuf,
}

/// The same command under callgrind, which starts without counting.
pub(super) fn wrap(command: &Command, folder: &Path) -> Command {
    let mut wrapped = Command::new("valgrind");
    wrapped
        .args(["--quiet", "--tool=callgrind", "--instr-atstart=no"])
        .arg(format!("--callgrind-out-file={}", profile(folder).display()))
        .arg(command.get_program())
        .args(command.get_args());
    wrapped
}

fn profile(folder: &Path) -> PathBuf {
    folder.join("callgrind.out")
}

impl Callgrind {
    pub(super) fn new(process: Process, folder: &Path) -> Self {
        Self {
            process,
            profile: profile(folder),
        }
    }

    pub(super) fn begin(&self) -> Result<()> {
        self.tell(&["instrumentation", "on"])
    }

    pub(super) fn end(&self) -> Result<Count> {
        self.tell(&["instrumentation", "off"])?;
        self.tell(&["dump"])?;
        // The first dump of a process bears the number 1; the name without a number is for its end.
        let path = self.profile.with_extension("out.1");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Count {
            meter: Meter::Callgrind,
            total: parse(&text).with_context(|| format!("no totals in {}", path.display()))?,
            by_name: BTreeMap::new(),
        })
    }

    /// `vgdb` comes with valgrind and answers when the process has obeyed.
    fn tell(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("vgdb");
        command.arg(format!("--pid={}", self.process.pid())).args(words);
        let answer = command
            .output()
            .context("cannot run vgdb, which comes with valgrind")?;
        ensure!(
            answer.status.success(),
            "vgdb {} ended with {}: {}",
            words.join(" "),
            answer.status,
            String::from_utf8_lossy(&answer.stderr).trim()
        );
        Ok(())
    }
}

/// The cost of all that is in the profile.
fn parse(profile: &str) -> Option<u64> {
    let total = profile.lines().find_map(|line| line.strip_prefix("totals:"))?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_and_not_the_summary() {
        let profile = "version: 1\nsummary: 0\nfn=(1) main\n7 12\n\ntotals: 1126287\n";
        assert_eq!(parse(profile), Some(1_126_287));
        assert_eq!(parse("summary: 7\n"), None);
    }
}
