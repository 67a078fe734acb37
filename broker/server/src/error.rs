//! Why the broker did not start, one line each.

use std::{io, path::PathBuf};

use crate::settings::Address;

/// Why the broker did not start. `Bind` and `Certificate` are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(
        "listener `{listener}`: cannot listen on {address}: {}",
        explain_bind(address, why)
    )]
    Bind {
        /// The listener's name.
        listener: String,
        /// The address from the settings.
        address: Address,
        /// What the system said.
        why: io::Error,
    },
    /// A file of a listener's TLS settings cannot be used.
    #[error("listener `{listener}`: {key} = \"{}\": {why}", file.display())]
    Certificate {
        /// The listener's name.
        listener: String,
        /// The key of the setting.
        key: &'static str,
        /// The file it names.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was kept cannot be read back.
    #[error("cannot read sessions back: {0}")]
    Recovery(String),
    /// The system gave us no thread.
    #[error("cannot start the thread `{name}`: {why}")]
    Thread {
        /// The thread's name.
        name: String,
        /// What the system said.
        why: io::Error,
    },
}

fn explain_bind(address: &Address, why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::AddrInUse if address.ip().is_none() => {
            "another process answers there; stop it or choose another `bind`".into()
        }
        io::ErrorKind::AddrInUse => "another process uses this port; stop it or choose another `bind`".into(),
        io::ErrorKind::PermissionDenied if address.ip().is_some() => {
            "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE or a `bind` with a higher port".into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        _ => why.to_string(),
    }
}
