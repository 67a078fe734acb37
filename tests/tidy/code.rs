//! What must not stand in Rust code: unfinished work, unsafe, code in comments, and clocks or IO in pure crates.

use super::lex;
use super::tree::{File, Tree};

/// Words that are refused wherever they are code.
const REFUSED: [(&str, &str); 5] = [
    (
        "unsafe",
        "unsafe is forbidden; an exception is one crate and one decision page",
    ),
    ("todo!", "unfinished: build it, or leave it out"),
    ("unimplemented!", "unfinished: build it, or leave it out"),
    ("#[ignore", "a test that does not run is no test"),
    ("#[path", "a module stands where its name says"),
];

/// Folders with rules only: time is an argument, and nothing in them reaches the world outside.
const PURE: [&str; 3] = ["broker/wire/src/", "broker/core/src/", "twin/model/src/"];

/// Words of the outside world, none of which a pure crate needs.
const IMPURE: [&str; 12] = [
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "fs",
    "thread",
    "tokio",
    "env",
    "process",
];

/// Refuses unfinished, switched-off and unsafe code.
pub(crate) fn check_words(tree: &Tree) -> Vec<String> {
    complaints(tree.rust(), |line| {
        let hit = REFUSED.iter().find(|(word, _)| contains_word(&line.code, word))?;
        Some(format!("`{}`: {}", hit.0, hit.1))
    })
}

/// Refuses the outside world in the pure crates. Their tests may use it.
pub(crate) fn check_purity(tree: &Tree) -> Vec<String> {
    let pure = tree
        .rust()
        .filter(|file| PURE.iter().any(|folder| file.path.starts_with(folder)));
    complaints(pure, |line| {
        // Whether a test is failing may be asked, so that its seed is told.
        let code = line.code.replace("std::thread::panicking()", "");
        let hit = lex::tokens(&code).find(|token| IMPURE.contains(token))?;
        Some(format!("`{hit}` in a pure crate: let the caller hand it in"))
    })
}

/// The crates with rules have a `clippy.toml` that bans clocks, where clippy sees what a word alone does not tell.
pub(crate) fn check_bans(tree: &Tree) -> Vec<String> {
    const WITH_RULES: [&str; 2] = ["broker/core/clippy.toml", "twin/model/clippy.toml"];
    let bans = |path: &&str| {
        tree.file(path)
            .is_some_and(|file| file.text.contains("std::time::Instant::now"))
    };
    let careless = WITH_RULES.into_iter().filter(|path| !bans(path));
    careless
        .map(|path| format!("{path}: ban std::time::Instant::now and its like here"))
        .collect()
}

/// Refuses code in comments, and block comments altogether.
pub(crate) fn check_comments(tree: &Tree) -> Vec<String> {
    complaints(tree.rust(), |line| {
        if line.block_comment {
            return Some("a block comment: use `//`".into());
        }
        let comment = line.comment.as_deref()?;
        let is_doc = comment.starts_with('!') || line.code.trim().is_empty() && comment.starts_with('/');
        (!is_doc && looks_like_code(comment.trim()))
            .then(|| "code in a comment: delete it, git remembers".into())
    })
}

fn complaints<'a>(
    files: impl Iterator<Item = &'a File>,
    check: impl Fn(&lex::Line) -> Option<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (at, line) in lex::lines(&file.text).iter().enumerate() {
            found.extend(check(line).map(|what| format!("{}:{}: {what}", file.path, at + 1)));
        }
    }
    found
}

fn contains_word(code: &str, word: &str) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().last());
        let after = code.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Prose may end in a semicolon or name a function; a statement does both, and a block opens or closes.
fn looks_like_code(comment: &str) -> bool {
    const STARTS: [&str; 12] = [
        "let ", "use ", "pub ", "fn ", "mod ", "#[", "impl ", "struct ", "enum ", "return ", "match ",
        "assert",
    ];
    let is_statement = comment.ends_with(';')
        && (comment.contains(['(', '='])
            || comment.contains("::")
            || STARTS.iter().any(|start| comment.starts_with(start)));
    let is_attribute = comment.starts_with("#[") && comment.ends_with(']');
    let is_closing = !comment.is_empty()
        && comment.chars().all(|char| "})];,".contains(char))
        && comment.contains(['}', ')', ']']);
    is_statement || is_attribute || is_closing || comment.ends_with('{')
}

#[test]
fn unfinished_and_unsafe_code_is_refused_but_may_be_spoken_of() {
    let bad = Tree::of(&[(
        "a.rs",
        "unsafe { x() }\ntodo!()\nunimplemented!(\"later\")\n#[ignore]\n#[ignore = \"slow\"]\n#[path = \"b.rs\"]\n",
    )]);
    assert_eq!(check_words(&bad).len(), 6);
    let good = Tree::of(&[(
        "a.rs",
        "// unsafe is forbidden\nlet a = \"todo!\";\n#![forbid(unsafe_code)]\nlet unsafe_ = 1;\n",
    )]);
    assert_eq!(check_words(&good), Vec::<String>::new());
}

#[test]
fn a_clock_in_a_pure_crate_is_refused() {
    let bad = "use std::time::{Duration, Instant};\nlet now = SystemTime::now();\nuse std::fs;\nstd::thread::spawn(f);\n";
    assert_eq!(
        check_purity(&Tree::of(&[("broker/core/src/shard.rs", bad)])).len(),
        4
    );
    assert_eq!(
        check_purity(&Tree::of(&[("twin/service/src/worker.rs", bad)])).len(),
        0
    );
    let good = "//! Never calls Instant::now.\nif std::thread::panicking() {}\nuse std::time::Duration;\nuse std::net::SocketAddr;\n";
    assert_eq!(
        check_purity(&Tree::of(&[("twin/model/src/twin.rs", good)])).len(),
        0
    );
}

#[test]
fn rules_without_bans_are_named() {
    let bans = "disallowed-methods = [{ path = \"std::time::Instant::now\" }]";
    let tree = Tree::of(&[("broker/core/clippy.toml", bans), ("twin/model/clippy.toml", "")]);
    assert_eq!(check_bans(&tree).len(), 1);
}

#[test]
fn code_in_comments_is_refused() {
    let bad = [
        "// let a = 1;",
        "// foo(bar);",
        "// if a {",
        "// }",
        "// });",
        "// #[test]",
        "// use std::fmt;",
        "/* gone */",
        "x(); // y();",
    ];
    for line in bad {
        assert_eq!(check_comments(&Tree::of(&[("a.rs", line)])).len(), 1, "{line}");
    }
}

#[test]
fn reasons_in_comments_are_welcome() {
    let good = [
        "// A reader that resumes misses nothing;",
        "// The clause allows both (see step).",
        "/// let a = 1;",
        "//! foo();",
        "let a = \"// b();\";",
        "// [MQTT-4.3.3-8]",
        "//",
        "// because of `a{}`, b",
    ];
    for line in good {
        assert_eq!(
            check_comments(&Tree::of(&[("a.rs", line)])),
            Vec::<String>::new(),
            "{line}"
        );
    }
}
