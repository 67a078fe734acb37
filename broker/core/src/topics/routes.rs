//! Routes that were found not long ago, by topic.

use std::{mem, ops::Range, sync::Arc};

use super::Route;

/// Places a hash leads to.
const WAYS: usize = 4;
const PLACES_MIN: usize = 16 * WAYS;
/// Routes that are remembered at most.
const PLACES_MAX: usize = 32 * 1024;
/// What they and their topics may take.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of the routes whose places are taken one in so many gets one: where topics are more than places, most stay where they
/// are and are found again.
const REPLACED_ONE_IN: usize = 8;

#[derive(Debug, Clone)]
struct Remembered {
    hash: u64,
    topic: Arc<str>,
    route: Arc<Route>,
}

impl Remembered {
    fn len_bytes(&self) -> usize {
        self.topic.len() + self.route.len_bytes()
    }
}

/// Routes by topic. There is room for a few times as many as there are, up to a bound.
#[derive(Debug, Default)]
pub(super) struct Routes {
    places: Vec<Option<Remembered>>,
    len: usize,
    bytes: usize,
    /// Routes whose places were taken.
    late: usize,
    /// Where the next route stands that gives way because of the bytes of all.
    next_out: usize,
}

impl Routes {
    /// The route of a topic with this hash, if it is remembered.
    pub(super) fn get(&self, hash: u64, topic: &str) -> Option<&Arc<Route>> {
        let places = self.places.get(self.ways(hash))?;
        let known = places
            .iter()
            .flatten()
            .find(|known| known.hash == hash && &*known.topic == topic)?;
        Some(&known.route)
    }

    /// Remembers the route of a topic that has none, or does not.
    pub(super) fn insert(&mut self, hash: u64, topic: &Arc<str>, route: &Arc<Route>) {
        let remembered = Remembered {
            hash,
            topic: Arc::clone(topic),
            route: Arc::clone(route),
        };
        let bytes = remembered.len_bytes();
        if bytes > BYTES_MAX {
            return;
        }
        let Some(at) = self.place_for(hash) else {
            return;
        };
        self.forget(at);
        if let Some(place) = self.places.get_mut(at) {
            *place = Some(remembered);
            self.len += 1;
            self.bytes += bytes;
        }
        while self.bytes > BYTES_MAX {
            self.forget(self.next_out);
            self.next_out = (self.next_out + 1) % self.places.len();
        }
    }

    /// A place that is free or is to be.
    fn place_for(&mut self, hash: u64) -> Option<usize> {
        if let Some(free) = self.free_place(hash) {
            return Some(free);
        }
        if self.len * WAYS >= self.places.len() && self.places.len() < PLACES_MAX {
            self.grow();
            return self.free_place(hash);
        }
        self.late += 1;
        let turn = self.late / REPLACED_ONE_IN;
        self.late
            .is_multiple_of(REPLACED_ONE_IN)
            .then(|| self.ways(hash).start + turn % WAYS)
    }

    fn free_place(&self, hash: u64) -> Option<usize> {
        let mut ways = self.ways(hash);
        ways.find(|at| self.places.get(*at).is_some_and(Option::is_none))
    }

    /// Where a route with this hash may stand.
    fn ways(&self, hash: u64) -> Range<usize> {
        let sets = (self.places.len() / WAYS).max(1);
        // Places are a power of two.
        let start = (hash as usize & (sets - 1)) * WAYS;
        start..start + WAYS
    }

    fn grow(&mut self) {
        let places = (self.places.len() * 2).max(PLACES_MIN);
        let known = mem::replace(&mut self.places, vec![None; places]);
        for known in known.into_iter().flatten() {
            if let Some(at) = self.free_place(known.hash)
                && let Some(place) = self.places.get_mut(at)
            {
                *place = Some(known);
            }
        }
    }

    fn forget(&mut self, at: usize) {
        if let Some(known) = self.places.get_mut(at).and_then(Option::take) {
            self.len -= 1;
            self.bytes -= known.len_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use ahash::RandomState;

    use super::*;
    use crate::{ShardId, topics::RemoteTarget};

    /// Asks for the routes of so many topics, each once, and remembers those that are not found. Answers how many are.
    fn round(routes: &mut Routes, topics: usize, route: &Arc<Route>) -> usize {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let mut found = 0;
        for topic in 0..topics {
            let topic: Arc<str> = format!("device/{topic}").into();
            let hash = hasher.hash_one(&topic);
            if routes.get(hash, &topic).is_some() {
                found += 1;
            } else {
                routes.insert(hash, &topic, route);
            }
        }
        found
    }

    fn is_counted(routes: &Routes) -> bool {
        let known = || routes.places.iter().flatten();
        (routes.len, routes.bytes) == (known().count(), known().map(Remembered::len_bytes).sum())
    }

    #[test]
    fn nobody_pays_for_routes_that_are_not_there() {
        let mut routes = Routes::default();
        assert_eq!(routes.places.capacity(), 0);
        round(&mut routes, 100, &Arc::default());
        assert!(routes.places.len() <= 1024);
    }

    #[test]
    fn few_topics_are_found_again() {
        let mut routes = Routes::default();
        for topics in [1, 10, 100, 1000, 10_000] {
            round(&mut routes, topics, &Arc::default());
            let found = round(&mut routes, topics, &Arc::default());
            assert!(found * 100 >= topics * 98, "{found} of {topics}");
        }
        assert!(is_counted(&routes));
    }

    /// Also if they come in the order that a list of the latest would never hold one in.
    #[test]
    fn of_too_many_topics_a_share_is_found_again() {
        let mut routes = Routes::default();
        let topics = PLACES_MAX * 2;
        round(&mut routes, topics, &Arc::default());
        for _ in 0..5 {
            let found = round(&mut routes, topics, &Arc::default());
            assert!(found * 3 >= PLACES_MAX, "{found} of {topics}");
        }
        assert_eq!(routes.places.len(), PLACES_MAX);
        assert!(is_counted(&routes));
    }

    /// A topic that nobody remembers is remembered after a while, though all places are taken.
    #[test]
    fn what_is_new_replaces_what_is_old() {
        let mut routes = Routes::default();
        round(&mut routes, PLACES_MAX * 4, &Arc::default());
        let hash = RandomState::with_seeds(1, 2, 3, 4).hash_one("new");
        for _ in 0..REPLACED_ONE_IN {
            routes.insert(hash, &"new".into(), &Arc::default());
        }
        assert!(routes.get(hash, "new").is_some());
        assert!(is_counted(&routes));
    }

    /// A route to many takes much, and one that takes all is not remembered.
    #[test]
    fn routes_take_no_more_bytes_than_they_may() {
        let remote = RemoteTarget {
            shard: ShardId(0),
            durable: false,
        };
        let to = |count: usize| {
            Arc::new(Route {
                shards: vec![remote; count],
                ..Route::default()
            })
        };
        let mut routes = Routes::default();
        let route = to(100_000);
        for _ in 0..2 {
            round(&mut routes, 200, &route);
            assert!(routes.bytes <= BYTES_MAX && is_counted(&routes));
        }
        assert_eq!(routes.len, BYTES_MAX / (route.len_bytes() + "device/100".len()));
        let before = routes.len;
        routes.insert(1, &"large".into(), &to(BYTES_MAX));
        assert_eq!((routes.len, routes.get(1, "large")), (before, None));
    }
}
