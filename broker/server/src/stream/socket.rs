//! A socket, and a socket under a session: it can be taken out to move to another runtime, and says how much may be read.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::server::TlsStream;

/// A connected socket, registered with a runtime.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket between two runtimes.
#[derive(Debug)]
pub(crate) enum Parked {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// A socket that can be taken out from under a session and put back.
#[derive(Debug)]
pub(crate) struct Movable {
    socket: Option<Socket>,
    ration: Ration,
}

/// How much may be read of a socket.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ration {
    /// As much as is asked for.
    Free,
    /// So many bytes in all, and what one read gives beyond; whoever sends more fails.
    Whole(usize),
    /// The same until it is set again; then others have their turn.
    Turn(usize),
}

/// A session over a movable socket.
pub(crate) trait OverSocket {
    fn movable(&mut self) -> &mut Movable;
}

impl Movable {
    pub(crate) const fn new(socket: Socket) -> Self {
        Self {
            socket: Some(socket),
            ration: Ration::Free,
        }
    }

    pub(super) const fn set_ration(&mut self, ration: Ration) {
        self.ration = ration;
    }

    /// Takes the socket out, away from its runtime.
    pub(super) fn take(&mut self) -> io::Result<Parked> {
        self.socket.take().ok_or(io::ErrorKind::NotConnected)?.park()
    }

    /// Puts a socket in, into the current runtime.
    pub(super) fn put(&mut self, socket: Parked) -> io::Result<()> {
        self.socket = Some(socket.unpark()?);
        Ok(())
    }

    fn socket(self: Pin<&mut Self>) -> io::Result<Pin<&mut Socket>> {
        self.get_mut()
            .socket
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Socket {
    /// Has what is written sent at once: packets are small, and each is worth its own segment.
    pub(crate) fn send_at_once(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Leaves its runtime.
    pub(super) fn park(self) -> io::Result<Parked> {
        match self {
            Self::Tcp(socket) => socket.into_std().map(Parked::Tcp),
            Self::Unix(socket) => socket.into_std().map(Parked::Unix),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl Parked {
    /// Enters the current runtime. Must be called inside it.
    pub(super) fn unpark(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(socket) => TcpStream::from_std(socket).map(Socket::Tcp),
            Self::Unix(socket) => UnixStream::from_std(socket).map(Socket::Unix),
        }
    }
}

impl Ration {
    const fn less(self, read: usize) -> Self {
        match self {
            Self::Free => Self::Free,
            Self::Whole(left) => Self::Whole(left.saturating_sub(read)),
            Self::Turn(left) => Self::Turn(left.saturating_sub(read)),
        }
    }
}

impl OverSocket for Movable {
    fn movable(&mut self) -> &mut Movable {
        self
    }
}

impl OverSocket for TlsStream<Movable> {
    fn movable(&mut self) -> &mut Movable {
        self.get_mut().0
    }
}

impl AsyncRead for Movable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.ration {
            Ration::Whole(0) => {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it sends more than a CONNECT may have (broker.connect_bytes_max)",
                )));
            }
            Ration::Turn(0) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Ration::Free | Ration::Whole(_) | Ration::Turn(_) => {}
        }
        let before = buf.filled().len();
        let done = self.as_mut().socket()?.poll_read(cx, buf);
        self.ration = self.ration.less(buf.filled().len() - before);
        done
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

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
