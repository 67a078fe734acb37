//! Writing a PUBLISH for one receiver, in its version and with the properties that are its own.

use std::borrow::Cow;

use mqtt_wire::{PacketId, Properties, Property, Publish, QoS, Version, put_property};

use super::{Client, Publication, alias::Naming};
use crate::{ConnectionId, MountPoint, Outputs, WallTime};

/// How a message is sent to one receiver.
pub(super) struct Sending<'a> {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) id: Option<PacketId>,
    pub(super) subscription_ids: &'a [u32],
}

/// Why a message is not sent to a client, nor ever will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// It is larger than the client takes [MQTT-3.1.2-24].
    TooLarge,
    /// The client has no name for its topic below its mount point.
    Unnamed,
}

/// Writes a PUBLISH into a connection's outbox, with the names that the client has for topics.
pub(super) fn write_publish(
    publication: &Publication<'_>,
    sending: &Sending<'_>,
    client: &mut Client,
    mount: Option<&MountPoint>,
    now: WallTime,
    connection: ConnectionId,
    out: &mut Outputs,
) -> Result<(), Unsent> {
    let (topic, forwarded) = match mount {
        None => (&**publication.topic, Cow::Borrowed(publication.properties)),
        Some(mount) => (
            mount.strip(publication.topic).ok_or(Unsent::Unnamed)?,
            mount.strip_properties(publication.properties),
        ),
    };
    let (version, bytes_max) = (client.version, client.packet_bytes_max);
    let aliases = client.outgoing_aliases.as_deref_mut();
    let naming = aliases
        .as_ref()
        .map_or(Naming::Name, |aliases| aliases.naming(publication.topic));
    let mut block = Vec::new();
    let properties = match version {
        Version::V311 => Properties::EMPTY,
        Version::V5 => outgoing_properties(publication, &forwarded, sending, naming, now, &mut block),
    };
    let publish = Publish {
        dup: sending.dup,
        qos: sending.qos,
        retain: sending.retain,
        topic: match naming {
            Naming::Alias(_) => "",
            Naming::Name | Naming::NameAndAlias(_) => topic,
        },
        packet_id: sending.id,
        properties,
        payload: publication.payload,
    };
    if bytes_max < u32::MAX && publish.encoded_len(version) > bytes_max as usize {
        return Err(Unsent::TooLarge);
    }
    let written = out.append(connection, |bytes| publish.encode(version, bytes).is_ok());
    if let Some(aliases) = aliases.filter(|_| written) {
        aliases.note(publication.topic, naming);
    }
    written.then_some(()).ok_or(Unsent::TooLarge)
}

/// The forwarded properties, with the topic's alias, what is left of the expiry, and the identifiers of the matching
/// subscriptions.
fn outgoing_properties<'a>(
    publication: &Publication<'_>,
    forwarded: &'a [u8],
    sending: &Sending<'_>,
    naming: Naming,
    now: WallTime,
    block: &'a mut Vec<u8>,
) -> Properties<'a> {
    if naming == Naming::Name && publication.expires.is_none() && sending.subscription_ids.is_empty() {
        return Properties::parse_publish(forwarded).unwrap_or(Properties::EMPTY);
    }
    let before = (|| {
        if let Naming::NameAndAlias(alias) | Naming::Alias(alias) = naming {
            put_property(block, &Property::TopicAlias(alias))?;
        }
        if let Some(expires) = publication.expires {
            put_property(block, &Property::MessageExpiryInterval(expires.rest_secs(now)))?;
        }
        for id in sending.subscription_ids {
            put_property(block, &Property::SubscriptionIdentifier(*id))?;
        }
        Ok::<(), mqtt_wire::EncodeError>(())
    })();
    debug_assert!(before.is_ok(), "a value of each kind can be written");
    block.extend_from_slice(forwarded);
    Properties::parse_publish(block).unwrap_or(Properties::EMPTY)
}
