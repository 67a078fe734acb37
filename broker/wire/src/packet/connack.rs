//! CONNACK: whether a client is let in, and under which limits.

use std::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::property::{Block, Property, PropertySet, user_properties};
use crate::qos::QoS;
use crate::read::Reader;
use crate::reason::{ReasonCode, connack_return_code, from_connack_return_code};
use crate::version::Version;
use crate::write::Sink;

/// The server's answer to CONNECT. In MQTT 3.1.1 only the first two fields are on the wire.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ConnAck {
    /// The server holds a session for the client; only with [`ReasonCode::Success`].
    pub session_present: bool,
    /// Success, or why not.
    pub reason: ReasonCode,
    /// Absent: the value of CONNECT stands.
    pub session_expiry_secs: Option<u32>,
    /// Absent: 65535. Not zero.
    pub receive_maximum: Option<u16>,
    /// Absent: 2, which is never written.
    pub maximum_qos: Option<QoS>,
    /// Absent: true.
    pub retain_available: Option<bool>,
    /// In bytes. Absent: no limit. Not zero.
    pub max_packet_size: Option<u32>,
    /// The answer to an empty client identifier.
    pub assigned_client_id: Option<String>,
    /// Absent: 0.
    pub topic_alias_maximum: Option<u16>,
    /// The reason for people.
    pub reason_string: Option<String>,
    /// Absent: true.
    pub wildcard_available: Option<bool>,
    /// Absent: true.
    pub subscription_ids_available: Option<bool>,
    /// Absent: true.
    pub shared_available: Option<bool>,
    /// Absent: the value of CONNECT stands.
    pub server_keep_alive_secs: Option<u16>,
    /// What to build response topics from.
    pub response_information: Option<String>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// That of CONNECT.
    pub authentication_method: Option<String>,
    /// The last step of enhanced authentication.
    pub authentication_data: Option<Vec<u8>>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

impl ConnAck {
    pub(crate) fn decode(mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let version = r.version();
        let session_present = match r.u8()? {
            0 => false,
            1 => true,
            _ => {
                let clause = version.clause("MQTT311 3.2.2.1", "MQTT-3.2.2-1");
                return Err(DecodeError::malformed(
                    clause,
                    "reserved bits of the connect acknowledge flags are set",
                ));
            }
        };
        let reason = read_reason(r.u8()?, version)?;
        if session_present && reason != ReasonCode::Success {
            return Err(DecodeError::protocol(session_clause(version), SESSION_WITH_ERROR));
        }
        let mut connack = Self {
            session_present,
            reason,
            ..Self::default()
        };
        if version == Version::V5 {
            connack.read_properties(&mut r)?;
        }
        r.finish()?;
        Ok(connack)
    }

    fn read_properties(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut block = Block::open(r, PropertySet::CONNACK)?;
        while let Some(property) = block.next()? {
            match property {
                Property::SessionExpiryInterval(seconds) => self.session_expiry_secs = Some(seconds),
                Property::ReceiveMaximum(maximum) => self.receive_maximum = Some(maximum),
                Property::MaximumQoS(qos) => self.maximum_qos = Some(qos),
                Property::RetainAvailable(on) => self.retain_available = Some(on),
                Property::MaximumPacketSize(bytes) => self.max_packet_size = Some(bytes),
                Property::AssignedClientIdentifier(id) => self.assigned_client_id = Some(id.to_owned()),
                Property::TopicAliasMaximum(maximum) => self.topic_alias_maximum = Some(maximum),
                Property::ReasonString(text) => self.reason_string = Some(text.to_owned()),
                Property::WildcardSubscriptionAvailable(on) => self.wildcard_available = Some(on),
                Property::SubscriptionIdentifiersAvailable(on) => self.subscription_ids_available = Some(on),
                Property::SharedSubscriptionAvailable(on) => self.shared_available = Some(on),
                Property::ServerKeepAlive(seconds) => self.server_keep_alive_secs = Some(seconds),
                Property::ResponseInformation(text) => self.response_information = Some(text.to_owned()),
                Property::ServerReference(text) => self.server_reference = Some(text.to_owned()),
                Property::AuthenticationMethod(method) => {
                    self.authentication_method = Some(method.to_owned())
                }
                Property::AuthenticationData(data) => self.authentication_data = Some(data.to_vec()),
                Property::UserProperty(k, v) => self.user_properties.push((k.to_owned(), v.to_owned())),
                _ => {} // not in PropertySet::CONNACK
            }
        }
        Ok(())
    }

    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if self.session_present && self.reason != ReasonCode::Success {
            return Err(EncodeError::forbidden(
                session_clause(version),
                SESSION_WITH_ERROR,
            ));
        }
        out.u8(u8::from(self.session_present));
        if version == Version::V311 {
            out.u8(connack_return_code(self.reason));
            return Ok(());
        }
        if !may_carry(self.reason) {
            return Err(EncodeError::forbidden("MQTT-3.2.2-8", WRONG_REASON));
        }
        out.u8(self.reason as u8);
        out.properties(self.properties())
    }

    fn properties(&self) -> impl Iterator<Item = Property<'_>> + Clone {
        [
            self.session_expiry_secs.map(Property::SessionExpiryInterval),
            self.receive_maximum.map(Property::ReceiveMaximum),
            // 2 is said by silence.
            self.maximum_qos
                .filter(|qos| *qos < QoS::ExactlyOnce)
                .map(Property::MaximumQoS),
            self.retain_available.map(Property::RetainAvailable),
            self.max_packet_size.map(Property::MaximumPacketSize),
            self.assigned_client_id
                .as_deref()
                .map(Property::AssignedClientIdentifier),
            self.topic_alias_maximum.map(Property::TopicAliasMaximum),
            self.reason_string.as_deref().map(Property::ReasonString),
            self.wildcard_available
                .map(Property::WildcardSubscriptionAvailable),
            self.subscription_ids_available
                .map(Property::SubscriptionIdentifiersAvailable),
            self.shared_available.map(Property::SharedSubscriptionAvailable),
            self.server_keep_alive_secs.map(Property::ServerKeepAlive),
            self.response_information
                .as_deref()
                .map(Property::ResponseInformation),
            self.server_reference.as_deref().map(Property::ServerReference),
            self.authentication_method
                .as_deref()
                .map(Property::AuthenticationMethod),
            self.authentication_data
                .as_deref()
                .map(Property::AuthenticationData),
        ]
        .into_iter()
        .flatten()
        .chain(user_properties(&self.user_properties))
    }
}

