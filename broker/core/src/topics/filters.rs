//! Filters to subscribers: hash tables for filters without wildcards and of a few shapes, a tree of levels for the others.

use ahash::{HashMap, RandomState};
use mqtt_wire::{TopicFilter, TopicName};

use super::{
    shape::{Levels, Shape, Shaped},
    subscribers::Subscribers,
    tree::Tree,
};

/// Shapes with a table of their own; each is looked into for each message. Filters of others go to the tree.
const SHAPES_MAX: usize = 16;

/// Filters to subscribers. A filter stays where it was put.
#[derive(Debug)]
pub(super) struct Filters {
    /// Their text is shared with the sessions.
    exact: HashMap<TopicFilter, Subscribers>,
    shapes: Vec<Shaped>,
    tree: Tree,
    hasher: RandomState,
}

impl Filters {
    pub(super) fn new(hasher: &RandomState) -> Self {
        Self {
            exact: HashMap::with_hasher(hasher.clone()),
            shapes: Vec::new(),
            tree: Tree::new(hasher),
            hasher: hasher.clone(),
        }
    }

    /// Lets `change` change the subscribers of a filter.
    pub(super) fn change<R>(
        &mut self,
        filter: &TopicFilter,
        change: impl FnOnce(&mut Subscribers) -> R,
    ) -> R {
        if !filter.is_wildcard() {
            let subscribers = self.exact.entry(filter.clone()).or_default();
            let result = change(subscribers);
            if subscribers.is_empty() {
                self.exact.remove(filter.as_str());
            }
            return result;
        }
        let Some(at) = self.table_of(filter) else {
            return self.tree.change(filter, change);
        };
        let Some(shaped) = self.shapes.get_mut(at) else {
            unreachable!("it has just been found")
        };
        let result = shaped.change(filter, change);
        if shaped.is_empty() {
            self.shapes.swap_remove(at);
        }
        result
    }

    /// Visits the subscribers of every filter that matches.
    pub(super) fn visit_matching(&self, topic: TopicName<'_>, visit: &mut dyn FnMut(&Subscribers)) {
        if let Some(subscribers) = self.exact.get(topic.as_str()) {
            visit(subscribers);
        }
        if !self.shapes.is_empty() {
            let levels = Levels::of(topic.as_str());
            self.shapes
                .iter()
                .filter_map(|shaped| shaped.find(&levels))
                .for_each(&mut *visit);
        }
        if !self.tree.is_empty() {
            self.tree.visit_matching(topic, visit);
        }
    }

    /// The place of the table that the filter is in, or goes to. `None`: the tree.
    fn table_of(&mut self, filter: &TopicFilter) -> Option<usize> {
        // It may be there from a time when no table was free.
        if self.tree.contains(filter) {
            return None;
        }
        let shape = Shape::of(filter)?;
        if let Some(at) = self.shapes.iter().position(|shaped| shaped.shape() == shape) {
            return Some(at);
        }
        if self.shapes.len() == SHAPES_MAX {
            return None;
        }
        self.shapes.push(Shaped::new(shape, &self.hasher));
        Some(self.shapes.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::{ShardId, topics::RemoteTarget};

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text).unwrap_or_else(|why| unreachable!("{text}: {why}"))
    }

    fn empty() -> Filters {
        Filters::new(&RandomState::with_seeds(1, 2, 3, 4))
    }

    /// Somebody subscribes, as often as they like, or does not any more.
    fn set(filters: &mut Filters, text: &str, number: u16, subscribed: bool) {
        filters.change(&filter(text), |subscribers| {
            subscribers.change(|several| {
                several.shards.retain(|remote| remote.shard != ShardId(number));
                if subscribed {
                    several.shards.push(RemoteTarget {
                        shard: ShardId(number),
                        durable: false,
                    });
                }
            });
        });
    }

    /// Whom a message reaches, once for each filter.
    fn reached(filters: &Filters, topic: &str) -> Vec<u16> {
        let Ok(name) = TopicName::parse(topic) else {
            unreachable!("{topic}")
        };
        let mut reached = Vec::new();
        filters.visit_matching(name, &mut |subscribers| match subscribers {
            Subscribers::Shard(remote) => reached.push(remote.shard.0),
            Subscribers::Several(several) => {
                reached.extend(several.shards.iter().map(|remote| remote.shard.0))
            }
            Subscribers::Nobody | Subscribers::Session(_) => unreachable!("nobody else subscribes"),
        });
        reached.sort_unstable();
        reached
    }

