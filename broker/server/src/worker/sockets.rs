//! Between sockets and rules: bytes become packets, and what the rules left to be written is written.

use std::{mem, task::Poll};

use broker_core::{ConnectionId, Input};
use mqtt_wire::{Version, decode};

use super::{Worker, connections::Connection};
use crate::gate::AtHand;

/// How much of one connection is read in one round; then others have their turn.
const BITE_BYTES: usize = 64 * 1024;
/// The beginning of a packet up to this size is put in front of what is read next; a longer one is gathered apart.
const FRONT_BYTES: usize = 4 * 1024;
/// The buffer that all connections of a shard are read into.
pub(super) const READ_BUFFER_BYTES: usize = FRONT_BYTES + BITE_BYTES;

impl Worker {
    /// Looks after every socket that stirred.
    pub(super) fn serve_sockets(&mut self) {
        let mut buffer = mem::take(&mut self.buffer);
        if self.may_read() {
            self.backlog.release_held(&mut self.connections);
        }
        let ready = self.connections.take_ready();
        for slot in &ready {
            self.serve_socket(ConnectionId(*slot), &mut buffer);
        }
        self.connections.done_with(ready);
        self.buffer = buffer;
        self.perform_duties();
    }

    fn serve_socket(&mut self, id: ConnectionId, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        if connection.broken {
            return self.lose(id);
        }
        if connection.blocked_since.is_some() || connection.unflushed {
            self.write(id);
        }
        if self.may_read() {
            self.read(id, buffer);
        } else {
            self.backlog.hold(id, &mut self.connections);
        }
    }

    /// Whether anything is read at all: not while too much waits to be written or to be carried to other shards.
    fn may_read(&self) -> bool {
        !self.post.is_overfull() && !self.backlog.is_full(&self.outputs)
    }

    fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) {
        let mut bitten = 0;
        if !self.use_rest(id) {
            return;
        }
        while bitten < BITE_BYTES {
            let Some(connection) = self.connections.get_mut(id) else {
                return;
            };
            let front = connection.copy_rest_to(buffer);
            let Some((_, space)) = buffer.split_at_mut_checked(front) else {
                return;
            };
            match connection.poll_read(space) {
                Poll::Pending => return,
                Poll::Ready(Ok(0) | Err(_)) => return self.lose(id),
                Poll::Ready(Ok(count)) => {
                    bitten += count;
                    self.tally.bytes_received += count as u64;
                    let Some((bytes, _)) = buffer.split_at_checked(front + count) else {
                        return;
                    };
                    if !self.use_bytes(id, bytes, front) {
                        return;
                    }
                }
            }
        }
        self.connections.queue(id);
    }

    /// Hands what was read to the rules; its first `front` bytes are the connection's rest. Whether to read on.
    fn use_bytes(&mut self, id: ConnectionId, bytes: &[u8], front: usize) -> bool {
        let Some(connection) = self.connections.get_mut(id) else {
            return false;
        };
        let (mut rest, version) = (mem::take(&mut connection.rest), connection.version);
        if rest.len() > front {
            rest.extend_from_slice(bytes);
            connection.rest = rest;
            return self.use_rest(id);
        }
        let used = self.hand_in(id, version, bytes);
        let Some(connection) = self.connections.get_mut(id) else {
            return false;
        };
        match bytes.get(used..) {
            None | Some([]) => {}
            Some(left) => {
                rest.clear();
                rest.extend_from_slice(left);
                connection.rest = rest;
            }
        }
        self.shard.reads(id)
    }

    /// Hands what was left over to the rules. Whether to read on.
    fn use_rest(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get_mut(id) else {
            return false;
        };
        if !connection.rest.is_empty() && self.shard.reads(id) {
            let (mut rest, version) = (mem::take(&mut connection.rest), connection.version);
            let used = self.hand_in(id, version, &rest);
            let Some(connection) = self.connections.get_mut(id) else {
                return false;
            };
            if used < rest.len() {
                rest.drain(..used);
                connection.rest = rest;
            }
        }
        self.shard.reads(id)
    }

    /// Hands in whole packets while the rules take them; says how many bytes they were.
    fn hand_in(&mut self, id: ConnectionId, version: Version, bytes: &[u8]) -> usize {
        let packet_bytes_max = self.shard.packet_bytes_max(id);
        let mut left = bytes;
        while self.shard.reads(id) {
            match decode(left, version, packet_bytes_max) {
                Ok(Some((packet, len))) => {
                    let judge = AtHand {
                        desk: &self.house.gates,
                        principal: self.connections.get(id).map(|connection| &connection.principal),
                    };
                    let input = Input::Packet {
                        connection: id,
                        packet,
                        judge: &judge,
                    };
                    self.shard.step(self.now, input, &mut self.outputs);
                    left = left.get(len..).unwrap_or_default();
                }
                Ok(None) => break,
                Err(error) => {
                    self.step(Input::Malformed {
                        connection: id,
                        error,
                    });
                    // Where the next packet begins is not known any more.
                    left = &[];
                    break;
                }
            }
        }
        bytes.len() - left.len()
    }

    /// Writes, once, to every connection that something was left for.
    pub(super) fn write_touched(&mut self) {
        let mut touched = mem::take(&mut self.touched);
        self.outputs.take_touched(&mut touched);
        for id in &touched {
            self.write(*id);
        }
        self.touched = touched;
    }

    /// Writes what the socket takes.
    fn write(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        while let Some(outbox) = self.outputs.outbox(id).filter(|outbox| !outbox.is_empty()) {
            match connection.poll_write(outbox.unsent()) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    connection.blocked_since = None;
                    connection.unflushed = connection.stream.holds_back();
                    self.tally.bytes_sent += count as u64;
                    if self.outputs.sent(id, count) {
                        // Told in the next round: a receiver that keeps up must not keep this one going.
                        self.drained.push(id);
                        self.bell.ring();
                    }
                }
                Poll::Ready(_) => return self.break_off(id),
                Poll::Pending => return self.backlog.block(id, connection, self.now),
            }
        }
        connection.blocked_since = None;
        if connection.unflushed {
            match connection.poll_flush() {
                Poll::Ready(Ok(())) => connection.unflushed = false,
                Poll::Ready(Err(_)) => self.break_off(id),
                Poll::Pending => {}
            }
        }
    }

    /// The socket has failed while it was written to. The rules hear of it when it is this connection's turn.
    fn break_off(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.broken = true;
        }
        self.connections.queue(id);
    }

    /// The connection is gone without the rules having asked for it.
    pub(super) fn lose(&mut self, id: ConnectionId) {
        if self.connections.remove(id).is_some() {
            self.step(Input::Lost { connection: id });
            self.outputs.forget(id);
        }
    }
}

impl Connection {
    /// Copies a short rest to the front of the buffer; a long one stays where it is, and nothing is in front.
    fn copy_rest_to(&self, buffer: &mut [u8]) -> usize {
        match buffer.get_mut(..self.rest.len()) {
            Some(front) if self.rest.len() <= FRONT_BYTES => {
                front.copy_from_slice(&self.rest);
                self.rest.len()
            }
            _ => 0,
        }
    }
}
