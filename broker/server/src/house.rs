//! What all threads of the broker share.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Once},
};

use broker_core::ShardId;

use crate::{
    clock::Clock, gate::Desk, handshake::Flapping, journal::Journal, mailbox::Mailbox, memory::Memory,
    recall::Recalls, settings,
};

/// Shared, and never changed while the broker runs but for what is in the mailboxes, who connects too often, what memory
/// there is and what was told.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) clock: Clock,
    pub(crate) settings: settings::Broker,
    pub(crate) rules: Arc<broker_core::Settings>,
    pub(crate) mailboxes: Box<[Mailbox]>,
    pub(crate) journal: Arc<dyn Journal>,
    /// Whether the log was told that the journal fails: once, not for every batch.
    pub(crate) journal_failed: Once,
    pub(crate) gates: Arc<Desk>,
    /// Who connects too often, if anybody cares.
    pub(crate) flapping: Option<Flapping>,
    pub(crate) recalls: Recalls,
    pub(crate) memory: Memory,
}

impl House {
    pub(crate) fn shards(&self) -> u16 {
        self.settings.shards
    }

    /// Where a client's session lives, and where a link's messages of one order key are taken.
    pub(crate) fn home(&self, key: &str) -> &Mailbox {
        let home = ShardId::of(key, self.shards());
        self.mailboxes
            .get(usize::from(home.0))
            .unwrap_or_else(|| unreachable!("homes are within the shards"))
    }

    /// A name for a client that has none; nobody can guess it.
    pub(crate) fn new_client_id(&self) -> String {
        // Each RandomState has keys of its own, drawn from the system's randomness.
        let draw = || RandomState::new().hash_one(self.clock.now());
        format!("auto-{:016x}{:016x}", draw(), draw())
    }
}
