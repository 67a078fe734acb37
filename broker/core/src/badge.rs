//! What the rules carry of a principal: enough to say who published, also after a restart.

use std::sync::Arc;

/// The name and device of an authenticated principal. The rules never judge by it; they hand it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// The principal's name.
    pub name: Arc<str>,
    /// The device it is, if it is one.
    pub device: Option<Arc<str>>,
}

impl Badge {
    /// A badge with a name and no device.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            device: None,
        }
    }
}
