//! A connection before it has a home: TLS, CONNECT, and who it is. Runs beside the shards, one short task each.

use std::{io, sync::Arc};

use mqtt_wire::{
    ClientId, Connect, DecodeError, Packet, ReasonCode, Version, connect_version, decode, frame_len,
};
use plugin_api::{Access, Login, Peer, Principal, Secret, Transport};
use tokio::{io::AsyncReadExt, sync::watch, time::timeout};
use tracing::{debug, warn};

mod turned;
mod upgrade;

use turned::Turned;
use upgrade::Upgraded;

use crate::{
    gate::LoginRefused,
    house::House,
    listener::{Door, Place, Seat},
    mailbox::Letter,
    stream::{Limits, Movable, Parcel, Socket, Stream},
};

/// A connection on its way home: its CONNECT is read, and it is known who it is.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) parcel: Parcel,
    pub(crate) connect: Box<Connect>,
    pub(crate) assigned: bool,
    pub(crate) principal: Arc<Principal>,
    pub(crate) peer: Peer,
    /// What came after CONNECT.
    pub(crate) rest: Vec<u8>,
    pub(crate) seat: Seat,
}

/// What a client has sent so far.
struct Greeting {
    connect: Box<Connect>,
    rest: Vec<u8>,
    /// No page of another site makes a browser connect.
    local: bool,
}

/// What a fresh buffer for CONNECT holds; most fit.
const CONNECT_BYTES: usize = 512;

