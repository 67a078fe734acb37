//! Turned: a connection that does not get in, and what it is told.

use std::{io, num::NonZeroU32, time::Duration};

use mqtt_wire::{ConnAck, Packet, ReasonCode, Version};
use plugin_api::Peer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tracing::{debug, info};

use crate::{house::House, listener::Door, stream::Stream};

/// Why a connection does not get in.
#[derive(Debug)]
pub(super) enum Turned {
    /// It ended, was too slow, or sent something that is not answered.
    Away(String),
    /// It asked for something else than a WebSocket for MQTT, and is answered in HTTP.
    Back { answer: String, why: String },
    /// It left by itself, or we do.
    Gone(String),
    /// Another has its place.
    GaveWay,
    /// There is no memory for it.
    Overloaded { version: Version },
    /// It is told why.
    Down {
        version: Version,
        reason: ReasonCode,
        why: String,
    },
}

/// How long a refused peer may take to read its CONNACK, and how much it may still send.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES_MAX: usize = 64 * 1024;

const OVERLOADED: &str = "memory is short (broker.memory_max)";

impl Turned {
    /// Counts it, and has a line about it in the log.
    pub(super) fn report(&self, peer: Peer, door: &Door, house: &House) {
        match self {
            Self::Away(why) | Self::Back { why, .. } => {
                metrics::counter!("twinmq_connections_refused_total", "reason" => "malformed").increment(1);
                debug!(listener = door.name, %peer, why, "connection closed");
            }
            Self::Gone(why) => debug!(listener = door.name, %peer, why, "connection lost in its handshake"),
            Self::GaveWay => {}
            Self::Overloaded { .. } => {
                metrics::counter!("twinmq_connections_refused_total", "reason" => "overload").increment(1);
                tell_refused(peer, ReasonCode::ServerBusy, OVERLOADED, door, house);
            }
            Self::Down { reason, why, .. } => {
                metrics::counter!("twinmq_connections_refused_total", "reason" => reason.name()).increment(1);
                tell_refused(peer, *reason, why, door, house);
            }
        }
    }

    /// Tells the peer, if it is to be told and takes a packet of that size, and gives it some time to read that.
    pub(super) async fn turn(
        self,
        mut stream: Stream,
        peer: Peer,
        bytes_max: Option<NonZeroU32>,
        door: &Door,
        house: &House,
    ) {
        let bytes = match self {
            Self::Away(_) | Self::Gone(_) | Self::GaveWay => return,
            Self::Back { answer, .. } => answer.into_bytes(),
            Self::Overloaded { version } => {
                let connack = connack(ReasonCode::ServerBusy, OVERLOADED.into(), house);
                refusal(version, connack, bytes_max)
            }
            Self::Down { version, reason, why } => refusal(version, connack(reason, why, house), bytes_max),
        };
        let told = timeout(FAREWELL, tell(&mut stream, &bytes)).await;
        if !matches!(told, Ok(Ok(()))) {
            debug!(listener = door.name, %peer, "the peer has not taken its refusal");
        }
    }
}

fn tell_refused(peer: Peer, reason: ReasonCode, why: &str, door: &Door, house: &House) {
    // Of a ban there was a line when it began.
    let told = reason == ReasonCode::Banned;
    let turn = (!told).then(|| door.refusals.turn(house.clock.uptime()));
    match turn.flatten() {
        Some(left_out) => info!(listener = door.name, %peer, %reason, why, left_out, "connection refused"),
        None => debug!(listener = door.name, %peer, %reason, why, "connection refused"),
    }
}

/// Where there is another server the peer is sent there. What is wrong with a login is nobody's business but the log's.
fn connack(reason: ReasonCode, why: String, house: &House) -> ConnAck {
    let is_full = matches!(reason, ReasonCode::ServerBusy | ReasonCode::ServerUnavailable);
    match house.rules.server_reference.clone().filter(|_| is_full) {
        Some(other) => ConnAck {
            reason: ReasonCode::UseAnotherServer,
            server_reference: Some(other),
            ..ConnAck::default()
        },
        None => ConnAck {
            reason,
            reason_string: is_open(reason).then_some(why),
            ..ConnAck::default()
        },
    }
}

const fn is_open(reason: ReasonCode) -> bool {
    !matches!(
        reason,
        ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized | ReasonCode::ServerUnavailable
    )
}

/// CONNACK, without its words where they make it larger than the peer takes [MQTT5-3.2.2-19], and nothing where it is still
/// larger [MQTT5-3.1.2-24].
fn refusal(version: Version, connack: ConnAck, bytes_max: Option<NonZeroU32>) -> Vec<u8> {
    let fits = |bytes: &Vec<u8>| bytes_max.is_none_or(|max| bytes.len() <= max.get() as usize);
    let curt = ConnAck {
        reason_string: None,
        ..connack.clone()
    };
    let ways = [connack, curt].into_iter().map(|connack| {
        let mut bytes = Vec::new();
        let whole = Packet::ConnAck(connack).encode(version, &mut bytes);
        debug_assert!(whole.is_ok(), "texts of ours are short");
        bytes
    });
    ways.into_iter().find(fits).unwrap_or_default()
}

async fn tell(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    // Closing with bytes unread would reset the connection, and the reset may overtake CONNACK.
    let mut unheard = [0; 1024];
    let mut heard = 0;
    while heard < FAREWELL_BYTES_MAX {
        match stream.read(&mut unheard).await? {
            0 => break,
            count => heard += count,
        }
    }
    Ok(())
}
