//! Twin topics: text to meaning and back, one table for both prefixes.
//!
//! ```text
//! $aws/things/{device}/shadow[/name/{twin}]/{tail}     as shadow clients know them
//! $twin/{device}[/name/{twin}]/{tail}                  the same words under a shorter prefix
//! $twin/me[/name/{twin}]/{tail}                        the caller's own device
//! ```

use std::fmt;

use plugin_api::TopicFilter;
use twin_model::{DeviceName, Limits, Refused, TwinId, TwinName};

/// The device level that stands for the caller's own device. No device can have this name.
pub(crate) const ME: &str = "me";

/// Which of the prefixes a topic has. Answers go back by the prefix a request came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Prefix {
    /// `$aws/things/{device}/shadow`
    Aws,
    /// `$twin/{device}`
    Native,
    /// `$twin/me`
    Me,
}

impl Prefix {
    pub(crate) const ALL: [Self; 3] = [Self::Aws, Self::Native, Self::Me];
}

/// What a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Get,
    Update,
    Delete,
}

/// What stands behind the twin in a topic: a request of a client, or a word of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tail {
    Request(Verb),
    Accepted(Verb),
    Rejected(Verb),
    Delta,
    Documents,
}

const TAILS: [(Tail, &str); 11] = [
    (Tail::Request(Verb::Get), "get"),
    (Tail::Accepted(Verb::Get), "get/accepted"),
    (Tail::Rejected(Verb::Get), "get/rejected"),
    (Tail::Request(Verb::Update), "update"),
    (Tail::Accepted(Verb::Update), "update/accepted"),
    (Tail::Rejected(Verb::Update), "update/rejected"),
    (Tail::Delta, "update/delta"),
    (Tail::Documents, "update/documents"),
    (Tail::Request(Verb::Delete), "delete"),
    (Tail::Accepted(Verb::Delete), "delete/accepted"),
    (Tail::Rejected(Verb::Delete), "delete/rejected"),
];

impl Tail {
    fn parse(text: &str) -> Option<Self> {
        TAILS
            .iter()
            .find(|(_, word)| *word == text)
            .map(|(tail, _)| *tail)
    }

    fn as_str(self) -> &'static str {
        TAILS
            .iter()
            .find(|(tail, _)| *tail == self)
            .map_or("", |(_, word)| word)
    }
}

/// The parts of a twin topic. Names are as found in the topic, unchecked; under `Prefix::Me` the device is `me`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic<'a> {
    pub(crate) prefix: Prefix,
    pub(crate) device: &'a str,
    /// Empty for the default twin.
    pub(crate) twin: &'a str,
    pub(crate) tail: Tail,
}

impl<'a> Topic<'a> {
    /// The parts of a topic of the table; `None` for every other topic.
    pub(crate) fn parse(topic: &'a str) -> Option<Self> {
        let (prefix, device, rest) = split_prefix(topic)?;
        let (twin, tail) = match rest.strip_prefix("name/") {
            Some(named) => named.split_once('/').filter(|(twin, _)| !twin.is_empty())?,
            None => ("", rest),
        };
        Some(Self {
            prefix,
            device,
            twin,
            tail: Tail::parse(tail)?,
        })
    }

    /// The same twin and prefix with another tail.
    pub(crate) const fn with(self, tail: Tail) -> Self {
        Self { tail, ..self }
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Prefix::Aws => write!(f, "$aws/things/{}/shadow/", self.device)?,
            Prefix::Native => write!(f, "$twin/{}/", self.device)?,
            Prefix::Me => write!(f, "$twin/{ME}/")?,
        }
        if !self.twin.is_empty() {
            write!(f, "name/{}/", self.twin)?;
        }
        f.write_str(self.tail.as_str())
    }
}

/// Prefix, device, and what comes behind.
fn split_prefix(topic: &str) -> Option<(Prefix, &str, &str)> {
    if let Some(rest) = topic.strip_prefix("$aws/things/") {
        let (device, rest) = rest.split_once('/').filter(|(device, _)| !device.is_empty())?;
        return Some((Prefix::Aws, device, rest.strip_prefix("shadow/")?));
    }
    let (device, rest) = topic.strip_prefix("$twin/")?.split_once('/')?;
    match device {
        "" => None,
        ME => Some((Prefix::Me, ME, rest)),
        _ => Some((Prefix::Native, device, rest)),
    }
}

/// The topic by which a twin speaks under a prefix.
pub(crate) fn topic(prefix: Prefix, id: &TwinId, tail: Tail) -> String {
    Topic {
        prefix,
        device: id.device.as_str(),
        twin: id.name.as_str(),
        tail,
    }
    .to_string()
}

/// Whether a topic belongs to the twins, a word of the table or not.
pub(crate) fn is_reserved(topic: &str) -> bool {
    if let Some(rest) = topic.strip_prefix("$aws/things/") {
        return rest.split('/').nth(1) == Some("shadow");
    }
    topic == "$twin" || topic.starts_with("$twin/")
}

/// Whether the twins' topics may be among those that a filter matches.
pub(crate) fn filter_of_own(filter: &TopicFilter, device: &str) -> bool {
    let within = |space: String| TopicFilter::parse(&space).is_ok_and(|space| space.contains(filter));
    within(format!("$aws/things/{device}/shadow/#")) || within(format!("$twin/{device}/#"))
}

/// Whether a filter lies within `$twin/me/#`.
pub(crate) fn filter_of_me(filter: &TopicFilter) -> bool {
    TopicFilter::parse(MINE).is_ok_and(|space| space.contains(filter))
}

