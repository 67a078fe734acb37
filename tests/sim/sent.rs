//! A message of a history, and the payload that says which one it is.

use std::time::Duration;

use mqtt_wire::QoS;

/// A message as its publisher knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Its place among all messages of the history.
    pub(crate) number: usize,
    pub(crate) topic: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// How long it is worth anything, in seconds.
    pub(crate) expiry_secs: Option<u32>,
}

impl Sent {
    /// Its number and its topic.
    pub(crate) fn payload(&self) -> String {
        format!("{} {}", self.number, self.topic)
    }

    pub(crate) fn life(&self) -> Option<Duration> {
        self.expiry_secs.map(|secs| Duration::from_secs(secs.into()))
    }
}

/// The number of a message that came on a topic, which has to be its own.
pub(crate) fn number_in(payload: &[u8], topic: &str) -> usize {
    let text = String::from_utf8_lossy(payload);
    let (number, sent_on) = text.split_once(' ').unwrap();
    assert_eq!(
        topic, sent_on,
        "message {number} comes on a topic that is not its own"
    );
    number.parse().unwrap()
}
