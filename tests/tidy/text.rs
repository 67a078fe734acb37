//! What must not stand in any text file: paths of one machine, and hosts of package registries.

use super::tree::Tree;

/// Starts of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 5] = ["/work/", "/root/", "/home/", "/Users/", "/tmp/"];

/// Hosts of registries; which one serves is the business of the machine's own configuration.
const REGISTRY_HOSTS: [&str; 6] = [
    concat!("cra", "tes.io"),
    concat!("index.cra", "tes"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("registry.np", "mjs"),
    concat!("deb.deb", "ian"),
];

/// Files that tools write and that name their sources.
const WRITTEN_BY_TOOLS: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// Refuses paths of one machine and hosts of registries.
pub(crate) fn check(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| !WRITTEN_BY_TOOLS.contains(&file.name()))
    {
        for (at, line) in file.text.lines().enumerate() {
            let place = format!("{}:{}", file.path, at + 1);
            let own = file.path == "tests/tidy/text.rs";
            if let Some(start) = MACHINE_PATHS.iter().find(|start| !own && names_path(line, start)) {
                complaints.push(format!(
                    "{place}: a path under {start} exists on one machine only"
                ));
            }
            if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(**host)) {
                complaints.push(format!(
                    "{place}: {host} is the business of the machine's own configuration"
                ));
            }
        }
    }
    complaints
}

/// Whether `line` has `start` at the beginning of a path, and not inside a longer one.
fn names_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().last());
        !before.is_some_and(|char| char.is_alphanumeric() || "._-}~*+#/:".contains(char))
    })
}

#[test]
fn a_path_of_one_machine_is_refused() {
    let bad = Tree::of(&[
        ("a.md", "see /home/me/x\n"),
        ("b.sh", "cd \"/root/y\"\n"),
        ("c.rs", "\"/tmp/z\""),
    ]);
    assert_eq!(check(&bad).len(), 3);
    let good = Tree::of(&[(
        "a.md",
        "the topic room/home/light, ~/work/x, $HOME/tmp/, ${d}/tmp/a\n",
    )]);
    assert_eq!(check(&good), Vec::<String>::new());
}

#[test]
fn a_registry_host_is_refused_but_in_lock_files() {
    let line = format!("https://{}/x\n", REGISTRY_HOSTS.concat());
    assert_eq!(check(&Tree::of(&[("pip.conf", &line)])).len(), 1);
    assert_eq!(check(&Tree::of(&[("Cargo.lock", &line)])).len(), 0);
}
