//! Every clause of MQTT has a test that names it or a reason why not, and the page says which.
//!
//! A test names the clauses it shows in its doc comment: `[MQTT5-3.1.2-24]` or `[MQTT311-3.1.2-24]` for one version. Without a
//! version, as `[MQTT-4.7.2-1]`, it is a clause that only one version has, or that the lists word the same for both.

mod mentions;
mod page;

use super::tree::Tree;
pub(crate) use page::{check_page, write_page};

/// One version of MQTT with its numbered clauses.
#[derive(Debug)]
struct Edition {
    /// As in `MQTT 3.1.1`.
    name: &'static str,
    /// As in `[MQTT311-3.1.2-24]`.
    mark: &'static str,
    list: &'static str,
    clauses: Vec<Clause>,
}

/// One line of a list.
#[derive(Debug, PartialEq, Eq)]
struct Clause {
    id: String,
    area: String,
    asks: String,
    /// Why there is no test; empty where there is one.
    why_not: String,
    /// The tests that name it: path and function.
    tests: Vec<(String, String)>,
}

const EDITIONS: [(&str, &str, &str); 2] = [
    ("3.1.1", "311", "tests/conformance/clauses-3.1.1.tsv"),
    ("5.0", "5", "tests/conformance/clauses-5.0.tsv"),
];
const HEAD: &str = "id\tarea\tasks\twhy_not_tested";

/// Complaints about clauses with neither test nor reason or with both, and about mentions that name no clause.
pub(crate) fn check(tree: &Tree) -> Vec<String> {
    let (editions, mut complaints) = read(tree);
    for edition in &editions {
        for Clause {
            id, why_not, tests, ..
        } in &edition.clauses
        {
            let name = format!("MQTT{}-{id}", edition.mark);
            if tests.is_empty() && why_not.is_empty() {
                complaints.push(format!(
                    "{}: no test names [{name}]; write one, or say in the last column why there is none",
                    edition.list
                ));
            }
            if let (Some((path, test)), false) = (tests.first(), why_not.is_empty()) {
                complaints.push(format!(
                    "{}: {test} in {path} shows [{name}]; take away the reason why nothing does",
                    edition.list
                ));
            }
        }
    }
    complaints
}

/// The lists with the tests that name their clauses, and what is wrong with either.
fn read(tree: &Tree) -> (Vec<Edition>, Vec<String>) {
    let mut complaints = Vec::new();
    let mut editions: Vec<Edition> = EDITIONS
        .into_iter()
        .map(|(name, mark, list)| Edition {
            name,
            mark,
            list,
            clauses: read_list(tree, list, &mut complaints),
        })
        .collect();
    for mention in mentions::find(tree) {
        let place = format!("{}:{}", mention.path, mention.line);
        let named = match name(
            &mut editions,
            mention.mark.as_deref(),
            &mention.id,
            mention.is_test_file,
        ) {
            Ok(named) => named,
            Err(what) => {
                complaints.push(format!("{place}: {what}"));
                continue;
            }
        };
        match mention.test {
            _ if !mention.is_test_file => {}
            None => complaints.push(format!(
                "{place}: name clauses in the doc comment of the test that shows them"
            )),
            Some(test) => {
                for clause in named {
                    let test = (mention.path.clone(), test.clone());
                    if !clause.tests.contains(&test) {
                        clause.tests.push(test);
                    }
                }
            }
        }
    }
    (editions, complaints)
}

/// The clauses that a mention names. Outside of tests a clause that differs between the versions may go without its version.
fn name<'a>(
    editions: &'a mut [Edition],
    mark: Option<&str>,
    id: &str,
    strict: bool,
) -> Result<Vec<&'a mut Clause>, String> {
    let mut named: Vec<&mut Clause> = editions
        .iter_mut()
        .filter(|edition| mark.is_none_or(|mark| mark == edition.mark))
        .flat_map(|edition| &mut edition.clauses)
        .filter(|clause| clause.id == id)
        .collect();
    match named.as_mut_slice() {
        [] => Err(format!(
            "there is no clause [MQTT{}-{id}]",
            mark.unwrap_or_default()
        )),
        [old, new] if strict && old.asks != new.asks => Err(format!(
            "{id} is not the same in both versions: write [MQTT311-{id}] or [MQTT5-{id}]"
        )),
        _ => Ok(named),
    }
}

