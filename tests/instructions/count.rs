//! Count: instructions of one turn of a path, as callgrind sees them.

use std::{env, process::Command};

use crate::path::Path;

/// The first argument of this program when it is to play a path.
pub(crate) const PLAY: &str = "play";

/// The turns of the two runs; their difference leaves out what it takes to start and to set up.
const TURNS: [u64; 2] = [20, 120];

/// Instructions of one turn, for each of the things that a turn does.
pub(crate) fn instructions(path: Path) -> u64 {
    let [few, many] = TURNS.map(|turns| collected(path, turns));
    (many - few) / (TURNS[1] - TURNS[0]) / path.things()
}

/// Memory is copied and compared as on the plainest of processors, so that one counts as another does.
const PLAIN: &str = "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-SSSE3,-SSE4_1,-SSE4_2,-MOVBE,-BMI2,\
-LZCNT,-Fast_Unaligned_Copy";

fn collected(path: Path, turns: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().unwrap())
        .args([PLAY, path.name(), &turns.to_string()])
        .env("GLIBC_TUNABLES", PLAIN)
        .output()
        .unwrap_or_else(|error| {
            panic!("valgrind counts the instructions, and cannot be run ({error}): install it")
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} was not played to its end:\n{said}",
        path.name()
    );
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.unwrap_or_else(|| panic!("callgrind did not say what it collected:\n{said}"));
    count.trim().parse().unwrap()
}
