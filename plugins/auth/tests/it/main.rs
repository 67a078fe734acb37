//! Stories about the built-in gates: one module per gate, refusals first.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on should stop there")]

mod acl_file;
mod anonymous;
mod certificate;
mod chain;
mod device;
mod failures;
mod password_file;
mod patterns;
mod reload;
mod scram;
mod settings;
mod support;
