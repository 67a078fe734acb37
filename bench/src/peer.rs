//! One MQTT connection that never blocks and reads and writes whole packets: for clients that do more than the load does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use mqtt_wire::{Packet, Version, decode_from_server};

/// Longest time that the kernel may take to connect on this machine.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Largest packet that is read, in bytes.
const PACKET_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// Bytes of one read.
const BITE_BYTES: usize = 64 * 1024;

/// What waits to be written.
#[derive(Debug)]
pub(crate) struct Outbox {
    version: Version,
    bytes: Vec<u8>,
}

impl Outbox {
    /// # Errors
    /// A packet that this version does not have.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) -> Result<()> {
        packet
            .encode(self.version, &mut self.bytes)
            .with_context(|| format!("cannot write {}", packet.name()))
    }

    /// Whatever bytes.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// Whether the broker still holds the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Closed,
}

/// A connection; dropping it closes the socket without a DISCONNECT.
#[derive(Debug)]
pub(crate) struct Peer {
    socket: TcpStream,
    incoming: Vec<u8>,
    outbox: Outbox,
}

impl Peer {
    /// # Errors
    /// Nobody listens, or this machine has no socket left.
    pub(crate) fn dial(address: SocketAddr, version: Version) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&address, CONNECT_WITHIN).context("cannot connect")?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let bytes = Vec::new();
        Ok(Self {
            socket,
            incoming: Vec::new(),
            outbox: Outbox { version, bytes },
        })
    }

    /// What waits to be written, to put more into it.
    pub(crate) const fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) -> State {
        while !self.outbox.bytes.is_empty() {
            match self.socket.write(&self.outbox.bytes) {
                Ok(0) => return State::Closed,
                Ok(count) => drop(self.outbox.bytes.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return State::Open,
                Err(_) => return State::Closed,
            }
        }
        State::Open
    }

    /// Reads what there is, takes it packet by packet, and writes the answers.
    ///
    /// # Errors
    /// Bytes that are no packet, or what `take` says.
    pub(crate) fn receive(
        &mut self,
        take: &mut dyn FnMut(Packet<'_>, &mut Outbox) -> Result<()>,
    ) -> Result<State> {
        let mut buffer = [0; BITE_BYTES];
        loop {
            let count = match self.socket.read(&mut buffer) {
                Ok(0) => return Ok(State::Closed),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A reset may overtake what was written before it.
                Err(_) => return Ok(State::Closed),
            };
            self.incoming
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
            self.take_packets(take)?;
            if count < buffer.len() {
                break;
            }
        }
        Ok(self.flush())
    }

    fn take_packets(&mut self, take: &mut dyn FnMut(Packet<'_>, &mut Outbox) -> Result<()>) -> Result<()> {
        let mut taken = 0;
        loop {
            let rest = self.incoming.get(taken..).unwrap_or_default();
            let decoded = decode_from_server(rest, self.outbox.version, PACKET_BYTES_MAX)
                .context("the broker sent a bad packet")?;
            let Some((packet, len)) = decoded else { break };
            taken += len;
            take(packet, &mut self.outbox)?;
        }
        self.incoming.drain(..taken);
        Ok(())
    }

    /// Reads and forgets.
    pub(crate) fn ignore(&mut self) -> State {
        let mut buffer = [0; BITE_BYTES];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return State::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return State::Open,
                Err(_) => return State::Closed,
            }
        }
    }

    /// Ends the connection after what was written, with a FIN and without waiting.
    pub(crate) fn finish(mut self) {
        self.flush();
        // It fails when the broker was faster.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.ignore();
    }
}
