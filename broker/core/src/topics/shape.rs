//! Filters that differ only in the names of their levels, found by these names at once.

use std::hash::{BuildHasher, Hasher};

use ahash::RandomState;
use hashbrown::{HashTable, hash_table::Entry};
use mqtt_wire::TopicFilter;

use super::subscribers::Subscribers;

/// Levels of a filter that has a shape, without its `#`.
const LEVELS_MAX: usize = 32;

/// What filters have in common that differ only in the names of their levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// How many there are before `#`.
    levels: usize,
    /// A bit for each that is `+`, the first one lowest.
    plus: u32,
    /// Whether it ends with `#`.
    open: bool,
}

impl Shape {
    /// The shape of a filter. `None` if it has too many levels.
    pub(super) fn of(filter: &TopicFilter) -> Option<Self> {
        let mut shape = Self {
            levels: 0,
            plus: 0,
            open: false,
        };
        for level in filter.levels() {
            if level == "#" {
                shape.open = true;
                break;
            }
            if shape.levels == LEVELS_MAX {
                return None;
            }
            shape.plus |= u32::from(level == "+") << shape.levels;
            shape.levels += 1;
        }
        Some(shape)
    }

    /// Whether a filter of this shape may match the topic: `#` stands for no level as well [MQTT-4.7.1-2], and no wildcard
    /// for a first level that starts with $ [MQTT-4.7.2-1].
    fn may_match(self, topic: &Levels<'_>) -> bool {
        let fits = self.levels == topic.count || self.open && self.levels < topic.count;
        let starts_wild = self.levels == 0 || self.plus & 1 == 1;
        fits && !(starts_wild && topic.text.starts_with('$'))
    }

    /// The levels that have names, in stretches between those that are `+`.
    fn named(self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for level in (0..self.levels).filter(|level| self.plus >> level & 1 == 0) {
            match stretches.last_mut() {
                Some(last) if last.end == level => last.end += 1,
                _ => stretches.push(Stretch {
                    start: level,
                    end: level + 1,
                }),
            }
        }
        stretches
    }
}

/// Levels that follow one another, at least one.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    start: usize,
    /// The level after the last.
    end: usize,
}

/// Where the levels of a topic or a filter lie.
#[derive(Debug)]
pub(super) struct Levels<'a> {
    text: &'a str,
    /// Where each of the first ends.
    ends: [u16; LEVELS_MAX],
    /// How many there are.
    count: usize,
}

impl<'a> Levels<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut levels = Self {
            text,
            ends: [0; LEVELS_MAX],
            count: 0,
        };
        for (byte, at) in text.bytes().zip(0..) {
            if byte == b'/' {
                levels.end(at);
            }
        }
        levels.end(u16::try_from(text.len()).unwrap_or(u16::MAX));
        levels
    }

    fn end(&mut self, at: u16) {
        if let Some(end) = self.ends.get_mut(self.count) {
            *end = at;
        }
        self.count += 1;
    }

    fn stretch(&self, stretch: Stretch) -> &'a [u8] {
        let end_of = |level: usize| self.ends.get(level).map_or(0, |end| usize::from(*end));
        let start = match stretch.start {
            0 => 0,
            level => end_of(level - 1) + 1,
        };
        let text = self.text.as_bytes();
        text.get(start..end_of(stretch.end - 1)).unwrap_or_default()
    }
}

/// The filters of one shape.
#[derive(Debug)]
pub(super) struct Shaped {
    shape: Shape,
    named: Vec<Stretch>,
    /// Their text is shared with the sessions.
    filters: HashTable<(TopicFilter, Subscribers)>,
    hasher: RandomState,
}

impl Shaped {
    pub(super) fn new(shape: Shape, hasher: &RandomState) -> Self {
        Self {
            shape,
            named: shape.named(),
            filters: HashTable::new(),
            hasher: hasher.clone(),
        }
    }

    pub(super) const fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// How many filters there is room for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.filters.capacity()
    }

    /// Lets `change` change the subscribers of a filter of this shape.
    pub(super) fn change<R>(
        &mut self,
        filter: &TopicFilter,
        change: impl FnOnce(&mut Subscribers) -> R,
    ) -> R {
        let hash = |filter: &TopicFilter| hash_of(&self.named, &Levels::of(filter.as_str()), &self.hasher);
        let entry = self.filters.entry(
            hash(filter),
            |(known, _)| known == filter,
            |(known, _)| hash(known),
        );
        let mut entry = match entry {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert((filter.clone(), Subscribers::default())),
        };
        let (_, subscribers) = entry.get_mut();
        let result = change(subscribers);
        if subscribers.is_empty() {
            entry.remove();
            let len = self.filters.len();
            if len * 8 < self.filters.capacity() {
                self.filters.shrink_to(len * 2, |(known, _)| hash(known));
            }
        }
        result
    }

    /// The subscribers of the one filter of this shape that matches.
    pub(super) fn find(&self, topic: &Levels<'_>) -> Option<&Subscribers> {
        if !self.shape.may_match(topic) {
            return None;
        }
        let hash = hash_of(&self.named, topic, &self.hasher);
        let found = self
            .filters
            .find(hash, |(filter, _)| self.has_names(filter, topic));
        found.map(|(_, subscribers)| subscribers)
    }

    /// Whether the names in a filter of this shape are the topic's.
    fn has_names(&self, filter: &TopicFilter, topic: &Levels<'_>) -> bool {
        let (mut rest, mut level) = (filter.as_str().as_bytes(), 0);
        self.named.iter().all(|stretch| {
            let pluses = "+/".len() * (stretch.start - level);
            level = stretch.end;
            let left = rest
                .get(pluses..)
                .and_then(|rest| rest.strip_prefix(topic.stretch(*stretch)));
            // Both have as many levels: if one begins with the other and its level ends there, they are the same.
            let (is_same, left) = match left {
                None => (false, &[][..]),
                Some([]) => (true, &[][..]),
                Some([next, left @ ..]) => (*next == b'/', left),
            };
            rest = left;
            is_same
        })
    }
}

/// The hash of the names that filters of a shape differ in.
fn hash_of(named: &[Stretch], levels: &Levels<'_>, hasher: &RandomState) -> u64 {
    let mut hash = hasher.build_hasher();
    for stretch in named {
        hash.write(levels.stretch(*stretch));
    }
    hash.finish()
}
