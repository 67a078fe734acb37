//! The hands of the broker: sockets, threads, timers around the rules of `broker-core`.
//!
//! Which thread does what:
//!
//! * **One thread per shard** ([`Broker::open`] starts them) owns the sockets and the rules of its share of the client
//!   ids. It reads, judges, encodes and writes without a hop; other threads reach it through its mailbox only.
//! * **The runtime that is handed in** accepts connections, shakes hands, reads CONNECT, asks who it is, and waits for
//!   gates that need time. Then the connection moves to its shard's thread, once.
//! * **The journal's own threads** keep batches and answer into the mailboxes; two threads here read waiting messages
//!   back. A shard never touches the store.
//!
//! No rule of MQTT is decided in this crate, besides who may have a connection at all.

mod bell;
mod clock;
mod drain;
mod error;
mod gate;
mod handshake;
mod house;
mod journal;
mod link;
mod listener;
mod mailbox;
mod memory;
mod metrics;
mod origin;
mod recall;
mod seldom;
mod start;
mod stream;
mod sys;
mod worker;

pub mod settings;

// What a journal keeps and an operator reads, in the words of the rules.
pub use broker_core::{Batch, Op, Overload, Shelf, Visit};

pub use drain::Undrained;
pub use error::StartError;
pub use gate::Gates;
pub use journal::{CommitRefused, Done, Journal, MemoryJournal};
pub use listener::{Visitor, Visitors, tls::server_config as tls_server_config};
pub use metrics::Stats;
pub use origin::is_local;
pub use settings::Settings;
pub use start::{Broker, Handle};
pub use stream::Patient;
