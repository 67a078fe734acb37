//! Counts in place of times: strace and callgrind at a broker.

use serde_json::Value;

use crate::run;

/// Every message of a window of one is read once and written once, and each side is woken for it.
#[test]
fn system_calls_are_counted_by_name_and_times_are_left_out() {
    let (code, line) = run(&[
        "p2p", "--target", "relay", "--pairs", "1", "--window", "1", "--strace",
    ]);
    assert_eq!(code, 0, "{line}");
    assert_eq!(line.pointer("/figure/name").unwrap(), "system calls per message");
    assert_eq!(line.pointer("/parameters/meter").unwrap(), "strace");
    assert_eq!(line.get("broker_cpu_us_per_message"), Some(&Value::Null));
    let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_u64).unwrap();
    let delivered = number("/delivered");
    assert!(delivered > 10, "{line}");
    assert_eq!(number("/counted/by_name/sendto"), delivered, "{line}");
    let each = line.pointer("/figure/value").and_then(Value::as_f64).unwrap();
    assert!((2.0..8.0).contains(&each), "{line}");
}

#[test]
fn instructions_are_counted_for_messages_only() {
    let (code, line) = run(&[
        "p2p",
        "--target",
        "relay",
        "--pairs",
        "1",
        "--window",
        "100",
        "--callgrind",
    ]);
    assert_eq!(code, 0, "{line}");
    assert_eq!(line.pointer("/figure/name").unwrap(), "instructions per message");
    let each = line.pointer("/figure/value").and_then(Value::as_f64).unwrap();
    assert!((10.0..10_000.0).contains(&each), "{line}");
}

#[test]
fn what_stands_in_the_way_of_counting_is_told_at_once_and_before_any_run() {
    let words = |meter: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_twinmq-bench"))
            .args(["compare", "127.0.0.1:9", "relay", "--scenario", "idle,p2p", meter])
            .env("PATH", "")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let strace = words("--strace");
    for part in ["idle has no figure per message", "--pid", "package `strace`"] {
        assert!(strace.contains(part), "{part}: {strace}");
    }
    let callgrind = words("--callgrind");
    for part in [
        "idle has no figure per message",
        "127.0.0.1:9 runs already",
        "package `valgrind`",
    ] {
        assert!(callgrind.contains(part), "{part}: {callgrind}");
    }
}
