//! Who gets a message: one look-up for the topic itself, and one for each shape of wildcards there is.

use std::slice;

use ahash::{HashMap, RandomState};
use mqtt_wire::{QoS, TopicFilter};

/// Levels of a filter with wildcards at most.
const LEVELS_MAX: usize = 64;

/// A connection that gets a message, and the QoS of its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) slot: usize,
    pub(super) qos: QoS,
}

/// What became of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subscribed {
    Newly,
    /// The connection had it; its QoS may be another one now.
    Again,
    /// Shared filters, and those with wildcards and too many levels, are not served.
    Not,
}

/// The subscriptions of all connections.
#[derive(Debug)]
pub(super) struct Filters {
    subscribers: HashMap<TopicFilter, Subscribers>,
    /// The shapes of wildcards that filters have, and how many filters have each.
    shapes: Vec<(Shape, usize)>,
    /// The filter that is looked up; kept for its memory.
    wanted: String,
}

/// Most filters have one subscriber, who needs no list.
#[derive(Debug)]
enum Subscribers {
    One(Target),
    Many(Vec<Target>),
}

/// Where a filter has wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Not counting `#`.
    levels: usize,
    /// One bit for each level that is `+`.
    plus: u64,
    ends_in_hash: bool,
}

impl Filters {
    pub(super) fn new() -> Self {
        // Its clients are this tool's own, so that nobody looks for collisions.
        let hasher = RandomState::with_seed(0x5eed);
        Self {
            subscribers: HashMap::with_hasher(hasher),
            shapes: Vec::new(),
            wanted: String::new(),
        }
    }

    pub(super) fn subscribe(&mut self, filter: &TopicFilter, target: Target) -> Subscribed {
        if let Some(subscribers) = self.subscribers.get_mut(filter) {
            return subscribers.put(target);
        }
        let shape = Shape::of(filter);
        if filter.shared().is_some() || (filter.is_wildcard() && shape.levels > LEVELS_MAX) {
            return Subscribed::Not;
        }
        if shape.has_wildcards() {
            match self.shapes.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, filters)) => *filters += 1,
                None => self.shapes.push((shape, 1)),
            }
        }
        self.subscribers.insert(filter.clone(), Subscribers::One(target));
        Subscribed::Newly
    }

    pub(super) fn unsubscribe(&mut self, filter: &TopicFilter, slot: usize) {
        let Some(subscribers) = self.subscribers.get_mut(filter) else {
            return;
        };
        subscribers.remove(slot);
        if !subscribers.targets().is_empty() {
            return;
        }
        self.subscribers.remove(filter);
        let shape = Shape::of(filter);
        self.shapes.retain_mut(|(known, filters)| {
            *filters -= usize::from(*known == shape);
            *filters > 0
        });
    }

    /// Replaces `route` by everybody who gets a message on `topic`, each once and with the highest QoS.
    pub(super) fn route(&mut self, topic: &str, route: &mut Vec<Target>) {
        route.clear();
        route.extend(
            self.subscribers
                .get(topic)
                .into_iter()
                .flat_map(Subscribers::targets),
        );
        let levels = topic.split('/').count();
        for (shape, _) in &self.shapes {
            if shape.fits(topic, levels) {
                shape.write_filter(topic, &mut self.wanted);
                let subscribers = self.subscribers.get(self.wanted.as_str());
                route.extend(subscribers.into_iter().flat_map(Subscribers::targets));
            }
        }
        route.sort_unstable();
        route.dedup_by(|higher, kept| {
            let same = higher.slot == kept.slot;
            if same {
                kept.qos = higher.qos;
            }
            same
        });
    }
}

impl Subscribers {
    fn targets(&self) -> &[Target] {
        match self {
            Self::One(target) => slice::from_ref(target),
            Self::Many(targets) => targets,
        }
    }

    fn put(&mut self, target: Target) -> Subscribed {
        let targets = match self {
            Self::One(one) => slice::from_mut(one),
            Self::Many(targets) => targets,
        };
        if let Some(own) = targets.iter_mut().find(|own| own.slot == target.slot) {
            *own = target;
            return Subscribed::Again;
        }
        match self {
            Self::One(one) => *self = Self::Many(vec![*one, target]),
            Self::Many(targets) => targets.push(target),
        }
        Subscribed::Newly
    }

    fn remove(&mut self, slot: usize) {
        match self {
            Self::One(one) if one.slot == slot => *self = Self::Many(Vec::new()),
            Self::One(_) => {}
            Self::Many(targets) => targets.retain(|target| target.slot != slot),
        }
    }
}

impl Shape {
    fn of(filter: &TopicFilter) -> Self {
        let mut shape = Self {
            levels: 0,
            plus: 0,
            ends_in_hash: false,
        };
        for level in filter.levels() {
            if level == "#" {
                shape.ends_in_hash = true;
                continue;
            }
            if level == "+" && shape.levels < LEVELS_MAX {
                shape.plus |= 1 << shape.levels;
            }
            shape.levels += 1;
        }
        shape
    }

