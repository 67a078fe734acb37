//! The text of a password file: `name:hash` and `name:verifier` lines, and `#` for comments.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::Path,
    sync::{PoisonError, RwLock},
};

use plugin_api::Problem;

use crate::{
    hashing::StoredHash,
    name,
    scram::{Mechanism, Verifier},
};

/// The users of a password file.
pub(crate) struct Users {
    stored: HashMap<String, StoredHash>,
    decoy: StoredHash,
    verifiers: HashMap<Mechanism, HashMap<String, Verifier>>,
    /// The first verifier of each mechanism.
    models: HashMap<Mechanism, Verifier>,
    /// What is stored on the first line, which no peer is told: keys the salts of unknown users, so that they are the
    /// same after a restart.
    secret: String,
    /// Badges that were found to be of what is stored here. No more than are stored, as each is a keyed hash of that.
    vouched: RwLock<HashSet<String>>,
}

impl Users {
    /// Reads the text of a file, or says everything that is wrong with it.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let mut users = Self {
            stored: HashMap::new(),
            decoy: StoredHash::default(),
            verifiers: HashMap::new(),
            models: HashMap::new(),
            secret: String::new(),
            vouched: RwLock::default(),
        };
        let mut problems = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let added = user_on(line).and_then(|user| match user {
                Some((name, stored)) => users.add(name, stored),
                None => Ok(()),
            });
            if let Err(fault) = added {
                problems.push(problem(path, number, fault));
            }
        }
        if problems.is_empty() {
            Ok(users)
        } else {
            Err(problems)
        }
    }

    fn add(&mut self, name: &str, stored: Stored) -> Result<(), Fault> {
        if self.secret.is_empty() {
            self.secret = stored.text();
        }
        let again = match stored {
            Stored::Hash(hash) => {
                if self.stored.is_empty() {
                    self.decoy = hash.decoy();
                }
                self.stored.insert(name.to_owned(), hash).is_some()
            }
            Stored::Verifier(verifier) => {
                let mechanism = verifier.mechanism;
                self.models.entry(mechanism).or_insert_with(|| verifier.clone());
                let verifiers = self.verifiers.entry(mechanism).or_default();
                verifiers.insert(name.to_owned(), verifier).is_some()
            }
        };
        if again { Err(Fault::again(name)) } else { Ok(()) }
    }

    /// What is stored of a user, if there is such a one.
    pub(crate) fn stored(&self, name: &str) -> Option<&StoredHash> {
        self.stored.get(name)
    }

    /// What a password of an unknown user is checked against: it costs what the file's first hash costs.
    pub(crate) fn decoy(&self) -> &StoredHash {
        &self.decoy
    }

    /// Whether any user can log in by this mechanism.
    pub(crate) fn offers(&self, mechanism: Mechanism) -> bool {
        self.models.contains_key(&mechanism)
    }

    /// What is stored of a user for this mechanism, if anything.
    pub(crate) fn verifier(&self, mechanism: Mechanism, name: &str) -> Option<&Verifier> {
        self.verifiers.get(&mechanism)?.get(name)
    }

    /// What an unknown user is shown: the same each time. `None` if nobody can log in by this mechanism.
    pub(crate) fn verifier_decoy(&self, mechanism: Mechanism, name: &str) -> Option<Verifier> {
        let seed = mechanism.sign(self.secret.as_bytes(), name.as_bytes());
        Some(self.models.get(&mechanism)?.decoy(&seed))
    }

    /// Whether a badge is of what is stored here. `is_badge` is asked once for each that is.
    pub(crate) fn vouches(&self, badge: &str, is_badge: impl FnOnce() -> bool) -> bool {
        let known = self.vouched.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(badge) {
            return true;
        }
        drop(known);
        let vouches = is_badge();
        if vouches {
            let mut known = self.vouched.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(badge.to_owned());
        }
        vouches
    }

    /// All that is stored of a user.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = String> {
        let hash = self.stored(name).map(|hash| hash.as_str().to_owned());
        let verifiers = Mechanism::ALL
            .into_iter()
            .filter_map(move |mechanism| Some(self.verifier(mechanism, name)?.text()));
        hash.into_iter().chain(verifiers)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("hashes", &self.stored.len())
            .field(
                "verifiers",
                &self.verifiers.values().map(HashMap::len).sum::<usize>(),
            )
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
            allowed: "each user once, or once for each kind of credential",
        }
    }
}

/// What stands behind a name.
enum Stored {
    Hash(StoredHash),
    Verifier(Verifier),
}

impl Stored {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match Verifier::parse(text) {
            Some(verifier) => verifier.map(Self::Verifier),
            None => StoredHash::parse(text).map(Self::Hash),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Hash(hash) => hash.as_str().to_owned(),
            Self::Verifier(verifier) => verifier.text(),
        }
    }
}

fn user_on(line: &str) -> Result<Option<(&str, Stored)>, Fault> {
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
    match Stored::parse(hash) {
        Ok(stored) => Ok(Some((name, stored))),
        Err(fault) => Err(Fault {
            found: format!("user {name:?} with {fault}"),
            allowed: "an argon2id hash in PHC format, or a SCRAM verifier; `twinmq passwd` writes both",
        }),
    }
}

fn problem(path: &Path, number: u32, fault: Fault) -> Problem {
    Problem::new(format!("{}:{number}", path.display()), fault.found, fault.allowed)
}
