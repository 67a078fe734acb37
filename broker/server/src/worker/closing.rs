//! Connections that the rules are done with, on their way out: last bytes, a half close, and a short wait for the peer.
//!
//! A socket that is closed while bytes of its peer lie unread is reset, and a reset may overtake the DISCONNECT that
//! says why. So whoever is told something last is read, unheard, until it hangs up or its time is over.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use broker_core::Moment;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{listener::Seat, stream::Stream};

/// How long a leaving connection may take.
const LINGER: Duration = Duration::from_secs(2);
/// How many may be leaving at a time; beyond, the one that has been leaving longest is cut off.
const LEAVERS_MAX: usize = 1024;
/// How much is read, unheard, from one.
const UNHEARD_BYTES_MAX: usize = 1024 * 1024;

/// One connection on its way out.
#[derive(Debug)]
pub(crate) struct Leaver {
    stream: Stream,
    unsent: Vec<u8>,
    sent: usize,
    shut: bool,
    unheard: usize,
    until: Moment,
    _seat: Seat,
}

/// All connections of a shard that are on their way out.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    leavers: VecDeque<Leaver>,
}

impl Closing {
    /// Sees a connection out. If nothing is left to say it is closed at once; a session still says good-bye.
    pub(crate) fn see_out(
        &mut self,
        stream: Stream,
        unsent: &[u8],
        seat: Seat,
        now: Moment,
        cx: &mut Context<'_>,
    ) {
        if unsent.is_empty() && !stream.holds_back() {
            return;
        }
        let mut leaver = Leaver {
            stream,
            unsent: unsent.to_vec(),
            sent: 0,
            shut: false,
            unheard: 0,
            until: now + LINGER,
            _seat: seat,
        };
        if leaver.poll(cx).is_pending() && !unsent.is_empty() {
            if self.leavers.len() >= LEAVERS_MAX {
                self.leavers.pop_front();
            }
            self.leavers.push_back(leaver);
        }
    }

    /// Goes on with all of them.
    pub(crate) fn go_on(&mut self, now: Moment, cx: &mut Context<'_>) {
        self.leavers
            .retain_mut(|leaver| now < leaver.until && leaver.poll(cx).is_pending());
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        // They all have the same time, so the first is the next.
        self.leavers.front().map(|leaver| leaver.until)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leavers.is_empty()
    }
}

impl Leaver {
    /// Pending while there is something to wait for; an error ends the wait like success.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.try_poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(()) | Err(_)) => Poll::Ready(()),
        }
    }

    fn try_poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
        while let Some(unsent) = self.unsent.get(self.sent..).filter(|unsent| !unsent.is_empty()) {
            match stream.as_mut().poll_write(cx, unsent) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.sent += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !self.shut {
            match stream.as_mut().poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.shut = true,
                other => return other,
            }
        }
        let mut unheard = [0; 4096];
        while self.unheard < UNHEARD_BYTES_MAX {
            let mut into = ReadBuf::new(&mut unheard);
            match stream.as_mut().poll_read(cx, &mut into) {
                Poll::Ready(Ok(())) if into.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => self.unheard += into.filled().len(),
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }
}
