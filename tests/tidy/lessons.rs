//! The page of lessons stays true: each case names a test, and the test is there.

use super::docs::places;
use super::tree::{File, Tree};

const PAGE: &str = "docs/lessons.md";

/// Refuses cases without a test, and tests that do not exist.
pub(crate) fn check(tree: &Tree) -> Vec<String> {
    let Some(page) = tree.file(PAGE) else {
        return vec![format!("{PAGE} is not there")];
    };
    let mut complaints = Vec::new();
    for (at, line) in page.text.lines().enumerate() {
        if !line.starts_with("| ") || line.starts_with("| case |") || line.starts_with("| --- |") {
            continue;
        }
        let place = format!("{PAGE}:{}", at + 1);
        if places(line).next().is_none() {
            complaints.push(format!(
                "{place}: the case names no test; write `name` in `path`, or say below what is not shown"
            ));
        }
        for (name, path) in places(line) {
            if !tree.file(path).is_some_and(|file| has_test(file, name)) {
                complaints.push(format!("{place}: there is no test {name} in {path}"));
            }
        }
    }
    complaints
}

fn has_test(file: &File, name: &str) -> bool {
    let mut is_test = false;
    file.text.lines().map(str::trim).any(|line| {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        let Some(function) = function else { return false };
        std::mem::take(&mut is_test) && function.split(['(', '<']).next() == Some(name)
    })
}

#[cfg(test)]
fn complaints(page: &str) -> Vec<String> {
    let tests = "#[test]\nfn holds() {}\nfn helps() {}\n#[tokio::test]\nasync fn waits() {}\n";
    check(&Tree::of(&[(PAGE, page), ("a/tests/it/a.rs", tests)]))
}

#[test]
fn a_case_without_its_test_is_named() {
    let head = "| case | shown by |\n| --- | --- |\n";
    let good = format!("{head}| One. | `holds` in `a/tests/it/a.rs`, `waits` in `a/tests/it/a.rs` |\n");
    assert_eq!(complaints(&good), Vec::<String>::new());
    for bad in [
        "| One. | nothing yet |\n",
        "| One. | `gone` in `a/tests/it/a.rs` |\n",
        "| One. | `holds` in `a/tests/it/a.rs`, `helps` in `a/tests/it/a.rs` |\n",
        "| One. | `holds` in `a/tests/it/gone.rs` |\n",
    ] {
        let complaints = complaints(&format!("{head}{bad}"));
        assert_eq!(complaints.len(), 1, "{bad}: {complaints:?}");
    }
    assert_eq!(check(&Tree::of(&[])).len(), 1);
}
