//! The packets of set-up by way of mqtt-wire, for 3.1.1 and 5.0.

use anyhow::{Context, Result, bail, ensure};
use mqtt_wire::{
    ConnAck, Connect, Disconnect, Packet, PacketId, QoS, ReasonCode, RetainHandling, Subscribe, Subscription,
    TopicFilter, Version, decode_from_server,
};

use super::{Introduction, PACKET_BYTES_MAX};

pub(super) fn connect(introduction: &Introduction) -> Result<Vec<u8>> {
    let mut connect = Connect::new(introduction.version, introduction.client_id.as_str());
    connect.clean_start = introduction.clean;
    if !introduction.clean && introduction.version == Version::V5 {
        connect.session_expiry_secs = Some(u32::MAX);
    }
    encoded(introduction.version, &Packet::Connect(Box::new(connect)))
}

pub(super) fn subscribe(version: Version, filters: &[String], qos: QoS) -> Result<Vec<u8>> {
    let subscription = |filter: &String| -> Result<Subscription> {
        Ok(Subscription {
            filter: TopicFilter::parse(filter)?,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        })
    };
    let filters = filters.iter().map(subscription).collect::<Result<_>>()?;
    let (packet_id, user_properties) = (PacketId::FIRST, Vec::new());
    let subscribe = Subscribe {
        packet_id,
        subscription_id: None,
        filters,
        user_properties,
    };
    encoded(version, &Packet::Subscribe(subscribe))
}

pub(super) fn disconnect(version: Version) -> Result<Vec<u8>> {
    encoded(
        version,
        &Packet::Disconnect(Disconnect::with(ReasonCode::Success)),
    )
}

pub(super) fn check_connack(version: Version, frame: &[u8]) -> Result<bool> {
    match decoded(version, frame)? {
        Packet::ConnAck(ConnAck {
            reason: ReasonCode::Success,
            session_present,
            ..
        }) => Ok(session_present),
        other => bail!("the broker refused the connection: {other:?}"),
    }
}

/// What SUBACK grants, filter by filter; `None` where it refuses.
pub(super) fn granted(version: Version, frame: &[u8]) -> Result<Vec<Option<QoS>>> {
    match decoded(version, frame)? {
        Packet::SubAck(suback) => Ok(suback
            .reasons
            .iter()
            .map(|reason| QoS::try_from(*reason as u8).ok())
            .collect()),
        other => bail!("the broker answered SUBSCRIBE with {other:?}"),
    }
}

fn encoded(version: Version, packet: &Packet<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    packet.encode(version, &mut out)?;
    Ok(out)
}

fn decoded(version: Version, frame: &[u8]) -> Result<Packet<'_>> {
    let decoded =
        decode_from_server(frame, version, PACKET_BYTES_MAX).context("the broker sent a bad packet")?;
    let (packet, len) = decoded.context("the broker sent half a packet")?;
    ensure!(
        len == frame.len(),
        "the broker sent more than one packet where one was expected"
    );
    Ok(packet)
}
