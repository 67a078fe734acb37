//! The house put together: settings, store, gates, broker, twins and HTTP become one running program.

mod alarm;
pub mod app;
mod certs;
pub mod command;
mod demo;
mod failure;
mod gauges;
mod http;
mod journal;
pub mod settings;
mod status;

pub use failure::Failure;
