//! A connection's byte stream, which can move from one runtime to another once its handshake is over.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::server::TlsStream;

mod patient;
mod socket;
mod websocket;

pub use patient::Patient;
pub(crate) use socket::{Movable, Socket};
use socket::{OverSocket as _, Parked};
pub(crate) use websocket::WebSocket;

/// The byte stream of a connection, registered with a runtime.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Movable>>),
    WebSocket(Box<WebSocket<Movable>>),
    SecureWebSocket(Box<WebSocket<TlsStream<Movable>>>),
}

/// A stream between two runtimes: its socket apart from the session over it.
#[derive(Debug)]
pub(crate) enum Parcel {
    Bare(Parked),
    Tls(Parked, Box<TlsStream<Movable>>),
    WebSocket(Parked, Box<WebSocket<Movable>>),
    SecureWebSocket(Parked, Box<WebSocket<TlsStream<Movable>>>),
}

impl Stream {
    /// Puts WebSocket frames around what is read and written; `begun` came with the upgrade. A stream of frames stays as
    /// it is.
    pub(crate) fn into_frames(self, begun: Vec<u8>, connect_bytes_max: usize) -> Self {
        match self {
            Self::Tcp(socket) => Self::in_frames(Socket::Tcp(socket), begun, connect_bytes_max),
            Self::Unix(socket) => Self::in_frames(Socket::Unix(socket), begun, connect_bytes_max),
            Self::Tls(session) => {
                let frames = WebSocket::new(*session, begun, connect_bytes_max);
                Self::SecureWebSocket(Box::new(frames))
            }
            Self::WebSocket(_) | Self::SecureWebSocket(_) => self,
        }
    }

    fn in_frames(socket: Socket, begun: Vec<u8>, connect_bytes_max: usize) -> Self {
        let frames = WebSocket::new(Movable::new(socket), begun, connect_bytes_max);
        Self::WebSocket(Box::new(frames))
    }

    /// Leaves the current runtime. What a peer may send is no longer bounded by the size of its CONNECT.
    pub(crate) fn pack(self) -> io::Result<Parcel> {
        match self {
            Self::Tcp(socket) => Ok(Parcel::Bare(Socket::Tcp(socket).park()?)),
            Self::Unix(socket) => Ok(Parcel::Bare(Socket::Unix(socket).park()?)),
            Self::Tls(mut session) => Ok(Parcel::Tls(session.movable().take()?, session)),
            Self::WebSocket(mut frames) => {
                frames.know();
                Ok(Parcel::WebSocket(frames.under().movable().take()?, frames))
            }
            Self::SecureWebSocket(mut frames) => {
                frames.know();
                Ok(Parcel::SecureWebSocket(frames.under().movable().take()?, frames))
            }
        }
    }

    /// The certificate that the peer has shown, verified by TLS.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        let session = match self {
            Self::Tcp(_) | Self::Unix(_) | Self::WebSocket(_) => return None,
            Self::Tls(session) => session.as_ref(),
            Self::SecureWebSocket(frames) => frames.under_ref(),
        };
        session.get_ref().1.peer_certificates()?.first()
    }

    /// Whether a session holds bytes that were written until it is flushed; without one the system has them at once.
    pub(crate) const fn holds_back(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(_) | Self::WebSocket(_) | Self::SecureWebSocket(_) => true,
        }
    }
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(socket) => Self::Tcp(socket),
            Socket::Unix(socket) => Self::Unix(socket),
        }
    }
}

impl Parcel {
    /// Enters the current runtime. Must be called inside it.
    pub(crate) fn unpack(self) -> io::Result<Stream> {
        match self {
            Self::Bare(socket) => Ok(socket.unpark()?.into()),
            Self::Tls(socket, mut session) => {
                session.movable().put(socket)?;
                Ok(Stream::Tls(session))
            }
            Self::WebSocket(socket, mut frames) => {
                frames.under().movable().put(socket)?;
                Ok(Stream::WebSocket(frames))
            }
            Self::SecureWebSocket(socket, mut frames) => {
                frames.under().movable().put(socket)?;
                Ok(Stream::SecureWebSocket(frames))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_read(cx, buf),
            Self::WebSocket(frames) => Pin::new(frames.as_mut()).poll_read(cx, buf),
            Self::SecureWebSocket(frames) => Pin::new(frames.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_write(cx, bytes),
            Self::WebSocket(frames) => Pin::new(frames.as_mut()).poll_write(cx, bytes),
            Self::SecureWebSocket(frames) => Pin::new(frames.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_flush(cx),
            Self::WebSocket(frames) => Pin::new(frames.as_mut()).poll_flush(cx),
            Self::SecureWebSocket(frames) => Pin::new(frames.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_shutdown(cx),
            Self::WebSocket(frames) => Pin::new(frames.as_mut()).poll_shutdown(cx),
            Self::SecureWebSocket(frames) => Pin::new(frames.as_mut()).poll_shutdown(cx),
        }
    }
}
