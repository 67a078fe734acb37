//! The generated part of `docs/conformance.md`: each clause with the tests that show it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::{Clause, Edition, read};
use crate::tidy::tree::Tree;

const PAGE: &str = "docs/conformance.md";
/// What stands above is written by hand.
const SEAM: &str =
    "<!-- What follows is written by TWINMQ_WRITE=1 cargo test --release -p twinmq --test tidy -->\n";

/// Complains when the page says something else than the tests.
pub(crate) fn check_page(tree: &Tree) -> Vec<String> {
    match renewed(tree) {
        Ok(None) => Vec::new(),
        Ok(Some(_)) => vec![format!(
            "{PAGE}: the tests say something else; run TWINMQ_WRITE=1 cargo test --release -p twinmq --test tidy"
        )],
        Err(what) => vec![what],
    }
}

/// Writes the page anew where it says something else than the tests.
pub(crate) fn write_page(tree: &Tree, top: &Path) -> io::Result<()> {
    match renewed(tree).map_err(io::Error::other)? {
        Some(text) => fs::write(top.join(PAGE), text),
        None => Ok(()),
    }
}

/// The page as it should be, if it is not.
fn renewed(tree: &Tree) -> Result<Option<String>, String> {
    let page = tree.file(PAGE).ok_or(format!("{PAGE} is not there"))?;
    let (by_hand, generated) = page
        .text
        .split_once(SEAM)
        .ok_or(format!("{PAGE}: the line {SEAM:?} is not there"))?;
    let (editions, _) = read(tree);
    let now: String = editions.iter().map(section).collect();
    Ok((generated != now).then(|| format!("{by_hand}{SEAM}{now}")))
}

fn section(edition: &Edition) -> String {
    let shown = edition
        .clauses
        .iter()
        .filter(|clause| !clause.tests.is_empty())
        .count();
    let total = edition.clauses.len();
    let mut text = format!(
        "\n## MQTT {}\n\n{shown} of {total} clauses are shown by tests; the others say why not.\n\n\
         | clause | what it asks | shown by |\n| --- | --- | --- |\n",
        edition.name
    );
    for clause in &edition.clauses {
        let written = writeln!(text, "| {} | {} | {} |", clause.id, clause.asks, shown_by(clause));
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    text
}

/// The tests, file by file, or the reason.
fn shown_by(clause: &Clause) -> String {
    if clause.tests.is_empty() {
        return format!("*{}*", clause.why_not);
    }
    let mut files: Vec<(&str, Vec<&str>)> = Vec::new();
    for (path, test) in &clause.tests {
        match files.iter_mut().find(|(known, _)| known == path) {
            Some((_, tests)) => tests.push(test),
            None => files.push((path, vec![test])),
        }
    }
    let each = files
        .iter()
        .map(|(path, tests)| format!("`{path}`: `{}`", tests.join("`, `")));
    each.collect::<Vec<_>>().join("<br>")
}

#[cfg(test)]
fn tree_with(page: &str) -> Tree {
    Tree::of(&[
        (
            "tests/conformance/clauses-3.1.1.tsv",
            "id\tarea\tasks\twhy_not_tested\n1.1.1-1\ta\tx\n1.1.1-2\ta\ty\tbecause\n",
        ),
        (
            "tests/conformance/clauses-5.0.tsv",
            "id\tarea\tasks\twhy_not_tested\n",
        ),
        (
            "a/tests/it/a.rs",
            "/// [MQTT-1.1.1-1] C.\n#[test]\nfn holds() {}\n",
        ),
        (PAGE, page),
    ])
}

#[test]
fn a_stale_page_is_named_and_a_renewed_one_is_not() {
    let stale = tree_with(&format!("By hand.\n{SEAM}old\n"));
    assert_eq!(check_page(&stale).len(), 1);
    let text = renewed(&stale).unwrap().unwrap();
    assert!(text.starts_with("By hand.\n"));
    assert!(text.contains("| 1.1.1-1 | x | `a/tests/it/a.rs`: `holds` |\n| 1.1.1-2 | y | *because* |\n"));
    assert!(text.contains("1 of 2 clauses"));
    assert_eq!(check_page(&tree_with(&text)), Vec::<String>::new());
}

#[test]
fn a_page_without_its_seam_is_named() {
    assert_eq!(check_page(&tree_with("By hand.\n")).len(), 1);
    assert_eq!(check_page(&Tree::of(&[])).len(), 1);
}
