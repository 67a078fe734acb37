//! What a broker does to a single message is found, counted and told by the exit code.

use crate::crooked_broker::{Crime, start};
use crate::{count, run};

/// Exit code, lost, repeated, reordered.
fn verdict(crime: Crime, codec: &str) -> (i32, u64, u64, u64) {
    let address = start(crime).to_string();
    let (code, line) = run(&["p2p", "--pairs", "1", "--target", &address, "--codec", codec]);
    (
        code,
        count(&line, "lost"),
        count(&line, "repeated"),
        count(&line, "reordered"),
    )
}

#[test]
fn an_honest_broker_passes() {
    assert_eq!(verdict(Crime::None, "wire"), (0, 0, 0, 0));
    assert_eq!(verdict(Crime::None, "mqttbytes"), (0, 0, 0, 0));
}

#[test]
fn one_lost_message_is_found() {
    assert_eq!(verdict(Crime::Lose(123), "wire"), (1, 1, 0, 0));
}

#[test]
fn one_repeated_message_is_found() {
    assert_eq!(verdict(Crime::Repeat(123), "wire"), (1, 0, 1, 0));
}

#[test]
fn one_reordered_message_is_found() {
    assert_eq!(verdict(Crime::Delay(123), "mqttbytes"), (1, 0, 0, 1));
}

#[test]
fn a_target_that_is_not_there_is_an_error_and_no_result() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_twinmq-bench"))
        .args(["run", "p2p", "--target", "ours", "--bin", "no/such/twinmq"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("--bin"),
        "says what to do"
    );
}
