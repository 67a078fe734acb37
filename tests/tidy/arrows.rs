//! The arrows between the rooms: who may use whom, held against the manifests and the architecture page.

use std::collections::BTreeSet;

use super::tree::Tree;

/// Each crate of the workspace and the own crates it uses. To change an arrow is to change this table,
/// `docs/ARCHITECTURE.md` and, with the reason, a page in `docs/decisions/`.
const ARROWS: [(&str, &[&str]); 10] = [
    ("mqtt-wire", &[]),
    ("broker-core", &["mqtt-wire"]),
    ("plugin-api", &["mqtt-wire"]),
    ("broker", &["broker-core", "mqtt-wire", "plugin-api"]),
    ("twin-model", &[]),
    ("store", &[]),
    ("twin", &["twin-model", "store", "plugin-api"]),
    ("plugin-auth", &["plugin-api"]),
    (
        "twinmq",
        &[
            "broker",
            "twin",
            "store",
            "plugin-api",
            "plugin-auth",
            "mqtt-wire",
        ],
    ),
    ("twinmq-bench", &["mqtt-wire"]),
];

/// Arrows that tests may use beyond the table.
const TEST_ARROWS: [(&str, &[&str]); 1] = [("twinmq", &["broker-core", "twin-model"])];

/// Heavy or telling dependencies, and the only crates that may name them outside their tests.
const KEPT_IN: [(&str, &[&str]); 8] = [
    ("rocksdb", &["store"]),
    ("tokio", &["broker", "twin", "plugin-auth", "twinmq"]),
    ("axum", &["twin", "twinmq"]),
    ("rustls", &["broker", "twinmq", "twinmq-bench"]),
    ("tungstenite", &["broker"]),
    ("serde_json", &["twin-model", "twin", "twinmq", "twinmq-bench"]),
    ("mqttbytes", &["twinmq-bench"]),
    ("anyhow", &["twinmq", "twinmq-bench"]),
];

/// What one manifest says.
struct Crate {
    name: String,
    path: String,
    uses: BTreeSet<String>,
    tests_use: BTreeSet<String>,
    inherits_lints: bool,
}

/// The members of the workspace. A folder with a workspace of its own (a fuzz target) is not one.
fn crates(tree: &Tree) -> Vec<Crate> {
    let member = |path: &str, table: &toml::Table| path == "Cargo.toml" || !table.contains_key("workspace");
    let names = |table: &toml::Table, section: &str| {
        let section = table.get(section).and_then(toml::Value::as_table);
        section
            .map(|section| section.keys().cloned().collect())
            .unwrap_or_default()
    };
    let parse = |path: &str, table: &toml::Table| {
        let name = table.get("package")?.get("name")?.as_str()?.to_owned();
        let mut uses: BTreeSet<String> = names(table, "dependencies");
        uses.extend(names(table, "build-dependencies"));
        let inherits_lints =
            table.get("lints").and_then(|lints| lints.get("workspace")) == Some(&true.into());
        Some(Crate {
            name,
            path: path.into(),
            uses,
            tests_use: names(table, "dev-dependencies"),
            inherits_lints,
        })
    };
    let manifests = tree.manifests().filter(|(file, table)| member(&file.path, table));
    manifests
        .filter_map(|(file, table)| parse(&file.path, &table))
        .collect()
}

fn allowed<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table
        .iter()
        .find(|(crate_name, _)| *crate_name == name)
        .map(|(_, uses)| *uses)
}

fn is_own(name: &str) -> bool {
    allowed(&ARROWS, name).is_some()
}

/// The manifests use exactly the arrows of the table, and keep the heavy dependencies where they belong.
pub(crate) fn check_manifests(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let crates = crates(tree);
    for (name, _) in ARROWS
        .iter()
        .filter(|(name, _)| !crates.iter().any(|found| found.name == *name))
    {
        complaints.push(format!(
            "the table of arrows names {name}, which is not in the workspace"
        ));
    }
    for found in &crates {
        let Some(arrows) = allowed(&ARROWS, &found.name) else {
            complaints.push(format!(
                "{}: {} is not in the table of arrows",
                found.path, found.name
            ));
            continue;
        };
        let in_tests = allowed(&TEST_ARROWS, &found.name).unwrap_or_default();
        let uses = |name: &str| found.uses.contains(name);
        let extra = found
            .uses
            .iter()
            .filter(|name| is_own(name) && !arrows.contains(&name.as_str()));
        complaints.extend(extra.map(|name| format!("{}: no arrow leads to {name}", found.path)));
        let idle = arrows.iter().filter(|name| !uses(name));
        complaints.extend(idle.map(|name| format!("{}: the arrow to {name} is not used", found.path)));
        let own_in_tests = found
            .tests_use
            .iter()
            .map(String::as_str)
            .filter(|name| is_own(name));
        let extra = own_in_tests
            .filter(|name| !arrows.contains(name) && !in_tests.contains(name) && *name != found.name);
        complaints.extend(extra.map(|name| format!("{}: no arrow for tests leads to {name}", found.path)));
        let strayed = KEPT_IN
            .iter()
            .filter(|(name, homes)| uses(name) && !homes.contains(&found.name.as_str()));
        complaints.extend(strayed.map(|(name, _)| format!("{}: {name} does not belong here", found.path)));
    }
    complaints
}