/// The requests that the service takes, and whether the publisher's acknowledgement waits for its answer.
pub(crate) const REQUESTS: [(&str, bool); 12] = [
    ("$aws/things/+/shadow/get", false),
    ("$aws/things/+/shadow/update", true),
    ("$aws/things/+/shadow/delete", true),
    ("$aws/things/+/shadow/name/+/get", false),
    ("$aws/things/+/shadow/name/+/update", true),
    ("$aws/things/+/shadow/name/+/delete", true),
    ("$twin/+/get", false),
    ("$twin/+/update", true),
    ("$twin/+/delete", true),
    ("$twin/+/name/+/get", false),
    ("$twin/+/name/+/update", true),
    ("$twin/+/name/+/delete", true),
];

/// The requests by which every device speaks of itself. All of them may subscribe to `$twin/me/#`, so nobody hears another's.
pub(crate) const REQUESTS_OF_ME: [&str; 6] = [
    "$twin/me/get",
    "$twin/me/update",
    "$twin/me/delete",
    "$twin/me/name/+/get",
    "$twin/me/name/+/update",
    "$twin/me/name/+/delete",
];

/// Who subscribes to one of these hears of a delta. `$twin/+` holds `$twin/me` as well.
pub(crate) const DELTAS: [&str; 4] = [
    "$aws/things/+/shadow/update/delta",
    "$aws/things/+/shadow/name/+/update/delta",
    "$twin/+/update/delta",
    "$twin/+/name/+/update/delta",
];

/// Messages under this filter are sent to those only who are known to listen.
pub(crate) const MINE: &str = "$twin/me/#";

/// Which twin two names from outside stand for; the empty name is the default twin.
///
/// # Errors
/// When one of them is no name, or the device is `me`.
pub(crate) fn twin_id(device: &str, twin: &str, limits: &Limits) -> Result<TwinId, Refused> {
    let device = device_name(device, limits)?;
    if twin.is_empty() {
        return Ok(TwinId::default_of(device));
    }
    Ok(TwinId {
        device,
        name: TwinName::new(twin, limits)?,
    })
}

/// The device a name from outside stands for.
///
/// # Errors
/// When it is no name, or `me`.
pub(crate) fn device_name(device: &str, limits: &Limits) -> Result<DeviceName, Refused> {
    if device == ME {
        let problem = format!("`{ME}` stands for the caller's own device in topics and is no name");
        return Err(Refused::InvalidName {
            what: "device",
            problem,
        });
    }
    DeviceName::new(device, limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_table_reads_back_as_what_was_written() {
        for (prefix, device) in [
            (Prefix::Aws, "pump-7"),
            (Prefix::Native, "pump-7"),
            (Prefix::Me, ME),
        ] {
            for twin in ["", "motor", "name"] {
                for (tail, _) in TAILS {
                    let parts = Topic {
                        prefix,
                        device,
                        twin,
                        tail,
                    };
                    assert_eq!(Topic::parse(&parts.to_string()), Some(parts), "{parts}");
                }
            }
        }
    }

    #[test]
    fn other_topics_are_not_twin_topics() {
        for topic in [
            "$aws/things/pump/shadow",
            "$aws/things/pump/shadow/",
            "$aws/things/pump/shadow/update/accepted/x",
            "$aws/things//shadow/get",
            "$aws/things/pump/jobs/get",
            "$aws/things/pump/shadow/name//get",
            "$aws/things/pump/shadow/name/get",
            "$twin/get",
            "$twin//get",
            "$twin/pump/set",
            "twin/pump/get",
        ] {
            assert_eq!(Topic::parse(topic), None, "{topic}");
        }
    }

    #[test]
    fn the_whole_space_is_reserved_and_nothing_beside_it() {
        for topic in [
            "$aws/things/a/shadow/foo",
            "$aws/things/a/shadow",
            "$twin/a/foo",
            "$twin/me",
            "$twin",
        ] {
            assert!(is_reserved(topic), "{topic}");
        }
        for topic in [
            "$aws/things/a/jobs/get",
            "$twins/a/get",
            "$aws/things/shadow",
            "plant/a/shadow/get",
        ] {
            assert!(!is_reserved(topic), "{topic}");
        }
    }

    #[test]
    fn requests_and_deltas_of_the_service_cover_the_table() {
        for prefix in [Prefix::Aws, Prefix::Native, Prefix::Me] {
            for twin in ["", "motor"] {
                for (tail, _) in TAILS {
                    let device = if prefix == Prefix::Me { ME } else { "pump-7" };
                    let topic = Topic {
                        prefix,
                        device,
                        twin,
                        tail,
                    }
                    .to_string();
                    let topic = TopicFilter::parse(&topic).expect("a topic is a filter");
                    let matched =
                        |filter: &str| TopicFilter::parse(filter).is_ok_and(|filter| filter.contains(&topic));
                    let requests = REQUESTS.iter().filter(|(filter, _)| matched(filter)).count();
                    assert_eq!(requests, usize::from(matches!(tail, Tail::Request(_))), "{topic}");
                    let alone = REQUESTS_OF_ME.iter().filter(|filter| matched(filter)).count();
                    let of_me = prefix == Prefix::Me && matches!(tail, Tail::Request(_));
                    assert_eq!(alone, usize::from(of_me), "{topic}");
                    let deltas = DELTAS.iter().filter(|filter| matched(filter)).count();
                    assert_eq!(deltas, usize::from(tail == Tail::Delta), "{topic}");
                }
            }
        }
    }

    #[test]
    fn nobody_is_called_me() {
        assert!(device_name("me", &Limits::default()).is_err());
        assert!(twin_id("me", "", &Limits::default()).is_err());
        assert!(twin_id("mo", "me", &Limits::default()).is_ok());
    }
}
