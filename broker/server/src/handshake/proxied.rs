//! A connection that a proxy passes on: whose it is stands before everything else.

use std::io;

use mqtt_wire::proxy::{self, Malformed, Need, Source};
use plugin_api::Peer;
use tokio::io::AsyncReadExt;

use super::Turned;
use crate::{settings::Proxy, stream::Socket};

/// Where a connection comes from, as far as its listener believes what it is told.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) peer: Peer,
    /// Nothing is unsaid that keeps it from counting as loopback.
    pub(super) local: bool,
    /// The common name of the certificate that a proxy has verified.
    pub(super) common_name: Option<String>,
}

impl Origin {
    /// One that nobody passes on.
    pub(super) const fn of(peer: Peer) -> Self {
        Self {
            peer,
            local: true,
            common_name: None,
        }
    }
}

/// Reads the header, and nothing of what comes after it. An error is the socket's.
pub(super) async fn introduce(
    socket: &mut Socket,
    proxy: Peer,
    settings: &Proxy,
) -> io::Result<Result<Origin, Turned>> {
    if !settings.trusts(proxy) {
        let why = "it does not come from a trusted proxy (listener.proxy_networks)";
        return Ok(Err(Turned::Away(why.into())));
    }
    let mut bytes = Vec::new();
    let away = |Malformed(why)| Turned::Away(why.into());
    loop {
        match proxy::need(&bytes) {
            Ok(Need::More(more)) => {
                let known = bytes.len();
                bytes.resize(known + more, 0);
                let (_, next) = bytes.split_at_mut(known);
                socket.read_exact(next).await?;
            }
            Ok(Need::Nothing) => break,
            Err(malformed) => return Ok(Err(away(malformed))),
        }
    }
    Ok(proxy::parse(&bytes).map_err(away).map(|header| {
        let (peer, local) = match header.source {
            Source::Ip(address) => (Peer::Ip(address), true),
            Source::Unix => (Peer::Unix, true),
            // It may come from anywhere.
            Source::Unsaid => (proxy, false),
        };
        Origin {
            peer,
            local,
            common_name: header.common_name.filter(|_| settings.common_names),
        }
    }))
}
