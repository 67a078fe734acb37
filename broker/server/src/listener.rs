//! Listeners: an address each, from which connections are accepted until the broker drains.

use std::{fmt, io, num::NonZeroU32, sync::Arc, time::Duration};

use broker_core::{EntranceId, Rate};
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
    /// Who judges logins here, if not everybody who can.
    pub(crate) authenticators: Option<Arc<[String]>>,
    /// Paces the lines about refused connections.
    pub(crate) refusals: Seldom,
    /// Paces the lines about connections that wait.
    pub(crate) delays: Seldom,
}

/// A bound address.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Bound,
    door: Arc<Door>,
    /// How many connections a second it takes, if that is limited.
    per_second_max: Option<NonZeroU32>,
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
            authenticators: settings.authenticators.clone(),
            refusals: Seldom::default(),
            delays: Seldom::default(),
        };
        Ok(Self {
            socket,
            door: Arc::new(door),
            per_second_max: settings.connections_per_second_max,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.door.name
    }

    /// The address it is bound to, with the port the system chose if none was asked for.
    pub(crate) fn address(&self) -> io::Result<Address> {
        self.socket.address()
    }

    /// Accepts connections until told to stop. At most so many at a time are on their way in, and so many come in a second;
    /// one more is held here until it is its turn, and others wait in the system's backlog.
    pub(crate) async fn serve(
        self,
        house: Arc<House>,
        handshakes: Arc<Handshakes>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut rate = self
            .per_second_max
            .map(|per_second| Rate::new(per_second, house.clock.now()));
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = self.accept(rate.as_mut(), &house, &handshakes) => accepted,
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

    async fn accept(
        &self,
        rate: Option<&mut Rate>,
        house: &House,
        handshakes: &Arc<Handshakes>,
    ) -> io::Result<(Socket, Peer, Place)> {
        let (socket, peer) = self.socket.accept().await?;
        if let Some(rate) = rate {
            self.wait_for(rate, house).await;
        }
        Ok((socket, peer, handshakes.enter(peer).await))
    }

    /// Waits until one more connection is within the rate.
    async fn wait_for(&self, rate: &mut Rate, house: &House) {
        if let Some(wait) = rate.wait(house.clock.now()) {
            metrics::counter!("twinmq_connections_delayed_total").increment(1);
            if let Some(left_out) = self.door.delays.turn(house.clock.uptime()) {
                let listener = self.name();
                warn!(
                    listener,
                    left_out,
                    "connections wait: too many come in a second (listener.connections_per_second_max)"
                );
            }
            tokio::time::sleep(wait).await;
        }
        rate.take(1, house.clock.now());
    }
}

fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
