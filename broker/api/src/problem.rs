//! A mistake an operator made: where it is, what stands there, what may stand there.

use std::fmt;

/// One mistake in a setting or in a file an operator edits. Checks collect all of them before they give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: the path of a key (`auth.password_file`), or a file and a line (`acl.txt:7`).
    pub key: String,
    /// What was found there. Never a secret.
    pub found: String,
    /// What is allowed there, in words that help to mend it.
    pub allowed: String,
}

impl Problem {
    /// A problem of these parts.
    #[must_use]
    pub fn new(key: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            found: found.into(),
            allowed: allowed.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, allowed: {}", self.key, self.found, self.allowed)
    }
}
