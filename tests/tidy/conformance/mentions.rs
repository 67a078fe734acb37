//! Finds the clauses that files name in brackets, and the tests they stand at.

use crate::tidy::lex;
use crate::tidy::tree::{File, Tree};

/// A clause named somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// The version, if it is said.
    pub(super) mark: Option<String>,
    pub(super) id: String,
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) is_test_file: bool,
    /// The test in whose doc comment it stands.
    pub(super) test: Option<String>,
}

/// The checks themselves name clauses in examples.
const OWN: &str = "tests/tidy";

/// All mentions in Rust code and in the scripts that run clients of others.
pub(super) fn find(tree: &Tree) -> Vec<Mention> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| !file.path.starts_with(OWN)) {
        match file.name().rsplit_once('.') {
            Some((_, "rs")) => find_in(file, &Grammar::RUST, &mut found),
            Some((_, "js")) if is_test_file(file) => find_in(file, &Grammar::JAVASCRIPT, &mut found),
            Some((_, "py")) if is_test_file(file) => find_in(file, &Grammar::PYTHON, &mut found),
            _ => {}
        }
    }
    found
}

fn is_test_file(file: &File) -> bool {
    file.path.starts_with("tests/") || file.path.contains("/tests/")
}

/// How a language says what a function is for.
struct Grammar {
    /// How a line of a doc comment begins.
    doc: &'static str,
    /// What of another line is a comment: what code says to a peer is no claim.
    comment: fn(&str) -> String,
    /// How a line between the comment and its function may begin.
    between: &'static str,
    /// What makes a function a test; empty where every function of such a file is one.
    tests: &'static [&'static str],
    /// Words before the function's name.
    function: &'static [&'static str],
    /// Whether the comment stands above the function, and not inside.
    above: bool,
}

impl Grammar {
    const RUST: Self = Self {
        doc: "///",
        comment: |line| {
            let lines = lex::lines(line);
            lines.into_iter().filter_map(|line| line.comment).collect()
        },
        between: "#[",
        tests: &["#[test]", "#[tokio::test"],
        function: &["async fn ", "fn "],
        above: true,
    };
    const JAVASCRIPT: Self = Self {
        doc: "/**",
        comment: |line| {
            line.split_once("//")
                .map(|(_, comment)| comment.to_owned())
                .unwrap_or_default()
        },
        between: "//",
        tests: &[],
        function: &["async function ", "function ", "async "],
        above: true,
    };
    const PYTHON: Self = Self {
        doc: "\"\"\"",
        comment: |line| {
            line.split_once('#')
                .map(|(_, comment)| comment.to_owned())
                .unwrap_or_default()
        },
        between: "#",
        tests: &[],
        function: &["async def ", "def "],
        above: false,
    };

    /// The name of the function that begins on this line.
    fn function<'a>(&self, line: &'a str) -> Option<&'a str> {
        let rest = self.function.iter().find_map(|word| line.strip_prefix(word))?;
        rest.split(['(', '<']).next()
    }
}

fn find_in(file: &File, grammar: &Grammar, found: &mut Vec<Mention>) {
    // Mentions from here on wait for the function they stand above.
    let mut waiting = found.len();
    let mut is_test = grammar.tests.is_empty();
    let mut last = None;
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim();
        let is_doc = line.starts_with(grammar.doc);
        let before = found.len();
        let comment = if is_doc {
            line.to_owned()
        } else {
            (grammar.comment)(line)
        };
        found.extend(ids(&comment).map(|(mark, id)| Mention {
            mark: mark.map(Into::into),
            id: id.into(),
            path: file.path.clone(),
            line: at + 1,
            is_test_file: is_test_file(file),
            test: last.clone().filter(|_| is_doc && !grammar.above),
        }));
        is_test |= grammar.tests.iter().any(|test| line.starts_with(test));
        if is_doc || line.starts_with(grammar.between) {
            continue;
        }
        if let Some(name) = grammar.function(line) {
            last = Some(name.to_owned());
            if grammar.above && is_test {
                for mention in found.iter_mut().take(before).skip(waiting) {
                    mention.test = Some(name.to_owned());
                }
            }
        }
        is_test = grammar.tests.is_empty();
        waiting = found.len();
    }
}

/// The clauses named in a line: the version's mark, if there is one, and the id.
fn ids(line: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    line.split("[MQTT").skip(1).filter_map(|rest| {
        let (mark, rest) = rest.split_once('-')?;
        let id = rest.split(']').next().filter(|_| rest.contains(']'))?;
        let known = matches!(mark, "" | "311" | "5");
        known.then_some((Some(mark).filter(|mark| !mark.is_empty()), id))
    })
}

#[cfg(test)]
fn tests_of(path: &str, text: &str) -> Vec<(String, Option<String>)> {
    let found = find(&Tree::of(&[(path, text)]));
    found
        .into_iter()
        .map(|mention| (mention.id, mention.test))
        .collect()
}

#[cfg(test)]
fn named(id: &str, test: Option<&str>) -> (String, Option<String>) {
    (id.into(), test.map(Into::into))
}

#[test]
fn both_marks_and_none_are_read() {
    let line =
        "/// [MQTT-1.1.1-1] [MQTT311-1.1.1-2] [MQTT5-1.1.1-3], [MQTT5 2.2.2.2] [MQTT6-1.1.1-4] [MQTT-1";
    let expected = [
        (None, "1.1.1-1"),
        (Some("311"), "1.1.1-2"),
        (Some("5"), "1.1.1-3"),
    ];
    assert_eq!(ids(line).collect::<Vec<_>>(), expected);
}

#[test]
fn each_language_has_its_place_for_mentions() {
    let rust = "/// [MQTT-1] A.\n#[test]\n#[expect(x)]\nfn one() {\n    a(\"[MQTT-9]\"); // [MQTT-2]\n}\n/// [MQTT-3] B.\nfn two() {}\n";
    assert_eq!(
        tests_of("a/tests/it/a.rs", rust),
        [named("1", Some("one")), named("2", None), named("3", None)]
    );
    let python = "def one():\n    \"\"\"[MQTT-1] A.\"\"\"\n    x = \"[MQTT-9]\"  # [MQTT-2]\n";
    assert_eq!(
        tests_of("tests/clients/a.py", python),
        [named("1", Some("one")), named("2", None)]
    );
    let script = "  /** [MQTT-1] A. */\n  async one(version) {\n    x(\"[MQTT-9]\"); // [MQTT-2]\n";
    assert_eq!(
        tests_of("tests/clients/a.js", script),
        [named("1", Some("one")), named("2", None)]
    );
    assert_eq!(tests_of("bench/a.py", python), []);
}
