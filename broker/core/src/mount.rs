//! Mount points: the levels below which everything lies that the clients of an entrance publish and subscribe to.
//!
//! What begins with `$` belongs to the house, and is the same for everybody.

use std::{borrow::Cow, fmt, sync::Arc};

use mqtt_wire::{Properties, Property, TopicError, TopicFilter, TopicName, put_property};

/// Whole levels of a topic, with the `/` behind them, as in `site-a/`. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint(Arc<Prefix>);

/// Behind a thin pointer, since every session has room for one.
#[derive(Debug, PartialEq, Eq)]
struct Prefix(Box<str>);

impl MountPoint {
    /// Checks `text` and keeps a copy.
    ///
    /// # Errors
    /// With what is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        TopicName::parse(text).map_err(TopicError::what)?;
        if text.starts_with('$') {
            return Err("topics that begin with `$` belong to the broker");
        }
        if !text.ends_with('/') {
            return Err("it does not end with `/`");
        }
        Ok(Self(Arc::new(Prefix(text.into()))))
    }

    /// The levels as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.0
    }

    /// The topic that a client means by this name.
    #[must_use]
    pub fn below(&self, topic: &str) -> Arc<str> {
        if topic.starts_with('$') {
            return topic.into();
        }
        [self.as_str(), topic].concat().into()
    }

    /// What a client calls this topic. `None` if it has no name for it: a topic elsewhere, the mount point itself, and one
    /// that would look like the house's.
    pub(crate) fn strip<'a>(&self, topic: &'a str) -> Option<&'a str> {
        if topic.starts_with('$') {
            return Some(topic);
        }
        let name = topic.strip_prefix(self.as_str())?;
        Some(name).filter(|name| !name.is_empty() && !name.starts_with('$'))
    }

    /// Where what the client said begins in a topic of its own.
    pub(crate) fn name_starts(&self, topic: &str) -> usize {
        if topic.starts_with('$') {
            0
        } else {
            self.as_str().len()
        }
    }

    /// The filter that a client means by this one.
    pub(crate) fn below_filter(&self, filter: &TopicFilter) -> Result<TopicFilter, TopicError> {
        let (group, topics) = match filter.shared() {
            None => (None, filter.as_str()),
            Some(share) => (Some(share.group), share.filter),
        };
        if topics.starts_with('$') {
            return Ok(filter.clone());
        }
        let topics = [self.as_str(), topics].concat();
        match group {
            None => TopicFilter::parse(&topics),
            Some(group) => TopicFilter::parse(&format!("$share/{group}/{topics}")),
        }
    }

    /// The properties of a message from a client, with the response topic that it means. `None` if that is too long.
    pub(crate) fn below_properties<'a>(&self, block: Cow<'a, [u8]>) -> Option<Cow<'a, [u8]>> {
        let properties = Properties::parse_publish(&block).ok()?;
        match properties.response_topic() {
            None => Some(block),
            Some(topic) => answered_to(properties, &self.below(topic)).map(Cow::Owned),
        }
    }

    /// The properties of a message to a client, with the response topic as it calls it, if it has a name for it.
    pub(crate) fn strip_properties<'a>(&self, block: &'a [u8]) -> Cow<'a, [u8]> {
        let stripped = Properties::parse_publish(block).ok().and_then(|properties| {
            let name = self.strip(properties.response_topic()?)?;
            answered_to(properties, name)
        });
        stripped.map_or(Cow::Borrowed(block), Cow::Owned)
    }
}

/// The same properties with another response topic. `None` if it is too long to be one.
fn answered_to(properties: Properties<'_>, topic: &str) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    for property in properties.iter() {
        let property = match property {
            Property::ResponseTopic(_) => Property::ResponseTopic(topic),
            other => other,
        };
        put_property(&mut block, &property).ok()?;
    }
    Some(block)
}

impl fmt::Display for MountPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount() -> MountPoint {
        MountPoint::parse("site-a/").unwrap_or_else(|why| unreachable!("{why}"))
    }

    #[test]
    fn a_mount_point_is_whole_levels_without_wildcards() {
        for right in ["a/", "a/b/", "/", "a//"] {
            assert!(MountPoint::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "a", "a/b", "+/", "a/#/", "$a/", "$share/a/", "a\0/"] {
            assert!(MountPoint::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_client_names_it_is_told_by_the_same_name() {
        for topic in ["a", "a/b", "/", "/a", "a/", "$SYS/broker/uptime"] {
            assert_eq!(mount().strip(&mount().below(topic)), Some(topic));
        }
    }

    #[test]
    fn what_a_client_has_no_name_for_it_is_not_told() {
        for topic in [
            "site-a",
            "site-a/",
            "site-b/a",
            "site-ab",
            "a",
            "site-a/$SYS/broker/uptime",
        ] {
            assert_eq!(mount().strip(topic), None, "{topic}");
        }
    }

    #[test]
    fn filters_are_below_the_mount_point_but_for_the_houses() {
        for (asked, meant) in [
            ("a/+", "site-a/a/+"),
            ("#", "site-a/#"),
            ("$share/g/a", "$share/g/site-a/a"),
            ("$share/g/#", "$share/g/site-a/#"),
            ("$SYS/#", "$SYS/#"),
            ("$share/g/$SYS/#", "$share/g/$SYS/#"),
        ] {
            let asked = TopicFilter::parse(asked).unwrap_or_else(|why| unreachable!("{why}"));
            let filter = mount().below_filter(&asked);
            assert_eq!(filter.as_ref().map(TopicFilter::as_str), Ok(meant));
        }
        let long = TopicFilter::parse(&"x".repeat(65_535)).unwrap_or_else(|why| unreachable!("{why}"));
        assert_eq!(mount().below_filter(&long), Err(TopicError::TooLong));
    }
}
