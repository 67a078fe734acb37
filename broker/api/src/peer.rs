//! Where a peer connects from: an address, or a Unix socket of this machine.

use std::{
    fmt,
    net::{AddrParseError, IpAddr, SocketAddr},
    str::FromStr,
};

/// The other end of a connection. Its text is `192.0.2.7:50000`, or `unix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A process on this machine, through a Unix socket.
    Unix,
}

const UNIX: &str = "unix";

impl Peer {
    /// Its IP address, if it has one.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }

    /// Whether it is on this machine. An IPv4 address counts as such, also when it is written in IPv6.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.ip().is_none_or(|ip| ip.to_canonical().is_loopback())
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str(UNIX),
        }
    }
}

impl FromStr for Peer {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == UNIX {
            return Ok(Self::Unix);
        }
        text.parse().map(Self::Ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_names_it() {
        for text in ["unix", "192.0.2.7:50000", "[2001:db8::1]:1"] {
            assert_eq!(text.parse::<Peer>().expect("a peer").to_string(), text);
        }
        assert!("localhost:1".parse::<Peer>().is_err());
    }

    #[test]
    fn a_unix_socket_and_loopback_addresses_are_this_machine() {
        for (text, here) in [
            ("unix", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("192.0.2.7:1", false),
            ("[::ffff:192.0.2.7]:1", false),
        ] {
            assert_eq!(
                text.parse::<Peer>().expect("a peer").is_loopback(),
                here,
                "{text}"
            );
        }
    }
}
