//! The minimal probe as a target.

use serde_json::Value;

use crate::{count, run_at};

#[test]
fn the_probe_serves_its_scenarios_without_faults_and_its_cpu_time_is_measured() {
    for (scenario, qos, count_of) in [
        ("p2p", "0", "100"),
        ("p2p", "1", "100"),
        ("fan-in", "1", "100"),
        ("fan-out", "1", "100"),
        ("filters", "0", "100"),
        ("connect", "0", "100"),
        // So many that their memory is no longer found in pages that are there already.
        ("idle", "0", "3000"),
    ] {
        let (code, line) = run_at(
            qos,
            &[scenario, "--target", "probe", "--pairs", "3", "--count", count_of],
        );
        assert_eq!(line.get("void"), Some(&Value::Null), "{line}");
        assert_eq!(
            (code, count(&line, "lost"), count(&line, "unanswered")),
            (0, 0, 0),
            "{line}"
        );
        let figure = line.pointer("/figure/value").and_then(Value::as_f64).unwrap();
        assert!(figure > 0.0 && figure < 1_000_000.0, "{line}");
    }
}

#[test]
fn what_the_probe_does_not_serve_is_refused() {
    for (scenario, qos) in [("p2p", "2"), ("v5", "0"), ("durable", "1")] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_twinmq-bench"))
            .args(["run", scenario, "--target", "probe", "--qos", qos])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{scenario}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("makes no sense"));
    }
}

#[test]
fn memory_of_many_filters_is_told_for_each_of_them() {
    let (_, line) = run_at(
        "0",
        &[
            "filters", "--target", "probe", "--pairs", "10", "--count", "20000",
        ],
    );
    let bytes = line.get("resident_bytes_per_filter").and_then(Value::as_f64);
    // At least the filter's text; far less than a page.
    assert!(
        bytes.is_some_and(|bytes| (15.0..1000.0).contains(&bytes)),
        "{line}"
    );
}
