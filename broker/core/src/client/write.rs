//! Writing a PUBLISH for one receiver, in its version and with the properties that are its own.

use mqtt_wire::{PacketId, Properties, Property, Publish, QoS, Version, put_property};

use super::Publication;
use crate::{ConnectionId, Outputs, WallTime};

/// How a message is sent to one receiver.
pub(super) struct Sending<'a> {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) id: Option<PacketId>,
    pub(super) subscription_ids: &'a [u32],
}

/// Writes a PUBLISH into a connection's outbox. Not done if it is larger than the client takes [MQTT-3.1.2-24].
pub(super) fn write_publish(
    publication: &Publication<'_>,
    sending: &Sending<'_>,
    version: Version,
    bytes_max: u32,
    now: WallTime,
    connection: ConnectionId,
    out: &mut Outputs,
) -> bool {
    let mut block = Vec::new();
    let properties = match version {
        Version::V311 => Properties::EMPTY,
        Version::V5 => outgoing_properties(publication, sending, now, &mut block),
    };
    let publish = Publish {
        dup: sending.dup,
        qos: sending.qos,
        retain: sending.retain,
        topic: publication.topic,
        packet_id: sending.id,
        properties,
        payload: publication.payload,
    };
    if bytes_max < u32::MAX && publish.encoded_len(version) > bytes_max as usize {
        return false;
    }
    out.append(connection, |bytes| publish.encode(version, bytes).is_ok())
}

/// The forwarded properties, with what is left of the expiry and the identifiers of the matching subscriptions.
fn outgoing_properties<'a>(
    publication: &Publication<'a>,
    sending: &Sending<'_>,
    now: WallTime,
    block: &'a mut Vec<u8>,
) -> Properties<'a> {
    if publication.expires.is_none() && sending.subscription_ids.is_empty() {
        return Properties::parse_publish(publication.properties).unwrap_or(Properties::EMPTY);
    }
    let before = (|| {
        if let Some(expires) = publication.expires {
            put_property(block, &Property::MessageExpiryInterval(expires.rest_secs(now)))?;
        }
        for id in sending.subscription_ids {
            put_property(block, &Property::SubscriptionIdentifier(*id))?;
        }
        Ok::<(), mqtt_wire::EncodeError>(())
    })();
    debug_assert!(before.is_ok(), "both kinds of value were read from a packet");
    block.extend_from_slice(publication.properties);
    Properties::parse_publish(block).unwrap_or(Properties::EMPTY)
}
