//! DISCONNECT: the last packet of a connection.

use crate::error::{DecodeError, EncodeError};
use crate::header::Sender;
use crate::property::{Block, Property, PropertySet, user_properties};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::write::Sink;

/// A side leaves. In MQTT 3.1.1 it is sent by clients only and has no fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disconnect {
    /// [`ReasonCode::Success`] here means normal disconnection.
    pub reason: ReasonCode,
    /// A client changes its mind; never from a server [MQTT-3.14.2-2].
    pub session_expiry_secs: Option<u32>,
    /// The reason for people.
    pub reason_string: Option<String>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

impl Disconnect {
    /// A DISCONNECT with a reason and nothing more.
    #[must_use]
    pub const fn with(reason: ReasonCode) -> Self {
        Self {
            reason,
            session_expiry_secs: None,
            reason_string: None,
            server_reference: None,
            user_properties: Vec::new(),
        }
    }

    pub(crate) fn decode(mut r: Reader<'_>, sender: Sender) -> Result<Self, DecodeError> {
        let mut disconnect = Self::default();
        if !r.is_empty() {
            disconnect.reason = read_reason(r.u8()?, sender)?;
        }
        if !r.is_empty() {
            disconnect.read_properties(&mut r)?;
        }
        if disconnect.session_expiry_secs.is_some() && sender == Sender::Server {
            return Err(DecodeError::protocol(
                "MQTT-3.14.2-2",
                "a server sent a Session Expiry Interval in DISCONNECT",
            ));
        }
        r.finish()?;
        Ok(disconnect)
    }

    fn read_properties(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut block = Block::open(r, PropertySet::DISCONNECT)?;
        while let Some(property) = block.next()? {
            match property {
                Property::SessionExpiryInterval(seconds) => self.session_expiry_secs = Some(seconds),
                Property::ReasonString(text) => self.reason_string = Some(text.to_owned()),
                Property::ServerReference(text) => self.server_reference = Some(text.to_owned()),
                Property::UserProperty(k, v) => self.user_properties.push((k.to_owned(), v.to_owned())),
                _ => {} // not in PropertySet::DISCONNECT
            }
        }
        Ok(())
    }

    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if version == Version::V311 {
            return Ok(());
        }
        if !may_carry(self.reason) {
            return Err(EncodeError::forbidden("MQTT-3.14.2-1", WRONG_REASON));
        }
        if self.reason == ReasonCode::Success && self.properties().next().is_none() {
            return Ok(());
        }
        out.u8(self.reason as u8);
        // Without properties their length may be left out, but many a client then does not see the reason.
        out.properties(self.properties())
    }

    fn properties(&self) -> impl Iterator<Item = Property<'_>> + Clone {
        [
            self.session_expiry_secs.map(Property::SessionExpiryInterval),
            self.reason_string.as_deref().map(Property::ReasonString),
            self.server_reference.as_deref().map(Property::ServerReference),
        ]
        .into_iter()
        .flatten()
        .chain(user_properties(&self.user_properties))
    }
}

const WRONG_REASON: &str = "the reason code does not belong to DISCONNECT";

/// Clients get away with the codes that only servers should send: the connection ends either way.
fn read_reason(byte: u8, sender: Sender) -> Result<ReasonCode, DecodeError> {
    let only_from_clients = |reason| reason == ReasonCode::DisconnectWithWill && sender == Sender::Server;
    ReasonCode::try_from(byte)
        .ok()
        .filter(|reason| may_carry(*reason) && !only_from_clients(*reason))
        .ok_or(DecodeError::protocol("MQTT-3.14.2-1", WRONG_REASON))
}

/// Everything but the codes that belong to other packets alone.
const fn may_carry(reason: ReasonCode) -> bool {
    use ReasonCode::{
        BadUserNameOrPassword, Banned, ClientIdentifierNotValid, ContinueAuthentication, GrantedQoS1,
        GrantedQoS2, NoMatchingSubscribers, NoSubscriptionExisted, PacketIdentifierInUse,
        PacketIdentifierNotFound, ReAuthenticate, ServerUnavailable, UnsupportedProtocolVersion,
    };
    !matches!(
        reason,
        GrantedQoS1
            | GrantedQoS2
            | NoMatchingSubscribers
            | NoSubscriptionExisted
            | ContinueAuthentication
            | ReAuthenticate
            | UnsupportedProtocolVersion
            | ClientIdentifierNotValid
            | BadUserNameOrPassword
            | ServerUnavailable
            | Banned
            | PacketIdentifierInUse
            | PacketIdentifierNotFound
    )
}
