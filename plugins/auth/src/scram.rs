//! SCRAM, the server's side (RFC 5802, RFC 7677): the client proves that it knows a password which it does not send.
//!
//! Without channel binding, which MQTT has no words for. Names and passwords are taken as they are: passwords for SCRAM
//! are of printable ASCII characters, which SASLprep leaves alone.

mod challenge;
mod mechanism;
mod message;
mod verifier;

pub(crate) use challenge::Challenge;
pub(crate) use mechanism::Mechanism;
pub(crate) use message::ClientFirst;
pub(crate) use verifier::Verifier;
