//! CONNECT: who a client is and what it asks for.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

use super::Will;
use crate::error::{DecodeError, EncodeError};
use crate::property::{Block, Property, PropertySet, user_properties};
use crate::qos::QoS;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::write::Sink;

/// The first packet of a client.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// What the client speaks; decides how this packet is encoded.
    pub version: Version,
    /// Whether it names MQTT 3.1 (`MQIsdp`, level 3), which is spoken like 3.1.1 otherwise. Only with that version.
    pub is_31: bool,
    /// Whether it names itself a bridge between brokers, as mosquitto's bridges do by the highest bit of the protocol level.
    /// Not with MQTT 5.0, which has subscription options for what it asks for.
    pub is_bridge: bool,
    /// May be empty, then the server makes one; without `clean_start` only in MQTT 5.0, and not in MQTT 3.1.
    pub client_id: String,
    /// Begin a new session; in MQTT 3.1.1 also end it with the connection (CleanSession).
    pub clean_start: bool,
    /// The longest silence in seconds; 0 means any.
    pub keep_alive_secs: u16,
    /// May be empty.
    pub username: Option<String>,
    /// Any bytes. Without a user name only in MQTT 5.0.
    pub password: Option<Vec<u8>>,
    /// What to publish when the client is lost.
    pub will: Option<Will>,
    /// How many seconds the session outlives the connection; `u32::MAX` means forever.
    pub session_expiry_secs: Option<u32>,
    /// How many unacknowledged messages the client takes; absent means 65535.
    pub receive_maximum: Option<NonZeroU16>,
    /// The largest packet in bytes that the client takes.
    pub max_packet_size: Option<NonZeroU32>,
    /// The highest topic alias that the client takes.
    pub topic_alias_maximum: u16,
    /// The client would like Response Information in CONNACK.
    pub request_response_information: bool,
    /// The client takes reason strings and user properties in any packet; true unless it says no.
    pub request_problem_information: bool,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
    /// Starts enhanced authentication.
    pub authentication_method: Option<String>,
    /// Only with a method.
    pub authentication_data: Option<Vec<u8>>,
}

/// The protocol level of MQTT 3.1.
const LEVEL_31: u8 = 3;
/// The bit of the protocol level that a bridge sets.
const BRIDGE: u8 = 0x80;
const USERNAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL_RETAIN: u8 = 0x20;
const WILL_QOS: u8 = 0x18;
const WILL: u8 = 0x04;
const CLEAN_START: u8 = 0x02;
const RESERVED: u8 = 0x01;

impl Connect {
    /// A CONNECT with this client identifier, a clean start, no keep alive, and nothing else.
    #[must_use]
    pub fn new(version: Version, client_id: impl Into<String>) -> Self {
        Self {
            version,
            is_31: false,
            is_bridge: false,
            client_id: client_id.into(),
            clean_start: true,
            keep_alive_secs: 0,
            username: None,
            password: None,
            will: None,
            session_expiry_secs: None,
            receive_maximum: None,
            max_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            user_properties: Vec::new(),
            authentication_method: None,
            authentication_data: None,
        }
    }

    pub(crate) fn decode(r: Reader<'_>) -> Result<Self, DecodeError> {
        let mut r = r.with_version(Version::V5);
        let Protocol {
            version,
            is_31,
            is_bridge,
        } = read_protocol(&mut r)?;
        let mut r = r.with_version(version);
        let flags = r.u8()?;
        check_flags(flags, version)?;
        let mut connect = Self {
            is_31,
            is_bridge,
            ..Self::new(version, "")
        };
        connect.clean_start = flags & CLEAN_START != 0;
        connect.keep_alive_secs = r.u16()?;
        if version == Version::V5 {
            connect.read_properties(&mut r)?;
        }
        connect.read_payload(&mut r, flags)?;
        r.finish()?;
        Ok(connect)
    }

