//! SUBSCRIBE and SUBACK.

use crate::error::{DecodeError, EncodeError};
use crate::ident::PacketId;
use crate::property::{Block, Property, PropertySet, user_properties};
use crate::qos::QoS;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::topic::TopicFilter;
use crate::version::Version;
use crate::write::Sink;

/// A client asks for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// SUBACK repeats it.
    pub packet_id: PacketId,
    /// Comes back with each message of these subscriptions; 1 to 268435455.
    pub subscription_id: Option<u32>,
    /// At least one.
    pub filters: Vec<Subscription>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

/// One filter of a SUBSCRIBE and its options. In MQTT 3.1.1 only filter and QoS are on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Which topics.
    pub filter: TopicFilter,
    /// The highest QoS that the client wants.
    pub qos: QoS,
    /// The client does not want its own messages; not with a shared filter.
    pub no_local: bool,
    /// Messages keep the RETAIN flag they were published with.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When a subscription brings retained messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// Each time it is made; the only way of MQTT 3.1.1.
    #[default]
    SendAtSubscribe = 0,
    /// Only when it did not exist before.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// The answer to SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// That of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One per filter, in the same order. In MQTT 3.1.1 every error becomes 0x80.
    pub reasons: Vec<ReasonCode>,
    /// The reason for people.
    pub reason_string: Option<String>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

const NO_LOCAL: u8 = 0x04;
const RETAIN_AS_PUBLISHED: u8 = 0x08;

impl Subscribe {
    pub(crate) fn decode(mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = r.packet_id()?;
        let mut subscribe = Self {
            packet_id,
            subscription_id: None,
            filters: Vec::new(),
            user_properties: Vec::new(),
        };
        if r.version() == Version::V5 {
            subscribe.read_properties(&mut r)?;
        }
        if r.is_empty() {
            let clause = no_filter_clause(r.version());
            return Err(DecodeError::protocol(clause, NO_FILTER));
        }
        while !r.is_empty() {
            subscribe.filters.push(Subscription::decode(&mut r)?);
        }
        Ok(subscribe)
    }

    fn read_properties(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut block = Block::open(r, PropertySet::SUBSCRIBE)?;
        while let Some(property) = block.next()? {
            match property {
                Property::SubscriptionIdentifier(id) => self.subscription_id = Some(id),
                Property::UserProperty(k, v) => self.user_properties.push((k.to_owned(), v.to_owned())),
                _ => {} // not in PropertySet::SUBSCRIBE
            }
        }
        Ok(())
    }

    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::forbidden(no_filter_clause(version), NO_FILTER));
        }
        out.u16(self.packet_id.get());
        if version == Version::V5 {
            let id = self.subscription_id.map(Property::SubscriptionIdentifier);
            out.properties(id.into_iter().chain(user_properties(&self.user_properties)))?;
        }
        self.filters
            .iter()
            .try_for_each(|filter| filter.write(version, out))
    }
}

impl Subscription {
    /// A filter with a QoS and nothing special.
    #[must_use]
    pub fn new(filter: TopicFilter, qos: QoS) -> Self {
        Self {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::default(),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let filter = r.filter()?;
        let options = r.u8()?;
        let reserved = match r.version() {
            Version::V311 => 0xfc,
            Version::V5 => 0xc0,
        };
        if options & reserved != 0 {
            let clause = r.version().clause("MQTT-3.8.3-4", "MQTT-3.8.3-5");
            return Err(DecodeError::malformed(
                clause,
                "reserved bits of the subscription options are set",
            ));
        }
        let qos = QoS::try_from(options & 0x03).map_err(|_| {
            DecodeError::protocol(
                r.version().clause("MQTT-3.8.3-4", "MQTT5 3.8.3.1"),
                "the requested QoS is 3",
            )
        })?;
        let no_local = options & NO_LOCAL != 0;
        if no_local && filter.shared().is_some() {
            return Err(DecodeError::protocol(NO_LOCAL_SHARED.0, NO_LOCAL_SHARED.1));
        }
        let retain_handling = RetainHandling::read(options >> 4)?;
        let retain_as_published = options & RETAIN_AS_PUBLISHED != 0;
        Ok(Self {
            filter,
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        })
    }

    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.string("topic filter", self.filter.as_str())?;
        if version == Version::V311 {
            out.u8(self.qos as u8);
            return Ok(());
        }
        if self.no_local && self.filter.shared().is_some() {
            return Err(EncodeError::forbidden(NO_LOCAL_SHARED.0, NO_LOCAL_SHARED.1));
        }
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let as_published = if self.retain_as_published {
            RETAIN_AS_PUBLISHED
        } else {
            0
        };
        out.u8(self.qos as u8 | no_local | as_published | (self.retain_handling as u8) << 4);
        Ok(())
    }
}

