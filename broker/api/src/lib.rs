//! The doors of the house, and the promise to those who write plugins.
//!
//! A plugin enters through one of two doors:
//!
//! * a **gate** decides: who a connection is ([`Authenticate`], in one step or in an [`Exchange`]), and what that
//!   principal may do ([`Authorize`]);
//! * a **link** takes part: it receives messages and presence like a client without a socket ([`Link`]), and
//!   publishes through the [`Broker`] handle it was attached to.
//!
//! Everything that passes a door is plain data: no borrowed lifetimes and nothing that only Rust could hold, so that
//! the same doors can be carried to a sandbox or to another process.

mod check;
mod exchange;
mod gate;
mod link;
mod peer;
mod principal;
mod problem;

pub use check::Check;
pub use exchange::{Exchange, Step};
pub use gate::{
    Access, Authenticate, Authorize, Decision, GateError, Login, Pending, Section, Transport, Verdict,
};
pub use link::{
    Answer, Broker, Delivery, Departure, Link, LinkEvent, LinkPublish, LinkSpec, LinkSubscription,
    ReplaceKey, Ticket, To,
};
pub use peer::Peer;
pub use principal::{Attributes, Principal, Secret};
pub use problem::Problem;

// The words of MQTT that stand in the doors, so that a plugin needs no other crate of the house.
pub use mqtt_wire::{
    ClientId, Properties, Property, QoS, ReasonCode, TopicFilter, TopicName, Version, put_property,
};
