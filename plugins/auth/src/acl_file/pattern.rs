//! Topic filters and device names with placeholders, and what they become for a principal.

use std::borrow::Cow;

use plugin_api::{Principal, TopicFilter};

use crate::name;

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placeholder {
    /// `%c`
    ClientId,
    /// `%d`
    Device,
    /// `%u`
    Name,
}

impl Placeholder {
    const ALL: [Self; 3] = [Self::ClientId, Self::Device, Self::Name];

    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ClientId => "%c",
            Self::Device => "%d",
            Self::Name => "%u",
        }
    }

    /// The placeholder that is written like this.
    fn written(level: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|placeholder| placeholder.as_str() == level)
    }

    /// What it stands for, if the principal has that. An anonymous principal has no name.
    fn value(self, principal: &Principal) -> Option<&str> {
        match self {
            Self::ClientId => principal.client_id.as_deref(),
            Self::Device => principal.device.as_deref(),
            Self::Name => Some(&*principal.name).filter(|name| *name != crate::ANONYMOUS),
        }
    }
}

/// What becomes of a pattern for one principal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filled<T> {
    /// This.
    With(T),
    /// The principal does not have what a placeholder stands for.
    Lacking,
    /// The principal's value would make the pattern match other things than it says; this is what it matches if any
    /// value is put in.
    Hostile(T),
}

/// What stands there instead of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Something that is no filter or no device.
    Text(String),
    /// A level with a placeholder and more: what `%u-%c` means would depend on where a name ends.
    Level(String),
    /// A placeholder where none is filled in.
    Placeholder(Placeholder),
}

/// One level, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Literal(String),
    Placeholder(Placeholder),
}

impl Level {
    fn parse(text: &str) -> Result<Self, Flaw> {
        if let Some(placeholder) = Placeholder::written(text) {
            return Ok(Self::Placeholder(placeholder));
        }
        if ["%c", "%d", "%u"]
            .iter()
            .any(|placeholder| text.contains(placeholder))
        {
            return Err(Flaw::Level(text.to_owned()));
        }
        Ok(Self::Literal(text.to_owned()))
    }

    fn fill<'a>(&'a self, principal: &'a Principal) -> Filled<&'a str> {
        match self {
            Self::Literal(text) => Filled::With(text),
            Self::Placeholder(placeholder) => match placeholder.value(principal) {
                None => Filled::Lacking,
                Some(value) if name::is_one_level(value) => Filled::With(value),
                Some(_) => Filled::Hostile("+"),
            },
        }
    }
}

/// A topic filter of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FilterPattern {
    /// The same for everybody.
    Fixed(TopicFilter),
    /// With a placeholder in it.
    Levels(LevelsPattern),
}

/// A topic filter with at least one placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LevelsPattern(Vec<Level>);

impl FilterPattern {
    /// Reads a filter without placeholders, or says what is there instead.
    pub(crate) fn fixed(text: &str) -> Result<Self, Flaw> {
        match text.split('/').find_map(Placeholder::written) {
            Some(placeholder) => Err(Flaw::Placeholder(placeholder)),
            None => filter(text).map(Self::Fixed),
        }
    }

    /// Reads a filter, in which whole levels may be placeholders; or says what is there instead.
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        let filter = filter(text)?;
        let levels = text
            .split('/')
            .map(Level::parse)
            .collect::<Result<Vec<Level>, Flaw>>()?;
        if levels.iter().any(|level| matches!(level, Level::Placeholder(_))) {
            Ok(Self::Levels(LevelsPattern(levels)))
        } else {
            Ok(Self::Fixed(filter))
        }
    }

    /// The filter for this principal.
    pub(crate) fn fill(&self, principal: &Principal) -> Filled<Cow<'_, TopicFilter>> {
        match self {
            Self::Fixed(filter) => Filled::With(Cow::Borrowed(filter)),
            Self::Levels(levels) => levels.fill(principal),
        }
    }
}

fn filter(text: &str) -> Result<TopicFilter, Flaw> {
    TopicFilter::parse(text).map_err(|error| Flaw::Text(format!("{text:?}: {error}")))
}

impl LevelsPattern {
    fn fill<'a>(&self, principal: &Principal) -> Filled<Cow<'a, TopicFilter>> {
        let mut hostile = false;
        let mut text = String::new();
        for (depth, level) in self.0.iter().enumerate() {
            let filled = match level.fill(principal) {
                Filled::With(level) => level,
                Filled::Hostile(level) => {
                    hostile = true;
                    level
                }
                Filled::Lacking => return Filled::Lacking,
            };
            if depth > 0 {
                text.push('/');
            }
            text.push_str(filled);
        }
        match TopicFilter::parse(&text) {
            Ok(filter) if hostile => Filled::Hostile(Cow::Owned(filter)),
            Ok(filter) => Filled::With(Cow::Owned(filter)),
            // Only a filter that is too long: no topic is.
            Err(_) => Filled::Lacking,
        }
    }
}

/// Whose twins a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DevicePattern {
    /// Everybody's.
    All,
    /// This device's.
    Named(String),
    /// That of the device with the principal's own name, client id or device.
    Own(Placeholder),
}

impl DevicePattern {
    /// Reads a device pattern without placeholders, or says what is there instead.
    pub(crate) fn fixed(text: &str) -> Result<Self, Flaw> {
        match Placeholder::written(text) {
            Some(placeholder) => Err(Flaw::Placeholder(placeholder)),
            None if text == "+" => Ok(Self::All),
            None if name::is_one_level(text) => Ok(Self::Named(text.to_owned())),
            None => Err(Flaw::Text(format!("the device {text:?}"))),
        }
    }

    /// Reads a device pattern, which may be a placeholder; or says what is there instead.
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        match Level::parse(text)? {
            Level::Placeholder(placeholder) => Ok(Self::Own(placeholder)),
            Level::Literal(_) => Self::fixed(text),
        }
    }

    /// Whether the pattern means this device, for this principal.
    pub(crate) fn means(&self, device: &str, principal: &Principal) -> bool {
        match self {
            Self::All => true,
            Self::Named(name) => name == device,
            Self::Own(placeholder) => placeholder.value(principal) == Some(device),
        }
    }
}
