//! Exchange: a client that says who it is in several steps, before it gets its CONNACK.

use std::{io, num::NonZeroU32, sync::Arc};

use mqtt_wire::{Auth, Connect, Packet, ReasonCode, Version, decode};
use plugin_api::{Login, Principal};
use tokio::{io::AsyncWriteExt, sync::watch, time::timeout};

use super::{read_whole, turned::Turned};
use crate::{
    gate::{LoginRefused, Said},
    house::House,
    listener::Place,
    stream::Stream,
};

/// The client's side of an exchange.
pub(super) struct Line<'a> {
    pub(super) stream: &'a mut Stream,
    /// What it sent after CONNECT.
    pub(super) rest: &'a mut Vec<u8>,
    pub(super) place: &'a Place,
    pub(super) stop: &'a mut watch::Receiver<bool>,
}

/// What the high four bits of a packet's first byte are for a DISCONNECT.
const DISCONNECT: u8 = 14;

/// Finds out who the client is by the method in its CONNECT. What the gate says last is left in the CONNECT, as the
/// data of its CONNACK.
pub(super) async fn exchange(
    line: &mut Line<'_>,
    connect: &mut Connect,
    method: &str,
    login: Login,
    house: &House,
) -> Result<Arc<Principal>, Turned> {
    let exchange = timeout(
        house.settings.connect_timeout,
        line.exchange(connect, method, login, house),
    );
    let principal = exchange
        .await
        .unwrap_or_else(|_| Err(refuse(ReasonCode::NotAuthorized, "its exchange took too long")))?;
    // Until CONNACK it may send nothing but AUTH, for which it is too late, or DISCONNECT [MQTT-3.1.2-30].
    match line.rest.first() {
        Some(first) if first >> 4 != DISCONNECT => Err(out_of_turn("a packet")),
        _ => Ok(principal),
    }
}

impl Line<'_> {
    async fn exchange(
        &mut self,
        connect: &mut Connect,
        method: &str,
        login: Login,
        house: &House,
    ) -> Result<Arc<Principal>, Turned> {
        let Some(mut talk) = house.gates.begin(login) else {
            let why = "its authentication method is not offered";
            return Err(refuse(ReasonCode::BadAuthenticationMethod, why));
        };
        let mut data = connect.authentication_data.take();
        loop {
            let answer = match house.gates.tell(talk, data).await {
                Ok(Said::Known(principal, last)) => {
                    connect.authentication_data = last;
                    return Ok(principal);
                }
                Ok(Said::More(next, answer)) => {
                    talk = next;
                    answer
                }
                Err(LoginRefused::Refused(why)) => return Err(refuse(ReasonCode::NotAuthorized, why)),
                Err(LoginRefused::Undecided(why)) => return Err(refuse(ReasonCode::ServerUnavailable, why)),
            };
            let auth = Auth {
                reason: ReasonCode::ContinueAuthentication,
                method: Some(method.to_owned()),
                data: answer,
                ..Auth::default()
            };
            let bytes = encode(auth, connect.max_packet_size)?;
            data = self.ask(&bytes, method, house).await?;
        }
    }

    /// Tells the client something and hears its answer. Only the peer can hold that up.
    async fn ask(&mut self, auth: &[u8], method: &str, house: &House) -> Result<Option<Vec<u8>>, Turned> {
        let Self {
            stream,
            rest,
            place,
            stop,
        } = self;
        let bytes_max = house.settings.connect_bytes_max;
        let answered = place.while_waiting(async {
            stream.write_all(auth).await?;
            stream.flush().await?;
            read_whole(stream, rest, bytes_max).await
        });
        let answered = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Err(Turned::Gone("the broker is shutting down".into())),
            answered = answered => answered,
        };
        answered
            .ok_or(Turned::GaveWay)?
            .map_err(|error: io::Error| Turned::Gone(error.to_string()))?
            .map_err(|error| refuse(error.reason, error.to_string()))?;
        let (auth, len) = match decode(rest, Version::V5, bytes_max) {
            Ok(Some((Packet::Auth(auth), len))) => (auth, len),
            Ok(Some((Packet::Disconnect(_), _))) => {
                return Err(Turned::Gone("it has changed its mind".into()));
            }
            Ok(Some((other, _))) => return Err(out_of_turn(other.name())),
            Ok(None) => return Err(out_of_turn("half a packet")),
            Err(error) => return Err(refuse(error.reason, error.to_string())),
        };
        rest.drain(..len);
        if auth.reason != ReasonCode::ContinueAuthentication {
            let why = "it begins anew before it is in [MQTT-4.12.0-3]";
            return Err(refuse(ReasonCode::ProtocolError, why));
        }
        if auth.method.as_deref() != Some(method) {
            let why = "its AUTH names another method than its CONNECT [MQTT-4.12.0-5]";
            return Err(refuse(ReasonCode::ProtocolError, why));
        }
        Ok(auth.data)
    }
}

fn encode(auth: Auth, bytes_max: Option<NonZeroU32>) -> Result<Vec<u8>, Turned> {
    let mut bytes = Vec::new();
    let written = Packet::Auth(auth).encode(Version::V5, &mut bytes);
    written.map_err(|error| refuse(ReasonCode::UnspecifiedError, error.to_string()))?;
    if bytes_max.is_some_and(|max| bytes.len() > max.get() as usize) {
        let why = "a step of its exchange is larger than the packets it takes";
        return Err(refuse(ReasonCode::PacketTooLarge, why));
    }
    Ok(bytes)
}

fn out_of_turn(what: &str) -> Turned {
    let why = format!("it sends {what} before it has its CONNACK [MQTT-3.1.2-30]");
    refuse(ReasonCode::ProtocolError, why)
}

fn refuse(reason: ReasonCode, why: impl Into<String>) -> Turned {
    Turned::Down {
        version: Version::V5,
        reason,
        why: why.into(),
    }
}
