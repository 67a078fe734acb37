//! Failed logins by password: whoever guesses too often is not listened to for a while.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// When guessing ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureLimits {
    /// Failed logins of one name from one network after which it is not listened to there. All names of a network
    /// together have ten times as many, except on this machine, where everybody has the same address.
    pub failures_max: u32,
    /// For how long after the last one; also how long a failure counts.
    pub ban: Duration,
}

/// How many more failures a network has than one name in it.
const NAMES_PER_NETWORK: u32 = 10;
/// Names and networks whose failures are remembered; the one that failed longest ago makes room.
const REMEMBERED_MAX: usize = 10_000;
/// What of an IPv6 address names the network: whoever has one commonly has all addresses in it.
const IPV6_NETWORK: u128 = !0 << 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Suspect {
    Name(IpAddr, String),
    Network(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    last: Instant,
}

/// Failures that count at present.
#[derive(Debug)]
pub(crate) struct Failures {
    limits: Option<FailureLimits>,
    counts: Mutex<HashMap<Suspect, Count>>,
}

impl Failures {
    /// Without limits nobody is banned.
    pub(crate) fn new(limits: Option<FailureLimits>) -> Self {
        Self {
            limits,
            counts: Mutex::default(),
        }
    }

    /// A password of this name is about to be checked; it counts as failed until [`Self::succeeded`] is called, so that many
    /// guesses at once are counted too. If there were too many, how long nobody listens.
    pub(crate) fn begin(&self, name: &str, peer: IpAddr) -> Result<(), Duration> {
        let Some(limits) = self.limits else { return Ok(()) };
        let now = Instant::now();
        let mut counts = self.counts();
        let suspects = suspects(name, peer);
        for (suspect, share) in &suspects {
            if let Some(count) = counts.get(suspect)
                && count.failures >= limits.failures_max.saturating_mul(*share)
                && now < count.last + limits.ban
            {
                return Err(count.last + limits.ban - now);
            }
        }
        for (suspect, _) in suspects {
            make_room(&mut counts, &suspect, now, limits.ban);
            let count = counts.entry(suspect).or_insert(Count {
                failures: 0,
                last: now,
            });
            if now >= count.last + limits.ban {
                count.failures = 0;
            }
            count.failures = count.failures.saturating_add(1);
            count.last = now;
        }
        Ok(())
    }

    /// The password was right.
    pub(crate) fn succeeded(&self, name: &str, peer: IpAddr) {
        let mut counts = self.counts();
        for (suspect, _) in suspects(name, peer) {
            match (&suspect, counts.get_mut(&suspect)) {
                (Suspect::Network(_), Some(count)) if count.failures > 1 => count.failures -= 1,
                (_, Some(_)) => {
                    counts.remove(&suspect);
                }
                (_, None) => {}
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Suspect, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose failures a login counts among, and how many times the failures of a name they may be.
fn suspects(name: &str, peer: IpAddr) -> Vec<(Suspect, u32)> {
    let network = match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    };
    let mut suspects = vec![(Suspect::Name(network, name.to_owned()), 1)];
    if !peer.to_canonical().is_loopback() {
        suspects.push((Suspect::Network(network), NAMES_PER_NETWORK));
    }
    suspects
}

fn make_room(counts: &mut HashMap<Suspect, Count>, suspect: &Suspect, now: Instant, ban: Duration) {
    if counts.len() < REMEMBERED_MAX || counts.contains_key(suspect) {
        return;
    }
    counts.retain(|_, count| now < count.last + ban);
    if counts.len() >= REMEMBERED_MAX {
        let oldest = counts.iter().min_by_key(|(_, count)| count.last);
        let oldest = oldest.map(|(suspect, _)| suspect.clone());
        oldest.and_then(|suspect| counts.remove(&suspect));
    }
}
