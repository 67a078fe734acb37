//! A tree of levels: filters of any shape, and a message's cost is that of the levels it is found on.

use std::sync::Arc;

use ahash::{HashMap, RandomState};
use mqtt_wire::{TopicFilter, TopicName};

use super::subscribers::Subscribers;

/// A level of the filters.
#[derive(Debug, Default)]
struct Node {
    /// Of the filter that ends here.
    here: Subscribers,
    /// Of the filter that ends here with `/#`; it matches this level too [MQTT-4.7.1-2].
    below: Subscribers,
    plus: Option<Box<Self>>,
    named: Option<HashMap<Arc<str>, Self>>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.below.is_empty() && self.plus.is_none() && self.named.is_none()
    }
}

/// Filters to subscribers.
#[derive(Debug)]
pub(super) struct Tree {
    root: Node,
    hasher: RandomState,
}

impl Tree {
    pub(super) fn new(hasher: &RandomState) -> Self {
        Self {
            root: Node::default(),
            hasher: hasher.clone(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Whether somebody subscribes to the filter.
    pub(super) fn contains(&self, filter: &TopicFilter) -> bool {
        let mut node = &self.root;
        for level in filter.levels() {
            let child = match level {
                "#" => return !node.below.is_empty(),
                "+" => node.plus.as_deref(),
                name => node.named.as_ref().and_then(|named| named.get(name)),
            };
            let Some(child) = child else {
                return false;
            };
            node = child;
        }
        !node.here.is_empty()
    }

    /// Lets `change` change the subscribers of a filter.
    pub(super) fn change<R>(
        &mut self,
        filter: &TopicFilter,
        change: impl FnOnce(&mut Subscribers) -> R,
    ) -> R {
        let levels: Vec<&str> = filter.levels().collect();
        change_node(&mut self.root, &levels, &self.hasher, change)
    }

    /// Visits the subscribers of every filter that matches.
    pub(super) fn visit_matching(&self, topic: TopicName<'_>, visit: &mut dyn FnMut(&Subscribers)) {
        // A topic that starts with $ is matched by no filter that starts with a wildcard [MQTT-4.7.2-1].
        let hidden = topic.as_str().starts_with('$');
        visit_node(&self.root, Some(topic.as_str()), hidden, visit);
    }
}

fn change_node<R>(
    node: &mut Node,
    levels: &[&str],
    hasher: &RandomState,
    change: impl FnOnce(&mut Subscribers) -> R,
) -> R {
    match levels {
        [] => change(&mut node.here),
        ["#"] => change(&mut node.below),
        ["+", rest @ ..] => {
            let child = node.plus.get_or_insert_default();
            let result = change_node(child, rest, hasher, change);
            if child.is_empty() {
                node.plus = None;
            }
            result
        }
        [name, rest @ ..] => {
            let named = node
                .named
                .get_or_insert_with(|| HashMap::with_hasher(hasher.clone()));
            let child = named.entry((*name).into()).or_default();
            let result = change_node(child, rest, hasher, change);
            if child.is_empty() {
                named.remove(*name);
                node.named.take_if(|named| named.is_empty());
            }
            result
        }
    }
}

/// `rest` is what is left of the topic below this node: `None` at its end. The depth is bounded by the topic's levels.
fn visit_node(node: &Node, rest: Option<&str>, hidden: bool, visit: &mut dyn FnMut(&Subscribers)) {
    if !hidden && !node.below.is_empty() {
        visit(&node.below);
    }
    let Some(rest) = rest else {
        if !node.here.is_empty() {
            visit(&node.here);
        }
        return;
    };
    let (level, below) = match rest.split_once('/') {
        Some((level, below)) => (level, Some(below)),
        None => (rest, None),
    };
    if let Some(plus) = &node.plus
        && !hidden
    {
        visit_node(plus, below, false, visit);
    }
    if let Some(child) = node.named.as_ref().and_then(|named| named.get(level)) {
        visit_node(child, below, false, visit);
    }
}
