//! Ask: what HTTP wants of a partition, and what comes back once it is as safe as it has to be.

use std::sync::Arc;

use plugin_api::ReasonCode;
use store::{CommitError, ReadError};
use tokio::sync::oneshot;
use twin_model::{ClientToken, Command, Condition, NoChange, Refused, Timestamp, Twin, TwinId, Version};

/// One request about one twin.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) id: TwinId,
    pub(crate) work: Work,
    pub(crate) reply: Reply,
}

pub(crate) type Reply = oneshot::Sender<Result<Told, Failure>>;

/// What is asked.
#[derive(Debug)]
pub(crate) enum Work {
    Read,
    Write(Box<Wish>),
}

/// A write, before it is known who listens and what time it is.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) command: Command,
    pub(crate) condition: Condition,
    pub(crate) no_change: NoChange,
    pub(crate) writer: Arc<str>,
    pub(crate) client_token: Option<ClientToken>,
}

/// The twin as it is now.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) twin: Arc<Twin>,
    /// The version before the write; the present one for a read.
    pub(crate) before: Version,
    pub(crate) at: Timestamp,
}

/// Why there is no answer. Nothing has changed, except after a failed commit, when nobody knows.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the device has {0} twins, removed ones counted in; more are not allowed (twins_per_device)")]
    TooManyTwins(usize),
    #[error("the change could not be stored: {0}")]
    Commit(#[from] CommitError),
    #[error("the twin could not be read: {0}")]
    Read(#[from] ReadError),
    #[error("the record of twin {id} is damaged: {problem}")]
    Damaged { id: TwinId, problem: String },
    #[error("the service is stopping")]
    Stopping,
}

impl Failure {
    /// Whether asking again soon may help.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Commit(CommitError::Full | CommitError::Overloaded | CommitError::Closed) | Self::Stopping
        )
    }

    /// What a publisher whose message could not be taken is told.
    pub(crate) const fn reason(&self) -> ReasonCode {
        match self {
            Self::Refused(_) | Self::TooManyTwins(_) => ReasonCode::Success,
            Self::Commit(CommitError::Full) => ReasonCode::QuotaExceeded,
            Self::Commit(CommitError::Overloaded) => ReasonCode::ServerBusy,
            Self::Commit(CommitError::Closed) | Self::Stopping => ReasonCode::ServerShuttingDown,
            Self::Commit(CommitError::UnknownKeyspace(_) | CommitError::Failed(_))
            | Self::Read(_)
            | Self::Damaged { .. } => ReasonCode::ImplementationSpecificError,
        }
    }
}
