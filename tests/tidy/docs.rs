//! Documents that stay true: links resolve, and the paths they name exist.

use super::lex;
use super::tree::{File, Tree};

/// Documents whose code spans with a `/` and a known ending are paths of this tree.
const MAPS: [&str; 6] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/ARCHITECTURE.md",
    "docs/conformance.md",
    "docs/lessons.md",
    "plugins/README.md",
];

/// Endings by which a code span is taken for a path.
const ENDINGS: [&str; 8] = [".rs", ".toml", ".md", ".sh", ".py", ".js", ".yml", "/"];

/// Refuses relative links to files or headings that do not exist.
pub(crate) fn check_links(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (at, line) in prose(file) {
            for target in links(line) {
                if let Err(what) = resolve(tree, file, target) {
                    complaints.push(format!("{}:{at}: {what}", file.path));
                }
            }
        }
    }
    complaints
}

/// Refuses paths in the maps that lead nowhere.
pub(crate) fn check_paths(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| MAPS.contains(&file.path.as_str()))
    {
        for (at, line) in prose(file) {
            let gone = line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|span| is_path(span) && !tree.has(span));
            complaints.extend(gone.map(|path| format!("{}:{at}: there is no {path}", file.path)));
        }
    }
    complaints
}

/// Refuses places in the maps, told as `name` in `path`, where the name is not found.
pub(crate) fn check_places(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| MAPS.contains(&file.path.as_str()))
    {
        for (at, line) in prose(file) {
            let lost = places(line).filter(|(name, path)| {
                tree.file(path)
                    .is_some_and(|named| !lex::tokens(&named.text).any(|token| token == *name))
            });
            complaints
                .extend(lost.map(|(name, path)| format!("{}:{at}: there is no {name} in {path}", file.path)));
        }
    }
    complaints
}

/// The pairs of a line that are told as `name` in `path`.
pub(crate) fn places(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split("` in `")
        .zip(line.split("` in `").skip(1))
        .filter_map(|(before, after)| {
            let name = before.rsplit('`').next()?;
            let path = after.split('`').next()?;
            is_path(path).then_some((name, path))
        })
}

fn is_path(span: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
    span.contains('/')
        && !span.starts_with('/')
        && span.chars().all(plain)
        && ENDINGS.iter().any(|ending| span.ends_with(ending))
        && !span.starts_with("target/")
}

/// The lines outside fenced blocks, with their numbers.
fn prose(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    file.text.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((at + 1, line))
    })
}

/// The targets of the inline links of a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|after| after.split(')').next())
}

fn resolve(tree: &Tree, from: &File, target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (path, heading) = target
        .split_once('#')
        .map_or((target, None), |(path, heading)| (path, Some(heading)));
    let path = if path.is_empty() {
        from.path.clone()
    } else {
        join(from.folder(), path)
    };
    if !tree.has(&path) {
        return Err(format!("the link leads to {path}, which does not exist"));
    }
    let Some(heading) = heading else { return Ok(()) };
    let page = tree.file(&path).ok_or_else(|| format!("{path} is not a page"))?;
    let found = prose(page).any(|(_, line)| line.starts_with('#') && anchor(line) == heading);
    if found {
        Ok(())
    } else {
        Err(format!("{path} has no heading #{heading}"))
    }
}

/// `path` as seen from `folder`, with `..` resolved.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// A heading's name in links: lower case, words joined by hyphens, other marks left out.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

#[test]
fn a_link_that_leads_nowhere_is_named() {
    let tree = Tree::of(&[
        (
            "docs/a.md",
            "[x](../src/main.rs) [y](b.md#the-two-words) [z](https://example.org/q) [s](#own)\n# Own\n",
        ),
        ("docs/b.md", "## The \"two\" words\n"),
        ("src/main.rs", ""),
    ]);
    assert_eq!(check_links(&tree), Vec::<String>::new());
    let tree = Tree::of(&[(
        "docs/a.md",
        "[x](gone.md)\n[y](#gone)\n```\n[not](prose.md)\n```\n",
    )]);
    assert_eq!(check_links(&tree).len(), 2);
}

#[test]
fn a_path_that_leads_nowhere_is_named() {
    let text = "`src/main.rs`, `src/gone.rs`, `room/+/light/`, `a.rs`, `GET /v1/x/`, `target/doc/`\n";
    let tree = Tree::of(&[
        ("docs/ARCHITECTURE.md", text),
        ("docs/other.md", text),
        ("src/main.rs", ""),
    ]);
    assert_eq!(check_paths(&tree).len(), 1);
}

#[test]
fn a_place_that_moved_is_named() {
    let text =
        "First `step` in `src/shard.rs`, then `gone` in `src/shard.rs` and `step` in `src/other.rs`.\n";
    let tree = Tree::of(&[
        ("docs/ARCHITECTURE.md", text),
        ("src/shard.rs", "fn step() {}"),
        ("src/other.rs", ""),
    ]);
    assert_eq!(check_places(&tree).len(), 2);
}
