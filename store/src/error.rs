//! What can go wrong, by whose fault it is and what the caller can do.

use std::io;
use std::path::{Path, PathBuf};

use crate::keyspace::KEYSPACES_MAX;

/// Why a store was not opened. Damage is no reason: see [`SetAside`](crate::SetAside).
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this process, has the folder.
    #[error("data folder {} is in use by another process; stop it or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A later version wrote the folder.
    #[error(
        "data folder {} has format {found}, this version knows formats up to {known}; use the version that wrote it",
        path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format this version knows.
        known: u32,
    },
    /// The path holds something else.
    #[error("{} is not a data folder ({reason}); name an empty folder or one this program made", path.display())]
    NotADataFolder {
        /// The path.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The folder cannot be read or written.
    #[error("data folder {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The engine refuses, for a reason that setting files aside does not cure.
    #[error("data folder {} cannot be opened: {reason}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// The engine's word.
        reason: String,
    },
    /// The list of keyspaces is wrong, which is a mistake in the program.
    #[error(
        "keyspaces: {0}; at most {KEYSPACES_MAX} with distinct names other than \"default\" are possible"
    )]
    Keyspaces(String),
}

impl OpenError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Why a batch was not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The disk is full. Commits work again by themselves once there is room.
    #[error("the disk is full")]
    Full,
    /// More bytes wait than `backlog_bytes_max`; the caller has to slow down. Called at once, on the caller's thread.
    #[error("too many bytes wait for the store")]
    Overloaded,
    /// The store was closed. Called at once, on the caller's thread.
    #[error("the store is closed")]
    Closed,
    /// The batch names a keyspace that the store does not have. Called at once, on the caller's thread.
    #[error("the batch names keyspace {0}, which the store does not have")]
    UnknownKeyspace(usize),
    /// Writing failed; the store takes no more writes until it is opened again. Reads go on.
    #[error("writing failed and the store takes no more writes until it is restarted: {0}")]
    Failed(String),
}

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes are damaged. The file is on the list of [`Store::set_aside`](crate::Store::set_aside) and is set
    /// aside at the next start.
    #[error("keyspace {keyspace} is damaged in {file}: {reason}")]
    Damaged {
        /// The keyspace that was read.
        keyspace: String,
        /// The damaged file, relative to the data folder.
        file: String,
        /// The engine's word.
        reason: String,
    },
    /// The store does not have this keyspace.
    #[error("the store does not have keyspace {0}")]
    UnknownKeyspace(usize),
    /// The system failed to read.
    #[error("reading failed: {0}")]
    Failed(String),
}
