//! Counts in place of times: the broker's system calls, told by strace, or its instructions, told by callgrind.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::broker::{Programs, Target};
use crate::process::Process;
use crate::scenario::Scenario;

mod callgrind;
mod strace;

/// What to count, as typed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Meters {
    /// Count the broker's system calls per message with strace; such a run is no run for timing
    #[arg(long, conflicts_with = "callgrind")]
    strace: bool,
    /// Count the broker's instructions per message with valgrind's callgrind; such a run is no run for timing
    #[arg(long)]
    callgrind: bool,
}

/// Which program counts, and so what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Meter {
    Strace,
    Callgrind,
}

/// A meter at a broker's process; counts between [`Counter::begin`] and [`Counter::end`].
#[derive(Debug)]
pub(crate) enum Counter {
    Strace(strace::Strace),
    Callgrind(callgrind::Callgrind),
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    pub(crate) meter: Meter,
    pub(crate) total: u64,
    /// System calls by name; empty for instructions.
    pub(crate) by_name: BTreeMap<String, u64>,
}

impl Count {
    /// The system calls that came most often, so many at most.
    pub(crate) fn most_frequent(&self, len_max: usize) -> impl Iterator<Item = (&String, &u64)> {
        let mut calls: Vec<_> = self.by_name.iter().collect();
        calls.sort_by_key(|(_, calls)| Reverse(*calls));
        calls.into_iter().take(len_max)
    }
}

impl From<Meters> for Option<Meter> {
    fn from(meters: Meters) -> Self {
        match meters {
            Meters { strace: true, .. } => Some(Meter::Strace),
            Meters { callgrind: true, .. } => Some(Meter::Callgrind),
            Meters { .. } => None,
        }
    }
}

impl Meter {
    /// The name of what a run comes to.
    pub(crate) const fn figure(self) -> &'static str {
        match self {
            Self::Strace => "system calls per message",
            Self::Callgrind => "instructions per message",
        }
    }

    /// # Errors
    /// What stands in the way of counting, all of it.
    pub(crate) fn check(
        self,
        scenarios: &[Scenario],
        targets: &[Target],
        programs: &Programs,
    ) -> Result<(), String> {
        let mut problems = Vec::new();
        let others = scenarios.iter().filter(|scenario| !scenario.is_traffic());
        problems.extend(others.map(|scenario| {
            format!("--{self}: {scenario} has no figure per message in whose place a count could stand")
        }));
        for target in targets {
            match (self, target) {
                (Self::Callgrind, Target::At(address)) => problems.push(format!(
                    "--callgrind: {address} runs already, and callgrind counts only in what it starts"
                )),
                (Self::Strace, Target::At(address)) if !programs.knows_process() => problems.push(format!(
                    "--strace: the process of {address} is not known, name it with --pid"
                )),
                (Self::Strace, Target::At(_))
                | (_, Target::Ours(_) | Target::Mosquitto | Target::Probe | Target::Relay) => {}
            }
        }
        problems.extend(self.program().err());
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems.join("\n"))
        }
    }

    fn program(self) -> Result<(), String> {
        let program = match self {
            Self::Strace => "strace",
            Self::Callgrind => "valgrind",
        };
        let mut asked = Command::new(program);
        asked
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match asked.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("--{self}: `{program} --version` ended with {status}")),
            Err(error) => Err(format!(
                "--{self}: cannot run {program} ({error}): install Debian's package `{program}`"
            )),
        }
    }

    /// How to start a broker that shall be counted; strace comes to it later.
    pub(crate) fn wrap(self, command: Command, folder: &Path) -> Command {
        match self {
            Self::Strace => command,
            Self::Callgrind => callgrind::wrap(&command, folder),
        }
    }

    /// The counter for a broker that was started with [`Self::wrap`] and this folder.
    pub(crate) fn counter(self, process: Process, folder: &Path) -> Counter {
        match self {
            Self::Strace => Counter::Strace(strace::Strace::new(process)),
            Self::Callgrind => Counter::Callgrind(callgrind::Callgrind::new(process, folder)),
        }
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strace => "strace",
            Self::Callgrind => "callgrind",
        })
    }
}

impl Counter {
    /// Counts from now on.
    ///
    /// # Errors
    /// The program that counts cannot; its own words are quoted.
    pub(crate) fn begin(&mut self) -> Result<()> {
        match self {
            Self::Strace(strace) => strace.attach(),
            Self::Callgrind(callgrind) => callgrind.begin(),
        }
        .context("counting does not begin")
    }

    /// What was counted since [`Self::begin`].
    ///
    /// # Errors
    /// The program that counts has ended, or says what nobody understands.
    pub(crate) fn end(&mut self) -> Result<Count> {
        match self {
            Self::Strace(strace) => strace.detach(),
            Self::Callgrind(callgrind) => callgrind.end(),
        }
        .context("counting does not end")
    }
}