    const fn has_wildcards(self) -> bool {
        self.plus != 0 || self.ends_in_hash
    }

    const fn begins_with_wildcard(self) -> bool {
        self.plus & 1 != 0 || self.levels == 0
    }

    /// Whether a filter of this shape can match a topic with so many levels.
    fn fits(self, topic: &str, levels: usize) -> bool {
        let fits = if self.ends_in_hash {
            levels >= self.levels
        } else {
            levels == self.levels
        };
        fits && !(self.begins_with_wildcard() && topic.starts_with('$'))
    }

    /// The only filter of this shape that matches the topic.
    fn write_filter(self, topic: &str, filter: &mut String) {
        filter.clear();
        for (place, level) in topic.split('/').take(self.levels).enumerate() {
            if place > 0 {
                filter.push('/');
            }
            filter.push_str(if self.plus & (1 << place) == 0 { level } else { "+" });
        }
        if self.ends_in_hash {
            filter.push_str(if self.levels == 0 { "#" } else { "/#" });
        }
    }
}

#[cfg(test)]
mod tests {
    use mqtt_wire::TopicName;

    use super::*;

    const TEXTS: [&str; 14] = [
        "a", "a/b", "a/b/c", "/", "+", "+/+", "a/+", "+/b", "a/+/c", "#", "a/#", "+/b/#", "a/b/#", "$x/#",
    ];

    const TOPICS: [&str; 11] = [
        "a", "a/b", "a/b/c", "a/x/c", "b", "b/b", "/", "/a", "$x", "$x/b", "a/b/c/d",
    ];

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text).unwrap()
    }

    fn slots(filters: &mut Filters, topic: &str) -> Vec<usize> {
        let mut route = Vec::new();
        filters.route(topic, &mut route);
        route.into_iter().map(|target| target.slot).collect()
    }

    #[test]
    fn a_topic_finds_the_filters_that_match_it_and_no_others() {
        let (mut filters, qos) = (Filters::new(), QoS::AtMostOnce);
        for (slot, text) in TEXTS.iter().enumerate() {
            let subscribed = filters.subscribe(&filter(text), Target { slot, qos });
            assert_eq!(subscribed, Subscribed::Newly);
        }
        for topic in TOPICS {
            let name = TopicName::parse(topic).unwrap();
            let matching = (0..).zip(TEXTS).filter(|(_, text)| filter(text).matches(name));
            let matching: Vec<usize> = matching.map(|(slot, _)| slot).collect();
            assert_eq!(slots(&mut filters, topic), matching, "{topic}");
        }
    }

    #[test]
    fn a_connection_with_several_matches_gets_one_message_at_the_highest_qos() {
        let mut filters = Filters::new();
        for (text, qos) in [
            ("a/+", QoS::AtLeastOnce),
            ("a/b", QoS::AtMostOnce),
            ("#", QoS::AtMostOnce),
        ] {
            filters.subscribe(&filter(text), Target { slot: 7, qos });
        }
        let mut route = Vec::new();
        filters.route("a/b", &mut route);
        let qos = QoS::AtLeastOnce;
        assert_eq!(route, [Target { slot: 7, qos }]);
    }

    #[test]
    fn what_is_unsubscribed_is_found_no_more_and_leaves_nothing() {
        let (mut filters, qos) = (Filters::new(), QoS::AtMostOnce);
        for slot in 0..3 {
            filters.subscribe(&filter("a/+"), Target { slot, qos });
        }
        let again = filters.subscribe(&filter("a/+"), Target { slot: 1, qos });
        assert_eq!(again, Subscribed::Again);
        filters.unsubscribe(&filter("a/+"), 1);
        assert_eq!(slots(&mut filters, "a/b"), [0, 2]);
        filters.unsubscribe(&filter("a/+"), 0);
        filters.unsubscribe(&filter("a/+"), 2);
        assert!(slots(&mut filters, "a/b").is_empty());
        assert!(filters.subscribers.is_empty() && filters.shapes.is_empty());
    }

    #[test]
    fn shared_filters_and_wildcards_below_too_many_levels_are_refused() {
        let (mut filters, qos) = (Filters::new(), QoS::AtMostOnce);
        let deep = "a/".repeat(LEVELS_MAX);
        for text in ["$share/group/a", &format!("{deep}+")] {
            let subscribed = filters.subscribe(&filter(text), Target { slot: 0, qos });
            assert_eq!(subscribed, Subscribed::Not, "{text}");
        }
        let subscribed = filters.subscribe(&filter(&format!("{deep}#")), Target { slot: 0, qos });
        assert_eq!(subscribed, Subscribed::Newly);
        assert_eq!(slots(&mut filters, &format!("{deep}x/y")), [0]);
    }
}
