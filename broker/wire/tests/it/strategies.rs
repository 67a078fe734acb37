//! Random packets that are right, for both versions.

use std::num::{NonZeroU16, NonZeroU32};

use mqtt_wire::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Properties, Property, Publish, QoS,
    ReasonCode, RetainHandling, SubAck, Subscribe, Subscription, TopicFilter, UnsubAck, Unsubscribe, Version,
    Will, put_property,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A packet with what it borrows from.
#[derive(Debug, Clone)]
pub(crate) enum Owned {
    Publish(Message),
    Other(Packet<'static>),
}

/// The parts of a PUBLISH.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) packet_id: PacketId,
    pub(crate) block: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Owned {
    pub(crate) fn packet(&self) -> Packet<'_> {
        match self {
            Self::Publish(message) => Packet::Publish(message.publish()),
            Self::Other(packet) => packet.clone(),
        }
    }
}

impl Message {
    pub(crate) fn publish(&self) -> Publish<'_> {
        let acknowledged = self.qos > QoS::AtMostOnce;
        Publish {
            dup: self.dup && acknowledged,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: acknowledged.then_some(self.packet_id),
            properties: Properties::parse_publish(&self.block).unwrap(),
            payload: &self.payload,
        }
    }
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::V311, Version::V5])
}

/// What clients send in this version.
pub(crate) fn from_client(version: Version) -> BoxedStrategy<Owned> {
    let both = prop_oneof![
        4 => message(version, false).prop_map(Owned::Publish),
        4 => acks(version).prop_map(Owned::Other),
        3 => connect(version).prop_map(Owned::Other),
        3 => subscribe(version).prop_map(Owned::Other),
        2 => unsubscribe(version).prop_map(Owned::Other),
        1 => Just(Owned::Other(Packet::PingReq)),
        1 => disconnect(version, true).prop_map(Owned::Other),
    ];
    match version {
        Version::V311 => both.boxed(),
        Version::V5 => prop_oneof![16 => both, 1 => auth(true).prop_map(Owned::Other)].boxed(),
    }
}

/// What servers send in this version.
pub(crate) fn from_server(version: Version) -> BoxedStrategy<Owned> {
    let both = prop_oneof![
        4 => message(version, true).prop_map(Owned::Publish),
        4 => acks(version).prop_map(Owned::Other),
        3 => connack(version).prop_map(Owned::Other),
        2 => suback(version).prop_map(Owned::Other),
        2 => unsuback(version).prop_map(Owned::Other),
        1 => Just(Owned::Other(Packet::PingResp)),
    ];
    match version {
        Version::V311 => both.boxed(),
        Version::V5 => prop_oneof![
            16 => both,
            1 => disconnect(version, false).prop_map(Owned::Other),
            1 => auth(false).prop_map(Owned::Other),
        ]
        .boxed(),
    }
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    vec(any::<char>().prop_map(|c| if c == '\0' { '/' } else { c }), 0..12).prop_map(String::from_iter)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

pub(crate) fn topic() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => "[a-z]{0,4}", 1 => text()];
    vec(level, 1..5).prop_map(|levels| {
        let name = levels.join("/").replace(['#', '+'], "_");
        if name.is_empty() { "/".to_owned() } else { name }
    })
}

pub(crate) fn filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop_oneof![2 => "[a-z]{0,3}", 1 => Just("+".to_owned())];
    let share = option::weighted(0.2, "[a-z]{1,4}");
    (vec(level, 1..5), any::<bool>(), share).prop_map(|(mut levels, hash, share)| {
        if hash {
            levels.push("#".to_owned());
        }
        let plain = levels.join("/");
        let plain = if plain.is_empty() { "/".to_owned() } else { plain };
        let filter = match share {
            Some(group) => format!("$share/{group}/{plain}"),
            None => plain,
        };
        TopicFilter::parse(&filter).unwrap()
    })
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

/// User properties, which 3.1.1 does not have.
fn pairs(version: Version) -> BoxedStrategy<Vec<(String, String)>> {
    match version {
        Version::V311 => Just(Vec::new()).boxed(),
        Version::V5 => vec((text(), text()), 0..3).boxed(),
    }
}

