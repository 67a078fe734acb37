//! Stories about the tool as a whole: it is run as a program against brokers that behave and brokers that do not.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod counts;
mod crooked_broker;
mod faults;
mod page;
mod probe;
mod relay;

use std::process::Command;

use serde_json::Value;

/// Runs the tool at QoS 0 for a second and answers its exit code and its line of results.
fn run(arguments: &[&str]) -> (i32, Value) {
    run_at("0", arguments)
}

fn run_at(qos: &str, arguments: &[&str]) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinmq-bench"));
    command.arg("run").args(arguments);
    command.args(["--qos", qos, "--seconds", "1", "--warm-up", "0", "--silence", "1"]);
    let output = command.output().unwrap();
    let line = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), line)
}

fn count(line: &Value, field: &str) -> u64 {
    line.get(field)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("no {field} in {line}"))
}
