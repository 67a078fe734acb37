//! A connection before it has a home: TLS, CONNECT, and who it is. Runs beside the shards, one short task each.

use std::{io, sync::Arc};

use mqtt_wire::{Connect, DecodeError, Packet, ReasonCode, Version, connect_version, decode, frame_len};
use plugin_api::Peer;
use tokio::{
    io::AsyncReadExt,
    sync::{
        mpsc::{self, error::SendTimeoutError},
        watch,
    },
    time::timeout,
};
use tracing::{debug, warn};

mod admission;
mod exchange;
mod flapping;
mod proxied;
mod secure;
mod turned;
mod upgrade;

pub(crate) use admission::Admitted;
use admission::WayIn;
pub(crate) use flapping::Flapping;
use proxied::Origin;
use secure::{Secured, secure};
use turned::Turned;
use upgrade::Upgraded;

use crate::{
    house::House,
    listener::{Door, Place, Visitor},
    stream::{Parcel, Socket, Stream},
};

/// A connection on its way home: its CONNECT is read, and it is known who it is.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) parcel: Parcel,
    pub(crate) admitted: Admitted,
}

/// What a client has sent so far.
struct Greeting {
    connect: Box<Connect>,
    rest: Vec<u8>,
    /// No page of another site makes a browser connect.
    local: bool,
}

/// What came of meeting a connection.
enum Greeted {
    /// It is to speak MQTT, and has sent its CONNECT, or is turned away.
    Client(Stream, Result<Greeting, Turned>),
    /// It speaks another protocol, and is somebody else's now.
    Visitor,
}

/// What a fresh buffer for CONNECT holds; most fit.
const CONNECT_BYTES: usize = 512;

/// Brings one connection from `accept` to its shard, or turns it away.
pub(crate) async fn welcome(
    mut socket: Socket,
    peer: Peer,
    mut place: Place,
    door: Arc<Door>,
    house: Arc<House>,
    mut stop: watch::Receiver<bool>,
) {
    let origin = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        origin = meet(&mut socket, peer, &place, &door, &house) => origin,
    };
    let Some(origin) = origin else {
        return;
    };
    let peer = origin.peer;
    place.is_for(peer);
    let greeted = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        greeted = place.while_waiting(greet(socket, &origin, &door, &house)) => greeted,
    };
    let Some(greeted) = greeted else {
        return tell_given_way(&place, peer, &door, &house);
    };
    let mut bytes_max = None;
    let (stream, turned) = match greeted {
        Ok(Greeted::Visitor) => return,
        Ok(Greeted::Client(mut stream, Ok(greeting))) => {
            bytes_max = greeting.connect.max_packet_size;
            let way_in = WayIn {
                stream: &mut stream,
                origin,
                place: &place,
                stop: &mut stop,
            };
            match way_in.admit(greeting, &door, &house).await {
                Ok(admitted) => return admitted.go_home(stream, &house, &door),
                Err(Turned::GaveWay) => return tell_given_way(&place, peer, &door, &house),
                Err(turned) => (stream, turned),
            }
        }
        Ok(Greeted::Client(stream, Err(turned))) => (stream, turned),
        Err(error) => return debug!(listener = door.name, %peer, %error, "connection lost in its handshake"),
    };
    turned.report(peer, &door, &house);
    // Few are refused: those that are not need no memory for it.
    let refusal = Box::pin(place.while_waiting(turned.turn(stream, peer, bytes_max, &door, &house)));
    if refusal.await.is_none() {
        debug!(listener = door.name, %peer, "the peer took too long to take its refusal; its place was needed");
    }
}

/// Finds out where a connection comes from. `None` if it ends here.
async fn meet(socket: &mut Socket, peer: Peer, place: &Place, door: &Door, house: &House) -> Option<Origin> {
    let Some(proxy) = &door.proxy else {
        return Some(Origin::of(peer));
    };
    let met = timeout(
        house.settings.connect_timeout,
        proxied::introduce(socket, peer, proxy),
    );
    let Some(met) = place.while_waiting(met).await else {
        tell_given_way(place, peer, door, house);
        return None;
    };
    match met.map_err(io::Error::from).flatten() {
        Ok(Ok(origin)) => Some(origin),
        Ok(Err(turned)) => {
            turned.report(peer, door, house);
            None
        }
        Err(error) => {
            debug!(listener = door.name, %peer, %error, "connection lost in its handshake");
            None
        }
    }
}

/// Its place was needed, and it had kept us waiting longest.
fn tell_given_way(place: &Place, peer: Peer, door: &Door, house: &House) {
    metrics::counter!("twinmq_connections_refused_total", "reason" => "gave way").increment(1);
    if let Some(left_out) = place.tell(house.clock.uptime()) {
        warn!(
            listener = door.name, %peer, left_out,
            "a connection without CONNECT was dropped for a newer one: all places are taken (broker.handshakes_max)"
        );
    }
}