/// Something that 3.1.1 does not have.
fn only_5<T: std::fmt::Debug + Clone + 'static>(
    version: Version,
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    match version {
        Version::V311 => Just(None).boxed(),
        Version::V5 => option::of(value).boxed(),
    }
}

fn block(properties: &[Property<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for property in properties {
        put_property(&mut out, property).unwrap();
    }
    out
}

/// The properties that a message and a will share.
fn message_block() -> impl Strategy<Value = Vec<u8>> {
    let fields = (
        option::of(any::<bool>()),
        option::of(any::<u32>()),
        option::of(text()),
        option::of(topic()),
        option::of(bytes()),
        vec((text(), text()), 0..3),
    );
    fields.prop_map(
        |(format, expiry, content_type, response_topic, correlation, user)| {
            let mut properties = Vec::new();
            properties.extend(user.iter().map(|(k, v)| Property::UserProperty(k, v)));
            properties.extend(format.map(Property::PayloadFormatIndicator));
            properties.extend(expiry.map(Property::MessageExpiryInterval));
            properties.extend(content_type.as_deref().map(Property::ContentType));
            properties.extend(response_topic.as_deref().map(Property::ResponseTopic));
            properties.extend(correlation.as_deref().map(Property::CorrelationData));
            block(&properties)
        },
    )
}

fn message(version: Version, with_ids: bool) -> impl Strategy<Value = Message> {
    let ids = if with_ids { 0..4usize } else { 0..1 };
    let hop = (option::of(1..=u16::MAX), vec(1..=mqtt_wire::MAX_VARINT, ids));
    let block = match version {
        Version::V311 => Just((None, Vec::new())).boxed(),
        Version::V5 => (hop, message_block())
            .prop_map(|((alias, ids), mut out)| {
                out.extend(block(
                    &ids.into_iter()
                        .map(Property::SubscriptionIdentifier)
                        .collect::<Vec<_>>(),
                ));
                out.extend(block(
                    &alias.map(Property::TopicAlias).into_iter().collect::<Vec<_>>(),
                ));
                (alias, out)
            })
            .boxed(),
    };
    let fields = (
        any::<bool>(),
        qos(),
        any::<bool>(),
        option::weighted(0.8, topic()),
        packet_id(),
        block,
        bytes(),
    );
    fields.prop_map(|(dup, qos, retain, topic, packet_id, (alias, block), payload)| {
        let topic = topic.unwrap_or_else(|| {
            if alias.is_some() {
                String::new()
            } else {
                "t".to_owned()
            }
        });
        Message {
            dup,
            qos,
            retain,
            topic,
            packet_id,
            block,
            payload,
        }
    })
}

fn acks(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let taken = vec![
        ReasonCode::Success,
        ReasonCode::NoMatchingSubscribers,
        ReasonCode::QuotaExceeded,
    ];
    let released = vec![ReasonCode::Success, ReasonCode::PacketIdentifierNotFound];
    let reasons = match version {
        Version::V311 => (vec![ReasonCode::Success], vec![ReasonCode::Success]),
        Version::V5 => (taken, released),
    };
    let fields = (
        0..4,
        packet_id(),
        select(reasons.0),
        select(reasons.1),
        only_5(version, text()),
        pairs(version),
    );
    fields.prop_map(
        |(kind, packet_id, taken, released, reason_string, user_properties)| {
            let ack = |reason| Ack {
                packet_id,
                reason,
                reason_string,
                user_properties,
            };
            match kind {
                0 => Packet::PubAck(ack(taken)),
                1 => Packet::PubRec(ack(taken)),
                2 => Packet::PubRel(ack(released)),
                _ => Packet::PubComp(ack(released)),
            }
        },
    )
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    let block = match version {
        Version::V311 => Just((0, Vec::new())).boxed(),
        Version::V5 => (any::<u32>(), message_block()).boxed(),
    };
    let fields = (topic(), bytes(), qos(), any::<bool>(), block);
    fields.prop_map(|(topic, payload, qos, retain, (delay_secs, properties))| Will {
        topic,
        payload,
        qos,
        retain,
        delay_secs,
        properties,
    })
}

fn connect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let login = (option::of(text()), option::of(bytes()), any::<bool>());
    let session = (
        any::<bool>(),
        any::<u16>(),
        option::of(will(version)),
        only_5(version, any::<u32>()),
    );
    let limits = (
        only_5(version, (1..=u16::MAX).prop_map(|n| NonZeroU16::new(n).unwrap())),
        only_5(version, (1..=u32::MAX).prop_map(|n| NonZeroU32::new(n).unwrap())),
        only_5(version, any::<u16>()),
        only_5(version, (any::<bool>(), any::<bool>())),
    );
    let auth = only_5(version, (text(), option::of(bytes())));
    (text(), login, session, limits, auth, pairs(version)).prop_map(
        move |(client_id, (username, password, is_bridge), session, limits, auth, user_properties)| {
            let (clean_start, keep_alive_secs, will, session_expiry_secs) = session;
            let (receive_maximum, max_packet_size, topic_alias_maximum, asks) = limits;
            let (request_response_information, request_problem_information) = asks.unwrap_or((false, true));
            let (authentication_method, authentication_data) = match auth {
                Some((method, data)) => (Some(method), data),
                None => (None, None),
            };
            let old = version == Version::V311;
            Packet::Connect(Box::new(Connect {
                version,
                is_31: old && clean_start && !client_id.is_empty(),
                is_bridge: old && is_bridge,
                clean_start: clean_start || old && client_id.is_empty(),
                client_id,
                keep_alive_secs,
                password: password.filter(|_| !old || username.is_some()),
                username,
                will,
                session_expiry_secs,
                receive_maximum,
                max_packet_size,
                topic_alias_maximum: topic_alias_maximum.unwrap_or(0),
                request_response_information,
                request_problem_information,
                user_properties,
                authentication_method,
                authentication_data,
            }))
        },
    )
}

