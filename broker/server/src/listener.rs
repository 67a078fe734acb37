//! Listeners: an address each, from which connections are accepted until the broker drains.

use std::{fmt, io, sync::Arc, time::Duration};

use broker_core::EntranceId;
use mqtt_wire::Version;
use plugin_api::Peer;
use rustls::ServerConfig;
use tokio::{sync::watch, time::Instant};
use tracing::{debug, warn};

use crate::{
    error::StartError,
    handshake,
    house::House,
    seldom::Seldom,
    settings::{self, Address},
    stream::Socket,
};

mod bound;
mod handshakes;
mod seats;
pub(crate) mod tls;
mod visitors;

use bound::Bound;
pub(crate) use handshakes::{Handshakes, Place};
pub(crate) use seats::{Seat, Seats};
pub(crate) use visitors::Reception;
pub use visitors::{Visitor, Visitors};

/// How long to wait after the system had no room for another connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(100);

/// What a connection has to know of where it came in.
pub(crate) struct Door {
    pub(crate) name: String,
    pub(crate) loopback: bool,
    pub(crate) proxy: Option<settings::Proxy>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// For those who want to speak another protocol inside TLS.
    pub(crate) reception: Option<Reception>,
    pub(crate) websocket: Option<settings::WebSocket>,
    pub(crate) seats: Arc<Seats>,
    /// What holds for who comes in here.
    pub(crate) entrance: EntranceId,
    /// Versions of MQTT that are spoken here.
    pub(crate) versions: Vec<Version>,
    /// Paces the lines about refused connections.
    pub(crate) refusals: Seldom,
}

/// A bound address.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Bound,
    door: Arc<Door>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("name", &self.name)
            .field("tls", &self.tls.is_some())
            .field("websocket", &self.websocket)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds the address. Must be called inside a runtime.
    pub(crate) fn bind(
        settings: &settings::Listener,
        entrance: EntranceId,
        tls: Option<Arc<ServerConfig>>,
        reception: Option<Reception>,
        seats: Arc<Seats>,
    ) -> Result<Self, StartError> {
        let socket = Bound::bind(&settings.bind, settings.unix_mode).map_err(|why| StartError::Bind {
            listener: settings.name.clone(),
            address: settings.bind.clone(),
            why,
        })?;
        let door = Door {
            name: settings.name.clone(),
            loopback: settings.bind.is_loopback(),
            proxy: settings.proxy.clone(),
            tls,
            reception,
            websocket: settings.websocket.clone(),
            seats,
            entrance,
            versions: settings.versions.clone(),
            refusals: Seldom::default(),
        };
        Ok(Self {
            socket,
            door: Arc::new(door),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.door.name
    }

    /// The address it is bound to, with the port the system chose if none was asked for.
    pub(crate) fn address(&self) -> io::Result<Address> {
        self.socket.address()
    }

    /// Accepts connections until told to stop. At most so many at a time are on their way in; one more is held here
    /// until a place is free, and others wait in the system's backlog.
    pub(crate) async fn serve(
        self,
        house: Arc<House>,
        handshakes: Arc<Handshakes>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = self.accept(&handshakes) => accepted,
            };
            match accepted {
                Ok((socket, peer, place)) => {
                    let (door, house) = (Arc::clone(&self.door), Arc::clone(&house));
                    tokio::spawn(handshake::welcome(socket, peer, place, door, house, stop.clone()));
                }
                Err(error) if is_peers_fault(&error) => {
                    debug!(listener = self.name(), %error, "not accepted")
                }
                Err(error) => {
                    warn!(listener = self.name(), %error, "cannot accept connections; trying again");
                    // Most likely there are too many open files, and one that waits for its peer has the least use of its.
                    handshakes.make_room(Instant::now());
                    tokio::time::sleep(NO_ROOM_PAUSE).await;
                }
            }
        }
    }

    async fn accept(&self, handshakes: &Arc<Handshakes>) -> io::Result<(Socket, Peer, Place)> {
        let (socket, peer) = self.socket.accept().await?;
        Ok((socket, peer, handshakes.enter(peer).await))
    }
}

fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
