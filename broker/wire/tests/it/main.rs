//! Stories of the codec: vectors by clause, round trips, broken bytes, topics, and two other codecs as oracles.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod hex;
mod strategies;
mod vectors;

mod broken;
mod differential;
mod encode;
mod framing;
mod ident;
mod mqttbytes;
mod properties;
mod reason;
mod round_trip;
mod secrets;
mod topics;
mod topics_laws;
