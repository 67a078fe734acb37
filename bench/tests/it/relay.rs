//! The null relay as a target.

use serde_json::Value;

use crate::{count, run};

#[test]
fn the_relay_delivers_everything_and_its_cpu_time_is_measured() {
    for scenario in ["p2p", "fan-in", "fan-out"] {
        let (code, line) = run(&[scenario, "--target", "relay", "--pairs", "3", "--count", "5"]);
        assert_eq!(line.get("void"), Some(&Value::Null), "{line}");
        assert_eq!(
            (code, count(&line, "lost"), count(&line, "repeated")),
            (0, 0, 0),
            "{line}"
        );
        assert!(count(&line, "delivered") > 1000, "{line}");
        let figure = line.pointer("/figure/value").and_then(Value::as_f64).unwrap();
        assert!(figure > 0.0 && figure < 1000.0, "{line}");
    }
}
