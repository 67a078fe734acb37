//! Where clients find a broker.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

/// An address, and whether TLS is spoken there.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    /// How clients speak it; `None` in the clear.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}
