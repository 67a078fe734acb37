//! Stories and laws of a twin, told through the crate's public door.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a story a missing value is a failure"
)]

mod commands;
mod delta;
mod hostile;
mod merge;
mod reconcile;
mod refusals;
mod rejected;
mod stamps;
mod support;
mod versions;
mod worked_example;
