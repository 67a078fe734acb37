//! Names: which device, and which of its twins.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Limits, Refused};

/// The name of a device: one or more of `a-z A-Z 0-9 : _ . -`, so that it fits into a topic level and a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(Arc<str>);

impl DeviceName {
    /// Checks a name that comes from outside.
    ///
    /// # Errors
    /// `Refused::InvalidName` when it is empty, holds another character, or is longer than the limit.
    pub fn new(text: &str, limits: &Limits) -> Result<Self, Refused> {
        within("device", text, limits.device_name_bytes_max)?;
        Self::try_from(text)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for DeviceName {
    type Error = Refused;

    /// Takes a name back from a record: the characters are checked, today's length limit is not.
    fn try_from(text: &str) -> Result<Self, Refused> {
        if text.is_empty() {
            return Err(Refused::InvalidName {
                what: "device",
                problem: "it is empty".to_owned(),
            });
        }
        plain("device", text)?;
        Ok(Self(text.into()))
    }
}

/// The name of one of a device's twins; the default twin's name is empty. Same characters as a `DeviceName`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TwinName(Arc<str>);

impl TwinName {
    /// The name of the default twin.
    #[must_use]
    pub fn default_twin() -> Self {
        Self("".into())
    }

    /// Checks a name that comes from outside. It must not be empty: the default twin is never named.
    ///
    /// # Errors
    /// `Refused::InvalidName` when it is empty, holds another character, or is longer than the limit.
    pub fn new(text: &str, limits: &Limits) -> Result<Self, Refused> {
        if text.is_empty() {
            return Err(Refused::InvalidName {
                what: "twin",
                problem: "it is empty".to_owned(),
            });
        }
        within("twin", text, limits.twin_name_bytes_max)?;
        Self::try_from(text)
    }

    /// Whether this is the default twin.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    /// The name as text; empty for the default twin.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for TwinName {
    type Error = Refused;

    /// Takes a name back from a record: the characters are checked, today's length limit is not.
    fn try_from(text: &str) -> Result<Self, Refused> {
        plain("twin", text)?;
        Ok(Self(text.into()))
    }
}

macro_rules! as_text {
    ($name:ty) => {
        impl TryFrom<String> for $name {
            type Error = Refused;

            fn try_from(text: String) -> Result<Self, Refused> {
                Self::try_from(text.as_str())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

as_text!(DeviceName);
as_text!(TwinName);

/// One twin of one device. Ordered by device first, so a device's twins stand together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TwinId {
    /// Whose twin it is.
    pub device: DeviceName,
    /// Which of the device's twins.
    pub name: TwinName,
}

impl TwinId {
    /// The default twin of a device.
    #[must_use]
    pub fn default_of(device: DeviceName) -> Self {
        Self {
            device,
            name: TwinName::default_twin(),
        }
    }
}

impl fmt::Display for TwinId {
    /// `device` for the default twin, `device/name` for a named one; neither name can hold a slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_default() {
            self.device.fmt(f)
        } else {
            write!(f, "{}/{}", self.device, self.name)
        }
    }
}

fn within(what: &'static str, text: &str, max: usize) -> Result<(), Refused> {
    if text.len() <= max {
        return Ok(());
    }
    Err(Refused::InvalidName {
        what,
        problem: format!("it has {} bytes, at most {max} are allowed", text.len()),
    })
}

fn plain(what: &'static str, text: &str) -> Result<(), Refused> {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '-');
    match text.chars().find(|c| !allowed(c)) {
        None => Ok(()),
        Some(other) => Err(Refused::InvalidName {
            what,
            problem: format!("it holds {other:?}; allowed are a-z A-Z 0-9 : _ . -"),
        }),
    }
}
