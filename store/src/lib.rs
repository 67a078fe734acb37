//! Ordered bytes in named keyspaces, with atomic batches and group commit.
//!
//! Reading order: a [`Keyspace`] is a named, ordered map of bytes; a [`Batch`] changes any number of them, all or
//! nothing; [`Store::commit`] hands a batch over and answers later, when the batch is as safe as its
//! [`Durability`] says. The crate knows nothing about what the bytes mean, and has no runtime: one thread writes
//! everything that waits as one group, so that many callers share one sync.
//!
//! What "committed" promises, in the order of submission, for the caller whose `done` was called with `Ok`:
//!
//! | durability | after `kill -9` | after power loss |
//! | --- | --- | --- |
//! | [`Durability::Fsync`] | kept | kept |
//! | [`Durability::Os`] | kept | kept up to the last sync, at most [`Options::sync_interval`] ago |
//! | [`Durability::Memory`] | nothing is promised | nothing is promised |
//!
//! A batch that was refused is not visible to readers; after a failed write it may still be found after a restart,
//! because its bytes may have reached the disk before the failure.
//!
//! Damage never keeps the store from opening: what cannot be read is set aside ([`SetAside`]) in the folder
//! `quarantine`, named, and the rest serves.

mod batch;
mod committer;
mod engine;
mod error;
mod format;
mod keyspace;
mod memory;
mod options;
mod quarantine;
mod rocks;
mod room;
mod store;

pub use batch::Batch;
pub use committer::Durability;
pub use engine::{EngineMemory, Visit};
pub use error::{CommitError, OpenError, ReadError};
pub use keyspace::{Keyspace, KeyspaceId, Tuning};
pub use options::Options;
pub use quarantine::SetAside;
pub use room::{Condition, Refusals};
pub use store::{Opened, Snapshot, Store};
