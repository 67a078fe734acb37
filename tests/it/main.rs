//! Stories about the whole house: the real binary, real sockets, a real disk.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected has failed"
)]

mod crash;
mod damage;
mod demo;
mod full_disk;
mod listeners;
mod mistakes;
mod offline_device;
mod overload;
mod permissions;
mod stalled_peers;
mod start;
mod support;
mod trace;
