//! Where a listener listens: an IP address and a port, or the path of a Unix socket.

use std::{fmt, net::SocketAddr, path::PathBuf};

use plugin_api::Check;

/// An address to listen on. Its text is `127.0.0.1:1883`, or `unix:` and a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

const UNIX: &str = "unix:";

impl Address {
    /// The IP address and port, if it is one.
    #[must_use]
    pub const fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether only this machine can reach it.
    pub(crate) fn is_loopback(&self) -> bool {
        self.ip().is_none_or(|address| address.ip().is_loopback())
    }

    /// Whether the system chooses a part of it, so that it may stand twice.
    pub(super) fn is_open(&self) -> bool {
        self.ip().is_some_and(|address| address.port() == 0)
    }

    pub(super) fn check(typed: &str, check: &mut Check<'_>) -> Option<Self> {
        let address = match typed.strip_prefix(UNIX) {
            Some(path) => (!path.is_empty() && !path.contains('\0')).then(|| Self::Unix(path.into())),
            None => typed.parse().ok().map(Self::Ip),
        };
        if address.is_none() {
            let allowed = "an IP address and a port, for example \"127.0.0.1:1883\" or \"[::]:8883\", or \"unix:\" and the path of a socket";
            check.problem("bind", format!("{typed:?}"), allowed);
        }
        address
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}
