//! Topic filters: what a subscription asks for, and how filters relate to names and to each other.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::{MAX_TOPIC_LEN, TopicError, TopicName};

/// A set of topics: plain, with wildcards, or shared (`$share/group/filter`). Cloning is cheap.
///
/// `$share/` means a shared subscription in both protocol versions. [`matches`](Self::matches),
/// [`overlaps`](Self::overlaps), [`contains`](Self::contains), [`is_wildcard`](Self::is_wildcard) and
/// [`levels`](Self::levels) of a shared filter are those of the filter inside.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Arc<str>);

/// The parts of a shared filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share<'a> {
    /// The share name.
    pub group: &'a str,
    /// The topic filter behind it: valid, and not shared again.
    pub filter: &'a str,
}

const SHARE: &str = "$share/";

impl TopicFilter {
    /// Checks `filter` and keeps a copy.
    ///
    /// # Errors
    /// Empty, too long, U+0000 inside, a misplaced wildcard, or a malformed share.
    pub fn parse(filter: &str) -> Result<Self, TopicError> {
        match filter.len() {
            0 => return Err(TopicError::Empty),
            1..=MAX_TOPIC_LEN => {}
            _ => return Err(TopicError::TooLong),
        }
        if filter.as_bytes().contains(&0) {
            return Err(TopicError::Nul);
        }
        check_wildcards(check_share(filter)?)?;
        Ok(Self(filter.into()))
    }

    /// The filter as text, with its `$share/group/` if it has one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes, without `$share/group/`.
    pub fn levels(&self) -> impl Iterator<Item = &str> + Clone {
        self.topics().split('/')
    }

    /// Group and filter of a shared subscription.
    #[must_use]
    pub fn shared(&self) -> Option<Share<'_>> {
        let (group, filter) = self.0.strip_prefix(SHARE)?.split_once('/')?;
        Some(Share { group, filter })
    }

    /// Whether more than one topic can match.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.topics().contains(['#', '+'])
    }

    /// Whether a message on `topic` is meant for this filter. A leading wildcard matches no topic that
    /// begins with `$` [MQTT-4.7.2-1].
    #[must_use]
    pub fn matches(&self, topic: TopicName<'_>) -> bool {
        let filter = self.topics();
        if topic.as_str().starts_with('$') && filter.starts_with(['#', '+']) {
            return false;
        }
        let mut names = topic.levels();
        for level in filter.split('/') {
            if level == "#" {
                return true;
            }
            match names.next() {
                Some(name) if level == "+" || level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether some topic matches both filters.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.hides_dollar(other) || other.hides_dollar(self) {
            return false;
        }
        let (mut ours, mut theirs) = (self.levels(), other.levels());
        // The common levels so far can only be the name "", which is no topic.
        let mut nameless = true;
        for depth in 0.. {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some("#"), Some(_)) | (Some(_), Some("#")) => return true,
                (Some("#"), None) | (None, Some("#")) => return !nameless,
                (Some("+"), Some("+")) => nameless = false,
                (Some("+"), Some(name)) | (Some(name), Some("+")) => {
                    nameless &= depth == 0 && name.is_empty()
                }
                (Some(a), Some(b)) if a == b => nameless &= depth == 0 && a.is_empty(),
                _ => return false,
            }
        }
        false
    }

    /// Whether every topic that matches `other` matches this filter as well.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        if self.hides_dollar(other) {
            return false;
        }
        let (mut ours, mut theirs) = (self.levels(), other.levels());
        // Whether '#' in `other` stands for one more level at least: before it there is only the name
        // "", which is no topic, or nothing.
        let mut nameless = true;
        for depth in 0.. {
            match (ours.next(), theirs.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some("#")) => return nameless && ours.next() == Some("#"),
                (Some("+"), Some(name)) => nameless &= depth == 0 && name.is_empty(),
                (Some(a), Some(b)) if a == b => nameless &= depth == 0 && a.is_empty(),
                _ => return false,
            }
        }
        false
    }

    /// The leading wildcard of `self` matches nothing that begins with `$`, and `other` only matches that.
    fn hides_dollar(&self, other: &Self) -> bool {
        self.topics().starts_with(['#', '+']) && other.topics().starts_with('$')
    }

    /// The filter without its share.
    fn topics(&self) -> &str {
        self.shared().map_or(&self.0, |share| share.filter)
    }
}

/// The part of `filter` that says which topics are meant.
fn check_share(filter: &str) -> Result<&str, TopicError> {
    let Some(shared) = filter.strip_prefix(SHARE) else {
        return Ok(filter);
    };
    let (group, inner) = shared.split_once('/').unwrap_or((shared, ""));
    if group.is_empty() {
        return Err(TopicError::NoShareName);
    }
    if group.contains(['#', '+']) {
        return Err(TopicError::WildcardInShareName);
    }
    if inner.is_empty() || inner.starts_with(SHARE) {
        return Err(TopicError::ShareFilter);
    }
    Ok(inner)
}

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(TopicError::MisplacedHash);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::MisplacedPlus);
        }
    }
    Ok(())
}

impl Borrow<str> for TopicFilter {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
