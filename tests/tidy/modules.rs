//! No dead files: every Rust file is reached from a target of some crate by `mod`.

use std::collections::BTreeSet;

use super::lex;
use super::tree::{File, Tree};

/// Every `.rs` file belongs to a target or is declared as a module by one that does.
pub(crate) fn check(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut alive = BTreeSet::new();
    let mut waiting: Vec<(&File, bool)> = targets(tree).into_iter().map(|file| (file, true)).collect();
    while let Some((file, is_root)) = waiting.pop() {
        if !alive.insert(file.path.as_str()) {
            continue;
        }
        for module in declared(file, is_root) {
            let (flat, nested) = (format!("{module}.rs"), format!("{module}/mod.rs"));
            match tree.file(&flat).or_else(|| tree.file(&nested)) {
                Some(found) => waiting.push((found, false)),
                None => complaints.push(format!("{}: declares a module that is not at {flat}", file.path)),
            }
        }
    }
    let dead = tree.rust().filter(|file| !alive.contains(file.path.as_str()));
    complaints.extend(dead.map(|file| format!("{}: no target reaches this file", file.path)));
    complaints
}

/// The files cargo compiles by itself: by its conventions, or because a manifest names them.
fn targets(tree: &Tree) -> Vec<&File> {
    let mut roots = Vec::new();
    for (manifest, table) in tree.manifests() {
        let prefix = if manifest.folder().is_empty() {
            String::new()
        } else {
            format!("{}/", manifest.folder())
        };
        let inside = |path: &str| path.strip_prefix(&prefix).is_some_and(is_conventional);
        roots.extend(tree.rust().filter(|file| inside(&file.path)));
        let named = table
            .iter()
            .filter(|(key, _)| ["lib", "bin", "test", "bench", "example"].contains(&key.as_str()));
        let named =
            named.flat_map(|(_, value)| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
        let named = named.filter_map(|target| Some(format!("{prefix}{}", target.get("path")?.as_str()?)));
        roots.extend(named.filter_map(|path| tree.file(&path)));
    }
    roots
}

fn is_conventional(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let by_name = matches!(
        parts.as_slice(),
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] | ["src", "bin", _]
    );
    let in_folder = matches!(
        parts.as_slice(),
        ["tests" | "benches" | "examples", _] | ["tests" | "benches" | "examples", _, "main.rs"]
    );
    by_name || in_folder
}

/// Where the files of the modules declared in `file` stand, without `.rs`.
fn declared(file: &File, is_root: bool) -> Vec<String> {
    let own = if is_root {
        file.folder()
    } else {
        file.path.trim_end_matches(".rs")
    };
    let code: String = lex::lines(&file.text)
        .into_iter()
        .map(|line| line.code + "\n")
        .collect();
    let tokens: Vec<&str> = lex::tokens(&code).collect();
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut inline: Vec<(&str, usize)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match (*token, tokens.get(at + 1), tokens.get(at + 2)) {
            ("mod", Some(name), Some(&";")) => {
                let mut parts = vec![own];
                parts.extend(inline.iter().map(|(name, _)| *name));
                parts.push(name);
                parts.retain(|part| !part.is_empty());
                found.push(parts.join("/"));
            }
            ("mod", Some(name), Some(&"{")) => inline.push((name, depth)),
            ("{", ..) => depth += 1,
            ("}", ..) => {
                depth = depth.saturating_sub(1);
                inline.retain(|(_, opened_at)| *opened_at < depth);
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
const MANIFEST: &str = "[package]\nname = \"a\"\n[[bin]]\nname = \"f\"\npath = \"targets/f.rs\"\n";

#[test]
fn a_file_that_nobody_declares_is_dead() {
    let tree = Tree::of(&[
        ("x/Cargo.toml", MANIFEST),
        ("x/src/lib.rs", "mod a;\n// mod commented;\n"),
        ("x/src/a.rs", "mod inner { pub(crate) mod b; }\nmod c;"),
        ("x/src/a/inner/b.rs", ""),
        ("x/src/a/c.rs", ""),
        ("x/src/commented.rs", ""),
        ("x/targets/f.rs", ""),
        ("x/tests/it/main.rs", "mod story;"),
        ("x/tests/it/story.rs", ""),
        ("x/tests/it/forgotten.rs", ""),
    ]);
    let complaints = check(&tree);
    let expected = ["x/src/commented.rs", "x/tests/it/forgotten.rs"];
    assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
    assert!(
        complaints
            .iter()
            .zip(expected)
            .all(|(complaint, path)| complaint.starts_with(path)),
        "{complaints:?}"
    );
}

#[test]
fn a_declared_module_without_a_file_is_named() {
    let tree = Tree::of(&[("Cargo.toml", MANIFEST), ("src/main.rs", "mod gone;")]);
    assert_eq!(check(&tree).len(), 1);
}