fn connack(version: Version) -> BoxedStrategy<Packet<'static>> {
    let refusals = match version {
        Version::V311 => vec![ReasonCode::BadUserNameOrPassword, ReasonCode::ServerUnavailable],
        Version::V5 => vec![
            ReasonCode::Banned,
            ReasonCode::ServerMoved,
            ReasonCode::QuotaExceeded,
        ],
    };
    let verdict = prop_oneof![
        any::<bool>().prop_map(|session_present| (session_present, ReasonCode::Success)),
        select(refusals).prop_map(|reason| (false, reason)),
    ];
    let bare = verdict.prop_map(|(session_present, reason)| ConnAck {
        session_present,
        reason,
        ..ConnAck::default()
    });
    if version == Version::V311 {
        return bare.prop_map(Packet::ConnAck).boxed();
    }
    let numbers = (
        option::of(any::<u32>()),
        option::of(1..=u16::MAX),
        option::of(select(vec![QoS::AtMostOnce, QoS::AtLeastOnce])),
        option::of(1..=u32::MAX),
        option::of(any::<u16>()),
        option::of(any::<u16>()),
    );
    let flags = [(); 4].map(|()| option::of(any::<bool>()));
    let texts = [(); 5].map(|()| option::of(text()));
    (bare, numbers, flags, texts, option::of(bytes()), pairs(version))
        .prop_map(
            |(bare, numbers, flags, texts, authentication_data, user_properties)| {
                let [
                    retain_available,
                    wildcard_available,
                    subscription_ids_available,
                    shared_available,
                ] = flags;
                let [
                    assigned_client_id,
                    reason_string,
                    response_information,
                    server_reference,
                    authentication_method,
                ] = texts;
                Packet::ConnAck(ConnAck {
                    session_expiry_secs: numbers.0,
                    receive_maximum: numbers.1,
                    maximum_qos: numbers.2,
                    max_packet_size: numbers.3,
                    topic_alias_maximum: numbers.4,
                    server_keep_alive_secs: numbers.5,
                    retain_available,
                    assigned_client_id,
                    reason_string,
                    wildcard_available,
                    subscription_ids_available,
                    shared_available,
                    response_information,
                    server_reference,
                    authentication_method,
                    authentication_data,
                    user_properties,
                    ..bare
                })
            },
        )
        .boxed()
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let handling = select(vec![
        RetainHandling::SendAtSubscribe,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    let options = only_5(version, (any::<bool>(), any::<bool>(), handling));
    let subscription = (filter(), qos(), options).prop_map(|(filter, qos, options)| {
        let shared = filter.shared().is_some();
        let mut subscription = Subscription::new(filter, qos);
        if let Some((no_local, retain_as_published, retain_handling)) = options {
            subscription.no_local = no_local && !shared;
            subscription.retain_as_published = retain_as_published;
            subscription.retain_handling = retain_handling;
        }
        subscription
    });
    let fields = (
        packet_id(),
        only_5(version, 1..=mqtt_wire::MAX_VARINT),
        vec(subscription, 1..4),
        pairs(version),
    );
    fields.prop_map(|(packet_id, subscription_id, filters, user_properties)| {
        Packet::Subscribe(Subscribe {
            packet_id,
            subscription_id,
            filters,
            user_properties,
        })
    })
}

fn suback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let mut reasons = vec![
        ReasonCode::Success,
        ReasonCode::GrantedQoS1,
        ReasonCode::GrantedQoS2,
        ReasonCode::UnspecifiedError,
    ];
    if version == Version::V5 {
        reasons.extend([
            ReasonCode::NotAuthorized,
            ReasonCode::WildcardSubscriptionsNotSupported,
        ]);
    }
    let fields = (
        packet_id(),
        vec(select(reasons), 1..5),
        only_5(version, text()),
        pairs(version),
    );
    fields.prop_map(|(packet_id, reasons, reason_string, user_properties)| {
        Packet::SubAck(SubAck {
            packet_id,
            reasons,
            reason_string,
            user_properties,
        })
    })
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    (packet_id(), vec(filter(), 1..4), pairs(version)).prop_map(|(packet_id, filters, user_properties)| {
        Packet::Unsubscribe(Unsubscribe {
            packet_id,
            filters,
            user_properties,
        })
    })
}

