//! Record: what each path took when somebody last said that it may.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf, process::Command, thread};

use crate::{count, path::Path};

/// By how much a count may differ from what was recorded with the same compiler, in thousandths. What the C library does on
/// another machine may differ a little.
const TOLERANCE: u64 = 30;

/// The same with another compiler.
const TOLERANCE_OF_COMPILERS: u64 = 200;

const COMPILER: &str = "compiler: ";

/// Counts by the names of their paths, and the compiler they were taken with.
pub(crate) struct Record {
    compiler: String,
    counts: BTreeMap<String, u64>,
}

impl Record {
    /// Counts every path.
    pub(crate) fn count() -> Self {
        let counts = thread::scope(|scope| {
            let counting: Vec<_> = Path::ALL
                .map(|path| scope.spawn(move || (path.name().to_owned(), count::instructions(path))))
                .into_iter()
                .collect();
            let counted = counting.into_iter().map(|thread| thread.join().expect("a count"));
            counted.collect()
        });
        Self {
            compiler: compiler(),
            counts,
        }
    }

    /// What was recorded.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(file()).expect("tests/instructions/recorded.txt");
        let (mut compiler, mut counts) = (String::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some(name) = line.strip_prefix(COMPILER) {
                name.clone_into(&mut compiler);
            } else {
                let (name, count) = line.rsplit_once(": ").expect("`name: instructions`");
                counts.insert(name.to_owned(), count.parse().expect("a number of instructions"));
            }
        }
        Self { compiler, counts }
    }

    pub(crate) fn write(&self) {
        let mut text = format!("{COMPILER}{}\n", self.compiler);
        for (name, count) in &self.counts {
            writeln!(text, "{name}: {count}").unwrap();
        }
        fs::write(file(), text).unwrap();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &u64)> {
        self.counts.iter()
    }

    /// What is not as recorded, and what to do.
    pub(crate) fn complaints(&self, counted: &Self) -> Vec<String> {
        let tolerance = if self.compiler == counted.compiler {
            TOLERANCE
        } else {
            TOLERANCE_OF_COMPILERS
        };
        let mut complaints = Vec::new();
        for (name, &count) in &counted.counts {
            let Some(&recorded) = self.counts.get(name) else {
                complaints.push(format!("{name} was never recorded"));
                continue;
            };
            if count.abs_diff(recorded) * 1000 > recorded * tolerance {
                complaints.push(format!(
                    "{name} takes {count} instructions, and {recorded} were recorded"
                ));
            }
        }
        let gone = self
            .counts
            .keys()
            .filter(|name| !counted.counts.contains_key(*name));
        complaints.extend(gone.map(|name| format!("{name} is recorded, and there is no such path")));
        if !complaints.is_empty() {
            complaints.push(
                "If that is meant, say why in the commit and record it: \
                 TWINMQ_WRITE=1 cargo test --release -p twinmq -p store --test instructions"
                    .to_owned(),
            );
        }
        complaints
    }
}

fn file() -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "tests",
        "instructions",
        "recorded.txt",
    ]
    .iter()
    .collect()
}

/// The compiler that cargo builds with.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("rustc says its version");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