/// Brings one connection from `accept` to its shard, or turns it away.
pub(crate) async fn welcome(
    socket: Socket,
    peer: Peer,
    place: Place,
    door: Arc<Door>,
    house: Arc<House>,
    mut stop: watch::Receiver<bool>,
) {
    let greeted = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        greeted = place.while_waiting(greet(socket, &door, &house)) => greeted,
    };
    let Some(greeted) = greeted else {
        return tell_given_way(&place, peer, &door, &house);
    };
    let (stream, turned) = match greeted {
        Ok((stream, Ok(greeting))) => {
            let shutting_down = *stop.borrow();
            match admit(&stream, greeting, peer, &door, &house, shutting_down).await {
                Ok(admitted) => return admitted.go_home(stream, &house, &door),
                Err(turned) => (stream, turned),
            }
        }
        Ok((stream, Err(turned))) => (stream, turned),
        Err(error) => return debug!(listener = door.name, %peer, %error, "connection lost in its handshake"),
    };
    turned.report(peer, &door, &house);
    // Few are refused: those that are not need no memory for it.
    let refusal = Box::pin(place.while_waiting(turned.turn(stream, peer, &door, &house)));
    if refusal.await.is_none() {
        debug!(listener = door.name, %peer, "the peer took too long to take its refusal; its place was needed");
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

async fn greet(socket: Socket, door: &Door, house: &House) -> io::Result<(Stream, Result<Greeting, Turned>)> {
    socket.send_at_once()?;
    let stream = match &door.tls {
        None => socket.into(),
        Some(tls) => {
            let session = timeout(
                house.settings.tls_handshake_timeout,
                tls.accept(Movable::new(socket)),
            )
            .await??;
            Stream::Tls(Box::new(session))
        }
    };
    timeout(house.settings.connect_timeout, hear(stream, door, house)).await?
}

/// What a client has to say before it is judged.
async fn hear(stream: Stream, door: &Door, house: &House) -> io::Result<(Stream, Result<Greeting, Turned>)> {
    let connect_bytes_max = house.settings.connect_bytes_max;
    let (mut stream, local) = match &door.websocket {
        None => (stream, true),
        Some(websocket) => {
            let limits = Limits {
                connect_bytes_max: connect_bytes_max as usize,
                message_bytes_max: house.rules.packet_bytes_max.max(connect_bytes_max) as usize,
            };
            match upgrade::upgrade(stream, websocket, limits).await? {
                Ok(Upgraded { stream, local }) => (stream, local),
                Err((stream, turned)) => return Ok((stream, Err(turned))),
            }
        }
    };
    let greeting = read_connect(&mut stream, connect_bytes_max).await?;
    Ok((stream, greeting.map(|greeting| Greeting { local, ..greeting })))
}

/// Reads until CONNECT is whole. An error is the socket's; what the peer did wrong is in the result.
async fn read_connect(stream: &mut Stream, bytes_max: u32) -> io::Result<Result<Greeting, Turned>> {
    let mut bytes = Vec::with_capacity(CONNECT_BYTES);
    loop {
        match frame_len(&bytes, bytes_max) {
            Ok(Some(len)) if bytes.len() < len => bytes.reserve(len - bytes.len()),
            Ok(Some(_)) => return Ok(open_greeting(bytes, bytes_max)),
            Ok(None) => {}
            Err(error) => return Ok(Err(unreadable(&bytes, error))),
        }
        if stream.read_buf(&mut bytes).await? == 0 {
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

/// A client that may come in.
struct Admitted {
    connect: Box<Connect>,
    assigned: bool,
    principal: Arc<Principal>,
    peer: Peer,
    rest: Vec<u8>,
    seat: Seat,
}

async fn admit(
    stream: &Stream,
    greeting: Greeting,
    peer: Peer,
    door: &Door,
    house: &House,
    shutting_down: bool,
) -> Result<Admitted, Turned> {
    let Greeting {
        mut connect,
        rest,
        local,
    } = greeting;
    let version = connect.version;
    let refuse = |reason, why: String| Turned::Down { version, reason, why };
    if shutting_down {
        return Err(refuse(
            ReasonCode::ServerUnavailable,
            "the broker is shutting down".into(),
        ));
    }
    if connect.authentication_method.is_some() {
        let why = "enhanced authentication is not offered".into();
        return Err(refuse(ReasonCode::BadAuthenticationMethod, why));
    }
    let Some(seat) = door.seats.take() else {
        return Err(refuse(ReasonCode::ServerBusy, "all connections are taken".into()));
    };
    let assigned = connect.client_id.is_empty();
    if assigned {
        connect.client_id = house.new_client_id();
    } else if let Err(why) = check_client_id(&connect.client_id, house.rules.client_id_bytes_max) {
        return Err(refuse(ReasonCode::ClientIdentifierNotValid, why));
    }
    let mut login = login(&mut connect, stream, peer, door);
    login.loopback &= local;
    let named = login.username.is_some();
    let principal = house.gates.log_in(login).await.map_err(|refused| match refused {
        LoginRefused::Refused(why) if named => refuse(ReasonCode::BadUserNameOrPassword, why),
        LoginRefused::Refused(why) => refuse(ReasonCode::NotAuthorized, why),
        LoginRefused::Undecided(why) => refuse(ReasonCode::ServerUnavailable, why),
    })?;
    if let Some(will) = &connect.will {
        let access = Access::Publish {
            topic: will.topic.clone(),
            qos: will.qos,
            retain: will.retain,
        };
        if !house.gates.may(&principal, &access).await {
            let why = format!(
                "`{}` may not publish its will to `{}`",
                principal.name, will.topic
            );
            return Err(refuse(ReasonCode::NotAuthorized, why));
        }
    }
    Ok(Admitted {
        connect,
        assigned,
        principal,
        peer,
        rest,
        seat,
    })
}

fn check_client_id(client_id: &str, bytes_max: usize) -> Result<(), String> {
    ClientId::parse(client_id).map_err(|why| why.to_string())?;
    if broker_core::is_group_id(client_id) {
        return Err("client identifiers that begin with `$share/` stand for shared subscriptions".into());
    }
    if client_id.len() > bytes_max {
        return Err(format!(
            "the client identifier has {} bytes, at most {bytes_max} are allowed",
            client_id.len()
        ));
    }
    Ok(())
}

/// Takes the password out of the CONNECT: nobody else needs it.
fn login(connect: &mut Connect, stream: &Stream, peer: Peer, door: &Door) -> Login {
    let mut login = Login::from_peer(Transport::Mqtt, peer);
    login.client_id.clone_from(&connect.client_id);
    login.username.clone_from(&connect.username);
    login.password = connect.password.take().map(Secret::new);
    login.certificate = stream.certificate().map(|certificate| certificate.to_vec());
    login.loopback = door.loopback;
    login
}

impl Admitted {
    fn go_home(self, stream: Stream, house: &House, door: &Door) {
        let Self {
            connect,
            assigned,
            principal,
            peer,
            rest,
            seat,
        } = self;
        match stream.pack() {
            Ok(parcel) => {
                let mailbox = house.home(&connect.client_id);
                let newcomer = Newcomer {
                    parcel,
                    connect,
                    assigned,
                    principal,
                    peer,
                    rest,
                    seat,
                };
                mailbox.post(Letter::Newcomer(Box::new(newcomer)));
            }
            Err(error) => {
                debug!(listener = door.name, %peer, %error, "connection lost on its way to its shard")
            }
        }
    }
}
