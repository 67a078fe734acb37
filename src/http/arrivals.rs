//! Arrivals: connections for HTTP, which come to an address of their own, or to an MQTT listener that they visit.

use std::{future, io, sync::Arc, time::Duration};

use axum::{Extension, Router};
use broker::{Broker, Patient, StartError, Visitor, Visitors, settings::Address};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::Peer;
use crate::settings::{At, Http};

/// How long a TLS handshake, or the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What clients may call HTTP by ALPN.
const PROTOCOLS: [&str; 2] = ["http/1.1", "x-amzn-http-ca"];

/// Where connections come from.
pub(super) enum Arrivals {
    Own {
        socket: TcpListener,
        tls: Option<TlsAcceptor>,
        send_timeout: Duration,
    },
    Shared {
        listener: String,
        visitors: Visitors,
    },
}

/// A connection that has come in.
pub(super) enum Arrival {
    /// Its TLS, if it has any, is not finished.
    Socket {
        stream: Patient<TcpStream>,
        peer: Peer,
        tls: Option<TlsAcceptor>,
    },
    Visitor(Visitor),
}

impl Arrivals {
    /// Binds an address, or asks the MQTT listener for its visitors.
    pub(super) async fn open(
        http: &Http,
        broker: &mut Broker,
        send_timeout: Duration,
    ) -> Result<Self, StartError> {
        match &http.at {
            At::Address { bind, tls } => {
                let tls = match tls {
                    None => None,
                    Some(tls) => {
                        let mut config = (*broker::tls_server_config(&http.name, tls)?).clone();
                        config.alpn_protocols = PROTOCOLS.map(|name| name.as_bytes().to_vec()).into();
                        Some(TlsAcceptor::from(Arc::new(config)))
                    }
                };
                let bound = TcpListener::bind(bind).await;
                let socket = bound.map_err(|why| StartError::Bind {
                    listener: http.name.clone(),
                    address: (*bind).into(),
                    why,
                })?;
                Ok(Self::Own {
                    socket,
                    tls,
                    send_timeout,
                })
            }
            At::Listener(listener) => {
                let visitors = broker.attach_visitors(listener, &PROTOCOLS);
                Ok(Self::Shared {
                    listener: listener.clone(),
                    visitors: visitors.unwrap_or_else(|| unreachable!("the settings name one that has TLS")),
                })
            }
        }
    }

    /// Its address: with the port the system chose, or that of its listener among these.
    pub(super) fn address(&self, listeners: &[(String, Address)]) -> io::Result<Address> {
        match self {
            Self::Own { socket, .. } => socket.local_addr().map(Address::from),
            Self::Shared { listener, .. } => listeners
                .iter()
                .find(|(name, _)| name == listener)
                .map(|(_, address)| address.clone())
                .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// The next connection.
    pub(super) async fn next(&mut self) -> io::Result<Arrival> {
        match self {
            Self::Own {
                socket,
                tls,
                send_timeout,
            } => {
                let (stream, remote) = socket.accept().await?;
                // Answers are small; waiting to fill a segment would only delay them.
                let _unsupported = stream.set_nodelay(true);
                let local = socket.local_addr().map(|local| local.ip());
                Ok(Arrival::Socket {
                    stream: Patient::new(stream, *send_timeout),
                    peer: Peer::of_socket(remote, local.is_ok_and(|local| local.is_loopback())),
                    tls: tls.clone(),
                })
            }
            Self::Shared { visitors, .. } => match visitors.next().await {
                Some(visitor) => Ok(Arrival::Visitor(visitor)),
                // The listener has ended, and we are about to be told to.
                None => future::pending().await,
            },
        }
    }
}

impl Arrival {
    /// Finishes its TLS and answers its requests.
    pub(super) async fn serve(self, app: Router, watcher: Watcher) {
        match self {
            Self::Visitor(visitor) => {
                let peer = Peer::of_visitor(&visitor);
                answer(visitor.into_stream(), app, peer, watcher).await;
            }
            Self::Socket {
                stream,
                peer,
                tls: None,
            } => answer(stream, app, peer, watcher).await,
            Self::Socket {
                stream,
                mut peer,
                tls: Some(tls),
            } => {
                let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await else {
                    return;
                };
                let shown = stream.get_ref().1.peer_certificates();
                peer.certificate = shown.and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
                answer(stream, app, peer, watcher).await;
            }
        }
    }
}

async fn answer<S>(stream: S, app: Router, peer: Peer, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(app.layer(Extension(peer)));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
