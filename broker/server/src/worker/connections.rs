//! The sockets of one shard: a slot for each, and the list of those that something happened to.

use std::{
    io, mem,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use broker_core::{ConnectionId, Moment};
use mqtt_wire::Version;
use plugin_api::{Peer, Principal};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::again::Entry;
use crate::{bell::Bell, listener::Seat, stream::Stream};

/// One socket at home.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// Bytes read and not yet used: a packet's beginning, or what came while the rules would not read.
    pub(crate) rest: Vec<u8>,
    pub(crate) principal: Arc<Principal>,
    /// How it came in, if it may say anew who it is.
    pub(crate) entry: Option<Box<Entry>>,
    pub(crate) peer: Peer,
    pub(crate) version: Version,
    /// Since when its socket has taken nothing though there was something to take.
    pub(crate) blocked_since: Option<Moment>,
    /// It is in the list of connections whose sockets take nothing.
    pub(crate) blocked: bool,
    /// A write failed: the socket is of no more use.
    pub(crate) broken: bool,
    /// The session over the socket holds bytes that the socket has not taken.
    pub(crate) unflushed: bool,
    /// It waits in the list of connections that are not read for the sake of others.
    pub(crate) held: bool,
    pub(crate) seat: Seat,
    alarm: Arc<Alarm>,
    waker: Waker,
}

/// Puts a connection's slot on the ready list when its socket stirs.
#[derive(Debug)]
struct Alarm {
    slot: u32,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

/// Slots that want a look, each once.
#[derive(Debug)]
struct Ready {
    // Woken by this thread's own driver, so nobody contends for it.
    slots: Mutex<Vec<u32>>,
    bell: Arc<Bell>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready
                .slots
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(self.slot);
            self.ready.bell.ring();
        }
    }
}

/// What a newcomer brings.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    pub(crate) rest: Vec<u8>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) entry: Option<Box<Entry>>,
    pub(crate) peer: Peer,
    pub(crate) version: Version,
    pub(crate) seat: Seat,
}

/// All sockets of a shard.
#[derive(Debug)]
pub(crate) struct Connections {
    slots: Vec<Option<Connection>>,
    free: Vec<u32>,
    ready: Arc<Ready>,
    taken: Vec<u32>,
}

impl Connections {
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        let ready = Arc::new(Ready {
            slots: Mutex::default(),
            bell,
        });
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            ready,
            taken: Vec::new(),
        }
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// Gives a connection a slot, and has it looked at soon. `None` if slots have run out.
    pub(crate) fn insert(&mut self, arrival: Arrival) -> Option<ConnectionId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => u32::try_from(self.slots.len()).ok()?,
        };
        let alarm = Arc::new(Alarm {
            slot,
            queued: AtomicBool::new(false),
            ready: Arc::clone(&self.ready),
        });
        let Arrival {
            stream,
            rest,
            principal,
            entry,
            peer,
            version,
            seat,
        } = arrival;
        let connection = Connection {
            stream,
            rest,
            principal,
            entry,
            peer,
            version,
            blocked_since: None,
            blocked: false,
            broken: false,
            unflushed: false,
            held: false,
            seat,
            waker: Waker::from(Arc::clone(&alarm)),
            alarm,
        };
        connection.waker.wake_by_ref();
        match self.slots.get_mut(slot as usize) {
            Some(vacant) => *vacant = Some(connection),
            None => self.slots.push(Some(connection)),
        }
        Some(ConnectionId(slot))
    }

    /// Empties a slot. It may be given away at once.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.slots.get_mut(id.0 as usize)?.take()?;
        self.free.push(id.0);
        Some(connection)
    }

    /// Has a connection looked at in the next round.
    pub(crate) fn queue(&self, id: ConnectionId) {
        if let Some(connection) = self.get(id) {
            connection.waker.wake_by_ref();
        }
    }

    /// The slots on the ready list, which is then empty: what stirs from now on is on it again. To be given back by
    /// [`Connections::done_with`], so that its memory serves again.
    pub(crate) fn take_ready(&mut self) -> Vec<u32> {
        let mut taken = mem::take(&mut self.taken);
        mem::swap(
            &mut *self.ready.slots.lock().unwrap_or_else(PoisonError::into_inner),
            &mut taken,
        );
        for slot in &taken {
            if let Some(connection) = self.get(ConnectionId(*slot)) {
                connection.alarm.queued.store(false, Ordering::Release);
            }
        }
        taken
    }

    pub(crate) fn done_with(&mut self, mut taken: Vec<u32>) {
        taken.clear();
        self.taken = taken;
    }

    pub(crate) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl Connection {
    /// Reads what the socket has. The connection is put on the ready list when a read that was pending could go on.
    pub(crate) fn poll_read(&mut self, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(&self.waker);
        let mut into = ReadBuf::new(into);
        Pin::new(&mut self.stream)
            .poll_read(&mut cx, &mut into)
            .map_ok(|()| into.filled().len())
    }

    /// Writes what the socket takes.
    pub(crate) fn poll_write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(&self.waker);
        Pin::new(&mut self.stream).poll_write(&mut cx, bytes)
    }

    /// Pushes out what the session over the socket holds.
    pub(crate) fn poll_flush(&mut self) -> Poll<io::Result<()>> {
        let mut cx = Context::from_waker(&self.waker);
        Pin::new(&mut self.stream).poll_flush(&mut cx)
    }
}
