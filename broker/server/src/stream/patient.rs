//! Patient: a socket that ends when its peer takes nothing of what waits for it for too long.

use std::{
    io::{self, IoSlice},
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A connected socket. A write that makes no progress at all for as long as its patience fails with `TimedOut`.
#[derive(Debug)]
pub struct Patient<S> {
    socket: S,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S: AsFd> Patient<S> {
    /// Puts this patience around a socket.
    pub const fn new(socket: S, patience: Duration) -> Self {
        Self {
            socket,
            patience,
            waiting: None,
        }
    }

    /// What came of a write, unless it still may wait.
    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
        again: impl FnOnce(SockRef<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            let patience = self.patience;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
            ready!(waiting.as_mut().poll(context));
        }
        self.waiting = None;
        match written {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => Poll::Ready(self.last_try(again)),
        }
    }

    /// The system calls a socket writable only once much of its buffer is free; a slow reader may have taken less.
    fn last_try(&self, again: impl FnOnce(SockRef<'_>) -> io::Result<usize>) -> io::Result<usize> {
        again(SockRef::from(&self.socket)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "the peer has taken nothing for {:?} (broker.send_timeout)",
                    self.patience
                ),
            ),
            _ => error,
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + AsFd + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let patient = self.get_mut();
        let written = Pin::new(&mut patient.socket).poll_write(context, bytes);
        patient.written(written, context, |same| same.send(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let patient = self.get_mut();
        let written = Pin::new(&mut patient.socket).poll_write_vectored(context, parts);
        patient.written(written, context, |same| same.send_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}