/// Every member takes the lints of the workspace.
pub(crate) fn check_lints(tree: &Tree) -> Vec<String> {
    let careless = crates(tree).into_iter().filter(|found| !found.inherits_lints);
    careless
        .map(|found| format!("{}: add `[lints] workspace = true`", found.path))
        .collect()
}

/// The table under `## Arrows` of the architecture page says the same as the one above.
pub(crate) fn check_page(tree: &Tree) -> Vec<String> {
    let page = tree
        .file("docs/ARCHITECTURE.md")
        .map(|file| file.text.as_str())
        .unwrap_or_default();
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with("Arrows\n"))
        .unwrap_or_default();
    let mut told = Vec::new();
    for row in section.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (Some(name), Some(uses)) = (cells.next(), cells.next()) else {
            continue;
        };
        let uses: BTreeSet<&str> = uses.split(", ").filter(|name| is_own(name)).collect();
        told.push((name, uses));
    }
    let told_of = |name: &str| told.iter().find(|(row, _)| *row == name).map(|(_, uses)| uses);
    let differs = |(name, uses): &&(&str, &[&str])| told_of(name) != Some(&uses.iter().copied().collect());
    let complain = |(name, uses): &(&str, &[&str])| {
        format!("docs/ARCHITECTURE.md: the row of {name} under Arrows must list {uses:?}")
    };
    ARROWS.iter().filter(differs).map(complain).collect()
}

/// A workspace that keeps to the table.
#[cfg(test)]
fn good() -> Vec<(String, String)> {
    let manifest = |(name, uses): &(&str, &[&str])| {
        let uses: String = uses
            .iter()
            .map(|name| format!("{name}.workspace = true\n"))
            .collect();
        let text = format!("[package]\nname = \"{name}\"\n[dependencies]\n{uses}[lints]\nworkspace = true\n");
        (format!("{name}/Cargo.toml"), text)
    };
    ARROWS.iter().map(manifest).collect()
}

/// The complaints about a workspace in which `path` says `text` instead.
#[cfg(test)]
fn with(path: &str, text: &str, check: fn(&Tree) -> Vec<String>) -> Vec<String> {
    let mut files: Vec<(String, String)> = good().into_iter().filter(|(other, _)| other != path).collect();
    files.push((path.into(), text.into()));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    check(&Tree::of(&files))
}

#[test]
fn a_workspace_that_keeps_to_the_table_passes() {
    assert_eq!(with("a.md", "", check_manifests), Vec::<String>::new());
    assert_eq!(with("a.md", "", check_lints), Vec::<String>::new());
}

#[test]
fn a_new_arrow_is_refused() {
    let text = "[package]\nname = \"store\"\n[dependencies]\ntwin-model.workspace = true\n";
    assert_eq!(
        with("store/Cargo.toml", text, check_manifests),
        ["store/Cargo.toml: no arrow leads to twin-model"]
    );
}

#[test]
fn an_unused_arrow_and_an_unknown_crate_are_named() {
    let idle = with("twin/Cargo.toml", "[package]\nname = \"twin\"\n", check_manifests);
    assert_eq!(idle.len(), 3, "{idle:?}");
    assert_eq!(
        with("x/Cargo.toml", "[package]\nname = \"x\"\n", check_manifests).len(),
        1
    );
}

#[test]
fn a_dependency_away_from_its_home_is_refused() {
    let text = "[package]\nname = \"twin-model\"\n[dependencies]\ntokio = \"1\"\n";
    assert_eq!(with("twin-model/Cargo.toml", text, check_manifests).len(), 1);
    let text = "[package]\nname = \"twin-model\"\n[dev-dependencies]\nbroker.workspace = true\n";
    assert_eq!(with("twin-model/Cargo.toml", text, check_manifests).len(), 1);
}

#[test]
fn a_crate_without_the_lints_is_named() {
    let text = "[package]\nname = \"store\"\n";
    assert_eq!(with("store/Cargo.toml", text, check_lints).len(), 1);
}

#[test]
fn a_page_that_tells_another_story_is_refused() {
    let rows: String = ARROWS
        .iter()
        .map(|(name, uses)| format!("| {name} | {} | x |\n", uses.join(", ")))
        .collect();
    let page = format!("# A\n\n## Arrows\n\n{rows}\n## B\n");
    assert_eq!(
        with("docs/ARCHITECTURE.md", &page, check_page),
        Vec::<String>::new()
    );
    let page = page.replace(
        "| broker-core | mqtt-wire |",
        "| broker-core | mqtt-wire, store |",
    );
    assert_eq!(with("docs/ARCHITECTURE.md", &page, check_page).len(), 1);
}
