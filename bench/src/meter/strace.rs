//! strace at the broker's process: attached to all its threads while it counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{Count, Meter};
use crate::broker::ended_with_us;
use crate::process::Process;

/// Longest time that strace may take to attach or to detach.
const WITHIN: Duration = Duration::from_secs(30);

/// Where it writes its counts, and where it says what it does.
const COUNTS: &str = "counts";
const WORDS: &str = "words";

#[derive(Debug)]
pub(crate) struct Strace {
    process: Process,
    attached: Option<Attached>,
}

/// A strace that runs; dropping it kills it, which lets the broker go on.
#[derive(Debug)]
struct Attached {
    child: Child,
    folder: TempDir,
}

impl Strace {
    pub(super) const fn new(process: Process) -> Self {
        let attached = None;
        Self { process, attached }
    }

    /// Answers when strace says that it holds every thread.
    pub(super) fn attach(&mut self) -> Result<()> {
        let folder = tempfile::Builder::new().prefix("twinmq-bench-").tempdir()?;
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-U", "name,calls", "-o"]);
        command.arg(folder.path().join(COUNTS));
        command.arg("-p").arg(self.process.pid().to_string());
        let mut command = ended_with_us(command);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(folder.path().join(WORDS))?);
        let child = command.spawn().context("cannot run strace")?;
        let attached = self.attached.insert(Attached { child, folder });
        let begun = Instant::now();
        loop {
            let words = attached.read(WORDS)?;
            if words.contains(" attached") {
                return Ok(());
            }
            if let Some(status) = attached.child.try_wait()? {
                bail!("strace ended with {status}: {}", words.trim());
            }
            ensure!(
                begun.elapsed() < WITHIN,
                "strace is not attached after {WITHIN:?}: {}",
                words.trim()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(super) fn detach(&mut self) -> Result<Count> {
        let mut attached = self.attached.take().context("strace is not attached")?;
        // An interrupted strace lets go of every thread and then writes what it has counted.
        let asked = Command::new("kill")
            .arg("-INT")
            .arg(attached.child.id().to_string())
            .status()?;
        ensure!(asked.success(), "kill ended with {asked}");
        let begun = Instant::now();
        while attached.child.try_wait()?.is_none() {
            ensure!(begun.elapsed() < WITHIN, "strace does not end within {WITHIN:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let counts = attached.read(COUNTS)?;
        let by_name = parse(&counts).with_context(|| format!("cannot understand strace: {counts}"))?;
        Ok(Count {
            meter: Meter::Strace,
            total: by_name.values().sum(),
            by_name,
        })
    }
}

impl Attached {
    fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.folder.path().join(file)).context("cannot read what strace wrote")
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A heading, a rule, a line with name and number per system call, a rule, the total.
fn parse(text: &str) -> Option<BTreeMap<String, u64>> {
    let mut lines = text.lines();
    lines.next()?.strip_prefix("syscall")?;
    let mut by_name = BTreeMap::new();
    let mut total = None;
    for line in lines.filter(|line| !line.starts_with('-')) {
        let (name, calls) = line.split_once(char::is_whitespace)?;
        let calls: u64 = calls.trim().parse().ok()?;
        if name == "total" {
            total = Some(calls);
        } else {
            by_name.insert(name.to_owned(), calls);
        }
    }
    (total == Some(by_name.values().sum())).then_some(by_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_by_name_and_must_add_up() {
        let text = "syscall              calls\n---------------- ---------\nepoll_wait              73\nread                     5\n---------------- ---------\ntotal                   78\n";
        let expected = [("epoll_wait".to_owned(), 73), ("read".to_owned(), 5)];
        assert_eq!(parse(text), Some(expected.into()));
        assert_eq!(parse(&text.replace("78", "79")), None);
        assert_eq!(parse(&text.replace("73", "x")), None);
        assert_eq!(parse(text.split_once("total").unwrap().0), None);
        assert_eq!(parse(""), None);
    }
}
