//! `[[http]]`: where HTTP is served, at an address of its own or at a listener of MQTT.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use broker::settings::{RawListener, RawTls, Tls};
use plugin_api::{Check, Problem};
use serde::Deserialize;

/// One `[[http]]` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHttp {
    name: String,
    /// An address of its own, or
    #[serde(default)]
    bind: Option<String>,
    /// the name of the `[[listener]]` whose address it shares.
    #[serde(default)]
    listener: Option<String>,
    /// Which authenticators judge who asks here. By default those of the listener it shares, or all.
    #[serde(default)]
    pub(super) authenticators: Option<Vec<String>>,
    #[serde(default)]
    tls: Option<RawTls>,
}

/// HTTP in one place.
#[derive(Debug)]
pub struct Http {
    /// Its name, for logs and the start line.
    pub name: String,
    /// Where it is served.
    pub at: At,
    /// Which authenticators judge who asks here; without it all.
    pub authenticators: Option<Arc<[String]>>,
}

/// Where HTTP is served.
#[derive(Debug)]
pub enum At {
    /// At an address of its own.
    Address {
        /// The address.
        bind: SocketAddr,
        /// TLS, if spoken.
        tls: Option<Tls>,
    },
    /// At the MQTT listener of this name, to whoever asks for it by ALPN.
    Listener(String),
}

impl At {
    /// Those of the listener it shares.
    fn authenticators(&self, listeners: &[Shareable]) -> Option<Vec<String>> {
        match self {
            Self::Address { .. } => None,
            Self::Listener(name) => {
                let shared = listeners.iter().find(|listener| listener.name == *name);
                shared?.authenticators.clone()
            }
        }
    }
}

/// What HTTP has to know of an MQTT listener to be served there.
pub(super) struct Shareable {
    name: String,
    secure: bool,
    websocket: bool,
    authenticators: Option<Vec<String>>,
}

impl From<&RawListener> for Shareable {
    fn from(listener: &RawListener) -> Self {
        Self {
            name: listener.name.clone(),
            secure: listener.tls.is_some(),
            websocket: listener.websocket.is_some(),
            authenticators: listener.authenticators.clone(),
        }
    }
}

pub(super) fn check(
    entries: Vec<RawHttp>,
    listeners: &[Shareable],
    problems: &mut Vec<Problem>,
) -> Vec<Http> {
    let mut names = HashSet::new();
    let mut shared = HashSet::new();
    let mut checked = Vec::new();
    for (place, raw) in entries.into_iter().enumerate() {
        let section = format!("http[{place}]");
        let mut check = Check::of(&section, problems);
        if raw.name.is_empty() || !names.insert(raw.name.clone()) {
            check.problem(
                "name",
                format!("{:?}", raw.name),
                "a name that no other [[http]] has",
            );
        }
        let own_tls = raw.tls.map(|tls| tls.check(&mut check));
        let at = match (raw.bind, raw.listener) {
            (Some(bind), None) => {
                let bind = check.address("bind", &bind);
                bind.map(|bind| At::Address { bind, tls: own_tls })
            }
            (None, Some(listener)) => {
                if own_tls.is_some() {
                    let found = format!("a section beside listener = {listener:?}");
                    check.problem("tls", found, "none: the TLS of that listener is spoken");
                }
                if let Some(fault) = unshareable(&listener, listeners) {
                    let allowed = "the name of a [[listener]] with tls and without websocket";
                    check.problem("listener", format!("{listener:?}, {fault}"), allowed);
                } else if !shared.insert(listener.clone()) {
                    let allowed = "a listener that no other [[http]] names";
                    check.problem("listener", format!("{listener:?} again"), allowed);
                }
                Some(At::Listener(listener))
            }
            (Some(_), Some(_)) => {
                let allowed = "either `bind` or `listener`";
                check.problem("listener", "a value beside `bind`", allowed);
                None
            }
            (None, None) => {
                let allowed = "an address, or the name of a [[listener]] in `listener`";
                check.problem("bind", "nothing", allowed);
                None
            }
        };
        let authenticators = raw
            .authenticators
            .or_else(|| at.as_ref()?.authenticators(listeners));
        checked.extend(at.map(|at| Http {
            name: raw.name,
            at,
            authenticators: authenticators.map(Into::into),
        }));
    }
    checked
}

/// Why HTTP cannot be served at the listener of this name, if it cannot.
fn unshareable(name: &str, listeners: &[Shareable]) -> Option<&'static str> {
    match listeners.iter().find(|listener| listener.name == name) {
        None => Some("which there is none of"),
        Some(Shareable { secure: false, .. }) => Some("which speaks no TLS"),
        Some(Shareable { websocket: true, .. }) => {
            Some("which speaks WebSocket, whose clients ask for http/1.1 as well")
        }
        Some(_) => None,
    }
}
