//! Memory: how much the process may have, how much it has, and who is told when that runs short.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use broker_core::{Ceiling, Overload};
use metrics::gauge;
use tracing::warn;

use crate::{house::House, mailbox::Letter};

/// How often memory is looked at. A gigabyte a second would bring a quarter of one in between.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Reads how many bytes the process has resident.
pub(crate) type Measure = Box<dyn FnMut() -> Option<u64> + Send>;

/// What was last read, and the stage that follows from it. Without a ceiling it stays as it is.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    resident: AtomicU64,
    stage: AtomicU8,
}

const STAGES: [Overload; 4] = [
    Overload::Calm,
    Overload::Slowing,
    Overload::Dropping,
    Overload::Refusing,
];

impl Memory {
    /// The present stage.
    pub(crate) fn overload(&self) -> Overload {
        let stage = self.stage.load(Ordering::Relaxed);
        STAGES.get(usize::from(stage)).copied().unwrap_or_default()
    }

    /// What is done about the shortage of memory, if there is one, in words for operators.
    pub(crate) fn problem(&self, ceiling: u64) -> Option<String> {
        let done = match self.overload() {
            Overload::Calm => return None,
            Overload::Slowing => "publishers above QoS 0 are read more slowly",
            Overload::Dropping => {
                "publishers above QoS 0 are read more slowly, and receivers that lag behind lose messages at QoS 0"
            }
            Overload::Refusing => {
                "publishers above QoS 0 are read more slowly, receivers that lag behind lose messages at QoS 0, and no \
                 new connection is let in"
            }
        };
        let resident = self.resident.load(Ordering::Relaxed);
        Some(format!(
            "memory runs short ({resident} of {ceiling} bytes, see broker.memory_max): {done}"
        ))
    }
}

/// Looks at memory for as long as it is polled, and tells the shards when the stage changes.
pub(crate) async fn watch(house: Arc<House>, bytes_max: u64, mut measure: Measure) {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ceiling = Ceiling::of(bytes_max);
    record(&house.memory, bytes_max);
    let mut is_told = true;
    loop {
        look.tick().await;
        let told = measure();
        if told.is_none() && is_told {
            warn!(
                "the system does not tell how much memory this process has: it is taken to stand still (broker.memory_max)"
            );
        }
        is_told = told.is_some();
        // Perhaps no file can be opened just now, which is no time to let go.
        let resident = told.unwrap_or_else(|| house.memory.resident.load(Ordering::Relaxed));
        house.memory.resident.store(resident, Ordering::Relaxed);
        let overload = ceiling.look(resident, house.clock.now());
        let before = house.memory.overload();
        if overload != before {
            tell(&house, overload);
            log(&house.memory, bytes_max, before, overload, resident);
        }
        record(&house.memory, bytes_max);
    }
}

fn tell(house: &House, overload: Overload) {
    for mailbox in &house.mailboxes {
        mailbox.post(Letter::Overload(overload));
    }
    house.memory.stage.store(overload as u8, Ordering::Relaxed);
}

/// One line for each change.
fn log(memory: &Memory, bytes_max: u64, before: Overload, overload: Overload, resident: u64) {
    let (before, stage) = (before.name(), overload.name());
    match memory.problem(bytes_max) {
        Some(problem) => warn!(stage, before, resident, "{problem}"),
        None => warn!(
            stage,
            before,
            resident,
            "memory is short no longer: it has fallen, or stands still (broker.memory_max is {bytes_max} bytes)"
        ),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn record(memory: &Memory, bytes_max: u64) {
    gauge!("twinmq_overload_stage").set(f64::from(memory.overload() as u8));
    gauge!("twinmq_memory_bytes").set(memory.resident.load(Ordering::Relaxed) as f64);
    gauge!("twinmq_memory_max_bytes").set(bytes_max as f64);
}

/// Bytes that this process has resident.
pub(crate) fn resident() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Bytes that this process may have: what its control groups allow, or what the machine has if that is less.
pub(crate) fn available() -> Option<u64> {
    available_by(|path| fs::read_to_string(path).ok())
}

fn available_by(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|info| field(&info, "MemTotal:"));
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files);
    let limits = limits.filter_map(|file| read(&file)?.trim().parse().ok());
    limits.chain(machine).min()
}

/// The files with the limits of a process's group and of those around it, by a line of `/proc/self/cgroup`. In a container
/// the line may name a path of the machine outside, but then the root of the tree is the container's own.
fn limit_files(line: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let group = Path::new(group.trim_start_matches('/'));
    let around = group.ancestors();
    around
        .map(|group| Path::new(root).join(group).join(file))
        .collect()
}

/// The value of a line such as `VmRSS:   123 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A way to measure that has no form to show.
pub(crate) struct Measured(pub(crate) Measure);

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Measured")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn available_with(files: &[(&str, &str)]) -> Option<u64> {
        let files: HashMap<&str, &str> = files.iter().copied().collect();
        available_by(|path| files.get(path.to_str()?).map(|text| (*text).to_owned()))
    }

    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:  4 kB\nMemFree:  1 kB\n");

    #[test]
    fn without_groups_it_is_what_the_machine_has() {
        assert_eq!(available_with(&[MACHINE]), Some(4096));
        assert_eq!(available_with(&[]), None);
    }

    #[test]
    fn the_tightest_group_around_the_process_holds() {
        let group = ("/proc/self/cgroup", "0::/a/b\n");
        let own = ("/sys/fs/cgroup/a/b/memory.max", "max\n");
        let outer = ("/sys/fs/cgroup/a/memory.max", "3000\n");
        assert_eq!(available_with(&[MACHINE, group, own, outer]), Some(3000));
        let wide = ("/sys/fs/cgroup/a/memory.max", "5000\n");
        assert_eq!(available_with(&[MACHINE, group, own, wide]), Some(4096));
    }

    #[test]
    fn the_root_of_a_container_holds_though_its_path_is_that_of_the_machine() {
        let group = ("/proc/self/cgroup", "0::/kubepods/pod7\n");
        let root = ("/sys/fs/cgroup/memory.max", "2000\n");
        assert_eq!(available_with(&[MACHINE, group, root]), Some(2000));
    }

    #[test]
    fn the_first_version_of_control_groups_is_known() {
        let group = ("/proc/self/cgroup", "7:cpu:/\n4:hugetlb,memory:/a\n0::/\n");
        let own = ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000\n");
        let none = (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        assert_eq!(available_with(&[MACHINE, group, own, none]), Some(1000));
        assert_eq!(available_with(&[MACHINE, group, none]), Some(4096));
    }

    #[test]
    fn this_process_has_some_memory_and_may_have_more() {
        let (resident, available) = (resident().expect("on Linux"), available().expect("on Linux"));
        assert!(0 < resident && resident < available);
    }
}
