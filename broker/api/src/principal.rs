//! Who someone is after the gates.

use std::{fmt, sync::Arc};

/// An authenticated identity. Every publish, subscribe and twin access is decided for a principal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// The name that credentials were checked for: a user name, a certificate's common name, or `anonymous`.
    pub name: Arc<str>,
    /// The device this principal is, if it is one: whose twin it may use without a rule that says so.
    pub device: Option<Arc<str>>,
    /// Names of the groups that rules may refer to.
    pub groups: Vec<Arc<str>>,
    /// The client id it came in with; `None` over HTTP. Set by the chain of gates, whatever a gate says.
    pub client_id: Option<Arc<str>>,
    /// Whether it came in from this machine, through a listener on a loopback address. Set by the chain of gates.
    pub loopback: bool,
    /// Further facts a gate found out, for other gates to read.
    pub attributes: Attributes,
}

/// Names with values; few, and kept small, since every connection has a principal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(Arc<str>, Arc<str>)>);

impl Attributes {
    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| **known == *name)
            .map(|(_, value)| &**value)
    }

    /// Sets the value of a name.
    pub fn insert(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| **known != *name);
        self.0.reserve_exact(1);
        self.0.push((name.into(), value.into()));
    }
}

impl Principal {
    /// A principal with this name and nothing else.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            device: None,
            groups: Vec::new(),
            client_id: None,
            loopback: false,
            attributes: Attributes::default(),
        }
    }

    /// The same principal, being this device.
    #[must_use]
    pub fn with_device(mut self, device: &str) -> Self {
        self.device = Some(device.into());
        self
    }
}

/// Bytes that must not reach a log: `Debug` hides them, and they are overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes into care.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }

    /// The bytes, for the one who checks them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
