//! Why the program ends with an error: one clear line (or one per mistake), and the exit code scripts can rely on.

use std::fmt;

use broker::StartError;
use plugin_api::Problem;
use store::OpenError;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The settings or the command line are wrong: all mistakes. Exit code 2.
    Settings(Vec<Problem>),
    /// The data folder cannot be used. Exit code 3.
    Data(OpenError),
    /// An address, a certificate or another file of the operator cannot be used. Exit code 4.
    Place(String),
    /// Anything else. Exit code 1.
    Other(anyhow::Error),
}

impl Failure {
    /// What the process ends with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Other(_) => 1,
            Self::Settings(_) => 2,
            Self::Data(_) => 3,
            Self::Place(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(problems) => {
                for (at, problem) in problems.iter().enumerate() {
                    let newline = if at == 0 { "" } else { "\n" };
                    write!(f, "{newline}{problem}")?;
                }
                Ok(())
            }
            Self::Data(error) => error.fmt(f),
            Self::Place(line) => f.write_str(line),
            Self::Other(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Data(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Bind { .. } | StartError::Certificate { .. } => Self::Place(error.to_string()),
            _ => Self::Other(error.into()),
        }
    }
}
