//! Flapping: clients that come in again and again are kept out for a while.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use broker_core::Moment;

use crate::settings::FlappingLimits;

/// Clients whose connects are counted, and clients that are banned; of more the oldest is forgotten, and begins anew.
const REMEMBERED_MAX: usize = 100_000;

/// What becomes of a client that wants to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It comes in.
    Welcome,
    /// It came once too often: its ban begins.
    TooOften,
    /// Its ban is not over.
    Banned,
}

/// Clients that came in lately.
///
/// A client is told apart by its client id and its principal, so that nobody can have another principal's banned. What is
/// kept is a hash of both, by a key that nobody knows.
#[derive(Debug)]
pub(crate) struct Flapping {
    limits: FlappingLimits,
    key: RandomState,
    clients: Mutex<Clients>,
}

impl Flapping {
    pub(crate) fn new(limits: FlappingLimits) -> Self {
        Self {
            limits,
            key: RandomState::new(),
            clients: Mutex::new(Clients::new(limits, REMEMBERED_MAX)),
        }
    }

    pub(crate) const fn limits(&self) -> FlappingLimits {
        self.limits
    }

    /// A client wants to come in, and nothing else is against it.
    pub(crate) fn enter(&self, principal: &str, client_id: &str, now: Moment) -> Entry {
        let client = self.key.hash_one((principal, client_id));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.enter(client, now)
    }
}

/// The rule.
#[derive(Debug)]
struct Clients {
    connects_max: u32,
    connects: Fading<u32>,
    bans: Fading<()>,
}

impl Clients {
    fn new(limits: FlappingLimits, remembered_max: usize) -> Self {
        Self {
            connects_max: limits.connects_max,
            connects: Fading::new(limits.window, remembered_max),
            bans: Fading::new(limits.ban, remembered_max),
        }
    }

    fn enter(&mut self, client: u64, now: Moment) -> Entry {
        if self.bans.get(client, now).is_some() {
            return Entry::Banned;
        }
        let connects = match self.connects.get(client, now) {
            Some(connects) => connects,
            None => self.connects.begin(client, 0, now),
        };
        *connects += 1;
        if *connects <= self.connects_max {
            return Entry::Welcome;
        }
        // After the ban it is counted anew.
        *connects = 0;
        self.bans.begin(client, (), now);
        Entry::TooOften
    }
}

/// What is remembered of clients, of each for the same time.
#[derive(Debug)]
struct Fading<T> {
    lifetime: Duration,
    max: usize,
    known: HashMap<u64, T>,
    /// All that are known, the oldest first, and when each began.
    begun: VecDeque<(Moment, u64)>,
}

impl<T> Fading<T> {
    fn new(lifetime: Duration, max: usize) -> Self {
        Self {
            lifetime,
            max,
            known: HashMap::new(),
            begun: VecDeque::new(),
        }
    }

    /// What is still known of a client.
    fn get(&mut self, client: u64, now: Moment) -> Option<&mut T> {
        while self
            .begun
            .front()
            .is_some_and(|(since, _)| now.since(*since) >= self.lifetime)
        {
            self.forget_oldest();
        }
        self.known.get_mut(&client)
    }

    /// Begins to remember a client of which nothing is known.
    fn begin(&mut self, client: u64, value: T, now: Moment) -> &mut T {
        if self.begun.len() >= self.max {
            metrics::counter!("twinmq_flapping_forgotten_total").increment(1);
            self.forget_oldest();
        }
        self.begun.push_back((now, client));
        self.known.entry(client).or_insert(value)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, client)) = self.begun.pop_front() {
            self.known.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three times in ten seconds, and a minute of rest.
    const LIMITS: FlappingLimits = FlappingLimits {
        connects_max: 3,
        window: Duration::from_secs(10),
        ban: Duration::from_secs(60),
    };

    fn at(secs: u64) -> Moment {
        Moment::from_millis(secs * 1000)
    }

    /// What the client 1 is told at these seconds.
    fn told(seconds: &[u64]) -> Vec<Entry> {
        let mut clients = Clients::new(LIMITS, 10);
        seconds.iter().map(|secs| clients.enter(1, at(*secs))).collect()
    }

    #[test]
    fn a_client_that_comes_too_often_is_banned_until_its_ban_is_over() {
        use Entry::{Banned, TooOften, Welcome};
        assert_eq!(
            told(&[0, 1, 2, 9, 10, 68, 69, 70, 71, 72]),
            [
                Welcome, Welcome, Welcome, TooOften, Banned, Banned, Welcome, Welcome, Welcome, TooOften
            ]
        );
    }

    #[test]
    fn a_client_that_takes_its_time_is_never_banned() {
        let seconds: Vec<u64> = (0..100).map(|turn| turn * 10 / 3).collect();
        assert_eq!(told(&seconds), [Entry::Welcome; 100]);
    }

    /// It may be shorter than the window: nothing of what came before it counts.
    #[test]
    fn a_short_ban_is_over_when_it_is_over() {
        let limits = FlappingLimits {
            ban: Duration::from_secs(1),
            ..LIMITS
        };
        let mut clients = Clients::new(limits, 10);
        let told: Vec<_> = (0..5).map(|second| clients.enter(1, at(second))).collect();
        assert_eq!(told[2..], [Entry::Welcome, Entry::TooOften, Entry::Welcome]);
    }

    #[test]
    fn a_ban_is_one_clients_and_one_principals() {
        let flapping = Flapping::new(LIMITS);
        let enter = |principal, client_id| flapping.enter(principal, client_id, at(0));
        for _ in 0..3 {
            assert_eq!(enter("ada", "lamp"), Entry::Welcome);
        }
        assert_eq!(enter("ada", "lamp"), Entry::TooOften);
        assert_eq!(enter("ada", "lamp"), Entry::Banned);
        for (principal, client_id) in [("bob", "lamp"), ("ada", "lamp-2"), ("adal", "amp")] {
            assert_eq!(enter(principal, client_id), Entry::Welcome);
        }
    }

    #[test]
    fn of_too_many_clients_the_oldest_is_forgotten() {
        let mut clients = Clients::new(LIMITS, 2);
        for client in [1, 1, 1, 2, 3] {
            assert_eq!(clients.enter(client, at(0)), Entry::Welcome);
        }
        assert_eq!(clients.enter(1, at(0)), Entry::Welcome, "counted anew");
        assert_eq!(
            (clients.connects.known.len(), clients.connects.begun.len()),
            (2, 2)
        );
        for client in 10..20 {
            for _ in 0..4 {
                clients.enter(client, at(1));
            }
        }
        assert_eq!((clients.bans.known.len(), clients.bans.begun.len()), (2, 2));
        assert_eq!(clients.enter(18, at(1)), Entry::Banned);
        assert_eq!(clients.enter(10, at(1)), Entry::Welcome, "its ban was forgotten");
    }
}
