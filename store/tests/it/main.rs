//! Stories about the store, through its public door.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic, and prints its seeds"
)]

mod contract;
mod damage;
mod disk;
mod folder;
mod kill;
mod model;
mod support;
