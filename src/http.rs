//! Where HTTP comes in: listeners, TLS, and who is asking. The routes themselves belong to the rooms they show.

mod identity;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use broker::Patient;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use plugin_api::Authenticate;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::settings::Http;
pub(crate) use identity::Peer;

/// Connections at a time, of each HTTP listener; others wait in the system's backlog. It also bounds what bodies of requests
/// may take: each connection has at most one, of at most `twin.limits.request_bytes_max`.
const CONNECTIONS_MAX: usize = 1024;
/// How long a TLS handshake, or the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long open requests may go on when the program ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// An address that is bound and not yet served.
pub(crate) struct Door {
    name: String,
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    send_timeout: Duration,
}

impl Door {
    /// Binds an address. A peer that takes nothing of its answer for `send_timeout` is disconnected.
    pub(crate) async fn bind(http: &Http, send_timeout: Duration) -> Result<Self, broker::StartError> {
        let tls = match &http.tls {
            None => None,
            Some(tls) => {
                let mut config = (*broker::tls_server_config(&http.name, tls)?).clone();
                config.alpn_protocols = vec![b"http/1.1".to_vec(), b"x-amzn-http-ca".to_vec()];
                Some(TlsAcceptor::from(Arc::new(config)))
            }
        };
        let bound = TcpListener::bind(http.bind).await;
        let socket = bound.map_err(|why| broker::StartError::Bind {
            listener: http.name.clone(),
            address: http.bind.into(),
            why,
        })?;
        Ok(Self {
            name: http.name.clone(),
            socket,
            tls,
            send_timeout,
        })
    }

    /// The listener's name, and its address with the port the system chose.
    pub(crate) fn address(&self) -> io::Result<(String, SocketAddr)> {
        Ok((self.name.clone(), self.socket.local_addr()?))
    }

    /// Serves until `stop`, then lets open requests end.
    pub(crate) async fn serve(self, app: Router, mut stop: watch::Receiver<bool>) {
        let Ok(local) = self.socket.local_addr() else {
            return;
        };
        let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let open = Arc::new(GracefulShutdown::new());
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&seats) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((stream, remote, seat)) = accepted else {
                continue;
            };
            let (app, tls, watcher) = (app.clone(), self.tls.clone(), open.watcher());
            tokio::spawn(async move {
                let _seat = seat;
                let peer = Peer {
                    remote,
                    loopback: local.ip().is_loopback(),
                    certificate: None,
                };
                match tls {
                    None => serve_connection(stream, app, peer, watcher).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await {
                            let leaf = stream
                                .get_ref()
                                .1
                                .peer_certificates()
                                .and_then(|chain| chain.first());
                            let certificate = leaf.map(|leaf| leaf.to_vec());
                            serve_connection(stream, app, Peer { certificate, ..peer }, watcher).await;
                        }
                    }
                }
            });
        }
        if let Some(open) = Arc::into_inner(open)
            && timeout(FAREWELL, open.shutdown()).await.is_err()
        {
            tracing::warn!(
                listener = self.name,
                "HTTP requests were cut off: they took too long to end"
            );
        }
    }

    async fn accept(
        &self,
        seats: &Arc<Semaphore>,
    ) -> Option<(Patient<TcpStream>, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let seat = Arc::clone(seats).acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((stream, remote)) => {
                // Answers are small; waiting to fill a segment would only delay them.
                let _unsupported = stream.set_nodelay(true);
                Some((Patient::new(stream, self.send_timeout), remote, seat))
            }
            Err(error) => {
                tracing::warn!(listener = self.name, %error, "cannot accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                None
            }
        }
    }
}

async fn serve_connection<S>(
    stream: S,
    app: Router,
    peer: Peer,
    watcher: hyper_util::server::graceful::Watcher,
) where
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

/// Requires an identity of every request to these routes.
pub(crate) fn identified(routes: Router, gates: Arc<dyn Authenticate>) -> Router {
    routes.layer(axum::middleware::from_fn_with_state(gates, identity::identify))
}

/// An error as RFC 9457 has it.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        Json(body),
    )
        .into_response()
}
