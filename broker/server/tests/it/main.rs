//! Stories about the broker over real sockets, with a journal in memory.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod authority;
mod client;
mod frames;
mod house;

mod accepting;
mod authentication;
mod bytes;
mod crowding;
mod deliveries;
mod entrances;
mod fairness;
mod gates;
mod links;
mod overload;
mod proxy;
mod shards;
mod shutdown;
mod tls;
mod unix;
mod visitors;
mod websocket;
