//! Shared: what all partitions and HTTP work with.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use plugin_api::{Broker, LinkPublish};
use store::Store;
use tokio::sync::watch;
use twin_model::Timestamp;

use crate::clock::Clock;
use crate::feed::Feed;
use crate::keys::Spaces;
use crate::presence::Presences;
use crate::settings::Settings;
use crate::worker::Mailbox;

/// How long a broker may take for messages once the service stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What all partitions and HTTP share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    pub(crate) spaces: Spaces,
    pub(crate) feed: Arc<Feed>,
    pub(crate) presences: Presences,
    pub(crate) broker: OnceLock<Arc<dyn Broker>>,
    /// One for each partition.
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) started: Timestamp,
    pub(crate) stage: watch::Sender<Stage>,
}

/// How far the service is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Serving,
    /// Streams of changes end, all else goes on.
    EndingStreams,
    /// The partitions finish what they have.
    Stopping,
}

impl Shared {
    /// Moves towards the end, never back.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.send_modify(|now| *now = stage.max(*now));
    }

    /// Publishes in the order of this device. A broker that has gone may never take the messages, so a service that
    /// stops does not wait for it for long.
    pub(crate) async fn publish(&self, broker: &Arc<dyn Broker>, device: &str, messages: Vec<LinkPublish>) {
        let mut stage = self.stage.subscribe();
        let given_up = async {
            // The sender lives as long as `self`, so this only ends by the stage.
            drop(stage.wait_for(|stage| *stage == Stage::Stopping).await);
            self.clock.reach(self.clock.elapsed() + LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            () = broker.publish(device, messages) => {}
            () = given_up => tracing::warn!(device, "the broker takes no more messages; a twin's are not published"),
        }
    }

    /// The mailbox of a partition. The number is taken modulo their count, so there always is one.
    pub(crate) fn mailbox(&self, partition: usize) -> &Mailbox {
        let count = self.mailboxes.len().max(1);
        self.mailboxes
            .get(partition % count)
            .expect("a service has at least one partition")
    }
}