    fn read_properties(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut block = Block::open(r, PropertySet::CONNECT)?;
        while let Some(property) = block.next()? {
            match property {
                Property::SessionExpiryInterval(seconds) => self.session_expiry_secs = Some(seconds),
                Property::ReceiveMaximum(maximum) => self.receive_maximum = NonZeroU16::new(maximum),
                Property::MaximumPacketSize(bytes) => self.max_packet_size = NonZeroU32::new(bytes),
                Property::TopicAliasMaximum(maximum) => self.topic_alias_maximum = maximum,
                Property::RequestResponseInformation(on) => self.request_response_information = on,
                Property::RequestProblemInformation(on) => self.request_problem_information = on,
                Property::UserProperty(k, v) => self.user_properties.push((k.to_owned(), v.to_owned())),
                Property::AuthenticationMethod(method) => {
                    self.authentication_method = Some(method.to_owned())
                }
                Property::AuthenticationData(data) => self.authentication_data = Some(data.to_vec()),
                _ => {} // not in PropertySet::CONNECT
            }
        }
        if self.data_without_method() {
            return Err(DecodeError::protocol(NO_METHOD.0, NO_METHOD.1));
        }
        Ok(())
    }

    fn read_payload(&mut self, r: &mut Reader<'_>, flags: u8) -> Result<(), DecodeError> {
        self.client_id = r.string()?.to_owned();
        if self.nameless_session() {
            // Not malformed: the server answers with return code 2, then closes [MQTT-3.1.3-8].
            return Err(DecodeError::new(
                ReasonCode::ClientIdentifierNotValid,
                NAMELESS.0,
                NAMELESS.1,
            ));
        }
        if flags & WILL != 0 {
            let qos = QoS::try_from((flags & WILL_QOS) >> 3).map_err(|_| bad_will_qos(self.version))?;
            self.will = Some(Will::decode(r, qos, flags & WILL_RETAIN != 0)?);
        }
        if flags & USERNAME != 0 {
            self.username = Some(r.string()?.to_owned());
        }
        if flags & PASSWORD != 0 {
            self.password = Some(r.binary()?.to_vec());
        }
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut impl Sink) -> Result<(), EncodeError> {
        let version = self.version;
        if self.nameless_session() {
            return Err(EncodeError::forbidden(NAMELESS.0, NAMELESS.1));
        }
        if version == Version::V311 && self.password.is_some() && self.username.is_none() {
            return Err(EncodeError::forbidden(NO_USER.0, NO_USER.1));
        }
        if version == Version::V5 && self.is_bridge {
            return Err(EncodeError::forbidden(BRIDGE_OF_5.0, BRIDGE_OF_5.1));
        }
        let bridge = if self.is_bridge { BRIDGE } else { 0 };
        if self.is_31 {
            out.string("protocol name", "MQIsdp")?;
            out.u8(LEVEL_31 | bridge);
        } else {
            out.string("protocol name", "MQTT")?;
            out.u8(version.level() | bridge);
        }
        out.u8(self.flags());
        out.u16(self.keep_alive_secs);
        if version == Version::V5 {
            if self.data_without_method() {
                return Err(EncodeError::forbidden(NO_METHOD.0, NO_METHOD.1));
            }
            out.properties(self.properties())?;
        }
        out.string("client identifier", &self.client_id)?;
        if let Some(will) = &self.will {
            will.write(version, out)?;
        }
        if let Some(username) = &self.username {
            out.string("user name", username)?;
        }
        if let Some(password) = &self.password {
            out.binary("password", password)?;
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let will = self.will.as_ref().map_or(0, |will| {
            WILL | (will.qos as u8) << 3 | bit(will.retain, WILL_RETAIN)
        });
        bit(self.username.is_some(), USERNAME)
            | bit(self.password.is_some(), PASSWORD)
            | will
            | bit(self.clean_start, CLEAN_START)
    }

    fn properties(&self) -> impl Iterator<Item = Property<'_>> + Clone {
        [
            self.session_expiry_secs.map(Property::SessionExpiryInterval),
            self.receive_maximum
                .map(|maximum| Property::ReceiveMaximum(maximum.get())),
            self.max_packet_size
                .map(|bytes| Property::MaximumPacketSize(bytes.get())),
            (self.topic_alias_maximum > 0).then_some(Property::TopicAliasMaximum(self.topic_alias_maximum)),
            self.request_response_information
                .then_some(Property::RequestResponseInformation(true)),
            (!self.request_problem_information).then_some(Property::RequestProblemInformation(false)),
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

    fn nameless_session(&self) -> bool {
        self.version == Version::V311 && self.client_id.is_empty() && (!self.clean_start || self.is_31)
    }

    const fn data_without_method(&self) -> bool {
        self.authentication_data.is_some() && self.authentication_method.is_none()
    }
}

/// Clause and words, for both directions.
type Rule = (&'static str, &'static str);
const NAMELESS: Rule = (
    "MQTT-3.1.3-8",
    "an empty client identifier comes without CleanSession",
);
const NO_USER: Rule = ("MQTT-3.1.2-22", "a password comes without a user name");
const BRIDGE_OF_5: Rule = ("MQTT-3.1.2-2", "no level of MQTT 5.0 stands for a bridge");
const NO_METHOD: Rule = (
    "MQTT5 3.1.2.11.10",
    "Authentication Data comes without an Authentication Method",
);

/// What protocol name and level say.
pub(crate) struct Protocol {
    pub(crate) version: Version,
    /// Whether it is named as MQTT 3.1.
    is_31: bool,
    is_bridge: bool,
}

pub(crate) fn read_protocol(r: &mut Reader<'_>) -> Result<Protocol, DecodeError> {
    let refuse = |clause, what| DecodeError::new(ReasonCode::UnsupportedProtocolVersion, clause, what);
    let name = r.binary()?;
    let level = r.u8()?;
    let is_bridge = level & BRIDGE != 0;
    let (version, is_31) = match (name, level & !BRIDGE) {
        (b"MQTT", level) => match Version::from_level(level) {
            Some(version) if !(is_bridge && version == Version::V5) => (version, false),
            _ => {
                return Err(refuse(
                    "MQTT-3.1.2-2",
                    "the protocol level is neither 4 (MQTT 3.1.1) nor 5 (MQTT 5.0)",
                ));
            }
        },
        (b"MQIsdp", LEVEL_31) => (Version::V311, true),
        _ => return Err(refuse("MQTT-3.1.2-1", "the protocol name is not MQTT")),
    };
    Ok(Protocol {
        version,
        is_31,
        is_bridge,
    })
}

fn check_flags(flags: u8, version: Version) -> Result<(), DecodeError> {
    if flags & RESERVED != 0 {
        return Err(DecodeError::malformed(
            "MQTT-3.1.2-3",
            "the reserved bit of the connect flags is 1",
        ));
    }
    if flags & WILL_QOS != 0 && flags & WILL == 0 {
        let clause = version.clause("MQTT-3.1.2-13", "MQTT-3.1.2-11");
        return Err(DecodeError::malformed(clause, "a will QoS is set without a will"));
    }
    if flags & WILL_RETAIN != 0 && flags & WILL == 0 {
        let clause = version.clause("MQTT-3.1.2-15", "MQTT-3.1.2-13");
        return Err(DecodeError::malformed(
            clause,
            "will retain is set without a will",
        ));
    }
    if flags & WILL_QOS == WILL_QOS {
        return Err(bad_will_qos(version));
    }
    if version == Version::V311 && flags & PASSWORD != 0 && flags & USERNAME == 0 {
        return Err(DecodeError::malformed(NO_USER.0, NO_USER.1));
    }
    Ok(())
}

fn bad_will_qos(version: Version) -> DecodeError {
    DecodeError::malformed(
        version.clause("MQTT-3.1.2-14", "MQTT-3.1.2-12"),
        "the will QoS is 3",
    )
}

impl fmt::Debug for Connect {
    /// Without password and authentication data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("is_31", &self.is_31)
            .field("is_bridge", &self.is_bridge)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "hidden"))
            .field("will", &self.will)
            .field("session_expiry_secs", &self.session_expiry_secs)
            .field("receive_maximum", &self.receive_maximum)
            .field("max_packet_size", &self.max_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("request_response_information", &self.request_response_information)
            .field("request_problem_information", &self.request_problem_information)
            .field("user_properties", &self.user_properties.len())
            .field("authentication_method", &self.authentication_method)
            .field(
                "authentication_data",
                &self.authentication_data.as_ref().map(|_| "hidden"),
            )
            .finish()
    }
}
