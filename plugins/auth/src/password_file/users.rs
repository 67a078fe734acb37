//! The text of a password file: one `name:hash` a line, and `#` for comments.

use std::{collections::HashMap, fmt, path::Path};

use plugin_api::Problem;

use crate::{hashing::StoredHash, name};

/// The users of a password file.
pub(crate) struct Users {
    stored: HashMap<String, StoredHash>,
    decoy: StoredHash,
}

impl Users {
    /// Reads the text of a file, or says everything that is wrong with it.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let mut stored = HashMap::new();
        let mut decoy = None;
        let mut problems = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            match user_on(line) {
                Ok(None) => {}
                Ok(Some((name, hash))) => {
                    decoy.get_or_insert_with(|| hash.decoy());
                    if stored.insert(name.to_owned(), hash).is_some() {
                        problems.push(problem(path, number, Fault::again(name)));
                    }
                }
                Err(fault) => problems.push(problem(path, number, fault)),
            }
        }
        if problems.is_empty() {
            Ok(Self {
                stored,
                decoy: decoy.unwrap_or_default(),
            })
        } else {
            Err(problems)
        }
    }

    /// What is stored of a user, if there is such a one.
    pub(crate) fn stored(&self, name: &str) -> Option<&StoredHash> {
        self.stored.get(name)
    }

    /// What a password of an unknown user is checked against: it costs what the file's first hash costs.
    pub(crate) fn decoy(&self) -> &StoredHash {
        &self.decoy
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("count", &self.stored.len())
            .finish_non_exhaustive()
    }
}

/// The name on a line, if one stands there. Says nothing about whether the line is whole.
pub(super) fn name_on(line: &str) -> Option<&str> {
    let line = line.trim();
    let comment = line.is_empty() || line.starts_with('#');
    if comment {
        None
    } else {
        line.split_once(':').map(|(name, _)| name)
    }
}

/// What is wrong with the name of a user, if anything.
pub(super) fn fault_of_name(name: &str) -> Option<&'static str> {
    if name.contains(':') {
        Some("it holds a colon")
    } else if name.starts_with('#') {
        Some("it begins with #")
    } else {
        name::fault_of(name)
    }
}

/// What was found on a line, and what is allowed there. Never holds a hash.
struct Fault {
    found: String,
    allowed: &'static str,
}

impl Fault {
    fn again(name: &str) -> Self {
        Self {
            found: format!("user {name:?} a second time"),
            allowed: "each user once",
        }
    }
}

fn user_on(line: &str) -> Result<Option<(&str, StoredHash)>, Fault> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let Some((name, hash)) = line.split_once(':') else {
        return Err(Fault {
            found: "a line without a colon".into(),
            allowed: "name:hash, or a comment after #",
        });
    };
    if let Some(fault) = fault_of_name(name) {
        return Err(Fault {
            found: format!("the name {name:?}: {fault}"),
            allowed: "another name",
        });
    }
    match StoredHash::parse(hash) {
        Ok(hash) => Ok(Some((name, hash))),
        Err(fault) => Err(Fault {
            found: format!("user {name:?} with {fault}"),
            allowed: "an argon2id hash in PHC format; `twinmq passwd` writes one",
        }),
    }
}

fn problem(path: &Path, number: u32, fault: Fault) -> Problem {
    Problem::new(format!("{}:{number}", path.display()), fault.found, fault.allowed)
}
