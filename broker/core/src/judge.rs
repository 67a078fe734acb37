//! Judge: whoever has a verdict at hand on what a connection wants to publish.

use std::fmt;

use mqtt_wire::QoS;

/// Says at once what the connection that a packet came from may publish.
pub trait Judge: fmt::Debug {
    /// Whether it may. `None` if that is not at hand: then somebody is asked (`Output::Ask`), and what they say is
    /// remembered.
    fn may_publish(&self, topic: &str, qos: QoS, retain: bool) -> Option<bool>;
}

/// Has no verdict at hand.
#[derive(Debug, Clone, Copy)]
pub struct AsksFirst;

impl Judge for AsksFirst {
    fn may_publish(&self, _: &str, _: QoS, _: bool) -> Option<bool> {
        None
    }
}
