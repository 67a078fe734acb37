//! Where HTTP comes in: connections, TLS, and who is asking. The routes themselves belong to the rooms they show.

mod arrivals;
mod identity;

use std::{io, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use broker::{Broker, StartError, settings::Address};
use hyper_util::server::graceful::GracefulShutdown;
use plugin_api::Authenticate;
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use crate::settings::Http;
use arrivals::{Arrival, Arrivals};
use identity::{Judges, Peer};

/// Connections at a time, of each `[[http]]`; others wait in the system's backlog, or on their way in at the MQTT listener. It
/// also bounds what bodies of requests may take: each connection has at most one, of at most
/// `twin.limits.request_bytes_max`.
const CONNECTIONS_MAX: usize = 1024;
/// How long open requests may go on when the program ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// An `[[http]]` that is not yet served.
pub(crate) struct Door {
    name: String,
    arrivals: Arrivals,
    judges: Judges,
}

impl Door {
    /// Listens for its connections. A peer that takes nothing of its answer for `send_timeout` is disconnected.
    pub(crate) async fn open(
        http: &Http,
        broker: &mut Broker,
        send_timeout: Duration,
    ) -> Result<Self, StartError> {
        Ok(Self {
            name: http.name.clone(),
            arrivals: Arrivals::open(http, broker, send_timeout).await?,
            judges: Judges(http.authenticators.clone()),
        })
    }

    /// Its name and its address, which may be that of one of the MQTT listeners.
    pub(crate) fn address(&self, listeners: &[(String, Address)]) -> io::Result<(String, Address)> {
        Ok((self.name.clone(), self.arrivals.address(listeners)?))
    }

    /// Serves until `stop`, then lets open requests end.
    pub(crate) async fn serve(mut self, app: Router, mut stop: watch::Receiver<bool>) {
        let app = app.layer(Extension(self.judges.clone()));
        let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let open = Arc::new(GracefulShutdown::new());
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&seats) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((arrival, seat)) = accepted else {
                continue;
            };
            let (app, watcher) = (app.clone(), open.watcher());
            tokio::spawn(async move {
                let _seat = seat;
                arrival.serve(app, watcher).await;
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

    async fn accept(&mut self, seats: &Arc<Semaphore>) -> Option<(Arrival, OwnedSemaphorePermit)> {
        let seat = Arc::clone(seats).acquire_owned().await.ok()?;
        match self.arrivals.next().await {
            Ok(arrival) => Some((arrival, seat)),
            Err(error) => {
                tracing::warn!(listener = self.name, %error, "cannot accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                None
            }
        }
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
