//! The built-in gates: who may come in and what they may do.
//!
//! [`Gates`] is the assembled chain. Who someone is, in this order:
//!
//! 1. the password file ([`password_file`]), when a user name and a password were presented, or SCRAM was spoken;
//! 2. the certificate that TLS has verified ([`CertificateName`]);
//! 3. nobody in particular ([`ANONYMOUS`]), where the settings say so.
//!
//! What they may do, in this order: nothing any more if their password was taken from them, what the gates say that the
//! house adds (a device's own twin), the ACL file ([`AclFile`]), and on a development machine everything over loopback.
//!
//! The first clear verdict wins, silence means no, and a gate that fails, panics or is late means no.

mod acl_file;
mod anonymous;
mod certificate;
mod chain;
mod device;
mod error;
mod failures;
mod guarded;
mod hashing;
mod judged;
mod login;
mod loopback;
mod name;
pub mod password_file;
mod policy;
mod remembered;
mod scram;
mod settings;
mod watched_file;

pub use acl_file::AclFile;
pub use certificate::CertificateName;
pub use chain::Gates;
pub use error::AuthError;
pub use failures::FailureLimits;
pub use name::ANONYMOUS;
pub use settings::{Anonymous, Auth, Authorization, DeviceFrom, HashingLimits, RawAuth};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
