//! What every Rust file must have: a header that says what it is for, and a name of its own.

use super::tree::Tree;

/// Names that say nothing about what is inside.
const BANNED: [&str; 11] = [
    "utils", "util", "common", "helpers", "helper", "types", "manager", "managers", "misc", "impls", "mod",
];

/// The first line of each file is `//! ` and a sentence.
pub(crate) fn check_headers(tree: &Tree) -> Vec<String> {
    tree.rust()
        .filter(|file| {
            let sentence = file
                .text
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("//! "));
            sentence.is_none_or(|sentence| sentence.split_whitespace().count() < 3)
        })
        .map(|file| {
            format!(
                "{}:1: start with `//! ` and one sentence: what the file is for",
                file.path
            )
        })
        .collect()
}

/// No file and no folder of the code is called by a name that fits everything.
pub(crate) fn check_names(tree: &Tree) -> Vec<String> {
    let named_badly = |path: &str| {
        path.split('/')
            .any(|part| BANNED.contains(&part.strip_suffix(".rs").unwrap_or(part)))
    };
    tree.rust()
        .filter(|file| named_badly(&file.path))
        .map(|file| {
            format!(
                "{}: name it after what is inside (and foo.rs + foo/, never mod.rs)",
                file.path
            )
        })
        .collect()
}

/// The `count` Rust files with the most lines, largest first.
pub(crate) fn largest(tree: &Tree, count: usize) -> Vec<(usize, &str)> {
    let mut sizes: Vec<_> = tree
        .rust()
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .collect();
    sizes.sort_by(|a, b| b.cmp(a));
    sizes.truncate(count);
    sizes
}

#[test]
fn a_file_without_a_header_is_named() {
    let tree = Tree::of(&[
        ("a/good.rs", "//! Says what it is for.\n"),
        ("a/empty.rs", ""),
        ("a/short.rs", "//! Words.\n"),
        ("a/late.rs", "use std::fmt;\n//! Says it too late.\n"),
    ]);
    let complaints = check_headers(&tree);
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}

#[test]
fn a_file_named_after_nothing_is_named() {
    let tree = Tree::of(&[
        ("src/utils.rs", ""),
        ("src/common/a.rs", ""),
        ("src/b/mod.rs", ""),
        ("src/shard.rs", ""),
    ]);
    assert_eq!(check_names(&tree).len(), 3);
}

#[test]
fn the_largest_come_first() {
    let tree = Tree::of(&[("a.rs", "1\n2\n"), ("b.rs", "1\n2\n3\n"), ("c.rs", "1\n")]);
    assert_eq!(largest(&tree, 2), [(3, "b.rs"), (2, "a.rs")]);
}
