//! Secure: TLS of a connection on its way in, for the protocol that its peer asks for.

use std::{io, sync::Arc};

use rustls::{ServerConfig, server::Acceptor};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, server::TlsStream};

use crate::{
    house::House,
    listener::Reception,
    stream::{Movable, Patient, Socket, Stream},
};

/// A connection whose TLS is finished.
pub(super) enum Secured<'a> {
    /// It is to speak MQTT.
    Client(Stream),
    /// It is to speak another protocol.
    Visitor(Box<TlsStream<Patient<Socket>>>, &'a Reception),
}

/// Shakes hands. An error is the socket's or the peer's, which has heard of it.
pub(super) async fn secure<'a>(
    socket: Socket,
    tls: &Arc<ServerConfig>,
    reception: Option<&'a Reception>,
    house: &House,
) -> io::Result<Secured<'a>> {
    let StartHandshake { accepted, io, .. } = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
    match reception.filter(|reception| reception.is_for(&accepted.client_hello())) {
        None => {
            let start = StartHandshake::from_parts(accepted, Movable::new(io));
            let session = start.into_stream(Arc::clone(tls)).await?;
            Ok(Secured::Client(Stream::Tls(Box::new(session))))
        }
        Some(reception) => {
            let patient = Patient::new(io, house.settings.send_timeout);
            let start = StartHandshake::from_parts(accepted, patient);
            let session = start.into_stream(Arc::clone(&reception.tls)).await?;
            Ok(Secured::Visitor(Box::new(session), reception))
        }
    }
}
