//! What an operator has to mend before the gates can work.

use std::{io, path::PathBuf};

use plugin_api::Problem;

/// How many problems one message lists.
const PROBLEMS_SHOWN: usize = 50;

/// Why the gates could not be built, or a password file not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// Files that the settings name have mistakes in them: all of them.
    #[error("{}", listed(.0))]
    Problems(Vec<Problem>),
    /// Nobody can be called that.
    #[error("the user name {name:?} cannot be used: {fault}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The password cannot be used.
    #[error("the password cannot be used: {0}")]
    Password(&'static str),
    /// The operating system refused.
    #[error("{}: cannot {doing}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// The password could not be hashed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
}

fn listed(problems: &[Problem]) -> String {
    let mut lines: Vec<String> = problems
        .iter()
        .take(PROBLEMS_SHOWN)
        .map(Problem::to_string)
        .collect();
    if let Some(more @ 1..) = problems.len().checked_sub(PROBLEMS_SHOWN) {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}
