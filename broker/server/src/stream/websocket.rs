//! MQTT inside WebSocket frames: a byte stream for those who read and write it, binary frames on the wire.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use mqtt_wire::websocket::{Fault, Frames, Kind, Said, put_frame, put_head};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::{OverSocket, Ration};

/// The largest frame that is sent; it is copied while it is written.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// What answers to pings may wait to be written; beyond, only the last of them waits.
const PONG_BYTES_MAX: usize = 4 * 1024;
/// What a WebSocket says and MQTT does not before others have their turn: reads, and bytes.
const IDLE_READS_MAX: usize = 16;
const TURN_BYTES: usize = 16 * 1024;
/// What WebSocket adds to what a CONNECT may have.
const CONNECT_FRAMING_BYTES: usize = 4 * 1024;

/// A WebSocket over a plain or a TLS socket.
///
/// [MQTT-6.0.0-1] Packets travel in binary frames; a text frame ends the connection. [MQTT-6.0.0-2] Where a frame ends
/// means nothing.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    socket: S,
    frames: Frames,
    /// What came with the upgrade and has not been read.
    begun: Vec<u8>,
    /// Its CONNECT has been read.
    known: bool,
    /// Frames, and how much of them is with the system.
    unsent: Vec<u8>,
    sent: usize,
    /// What the last ping said whose answer waits for room.
    ping: Option<Vec<u8>>,
    /// What is said at last was said, or is among what is unsent.
    left: bool,
    /// The peer has said good-bye.
    over: bool,
    /// What the peer did wrong, behind what it said before.
    fault: Option<Fault>,
}

impl<S: AsyncRead + AsyncWrite + OverSocket + Unpin> WebSocket<S> {
    /// Frames over a socket that has been upgraded; `begun` came with the upgrade. Of a peer that has not sent a CONNECT no
    /// more is read than one may have.
    pub(super) fn new(mut socket: S, begun: Vec<u8>, connect_bytes_max: usize) -> Self {
        let whole = connect_bytes_max + CONNECT_FRAMING_BYTES;
        socket.movable().set_ration(Ration::Whole(whole));
        Self {
            socket,
            frames: Frames::new(),
            begun,
            known: false,
            unsent: Vec::new(),
            sent: 0,
            ping: None,
            left: false,
            over: false,
            fault: None,
        }
    }

    /// Its CONNECT has been read: from now on it may send as much as it likes, a turn at a time.
    pub(super) const fn know(&mut self) {
        self.known = true;
    }

    pub(super) const fn under(&mut self) -> &mut S {
        &mut self.socket
    }

    pub(super) const fn under_ref(&self) -> &S {
        &self.socket
    }

    /// Says good-bye, once.
    fn leave(&mut self, code: Option<u16>) {
        if !self.left {
            self.left = true;
            let code = code.map(u16::to_be_bytes);
            put_frame(
                &mut self.unsent,
                Kind::Close,
                code.as_ref().map_or(&[], |code| code),
            );
        }
    }

    /// Answers a ping, or remembers that it has to be when there is room.
    fn answer(&mut self, asked: Vec<u8>) {
        if self.left {
            return;
        }
        if self.unsent.len() < PONG_BYTES_MAX {
            put_frame(&mut self.unsent, Kind::Pong, &asked);
        } else {
            self.ping = Some(asked);
        }
    }

    /// Hands what is unsent to the socket.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(unsent) = self.unsent.get(self.sent..).filter(|unsent| !unsent.is_empty()) {
                match ready!(Pin::new(&mut self.socket).poll_write(cx, unsent))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.sent += count,
                }
            }
            // Who is idle holds no room for what was sent.
            (self.unsent, self.sent) = (Vec::new(), 0);
            match self.ping.take() {
                Some(asked) => self.answer(asked),
                None => return Pin::new(&mut self.socket).poll_flush(cx),
            }
        }
    }

    /// Sends as much as the socket takes at once. Whether it fails shows when it is read.
    fn send_on(&mut self, cx: &mut Context<'_>) {
        if !self.unsent.is_empty() {
            let _sent = self.poll_send(cx);
        }
    }

    /// Reads once, and leaves in `buf` what was said of MQTT.
    fn poll_part(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.begun.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
            self.over |= buf.filled().len() == before;
        } else {
            let rest = self.begun.split_off(self.begun.len().min(buf.remaining()));
            buf.put_slice(&std::mem::replace(&mut self.begun, rest));
        }
        let said = buf.filled_mut().get_mut(before..).unwrap_or_default();
        let len = self.unframe(said);
        buf.set_filled(before + len);
        Poll::Ready(Ok(()))
    }

    /// Takes frames apart where they are; what they say of MQTT is in front then, and so long.
    fn unframe(&mut self, bytes: &mut [u8]) -> usize {
        let (mut at, mut len) = (0, 0);
        while at < bytes.len() && !self.over && self.fault.is_none() {
            match self.frames.read(bytes.get_mut(at..).unwrap_or_default()) {
                Ok((used, said)) => {
                    match said {
                        Some(Said::Bytes { from }) => {
                            bytes.copy_within(at + from..at + used, len);
                            len += used - from;
                        }
                        Some(Said::Ping(asked)) => self.answer(asked),
                        Some(Said::Close(code)) => {
                            self.leave(code);
                            self.over = true;
                        }
                        Some(Said::Pong) | None => {}
                    }
                    at += used;
                }
                Err(fault) => self.fault = Some(fault),
            }
        }
        len
    }
}

impl<S: AsyncRead + AsyncWrite + OverSocket + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(())); // It would look like the end.
        }
        if self.known {
            self.under().movable().set_ration(Ration::Turn(TURN_BYTES));
        }
        let before = buf.filled().len();
        for _ in 0..IDLE_READS_MAX {
            if let Some(fault) = self.fault {
                self.leave(Some(fault.code));
                self.send_on(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
            }
            self.send_on(cx);
            if self.over {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_part(cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + OverSocket + Unpin> AsyncWrite for WebSocket<S> {
    /// Takes what fits into one frame, once the one before it is with the system.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.left {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        ready!(self.poll_send(cx))?;
        let (now, _) = bytes.split_at(bytes.len().min(FRAME_BYTES_MAX));
        put_head(&mut self.unsent, Kind::Binary, now.len());
        self.unsent.extend_from_slice(now);
        self.send_on(cx);
        Poll::Ready(Ok(now.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    /// Says good-bye; the peer's good-bye is the end of what is read.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.leave(None);
        self.poll_send(cx)
    }
}

#[cfg(test)]
mod tests;
