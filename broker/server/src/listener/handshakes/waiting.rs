//! Waiting: connections whose peers have to say something next, in the order in which they have to give way.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use plugin_api::Peer;
use tokio::{sync::oneshot, time::Instant};

/// What of an IPv6 address names the network: whoever has one commonly has all addresses in it.
const IPV6_NETWORK: u128 = !0 << 64;

/// Connections by network. A number is given once and grows with arrival.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    last_number: u64,
    networks: HashMap<Network, BTreeMap<u64, Guest>>,
    /// Each network once, with its count and its oldest connection; the greatest gives way first.
    ranks: BTreeSet<Rank>,
}

type Rank = (usize, Reverse<u64>, Network);

/// What counts as one when somebody has to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Network {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// All processes of this machine.
    Unix,
}

#[derive(Debug)]
struct Guest {
    since: Instant,
    /// Tells the connection to leave when it is dropped.
    _stay: oneshot::Sender<()>,
}

/// The one that gives way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    pub(super) network: Network,
    pub(super) number: u64,
    pub(super) since: Instant,
}

impl Waiting {
    pub(super) const fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn insert(
        &mut self,
        network: Network,
        number: u64,
        since: Instant,
        stay: oneshot::Sender<()>,
    ) {
        self.change(network, |guests| {
            guests.insert(number, Guest { since, _stay: stay });
        });
    }

    /// Takes a connection out, if it is in, and so tells it to leave.
    pub(super) fn remove(&mut self, network: Network, number: u64) {
        self.change(network, |guests| {
            guests.remove(&number);
        });
    }

    /// The oldest connection of the network that has most; among equals, of the one with the oldest.
    pub(super) fn first_to_go(&self) -> Option<First> {
        let (_, Reverse(number), network) = *self.ranks.last()?;
        let guest = self.networks.get(&network)?.get(&number)?;
        Some(First {
            network,
            number,
            since: guest.since,
        })
    }

    fn change(&mut self, network: Network, change: impl FnOnce(&mut BTreeMap<u64, Guest>)) {
        let guests = self.networks.entry(network).or_default();
        if let Some(before) = rank(network, guests) {
            self.ranks.remove(&before);
        }
        change(guests);
        match rank(network, guests) {
            Some(after) => {
                self.ranks.insert(after);
            }
            None => {
                self.networks.remove(&network);
            }
        }
    }
}

fn rank(network: Network, guests: &BTreeMap<u64, Guest>) -> Option<Rank> {
    let (oldest, _) = guests.first_key_value()?;
    Some((guests.len(), Reverse(*oldest), network))
}

impl Network {
    pub(super) fn of(peer: Peer) -> Self {
        match peer.ip().map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::V4(address),
            Some(IpAddr::V6(address)) => Self::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK)),
            None => Self::Unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(peer: &str) -> Network {
        match peer.parse::<IpAddr>() {
            Ok(address) => Network::of(Peer::Ip((address, 1).into())),
            Err(_) => Network::of(peer.parse().expect("an address or unix")),
        }
    }

    /// Connections from these addresses, in this order; answers the numbers in the order in which they give way.
    fn order(peers: &[&str]) -> Vec<u64> {
        let mut waiting = Waiting::default();
        let mut stays = Vec::new();
        for peer in peers {
            let (stay, gone) = oneshot::channel();
            let number = waiting.next_number();
            waiting.insert(network(peer), number, Instant::now(), stay);
            stays.push(gone);
        }
        let mut order = Vec::new();
        while let Some(first) = waiting.first_to_go() {
            waiting.remove(first.network, first.number);
            order.push(first.number);
        }
        assert!(
            stays.iter_mut().all(|gone| gone.try_recv().is_err()),
            "all were told"
        );
        assert!(
            waiting.networks.is_empty() && waiting.ranks.is_empty(),
            "nothing stays behind"
        );
        order
    }

    #[test]
    fn among_equals_the_oldest_gives_way() {
        assert_eq!(order(&["192.0.2.3", "192.0.2.1", "192.0.2.2"]), [1, 2, 3]);
    }

    #[test]
    fn whoever_holds_most_gives_way_before_the_oldest() {
        let peers = ["192.0.2.1", "192.0.2.9", "192.0.2.9", "192.0.2.9", "192.0.2.2"];
        assert_eq!(order(&peers), [2, 3, 1, 4, 5]);
    }

    #[test]
    fn the_addresses_of_an_ipv6_network_count_as_one() {
        let peers = [
            "2001:db8:0:1::1",
            "2001:db8:0:2::1",
            "2001:db8:0:2::2",
            "2001:db8:0:2:8::3",
        ];
        assert_eq!(order(&peers), [2, 3, 1, 4]);
    }

    #[test]
    fn all_of_a_unix_socket_count_as_one() {
        assert_eq!(order(&["192.0.2.1", "unix", "192.0.2.2", "unix"]), [2, 1, 3, 4]);
    }

    #[test]
    fn an_ipv4_address_is_the_same_behind_an_ipv6_listener() {
        assert_eq!(order(&["192.0.2.1", "::ffff:192.0.2.2", "192.0.2.2"]), [2, 1, 3]);
    }

    #[test]
    fn removing_one_that_is_not_there_changes_nothing() {
        let mut waiting = Waiting::default();
        let (stay, mut gone) = oneshot::channel();
        let peer = network("192.0.2.1");
        waiting.insert(peer, 7, Instant::now(), stay);
        waiting.remove(peer, 8);
        waiting.remove(network("192.0.2.2"), 7);
        assert_eq!(waiting.first_to_go().map(|first| first.number), Some(7));
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }
}