impl RetainHandling {
    fn read(bits: u8) -> Result<Self, DecodeError> {
        match bits {
            0 => Ok(Self::SendAtSubscribe),
            1 => Ok(Self::SendIfNew),
            2 => Ok(Self::DoNotSend),
            _ => Err(DecodeError::protocol(
                "MQTT5 3.8.3.1",
                "the Retain Handling option is 3",
            )),
        }
    }
}

const NO_FILTER: &str = "a SUBSCRIBE has no topic filter";
const NO_LOCAL_SHARED: (&str, &str) = ("MQTT-3.8.3-4", "No Local is set on a shared subscription");

const fn no_filter_clause(version: Version) -> &'static str {
    version.clause("MQTT-3.8.3-3", "MQTT-3.8.3-2")
}

impl SubAck {
    /// An answer with these reasons and nothing more.
    #[must_use]
    pub const fn new(packet_id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Self {
            packet_id,
            reasons,
            reason_string: None,
            user_properties: Vec::new(),
        }
    }

    pub(crate) fn decode(mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let version = r.version();
        let mut suback = Self::new(r.packet_id()?, Vec::new());
        if version == Version::V5 {
            (suback.reason_string, suback.user_properties) = read_answer(&mut r)?;
        }
        suback.reasons = read_reasons(r.rest(), "MQTT-3.9.3-2", |reason| may_carry(version, reason))?;
        Ok(suback)
    }

    pub(crate) fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.u16(self.packet_id.get());
        if self.reasons.is_empty() {
            return Err(EncodeError::forbidden(
                version.clause("MQTT-3.8.4-5", "MQTT-3.8.4-6"),
                NO_REASON,
            ));
        }
        if version == Version::V5 {
            out.properties(answer_properties(
                self.reason_string.as_deref(),
                &self.user_properties,
            ))?;
        }
        for reason in &self.reasons {
            let reason = match version {
                Version::V311 if reason.is_error() => ReasonCode::UnspecifiedError,
                _ => *reason,
            };
            if !may_carry(version, reason) {
                return Err(EncodeError::forbidden("MQTT-3.9.3-2", WRONG_REASON));
            }
            out.u8(reason as u8);
        }
        Ok(())
    }
}

pub(super) const NO_REASON: &str = "an answer has no reason code";
pub(super) const WRONG_REASON: &str = "a reason code does not belong to this packet";

const fn may_carry(version: Version, reason: ReasonCode) -> bool {
    use ReasonCode::{
        GrantedQoS1, GrantedQoS2, ImplementationSpecificError, NotAuthorized, PacketIdentifierInUse,
        QuotaExceeded, SharedSubscriptionsNotSupported, SubscriptionIdentifiersNotSupported, Success,
        TopicFilterInvalid, UnspecifiedError, WildcardSubscriptionsNotSupported,
    };
    match version {
        Version::V311 => matches!(reason, Success | GrantedQoS1 | GrantedQoS2 | UnspecifiedError),
        Version::V5 => matches!(
            reason,
            Success
                | GrantedQoS1
                | GrantedQoS2
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicFilterInvalid
                | PacketIdentifierInUse
                | QuotaExceeded
                | SharedSubscriptionsNotSupported
                | SubscriptionIdentifiersNotSupported
                | WildcardSubscriptionsNotSupported
        ),
    }
}

/// The reason string and the user properties of an answer.
pub(super) type Explained = (Option<String>, Vec<(String, String)>);

/// What SUBACK and UNSUBACK have between packet identifier and reasons.
pub(super) fn read_answer(r: &mut Reader<'_>) -> Result<Explained, DecodeError> {
    let mut block = Block::open(r, PropertySet::ANSWER)?;
    let (mut reason_string, mut pairs) = (None, Vec::new());
    while let Some(property) = block.next()? {
        match property {
            Property::ReasonString(text) => reason_string = Some(text.to_owned()),
            Property::UserProperty(k, v) => pairs.push((k.to_owned(), v.to_owned())),
            _ => {} // not in PropertySet::ANSWER
        }
    }
    Ok((reason_string, pairs))
}

pub(super) fn answer_properties<'a>(
    reason_string: Option<&'a str>,
    pairs: &'a [(String, String)],
) -> impl Iterator<Item = Property<'a>> + Clone {
    reason_string
        .map(Property::ReasonString)
        .into_iter()
        .chain(user_properties(pairs))
}

/// One reason code per byte; at least one.
pub(super) fn read_reasons(
    bytes: &[u8],
    clause: &'static str,
    may_carry: impl Fn(ReasonCode) -> bool,
) -> Result<Vec<ReasonCode>, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::protocol(clause, NO_REASON));
    }
    let read = |byte: &u8| {
        ReasonCode::try_from(*byte)
            .ok()
            .filter(|reason| may_carry(*reason))
            .ok_or(DecodeError::protocol(clause, WRONG_REASON))
    };
    bytes.iter().map(read).collect()
}