fn read_list(tree: &Tree, path: &str, complaints: &mut Vec<String>) -> Vec<Clause> {
    let Some(file) = tree.file(path) else {
        complaints.push(format!("{path}: the list of clauses is not there"));
        return Vec::new();
    };
    if file.text.lines().next() != Some(HEAD) {
        complaints.push(format!("{path}:1: the first line is not {HEAD:?}"));
    }
    let mut clauses: Vec<Clause> = Vec::new();
    for (at, line) in file.text.lines().enumerate().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (id, area, asks, why_not) = match fields.as_slice() {
            [id, area, asks] => (id, area, asks, &""),
            [id, area, asks, why_not] => (id, area, asks, why_not),
            _ => {
                complaints.push(format!(
                    "{path}:{}: found {} fields, allowed: 3 or 4",
                    at + 1,
                    fields.len()
                ));
                continue;
            }
        };
        if clauses.iter().any(|clause| clause.id == **id) {
            complaints.push(format!("{path}:{}: {id} stands here twice", at + 1));
        }
        clauses.push(Clause {
            id: (*id).into(),
            area: (*area).into(),
            asks: (*asks).into(),
            why_not: (*why_not).into(),
            tests: Vec::new(),
        });
    }
    clauses
}

#[cfg(test)]
fn tree_of(list311: &str, list5: &str, test: &str) -> Tree {
    let list = |lines: &str| format!("{HEAD}\n{lines}");
    Tree::of(&[
        ("tests/conformance/clauses-3.1.1.tsv", &list(list311)),
        ("tests/conformance/clauses-5.0.tsv", &list(list5)),
        ("broker/core/tests/it/a.rs", test),
    ])
}

#[test]
fn a_clause_without_test_or_reason_is_named() {
    let lists = ("1.1.1-1\ta\tx\n1.1.1-2\ta\ty\tbecause\n", "1.1.1-1\ta\tz\n");
    let complaints = check(&tree_of(
        lists.0,
        lists.1,
        "/// [MQTT5-1.1.1-1] Claim.\n#[test]\nfn a() {}\n",
    ));
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints.iter().all(|line| line.contains("[MQTT311-1.1.1-1]")));
}

#[test]
fn a_reason_beside_a_test_is_named() {
    let complaints = check(&tree_of(
        "1.1.1-1\ta\tx\twhy\n",
        "",
        "/// [MQTT-1.1.1-1] C.\n#[test]\nfn a() {}\n",
    ));
    assert_eq!(complaints.len(), 1, "{complaints:?}");
}

#[test]
fn a_mention_of_no_clause_or_of_either_is_named() {
    let same = tree_of(
        "1.1.1-1\ta\tx\n",
        "1.1.1-1\ta\tx\n",
        "/// [MQTT-1.1.1-1] C.\n#[test]\nfn a() {}\n",
    );
    assert_eq!(check(&same), Vec::<String>::new());
    let differs = tree_of(
        "1.1.1-1\ta\tx\n",
        "1.1.1-1\ta\ty\n",
        "/// [MQTT-1.1.1-1] C.\n#[test]\nfn a() {}\n",
    );
    assert!(
        check(&differs)
            .iter()
            .any(|line| line.contains("not the same in both"))
    );
    let unknown = tree_of("", "", "/// [MQTT5-1.1.1-9] C.\n#[test]\nfn a() {}\n");
    assert!(
        check(&unknown)
            .iter()
            .any(|line| line.contains("there is no clause"))
    );
}

#[test]
fn a_mention_away_from_a_test_is_named() {
    for text in [
        "/// [MQTT-1.1.1-1] C.\nfn a() {}\n",
        "#[test]\nfn a() {\n    // [MQTT-1.1.1-1]\n}\n",
        "/// [MQTT-1.1.1-1] C.\nstruct A;\n#[test]\nfn a() {}\n",
    ] {
        let complaints = check(&tree_of("1.1.1-1\ta\tx\twhy\n", "", text));
        assert_eq!(complaints.len(), 1, "{text}: {complaints:?}");
    }
}

#[test]
fn a_broken_list_is_named() {
    assert_eq!(check(&Tree::of(&[])).len(), 2);
    assert_eq!(check(&tree_of("1.1.1-1\ta\n", "", "")).len(), 1);
    assert_eq!(
        check(&tree_of("1.1.1-1\ta\tx\twhy\n1.1.1-1\ta\tx\twhy\n", "", "")).len(),
        1
    );
}
