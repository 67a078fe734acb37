//! A connection's byte stream, which can move from one runtime to another once its handshake is over.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A socket that can be taken out from under a TLS session and put back.
#[derive(Debug)]
pub(crate) struct Movable(Option<TcpStream>);

/// The byte stream of a connection, registered with a runtime.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<Movable>>),
}

/// A stream between two runtimes.
#[derive(Debug)]
pub(crate) enum Parcel {
    Tcp(std::net::TcpStream),
    Tls(std::net::TcpStream, Box<TlsStream<Movable>>),
}

impl Movable {
    pub(crate) const fn new(socket: TcpStream) -> Self {
        Self(Some(socket))
    }

    fn socket(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        self.get_mut()
            .0
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Stream {
    /// Leaves the current runtime.
    pub(crate) fn pack(self) -> io::Result<Parcel> {
        match self {
            Self::Tcp(socket) => Ok(Parcel::Tcp(socket.into_std()?)),
            Self::Tls(mut session) => {
                let socket = session.get_mut().0.0.take().ok_or(io::ErrorKind::NotConnected)?;
                Ok(Parcel::Tls(socket.into_std()?, session))
            }
        }
    }

    /// The certificate that the peer has shown, verified by TLS.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(session) => session.get_ref().1.peer_certificates()?.first(),
        }
    }
}

impl Parcel {
    /// Enters the current runtime. Must be called inside it.
    pub(crate) fn unpack(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => Ok(Stream::Tcp(TcpStream::from_std(socket)?)),
            Self::Tls(socket, mut session) => {
                session.get_mut().0.0 = Some(TcpStream::from_std(socket)?);
                Ok(Stream::Tls(session))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(session) => Pin::new(session.as_mut()).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Movable {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Movable {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_shutdown(cx)
    }
}