    /// Level by level, as the specification says it.
    fn matches(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => matches(filter, topic),
            ([level, filter @ ..], [name, topic @ ..]) => level == name && matches(filter, topic),
            _ => false,
        }
    }

    fn should_reach(subscriptions: &BTreeSet<(String, u16)>, topic: &str) -> Vec<u16> {
        let names: Vec<&str> = topic.split('/').collect();
        let is_meant = |(filter, _): &&(String, u16)| {
            let levels: Vec<&str> = filter.split('/').collect();
            let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
            !hidden && matches(&levels, &names)
        };
        let meant = subscriptions.iter().filter(is_meant);
        let mut numbers: Vec<u16> = meant.map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Up to so many levels, of which the last may be `#`, or one more.
    fn text(levels_max: usize) -> impl Strategy<Value = String> {
        let level = select(vec!["", "a", "b", "$c", "+", "+"]);
        (vec(level, 1..=levels_max), 0..4).prop_map(|(mut levels, end)| {
            match end {
                0 => levels.push("#"),
                1 => *levels.last_mut().unwrap_or(&mut "") = "#",
                _ => {}
            }
            if levels == [""] {
                "a".to_owned()
            } else {
                levels.join("/")
            }
        })
    }

    /// Whatever comes and goes in whatever order, a message reaches whom it should, and who went leaves nothing behind.
    fn holds(changes: &[(String, u16, bool)], topics: &[String]) -> Result<(), TestCaseError> {
        let (mut filters, mut subscriptions) = (empty(), BTreeSet::new());
        for (text, number, subscribed) in changes {
            set(&mut filters, text, *number, *subscribed);
            let subscription = (text.clone(), *number);
            if *subscribed {
                subscriptions.insert(subscription);
            } else {
                subscriptions.remove(&subscription);
            }
            prop_assert!(filters.shapes.len() <= SHAPES_MAX);
            for topic in topics {
                let expected = should_reach(&subscriptions, topic);
                prop_assert_eq!(reached(&filters, topic), expected, "{} after {}", topic, text);
            }
        }
        for (text, number) in &subscriptions {
            set(&mut filters, text, *number, false);
        }
        prop_assert!(filters.exact.is_empty() && filters.shapes.is_empty() && filters.tree.is_empty());
        Ok(())
    }

    fn changes(levels_max: usize) -> impl Strategy<Value = Vec<(String, u16, bool)>> {
        vec((text(levels_max), 0..2_u16, prop::bool::weighted(0.6)), 1..120)
    }

    fn topics(levels_max: usize) -> impl Strategy<Value = Vec<String>> {
        let level = select(vec!["", "a", "b", "$c"]);
        let topic = vec(level, 1..=levels_max).prop_map(|levels| levels.join("/"));
        vec(topic.prop_filter("a topic", |topic| !topic.is_empty()), 4..12)
    }

    proptest! {
        #[test]
        fn filters_of_few_shapes_match_as_specified(changes in changes(2), topics in topics(4)) {
            holds(&changes, &topics)?;
        }

        #[test]
        fn filters_of_many_shapes_match_as_specified(changes in changes(5), topics in topics(6)) {
            holds(&changes, &topics)?;
        }
    }

    /// `+` at those of ten levels that the number says.
    fn shape(number: usize) -> String {
        let levels = (0..10).map(|level| if number >> level & 1 == 1 { "+" } else { "a" });
        levels.collect::<Vec<_>>().join("/")
    }

    /// Who came when all tables were taken is found where it went, also when there is one for its shape by then.
    #[test]
    fn a_filter_stays_where_it_was_put() {
        let mut filters = empty();
        for number in 1..=SHAPES_MAX {
            set(&mut filters, &shape(number), 0, true);
        }
        let late = shape(SHAPES_MAX + 1);
        let of_the_same_shape = late.replace('a', "b");
        set(&mut filters, &late, 1, true);
        assert!(filters.tree.contains(&filter(&late)));
        set(&mut filters, &shape(1), 0, false);
        set(&mut filters, &of_the_same_shape, 2, true);
        assert_eq!(
            filters.shapes.len(),
            SHAPES_MAX,
            "the table that was left is taken"
        );
        assert!(!filters.tree.contains(&filter(&of_the_same_shape)));
        let topic = ["a"; 10].join("/");
        set(&mut filters, &late, 1, true);
        assert_eq!(
            reached(&filters, &topic)
                .iter()
                .filter(|number| **number == 1)
                .count(),
            1
        );
        set(&mut filters, &late, 1, false);
        assert!(filters.tree.is_empty());
        assert!(!reached(&filters, &topic).contains(&1));
    }

    /// A filter may have more levels than a shape has, and a topic more than are looked at.
    #[test]
    fn filters_and_topics_of_many_levels_match() {
        let mut filters = empty();
        let levels = |count: usize| vec!["a"; count].join("/");
        for count in [30, 31, 32, 33, 34, 1000] {
            set(&mut filters, &format!("{}/+", levels(count - 1)), 1, true);
            set(&mut filters, &format!("{}/#", levels(count)), 2, true);
            let reached = [count - 1, count, count + 1].map(|count| reached(&filters, &levels(count)));
            assert_eq!(reached, [vec![], vec![1, 2], vec![2]], "{count}");
            set(&mut filters, &format!("{}/+", levels(count - 1)), 1, false);
            set(&mut filters, &format!("{}/#", levels(count)), 2, false);
        }
        set(&mut filters, "+/#", 3, true);
        assert_eq!(reached(&filters, &"/".repeat(mqtt_wire::MAX_TOPIC_LEN)), [3]);
    }

    /// A hash leads to one filter in a hundred that is another.
    #[test]
    fn only_the_same_names_are_the_same() {
        let mut filters = empty();
        for number in (0..2000).step_by(2) {
            set(&mut filters, &format!("{number}/+/{number}"), number, true);
        }
        for number in 0..2000 {
            let expected = if number % 2 == 0 { vec![number] } else { vec![] };
            assert_eq!(reached(&filters, &format!("{number}/a/{number}")), expected);
            assert_eq!(reached(&filters, &format!("{number}/a/{}", number + 1)), []);
        }
    }

    #[test]
    fn room_of_filters_that_went_is_given_back() {
        let mut filters = empty();
        let all = || (0..1000).map(|number| format!("site/{number}/+"));
        all().for_each(|text| set(&mut filters, &text, 1, true));
        all().skip(1).for_each(|text| set(&mut filters, &text, 1, false));
        let capacities: Vec<usize> = filters.shapes.iter().map(Shaped::capacity).collect();
        assert!(matches!(capacities[..], [room] if room < 16), "{capacities:?}");
        assert_eq!(reached(&filters, "site/0/a"), [1]);
    }
}