fn unsuback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let reasons = match version {
        Version::V311 => Just(Vec::new()).boxed(),
        Version::V5 => vec(
            select(vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted]),
            1..5,
        )
        .boxed(),
    };
    let fields = (packet_id(), reasons, only_5(version, text()), pairs(version));
    fields.prop_map(|(packet_id, reasons, reason_string, user_properties)| {
        Packet::UnsubAck(UnsubAck {
            packet_id,
            reasons,
            reason_string,
            user_properties,
        })
    })
}

fn disconnect(version: Version, client: bool) -> BoxedStrategy<Packet<'static>> {
    if version == Version::V311 {
        return Just(Packet::Disconnect(Disconnect::default())).boxed();
    }
    let own = if client {
        ReasonCode::DisconnectWithWill
    } else {
        ReasonCode::ServerShuttingDown
    };
    let reasons = select(vec![ReasonCode::Success, ReasonCode::ProtocolError, own]);
    let expiry = option::of(any::<u32>()).prop_map(move |expiry| expiry.filter(|_| client));
    (
        reasons,
        expiry,
        option::of(text()),
        option::of(text()),
        pairs(version),
    )
        .prop_map(
            |(reason, session_expiry_secs, reason_string, server_reference, user_properties)| {
                let packet = Disconnect {
                    reason,
                    session_expiry_secs,
                    reason_string,
                    server_reference,
                    user_properties,
                };
                Packet::Disconnect(packet)
            },
        )
        .boxed()
}

fn auth(client: bool) -> impl Strategy<Value = Packet<'static>> {
    let own = if client {
        ReasonCode::ReAuthenticate
    } else {
        ReasonCode::Success
    };
    let reasons = select(vec![ReasonCode::ContinueAuthentication, own]);
    let fields = (
        reasons,
        text(),
        option::of(bytes()),
        option::of(text()),
        pairs(Version::V5),
    );
    fields.prop_map(|(reason, method, data, reason_string, user_properties)| {
        Packet::Auth(Auth {
            reason,
            method: Some(method),
            data,
            reason_string,
            user_properties,
        })
    })
}
