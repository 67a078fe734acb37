//! Visitors: connections whose peers ask by ALPN for another protocol than MQTT, on their way to whoever speaks it.

use std::sync::Arc;

use plugin_api::Peer;
use rustls::{ServerConfig, server::ClientHello};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_rustls::server::TlsStream;

use super::tls::{self, PROTOCOLS};
use crate::stream::{Patient, Socket};

/// A connection to an MQTT listener that asks for another protocol. Its TLS is finished; nothing was read of what it says.
#[derive(Debug)]
pub struct Visitor {
    /// Where it comes from, by the word of the proxy if there is one.
    pub peer: Peer,
    /// Whether it came in over loopback: the listener is bound to such an address, and nothing it said is against it.
    pub loopback: bool,
    /// The certificate it has shown, verified by TLS.
    pub certificate: Option<Vec<u8>>,
    /// The common name of the certificate that a proxy has verified and is believed about.
    pub common_name: Option<String>,
    session: Box<TlsStream<Patient<Socket>>>,
}

impl Visitor {
    pub(crate) fn new(
        session: Box<TlsStream<Patient<Socket>>>,
        peer: Peer,
        loopback: bool,
        common_name: Option<String>,
    ) -> Self {
        let shown = session.get_ref().1.peer_certificates();
        Self {
            peer,
            loopback,
            certificate: shown.and_then(|chain| chain.first()).map(|leaf| leaf.to_vec()),
            common_name,
            session,
        }
    }

    /// What it says and hears. A write fails once the peer has taken nothing for `broker.send_timeout`.
    pub fn into_stream(self) -> impl AsyncRead + AsyncWrite + Send + Unpin + use<> {
        self.session
    }
}

/// Visitors of one listener, in the order they came. Those that are not taken wait among the listener's handshakes: for
/// `broker.connect_timeout`, and until another needs their place. Once this is dropped, visitors are sent away.
#[derive(Debug)]
pub struct Visitors(mpsc::Receiver<Visitor>);

impl Visitors {
    /// The next one. `None` once the listener is gone.
    pub async fn next(&mut self) -> Option<Visitor> {
        self.0.recv().await
    }
}

/// Where a listener takes its visitors.
#[derive(Debug)]
pub(crate) struct Reception {
    /// The listener's TLS, with the other protocols.
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) room: mpsc::Sender<Visitor>,
}

impl Reception {
    /// Beside the MQTT that this TLS is for, these protocols.
    pub(crate) fn open(mqtt: &ServerConfig, protocols: &[&str]) -> (Self, Visitors) {
        let mut tls = mqtt.clone();
        tls::set_protocols(&mut tls, protocols);
        // One is on its way; the others wait where they can give way.
        let (room, visitors) = mpsc::channel(1);
        let tls = Arc::new(tls);
        (Self { tls, room }, Visitors(visitors))
    }

    /// Whether a peer asks for one of the other protocols, and not for MQTT too.
    pub(crate) fn is_for(&self, hello: &ClientHello<'_>) -> bool {
        let asked: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
        let asks_for = |protocol: &[u8]| asked.contains(&protocol);
        self.tls.alpn_protocols.iter().any(|other| asks_for(other))
            && !PROTOCOLS.iter().any(|mqtt| asks_for(mqtt.as_bytes()))
    }
}
