//! Lines of results become a page.

use std::process::Command;

use crate::run;

fn report(arguments: &[&std::ffi::OsStr]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinmq-bench"));
    let output = command.arg("report").args(arguments).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn what_a_run_prints_is_what_the_page_reads() {
    let (_, line) = run(&["p2p", "--target", "relay", "--pairs", "1", "--window", "1"]);
    let folder = tempfile::tempdir().unwrap();
    let (results, html) = (
        folder.path().join("results.jsonl"),
        folder.path().join("page.html"),
    );
    let arguments = [results.as_os_str(), "--html".as_ref(), html.as_os_str()];

    std::fs::write(&results, format!("{line}\n")).unwrap();
    assert_eq!(report(&arguments).0, 0);
    let page = std::fs::read_to_string(&html).unwrap();
    for part in ["p2p qos 0 64 B window 1", "latency µs: p50", "99 %", "<svg"] {
        assert!(page.contains(part), "{part}: {page}");
    }

    std::fs::write(&results, format!("{line}\n{{\"cut\":\n")).unwrap();
    let (code, words) = report(&arguments);
    assert_eq!(code, 1);
    assert!(words.contains("results.jsonl:2: no JSON"), "{words}");

    std::fs::write(&results, "\n").unwrap();
    let (code, words) = report(&arguments);
    assert_eq!(code, 2);
    assert!(words.contains("there is no run to show"), "{words}");
}