const WRONG_REASON: &str = "the reason code does not belong to CONNACK";
const SESSION_WITH_ERROR: &str = "Session Present is set in a refusal";

const fn session_clause(version: Version) -> &'static str {
    version.clause("MQTT-3.2.2-4", "MQTT-3.2.2-6")
}

fn read_reason(byte: u8, version: Version) -> Result<ReasonCode, DecodeError> {
    match version {
        Version::V311 => from_connack_return_code(byte).ok_or(DecodeError::protocol(
            "MQTT311 3.2.2.3",
            "the return code of CONNACK is reserved",
        )),
        Version::V5 => ReasonCode::try_from(byte)
            .ok()
            .filter(|reason| may_carry(*reason))
            .ok_or(DecodeError::protocol("MQTT-3.2.2-8", WRONG_REASON)),
    }
}

const fn may_carry(reason: ReasonCode) -> bool {
    use ReasonCode::{
        BadAuthenticationMethod, BadUserNameOrPassword, Banned, ClientIdentifierNotValid,
        ConnectionRateExceeded, ImplementationSpecificError, MalformedPacket, NotAuthorized, PacketTooLarge,
        PayloadFormatInvalid, ProtocolError, QoSNotSupported, QuotaExceeded, RetainNotSupported, ServerBusy,
        ServerMoved, ServerUnavailable, Success, TopicNameInvalid, UnspecifiedError,
        UnsupportedProtocolVersion, UseAnotherServer,
    };
    matches!(
        reason,
        Success
            | UnspecifiedError
            | MalformedPacket
            | ProtocolError
            | ImplementationSpecificError
            | UnsupportedProtocolVersion
            | ClientIdentifierNotValid
            | BadUserNameOrPassword
            | NotAuthorized
            | ServerUnavailable
            | ServerBusy
            | Banned
            | BadAuthenticationMethod
            | TopicNameInvalid
            | PacketTooLarge
            | QuotaExceeded
            | PayloadFormatInvalid
            | RetainNotSupported
            | QoSNotSupported
            | UseAnotherServer
            | ServerMoved
            | ConnectionRateExceeded
    )
}

impl fmt::Debug for ConnAck {
    /// What was said, without authentication data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnAck")
            .field("session_present", &self.session_present)
            .field("reason", &self.reason)
            .field("reason_string", &self.reason_string)
            .field("assigned_client_id", &self.assigned_client_id)
            .field("session_expiry_secs", &self.session_expiry_secs)
            .field("server_keep_alive_secs", &self.server_keep_alive_secs)
            .field("receive_maximum", &self.receive_maximum)
            .field("max_packet_size", &self.max_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("maximum_qos", &self.maximum_qos)
            .field("authentication_method", &self.authentication_method)
            .field(
                "authentication_data",
                &self.authentication_data.as_ref().map(|_| "hidden"),
            )
            .finish_non_exhaustive()
    }
}
