//! Which proxies a listener believes, and what.

use std::net::IpAddr;

use plugin_api::{Check, Peer};

use super::Address;

/// The PROXY protocol of a listener: every connection begins with a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where proxies connect from. A Unix socket needs none: its file says who may connect.
    pub networks: Vec<Network>,
    /// Whether the name in a certificate that a proxy has verified is believed.
    pub common_names: bool,
}

/// Addresses with a prefix in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Proxy {
    /// Whether a proxy that connects from here is believed.
    pub(crate) fn trusts(&self, proxy: Peer) -> bool {
        proxy
            .ip()
            .is_none_or(|ip| self.networks.iter().any(|network| network.contains(ip)))
    }

    pub(super) fn check(
        mode: Option<String>,
        networks: Option<Vec<String>>,
        common_names: Option<bool>,
        bind: &Address,
        check: &mut Check<'_>,
    ) -> Option<Self> {
        let required = check.choice(
            "proxy_protocol",
            mode,
            false,
            &[("off", false), ("required", true)],
        );
        if !required {
            for (key, found) in [
                ("proxy_networks", networks.is_some()),
                ("proxy_common_names", common_names.is_some()),
            ] {
                if found {
                    let allowed = "nothing, or proxy_protocol = \"required\" beside it";
                    check.problem(key, "a value, though no PROXY header is read", allowed);
                }
            }
            return None;
        }
        let typed = networks.unwrap_or_default();
        if typed.is_empty() == bind.ip().is_some() {
            let allowed = "the networks that proxies connect from, for example [\"10.0.0.0/8\"]; none for a Unix socket";
            check.problem("proxy_networks", format!("{typed:?}"), allowed);
        }
        let networks = typed.iter().filter_map(|text| {
            let network = Network::parse(text);
            if network.is_none() {
                let allowed = "an address, or one with the length of its prefix, for example \"10.0.0.0/8\"";
                check.problem("proxy_networks", format!("{text:?}"), allowed);
            }
            network
        });
        Some(Self {
            networks: networks.collect(),
            common_names: common_names.unwrap_or(false),
        })
    }
}

impl Network {
    /// `None` if it is none, or names more bits than its prefix has.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let whole = bits(address);
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= whole.1)?,
            None => whole.1,
        };
        let network = Self { address, prefix_bits };
        (network.masked(address) == whole.0).then_some(network)
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let (own, ip) = (bits(self.address), ip.to_canonical());
        own.1 == bits(ip).1 && self.masked(ip) == own.0
    }

    fn masked(&self, ip: IpAddr) -> u128 {
        let (value, len) = bits(ip);
        let rest = u32::from(len.saturating_sub(self.prefix_bits));
        // A shift by all bits is none.
        value
            .checked_shr(rest)
            .map_or(0, |prefix| prefix.checked_shl(rest).unwrap_or(0))
    }
}

/// An address as a number, and how many bits it has.
fn bits(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (ip.to_bits().into(), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_begins_as_it_does() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/31", "::ffff:192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("::1/128", "::1", "::2"),
        ] {
            let parsed = Network::parse(network).expect(network);
            let contains = |ip: &str| parsed.contains(ip.parse().expect("an address"));
            assert!(contains(inside), "{inside} is in {network}");
            assert!(!contains(outside), "{outside} is not in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "localhost",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
