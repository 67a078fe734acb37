//! What a session asked for with one topic filter.

use mqtt_wire::{QoS, RetainHandling, Subscription};

use crate::{
    session::SessionId,
    topics::{Publishers, Target},
};

/// The options of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// The quality of service granted.
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) retain_handling: RetainHandling,
    pub(crate) subscription_id: Option<u32>,
    /// Whether retained messages are to be sent for it from the beginning, should this process end.
    pub(crate) retained_due: bool,
}

impl Options {
    /// What is granted of what was asked for.
    pub(crate) fn granted(asked: &Subscription, subscription_id: Option<u32>, qos_max: QoS) -> Self {
        Self {
            qos: asked.qos.min(qos_max),
            no_local: asked.no_local,
            retain_as_published: asked.retain_as_published,
            retain_handling: asked.retain_handling,
            subscription_id,
            retained_due: false,
        }
    }

    /// A bridge passes on what it gets. What came from it must not go back to where it came from, and what is retained here
    /// is to be retained there; before MQTT 5 it cannot ask for either.
    pub(crate) const fn suit_a_bridge(&mut self) {
        self.no_local = true;
        self.retain_as_published = true;
    }

    /// What they amount to for a session that is a group's choice.
    pub(crate) fn of_member(&self, session: SessionId) -> Target {
        Target {
            session,
            durable: false,
            qos: self.qos,
            publishers: Publishers::All,
            retain_as_published: self.retain_as_published,
            subscription_ids: self.subscription_id.into_iter().collect(),
        }
    }
}