async fn greet(socket: Socket, origin: &Origin, door: &Door, house: &House) -> io::Result<Greeted> {
    socket.send_at_once()?;
    let stream = match &door.tls {
        None => socket.into(),
        Some(tls) => {
            // Whoever speaks no TLS needs no memory for it.
            let secured = Box::pin(secure(socket, tls, door.reception.as_ref(), house));
            match timeout(house.settings.tls_handshake_timeout, secured).await?? {
                Secured::Client(stream) => stream,
                Secured::Visitor(session, reception) => {
                    let loopback = door.loopback && origin.local;
                    let visitor = Visitor::new(session, origin.peer, loopback, origin.common_name.clone());
                    return hand_over(visitor, &reception.room, house).await;
                }
            }
        }
    };
    let (stream, greeting) = timeout(house.settings.connect_timeout, hear(stream, door, house)).await??;
    Ok(Greeted::Client(stream, greeting))
}

/// Waits until whoever speaks the visitor's protocol takes it.
async fn hand_over(visitor: Visitor, room: &mpsc::Sender<Visitor>, house: &House) -> io::Result<Greeted> {
    match room.send_timeout(visitor, house.settings.connect_timeout).await {
        Ok(()) => Ok(Greeted::Visitor),
        Err(SendTimeoutError::Timeout(_)) => {
            metrics::counter!("twinmq_connections_refused_total", "reason" => "visitors full").increment(1);
            let why = "whoever speaks its protocol has no room for it (broker.connect_timeout)";
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
        Err(SendTimeoutError::Closed(_)) => {
            let why = "nobody speaks its protocol any more";
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, why))
        }
    }
}

/// What a client has to say before it is judged.
async fn hear(stream: Stream, door: &Door, house: &House) -> io::Result<(Stream, Result<Greeting, Turned>)> {
    let connect_bytes_max = house.settings.connect_bytes_max;
    let (mut stream, local) = match &door.websocket {
        None => (stream, true),
        Some(websocket) => match upgrade::upgrade(stream, websocket, connect_bytes_max as usize).await? {
            Ok(Upgraded { stream, local }) => (stream, local),
            Err((stream, turned)) => return Ok((stream, Err(turned))),
        },
    };
    let greeting = read_connect(&mut stream, connect_bytes_max).await?;
    Ok((stream, greeting.map(|greeting| Greeting { local, ..greeting })))
}

/// Reads until CONNECT is whole. An error is the socket's; what the peer did wrong is in the result.
async fn read_connect(stream: &mut Stream, bytes_max: u32) -> io::Result<Result<Greeting, Turned>> {
    let mut bytes = Vec::with_capacity(CONNECT_BYTES);
    Ok(match read_whole(stream, &mut bytes, bytes_max).await? {
        Ok(()) => open_greeting(bytes, bytes_max),
        Err(error) => Err(unreadable(&bytes, error)),
    })
}

/// Reads until `bytes` begins with a whole packet.
async fn read_whole(
    stream: &mut Stream,
    bytes: &mut Vec<u8>,
    bytes_max: u32,
) -> io::Result<Result<(), DecodeError>> {
    loop {
        match frame_len(bytes, bytes_max) {
            Ok(Some(len)) if bytes.len() < len => bytes.reserve(len - bytes.len()),
            Ok(Some(_)) => return Ok(Ok(())),
            Ok(None) => {}
            Err(error) => return Ok(Err(error)),
        }
        if stream.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn open_greeting(mut bytes: Vec<u8>, bytes_max: u32) -> Result<Greeting, Turned> {
    // CONNECT names its own version, so the one given here does not matter.
    match decode(&bytes, Version::V5, bytes_max) {
        Ok(Some((Packet::Connect(connect), len))) => {
            bytes.drain(..len);
            bytes.shrink_to_fit();
            Ok(Greeting {
                connect,
                rest: bytes,
                local: true,
            })
        }
        Ok(Some((other, _))) => Err(Turned::Away(format!(
            "its first packet is {} [MQTT-3.1.0-1]",
            other.name()
        ))),
        Ok(None) => Err(Turned::Away("its first packet cannot be read".into())),
        Err(error) => Err(unreadable(&bytes, error)),
    }
}

/// MQTT 3.1.1 has return codes for two mistakes in a CONNECT and wants a bare close for all others.
fn unreadable(bytes: &[u8], error: DecodeError) -> Turned {
    let version = connect_version(bytes).unwrap_or(Version::V311);
    let told = match error.reason {
        ReasonCode::UnsupportedProtocolVersion | ReasonCode::ClientIdentifierNotValid => true,
        _ => connect_version(bytes) == Some(Version::V5),
    };
    if told {
        Turned::Down {
            version,
            reason: error.reason,
            why: error.rule_broken(),
        }
    } else {
        Turned::Away(error.to_string())
    }
}
