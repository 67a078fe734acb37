//! How surely a message is delivered.

/// Quality of service; ordered, so that `min` is the lower promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum QoS {
    /// Sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// Acknowledged by PUBACK, may arrive twice.
    AtLeastOnce = 1,
    /// Acknowledged in two steps, arrives once.
    ExactlyOnce = 2,
}

/// A number that is no quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("QoS {0} does not exist; it is 0, 1 or 2")]
pub struct UnknownQoS(pub u8);

impl TryFrom<u8> for QoS {
    type Error = UnknownQoS;

    fn try_from(value: u8) -> Result<Self, UnknownQoS> {
        match value {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            other => Err(UnknownQoS(other)),
        }
    }
}
