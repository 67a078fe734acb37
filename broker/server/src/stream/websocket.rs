//! MQTT inside WebSocket frames: a byte stream for those who read and write it, binary frames on the wire.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream as _;
use futures_sink::Sink as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::socket::{OverSocket, Ration};

/// What a connection holds to read into, also while it is idle.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// The largest frame that is sent; it is copied while it is written.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// What answers to pings may wait to be written; beyond, only the last of them waits.
const PONG_BYTES_MAX: usize = 4 * 1024;
/// What a WebSocket says and MQTT does not before others have their turn: frames, and bytes.
const IDLE_FRAMES_MAX: usize = 16;
const TURN_BYTES: usize = 16 * 1024;
/// What WebSocket adds to what a CONNECT may have.
const CONNECT_FRAMING_BYTES: usize = 4 * 1024;

/// A WebSocket over a plain or a TLS socket.
///
/// [MQTT-6.0.0-1] Packets travel in binary frames; a text frame ends the connection. [MQTT-6.0.0-2] Where a frame ends
/// means nothing.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    frames: WebSocketStream<S>,
    /// What came in a frame and has not been read.
    unread: Bytes,
    /// Its CONNECT has been read.
    known: bool,
}

/// How large what a client sends may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A CONNECT; more is not even read of a peer that has not sent one.
    pub(crate) connect_bytes_max: usize,
    /// A message, in one frame or in several.
    pub(crate) message_bytes_max: usize,
}

impl<S: AsyncRead + AsyncWrite + OverSocket + Unpin> WebSocket<S> {
    /// Frames over a socket that has been upgraded; `begun` came with the upgrade.
    pub(super) async fn new(mut socket: S, begun: Vec<u8>, limits: Limits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(FRAME_BYTES_MAX + PONG_BYTES_MAX)
            .max_message_size(Some(limits.message_bytes_max))
            .max_frame_size(Some(limits.message_bytes_max))
            .accept_unmasked_frames(false);
        let whole = limits.connect_bytes_max + CONNECT_FRAMING_BYTES;
        socket.movable().set_ration(Ration::Whole(whole));
        Self {
            frames: WebSocketStream::from_partially_read(socket, begun, Role::Server, Some(config)).await,
            unread: Bytes::new(),
            known: false,
        }
    }

    /// Its CONNECT has been read: from now on it may send as much as it likes, a turn at a time.
    pub(super) const fn know(&mut self) {
        self.known = true;
    }

    pub(super) fn under(&mut self) -> &mut S {
        self.frames.get_mut()
    }

    pub(super) fn under_ref(&self) -> &S {
        self.frames.get_ref()
    }

    /// Says why the connection ends, if the socket takes it at once.
    fn close(&mut self, cx: &mut Context<'_>, code: CloseCode) {
        let why = CloseFrame {
            code,
            reason: "".into(),
        };
        let mut frames = Pin::new(&mut self.frames);
        if frames.as_mut().start_send(Message::Close(Some(why))).is_ok() {
            // The connection ends, whether the peer hears why or not.
            let _told = frames.poll_flush(cx);
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let message = match ready!(Pin::new(&mut self.frames).poll_next(cx)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                if let Some(code) = fault(&error) {
                    self.close(cx, code);
                }
                return Poll::Ready(Err(into_io(error)));
            }
            None => return Poll::Ready(Ok(None)),
        };
        match message {
            Message::Binary(bytes) => Poll::Ready(Ok(Some(bytes))),
            Message::Text(_) => {
                self.close(cx, CloseCode::Unsupported);
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a text frame [MQTT-6.0.0-1]",
                )))
            }
            // They are answered by the frames themselves.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                Poll::Ready(Ok(Some(Bytes::new())))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + OverSocket + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.known {
            self.under().movable().set_ration(Ration::Turn(TURN_BYTES));
        }
        for _ in 0..IDLE_FRAMES_MAX {
            if !self.unread.is_empty() {
                let now = self.unread.len().min(buf.remaining());
                buf.put_slice(&self.unread.split_to(now));
                return Poll::Ready(Ok(()));
            }
            match ready!(self.next(cx))? {
                Some(bytes) => self.unread = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + OverSocket + Unpin> AsyncWrite for WebSocket<S> {
    /// Takes what fits into one frame, once the one before it is with the system.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (now, _) = bytes.split_at(bytes.len().min(FRAME_BYTES_MAX));
        let mut frames = Pin::new(&mut self.get_mut().frames);
        ready!(frames.as_mut().poll_flush(cx)).map_err(into_io)?;
        let frame = Message::Binary(Bytes::copy_from_slice(now));
        frames.start_send(frame).map_err(into_io)?;
        Poll::Ready(Ok(now.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().frames)
            .poll_flush(cx)
            .map_err(into_io)
    }

    /// Says good-bye; the peer's good-bye is the end of what is read.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().frames)
            .poll_close(cx)
            .map_err(into_io)
    }
}

/// What the peer did wrong, as a close frame says it.
const fn fault(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Protocol(_) => Some(CloseCode::Protocol),
        Error::Utf8(_) => Some(CloseCode::Unsupported),
        _ => None,
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::NotConnected.into(),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests;
