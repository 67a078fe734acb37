//! Gates: plugins that decide. A question goes in, a verdict comes out, within a deadline.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use mqtt_wire::{QoS, TopicFilter};

use crate::{Exchange, Peer, Principal, Secret};

/// An answer that may take a while. A gate that has it at hand returns a future that is ready at once, which costs the
/// caller no thread switch.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// By what a peer came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// An MQTT listener.
    Mqtt,
    /// The HTTP API.
    Http,
}

/// What a peer said of itself, and what the listener knows of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Login {
    /// By what the peer came in.
    pub transport: Transport,
    /// The MQTT client id; empty over HTTP.
    pub client_id: String,
    /// The user name, if one was given.
    pub username: Option<String>,
    /// The password, if one was given.
    pub password: Option<Secret>,
    /// The authentication method, if it wants to say who it is in an exchange.
    pub method: Option<String>,
    /// The peer's certificate (DER), already verified against the listener's authorities by TLS.
    pub certificate: Option<Vec<u8>>,
    /// The common name of the certificate that the peer has shown to a proxy, which has verified it and is believed. The
    /// peer's own `certificate`, if there is one, says more.
    pub common_name: Option<String>,
    /// Where the peer connected from.
    pub peer: Peer,
    /// Whether the listener it came through is bound to a loopback address or a Unix socket.
    pub loopback: bool,
    /// The authenticators that may judge it, where the listener names some; otherwise all may.
    pub authenticators: Option<Arc<[String]>>,
}

impl Login {
    /// A login with nothing known but where it came from.
    #[must_use]
    pub fn from_peer(transport: Transport, peer: impl Into<Peer>) -> Self {
        let peer = peer.into();
        Self {
            transport,
            client_id: String::new(),
            username: None,
            password: None,
            method: None,
            certificate: None,
            common_name: None,
            peer,
            loopback: peer.is_loopback(),
            authenticators: None,
        }
    }

    /// Whether the authenticator of this name may judge it.
    #[must_use]
    pub fn is_for(&self, authenticator: &str) -> bool {
        let named = self.authenticators.as_deref();
        named.is_none_or(|named| named.iter().any(|name| name == authenticator))
    }
}

/// What an authenticator says of a login.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It is this principal.
    Known(Arc<Principal>),
    /// It is refused, whatever others in the chain would say. The text is for the log; the peer is not told.
    Refused(String),
    /// This authenticator has nothing to say about such a login.
    Silent,
}

/// A part of a twin that may be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Section {
    /// What the device should be.
    Desired,
    /// What the device says it is.
    Reported,
    /// What the back end noted about it.
    Tags,
    /// The twin as a whole.
    Whole,
}

/// What a principal wants to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Publish to a topic; also asked for a will when its client connects.
    Publish {
        /// The topic name.
        topic: String,
        /// The quality of service of the message.
        qos: QoS,
        /// Whether it is to be retained.
        retain: bool,
    },
    /// Subscribe to a filter; allowed only if everything the filter can match is allowed.
    Subscribe {
        /// The topic filter, without a share prefix.
        filter: TopicFilter,
    },
    /// Read a device's twin over HTTP.
    ReadTwin {
        /// The device.
        device: String,
        /// The part.
        section: Section,
    },
    /// Change or delete a part of a device's twin over HTTP.
    WriteTwin {
        /// The device.
        device: String,
        /// The part.
        section: Section,
    },
    /// List devices or follow the changes of the whole fleet over HTTP.
    ReadFleet,
    /// Read what an operator reads: metrics and broker administration.
    Operate,
}

/// What an authorizer says of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow,
    /// It may not, whatever others in the chain would say.
    Deny,
    /// This authorizer has nothing to say about it. If nobody has, the answer is no.
    Silent,
}

/// A gate could not decide. The caller treats it as "no"; the text is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct GateError(pub String);

/// Finds out who a peer is.
pub trait Authenticate: fmt::Debug + Send + Sync {
    /// Judges one login that names no method. Runs outside the threads that carry messages; a slow answer delays only this login.
    ///
    /// # Errors
    /// When the gate could not decide; the login is then refused.
    fn authenticate(&self, login: Login) -> Pending<'_, Result<Verdict, GateError>>;

    /// Begins an exchange by the method that the login names. `None` if this gate does not offer it; without this
    /// function it offers none. Must not wait: what takes time belongs into the first step.
    fn exchange(&self, _login: Login) -> Option<Box<dyn Exchange>> {
        None
    }
}

/// Decides what a principal may do.
pub trait Authorize: fmt::Debug + Send + Sync {
    /// Judges one access. Verdicts are remembered for a connection until the policy changes.
    ///
    /// # Errors
    /// When the gate could not decide; the access is then denied.
    fn authorize(
        &self,
        principal: &Arc<Principal>,
        access: &Access,
    ) -> Pending<'static, Result<Decision, GateError>>;

    /// Judges a message whose topic is not the one its client published to last, if the verdict is at hand. It is asked on
    /// the threads that carry messages: it must not wait, and has no runtime. `None`, as without this function: `authorize`
    /// is asked, and what it says is remembered.
    fn publish_at_once(
        &self,
        _principal: &Principal,
        _topic: &str,
        _qos: QoS,
        _retain: bool,
    ) -> Option<Decision> {
        None
    }
}
