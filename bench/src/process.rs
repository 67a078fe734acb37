//! What a process has used so far: CPU time of all its threads, and resident memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// Ticks per second of the times in `/proc/PID/stat`; Linux fixes it for user space at 100.
const TICKS_PER_SECOND: u32 = 100;

/// A process whose use of the machine can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pid: u32,
}

/// CPU time at one moment, kept per thread so that two readings can be compared to the nanosecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CpuReading {
    /// Nanoseconds on a CPU by thread id, where the kernel tells them.
    threads: BTreeMap<u32, u64>,
    /// User and system time of all threads, ended ones included, in clock ticks.
    ticks: u64,
}

/// Resident memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

impl Process {
    pub(crate) const fn new(pid: u32) -> Self {
        Self { pid }
    }

    pub(crate) const fn pid(self) -> u32 {
        self.pid
    }

    /// The process that calls.
    pub(crate) fn own() -> Self {
        Self::new(std::process::id())
    }

    /// CPU time of all threads until now.
    ///
    /// # Errors
    /// The process has ended.
    pub(crate) fn cpu(self) -> Result<CpuReading> {
        let stat = self.read("stat")?;
        let ticks =
            parse_stat(&stat).with_context(|| format!("cannot understand /proc/{}/stat", self.pid))?;
        Ok(CpuReading {
            threads: self.threads().unwrap_or_default(),
            ticks,
        })
    }

    /// Resident memory now and at its highest.
    ///
    /// # Errors
    /// The process has ended.
    pub(crate) fn memory(self) -> Result<Memory> {
        let status = self.read("status")?;
        let field = |name| {
            parse_kib(&status, name).with_context(|| format!("no {name} in /proc/{}/status", self.pid))
        };
        Ok(Memory {
            resident: field("VmRSS:")?,
            peak: field("VmHWM:")?,
        })
    }

    /// Files and sockets it has open.
    ///
    /// # Errors
    /// The process has ended.
    pub(crate) fn open_files(self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.pid);
        let files =
            fs::read_dir(&path).with_context(|| format!("cannot read {path}: the process has ended"))?;
        Ok(files.count())
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}: the process has ended"))
    }

    /// Nanoseconds per thread; `None` on a kernel without schedstat. A thread that ends meanwhile is left out.
    fn threads(self) -> Option<BTreeMap<u32, u64>> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.pid)).ok()? {
            let entry = entry.ok()?;
            let tid = entry.file_name().to_str()?.parse().ok()?;
            if let Ok(schedstat) = fs::read_to_string(entry.path().join("schedstat")) {
                threads.insert(tid, schedstat.split_ascii_whitespace().next()?.parse().ok()?);
            }
        }
        (!threads.is_empty()).then_some(threads)
    }
}

impl CpuReading {
    /// CPU time used since the process began.
    pub(crate) fn in_all(&self) -> Duration {
        Duration::from_secs(self.ticks) / TICKS_PER_SECOND
    }

    /// CPU time used since `earlier`. Falls back to clock ticks when a thread has ended in between,
    /// as its nanoseconds went with it.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let all_alive =
            !self.threads.is_empty() && earlier.threads.keys().all(|tid| self.threads.contains_key(tid));
        if !all_alive {
            return Duration::from_secs(self.ticks.saturating_sub(earlier.ticks)) / TICKS_PER_SECOND;
        }
        let used =
            |(tid, now): (&u32, &u64)| now.saturating_sub(earlier.threads.get(tid).copied().unwrap_or(0));
        Duration::from_nanos(self.threads.iter().map(used).sum())
    }
}

/// User plus system ticks: fields 14 and 15, counted after the name, which may hold spaces and brackets.
fn parse_stat(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The value of a `Name:   123 kB` line, in bytes.
fn parse_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(threads: &[(u32, u64)], ticks: u64) -> CpuReading {
        CpuReading {
            threads: threads.iter().copied().collect(),
            ticks,
        }
    }

    #[test]
    fn stat_is_read_although_the_name_holds_spaces_and_brackets() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(parse_stat(stat), Some(300));
        assert_eq!(parse_stat("42 (cut"), None);
        assert_eq!(parse_stat("42 (cut) S 1 2 3"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse_kib(status, "VmRSS:"), Some(1_048_576));
        assert_eq!(parse_kib(status, "VmHWM:"), Some(2_097_152));
        assert_eq!(parse_kib(status, "VmSwap:"), None);
    }

    #[test]
    fn threads_are_compared_one_by_one() {
        let before = reading(&[(1, 100), (2, 50)], 0);
        let after = reading(&[(1, 400), (2, 50), (3, 7)], 0);
        assert_eq!(after.since(&before), Duration::from_nanos(307));
    }

    #[test]
    fn an_ended_thread_is_counted_by_ticks() {
        let before = reading(&[(1, 100), (2, 50)], 10);
        let after = reading(&[(1, 400)], 13);
        assert_eq!(after.since(&before), Duration::from_millis(30));
    }

    #[test]
    fn own_work_shows_up_as_cpu_time() {
        let process = Process::own();
        let before = process.cpu().unwrap();
        let mut sum = 0_u64;
        // Work until the kernel has noticed; the loop ends because work is never free.
        while process.cpu().unwrap().since(&before) < Duration::from_millis(5) {
            sum = std::hint::black_box((0..100_000_u64).fold(sum, u64::wrapping_add));
        }
        assert!(process.memory().unwrap().resident > 100_000);
    }

    #[test]
    fn an_ended_process_is_an_error() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(Process::new(child.id()).cpu().is_err());
    }
}
