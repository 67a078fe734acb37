//! AUTH: a step of enhanced authentication (MQTT 5.0).

use std::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::header::Sender;
use crate::property::{Block, Property, PropertySet, user_properties};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::write::Sink;

/// One message of an exchange between a client and the server.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Auth {
    /// Success (servers only), continue authentication, or re-authenticate (clients only).
    pub reason: ReasonCode,
    /// That of CONNECT; absent only in the short form, which means success.
    pub method: Option<String>,
    /// What the method defines.
    pub data: Option<Vec<u8>>,
    /// The reason for people.
    pub reason_string: Option<String>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

impl Auth {
    pub(crate) fn decode(mut r: Reader<'_>, sender: Sender) -> Result<Self, DecodeError> {
        let mut auth = Self::default();
        let short = r.is_empty();
        if !short {
            auth.reason = read_reason(r.u8()?)?;
            auth.read_properties(&mut r)?;
            r.finish()?;
        }
        let foreign = match sender {
            Sender::Client => ReasonCode::Success,
            Sender::Server => ReasonCode::ReAuthenticate,
        };
        if auth.reason == foreign {
            return Err(DecodeError::protocol(
                "MQTT5 3.15.2.1",
                "this reason code of AUTH belongs to the other side",
            ));
        }
        if !short && auth.method.is_none() {
            return Err(DecodeError::protocol(NO_METHOD.0, NO_METHOD.1));
        }
        Ok(auth)
    }

    fn read_properties(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut block = Block::open(r, PropertySet::AUTH)?;
        while let Some(property) = block.next()? {
            match property {
                Property::AuthenticationMethod(method) => self.method = Some(method.to_owned()),
                Property::AuthenticationData(data) => self.data = Some(data.to_vec()),
                Property::ReasonString(text) => self.reason_string = Some(text.to_owned()),
                Property::UserProperty(k, v) => self.user_properties.push((k.to_owned(), v.to_owned())),
                _ => {} // not in PropertySet::AUTH
            }
        }
        Ok(())
    }

    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if version == Version::V311 {
            return Err(EncodeError::NotInVersion("AUTH"));
        }
        if !may_carry(self.reason) {
            return Err(EncodeError::forbidden("MQTT-3.15.2-1", WRONG_REASON));
        }
        if *self == Self::default() {
            return Ok(());
        }
        if self.method.is_none() {
            return Err(EncodeError::forbidden(NO_METHOD.0, NO_METHOD.1));
        }
        out.u8(self.reason as u8);
        out.properties(self.properties())
    }

    fn properties(&self) -> impl Iterator<Item = Property<'_>> + Clone {
        [
            self.method.as_deref().map(Property::AuthenticationMethod),
            self.data.as_deref().map(Property::AuthenticationData),
            self.reason_string.as_deref().map(Property::ReasonString),
        ]
        .into_iter()
        .flatten()
        .chain(user_properties(&self.user_properties))
    }
}

const WRONG_REASON: &str = "the reason code does not belong to AUTH";
const NO_METHOD: (&str, &str) = ("MQTT5 3.15.2.2.2", "an AUTH has no Authentication Method");

fn read_reason(byte: u8) -> Result<ReasonCode, DecodeError> {
    ReasonCode::try_from(byte)
        .ok()
        .filter(|reason| may_carry(*reason))
        .ok_or(DecodeError::protocol("MQTT-3.15.2-1", WRONG_REASON))
}

const fn may_carry(reason: ReasonCode) -> bool {
    use ReasonCode::{ContinueAuthentication, ReAuthenticate, Success};
    matches!(reason, Success | ContinueAuthentication | ReAuthenticate)
}

impl fmt::Debug for Auth {
    /// Without the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("reason", &self.reason)
            .field("method", &self.method)
            .field("data", &self.data.as_ref().map(|_| "hidden"))
            .field("reason_string", &self.reason_string)
            .field("user_properties", &self.user_properties.len())
            .finish()
    }
}
