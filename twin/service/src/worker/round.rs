//! Round: what a partition does between two commits, and what it says once the store has it.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{Answer, ClientId, LinkPublish, QoS, ReasonCode, Ticket, To};
use store::{Batch, CommitError};
use twin_model::{DeviceName, Refused, SyncStatus, TwinId};

use crate::ask::{Failure, Reply, Told};
use crate::documents::{self, Stub};
use crate::shared::Shared;

/// Changes that are committed together, and everything that waits for them.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) number: u64,
    pub(super) batch: Batch,
    /// What the batch and its changes put on the store.
    pub(super) bytes: usize,
    pub(super) changes: Vec<Vec<u8>>,
    pub(super) outcomes: Vec<Outcome>,
    /// Twins with a change that is not committed.
    pub(super) touched: Vec<TwinId>,
    /// Devices with a presence that is not committed.
    pub(super) presences: Vec<DeviceName>,
    /// Status of twins before and after; `None` for one that is not there.
    pub(super) moves: Vec<(Option<SyncStatus>, Option<SyncStatus>)>,
    pub(super) result: Option<Result<(), CommitError>>,
}

impl Round {
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.outcomes.is_empty()
    }
}

/// What is said when a round is committed.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Whose messages they are: they are seen in order.
    pub(super) device: Arc<str>,
    pub(super) messages: Vec<LinkPublish>,
    pub(super) asker: Option<Asker>,
    pub(super) reply: Option<(Reply, Result<Told, Failure>)>,
}

/// Who sent a message, and how they are answered.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) ticket: Ticket,
    pub(super) client_id: ClientId,
    /// Whether it counts among the requests its client has under way.
    pub(super) is_counted: bool,
    pub(super) accepted: Arc<str>,
    pub(super) rejected: Arc<str>,
    pub(super) to: To,
    pub(super) properties: Bytes,
    pub(super) stub: Stub,
    /// If its message was not taken: why.
    pub(super) refused: Option<ReasonCode>,
}

impl Asker {
    pub(super) fn accept(&self, document: Bytes) -> LinkPublish {
        self.message(&self.accepted, document)
    }

    pub(super) fn refuse(&self, refused: &Refused) -> LinkPublish {
        self.message(&self.rejected, documents::refused(refused, &self.stub))
    }

    pub(super) fn reject(&self, code: u16, message: &str) -> LinkPublish {
        self.message(&self.rejected, documents::rejected(code, message, &self.stub))
    }

    /// The answer to a failure.
    pub(super) fn fail(&self, failure: &Failure) -> LinkPublish {
        match failure {
            Failure::Refused(refused) => self.refuse(refused),
            Failure::TooManyTwins(_) => self.reject(413, &failure.to_string()),
            _ => self.reject(500, "Internal service failure"),
        }
    }

    fn message(&self, topic: &Arc<str>, payload: Bytes) -> LinkPublish {
        LinkPublish {
            properties: self.properties.clone(),
            ..message(Arc::clone(topic), payload, self.to.clone())
        }
    }
}

/// A message of a twin: at least once, not retained.
pub(super) fn message(topic: Arc<str>, payload: Bytes, to: To) -> LinkPublish {
    LinkPublish {
        topic,
        payload,
        properties: Bytes::new(),
        qos: QoS::AtLeastOnce,
        retain: false,
        to,
        replace: None,
    }
}

impl Outcome {
    /// Says everything: what happened, or that it could not be stored.
    pub(super) async fn tell(self, shared: &Shared, result: &Result<(), CommitError>) {
        let broker = shared.broker.get();
        let Self {
            device,
            mut messages,
            asker,
            reply,
        } = self;
        let failure = result.as_ref().err().map(|error| Failure::Commit(error.clone()));
        if let Some(failure) = &failure {
            messages = asker.iter().map(|asker| asker.fail(failure)).collect();
        }
        match broker {
            Some(broker) if !messages.is_empty() => shared.publish(broker, &device, messages).await,
            _ => {}
        }
        if let (Some(broker), Some(asker)) = (broker, asker) {
            let refused = failure.as_ref().map(Failure::reason).or(asker.refused);
            let answer = refused.map_or(Answer::Taken, Answer::Refused);
            broker.answer(asker.ticket, answer);
        }
        if let Some((reply, told)) = reply {
            // Who asked may have hung up; then nobody is told.
            drop(reply.send(failure.map_or(told, Err)));
        }
    }
}
