//! The minimal probe: MQTT 3.1.1 at QoS 0 and 1 from packet to packet, without sessions, authentication, limits and
//! disk. What it costs is what this shape of broker costs at least.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use mqtt_wire::{
    Ack, ConnAck, Connect, Packet, PacketId, Publish, QoS, ReasonCode, SubAck, Subscribe, TopicFilter,
    UnsubAck, Unsubscribe, Version, decode,
};

use crate::compare::say;

mod filters;

use filters::{Filters, Subscribed, Target};

/// Bytes that may wait for one connection after a round; with more it is closed.
const BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages that one connection may owe a PUBACK for after a round; with more it is closed, as packet ids run out.
const UNACKNOWLEDGED_MAX: u32 = u16::MAX as u32;

/// Largest packet that is read, in bytes.
const PACKET_BYTES_MAX: u32 = 4 * 1024 * 1024;

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 256 * 1024;

/// All connections, on one thread.
pub(crate) struct Probe {
    poll: Poll,
    listener: mio::net::TcpListener,
    connections: Vec<Option<Connection>>,
    /// Slots of connections that went.
    free: Vec<usize>,
    filters: Filters,
    /// The topic of the last message, and who gets it; empty after subscriptions changed.
    topic: String,
    route: Vec<Target>,
    /// The message that is being delivered.
    frame: Vec<u8>,
    /// Connections for which bytes have gathered in this round.
    touched: Vec<usize>,
}

struct Connection {
    socket: TcpStream,
    is_greeted: bool,
    is_touched: bool,
    /// The beginning of a packet whose end has not come.
    partial: Vec<u8>,
    out: Vec<u8>,
    packet_id: PacketId,
    unacknowledged: u32,
    filters: Vec<TopicFilter>,
}

impl Probe {
    /// # Errors
    /// The address is taken.
    pub(crate) fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        listener.set_nonblocking(true)?;
        let mut listener = mio::net::TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            filters: Filters::new(),
            topic: String::new(),
            route: Vec::new(),
            frame: Vec::new(),
            touched: Vec::new(),
        })
    }

    /// Serves until the process is killed.
    ///
    /// # Errors
    /// The kernel refuses to wait or to accept.
    pub(crate) fn serve(mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(slot) => {
                        if event.is_writable() {
                            self.touch(slot);
                        }
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            self.read(slot, event.is_read_closed(), &mut buffer);
                        }
                    }
                }
            }
            self.flush();
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("cannot accept"),
            };
            socket.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poll.registry().register(
                &mut socket,
                Token(slot),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            if let Some(place) = self.connections.get_mut(slot) {
                *place = Some(Connection::new(socket));
            }
        }
    }

    /// Reads what there is. A read that does not fill the buffer has emptied the socket; but the end of what a client
    /// sent, once told, is not told again.
    fn read(&mut self, slot: usize, has_ended: bool, buffer: &mut [u8]) {
        while let Some(connection) = self.connection(slot) {
            let count = match connection.socket.read(buffer) {
                Ok(count @ 1..) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => return self.hang_up(slot),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            if let Err(error) = self.take(slot, bytes) {
                say(&format!("probe: closed a connection: {error:#}"));
                return self.hang_up(slot);
            }
            if count < buffer.len() && !has_ended {
                return;
            }
        }
    }

    /// Takes the packets that are whole with `bytes`; the rest waits for more.
    fn take(&mut self, slot: usize, bytes: &[u8]) -> Result<()> {
        let Some(connection) = self.connection(slot) else {
            return Ok(());
        };
        if connection.partial.is_empty() {
            let taken = self.take_packets(slot, bytes)?;
            if let Some(connection) = self.connection(slot) {
                let rest = bytes.get(taken..).unwrap_or_default();
                connection.partial.extend_from_slice(rest);
            }
        } else {
            let mut whole = std::mem::take(&mut connection.partial);
            whole.extend_from_slice(bytes);
            let taken = self.take_packets(slot, &whole)?;
            whole.drain(..taken);
            if let Some(connection) = self.connection(slot) {
                connection.partial = whole;
            }
        }
        Ok(())
    }

    /// Answers how many bytes the packets took.
    fn take_packets(&mut self, slot: usize, bytes: &[u8]) -> Result<usize> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            let Some((packet, len)) = decode(rest, Version::V311, PACKET_BYTES_MAX)? else {
                return Ok(taken);
            };
            taken += len;
            self.take_packet(slot, &packet)?;
        }
    }

    fn take_packet(&mut self, slot: usize, packet: &Packet<'_>) -> Result<()> {
        // After a DISCONNECT nothing counts.
        let Some(connection) = self.connection(slot) else {
            return Ok(());
        };
        match packet {
            Packet::Connect(connect) => return self.greet(slot, connect),
            packet => ensure!(connection.is_greeted, "{} before CONNECT", packet.name()),
        }
        match packet {
            Packet::Publish(publish) => self.publish(slot, publish),
            Packet::PubAck(_) => {
                connection.unacknowledged = connection.unacknowledged.saturating_sub(1);
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.subscribe(slot, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(slot, unsubscribe),
            Packet::PingReq => self.answer(slot, &Packet::PingResp),
            Packet::Disconnect(_) => {
                self.hang_up(slot);
                Ok(())
            }
            packet => bail!("{} is not served", packet.name()),
        }
    }

    /// Lets everybody in who asks for nothing that is not here.
    fn greet(&mut self, slot: usize, connect: &Connect) -> Result<()> {
        let reason = if connect.version != Version::V311 {
            ReasonCode::UnsupportedProtocolVersion
        } else if !connect.clean_start || connect.will.is_some() {
            ReasonCode::ServerUnavailable
        } else {
            ReasonCode::Success
        };
        let Some(connection) = self.connection(slot) else {
            return Ok(());
        };
        ensure!(!connection.is_greeted, "a second CONNECT");
        connection.is_greeted = true;
        let connack = ConnAck {
            reason,
            ..ConnAck::default()
        };
        Packet::ConnAck(connack).encode(connect.version, &mut connection.out)?;
        self.touch(slot);
        if reason != ReasonCode::Success {
            self.flush();
            bail!("neither 5.0 nor sessions nor wills are served");
        }
        Ok(())
    }

    /// Appends the message to what each receiver gets in this round.
    fn publish(&mut self, slot: usize, publish: &Publish<'_>) -> Result<()> {
        ensure!(publish.qos < QoS::ExactlyOnce, "QoS 2 is not served");
        ensure!(!publish.retain, "retained messages are not served");
        if self.topic != publish.topic {
            self.filters.route(publish.topic, &mut self.route);
            self.topic.clear();
            self.topic.push_str(publish.topic);
        }
        let mut encoded = None;
        for target in &self.route {
            let Some(Some(connection)) = self.connections.get_mut(target.slot) else {
                continue;
            };
            let qos = target.qos.min(publish.qos);
            if encoded != Some(qos) {
                encoded = Some(qos);
                self.frame.clear();
                let message = Publish {
                    dup: false,
                    qos,
                    packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::FIRST),
                    ..*publish
                };
                message.encode(Version::V311, &mut self.frame)?;
            }
            connection.out.extend_from_slice(&self.frame);
            if qos > QoS::AtMostOnce {
                connection.number(publish.payload.len());
            }
            if !connection.is_touched {
                connection.is_touched = true;
                self.touched.push(target.slot);
            }
        }
        match publish.packet_id {
            Some(packet_id) => self.answer(slot, &Packet::PubAck(Ack::new(packet_id))),
            None => Ok(()),
        }
    }

    fn subscribe(&mut self, slot: usize, subscribe: &Subscribe) -> Result<()> {
        let mut reasons = Vec::new();
        for subscription in &subscribe.filters {
            let qos = subscription.qos.min(QoS::AtLeastOnce);
            let filter = &subscription.filter;
            let subscribed = self.filters.subscribe(filter, Target { slot, qos });
            if subscribed == Subscribed::Newly
                && let Some(connection) = self.connection(slot)
            {
                connection.filters.push(filter.clone());
            }
            reasons.push(match (subscribed, qos) {
                (Subscribed::Not, _) => ReasonCode::UnspecifiedError,
                (_, QoS::AtMostOnce) => ReasonCode::Success,
                (_, QoS::AtLeastOnce | QoS::ExactlyOnce) => ReasonCode::GrantedQoS1,
            });
        }
        self.topic.clear();
        let suback = SubAck::new(subscribe.packet_id, reasons);
        self.answer(slot, &Packet::SubAck(suback))
    }

    fn unsubscribe(&mut self, slot: usize, unsubscribe: &Unsubscribe) -> Result<()> {
        for filter in &unsubscribe.filters {
            self.filters.unsubscribe(filter, slot);
            if let Some(connection) = self.connection(slot) {
                connection.filters.retain(|own| own != filter);
            }
        }
        self.topic.clear();
        let reasons = vec![ReasonCode::Success; unsubscribe.filters.len()];
        let unsuback = UnsubAck::new(unsubscribe.packet_id, reasons);
        self.answer(slot, &Packet::UnsubAck(unsuback))
    }

    fn answer(&mut self, slot: usize, packet: &Packet<'_>) -> Result<()> {
        if let Some(connection) = self.connection(slot) {
            packet.encode(Version::V311, &mut connection.out)?;
            self.touch(slot);
        }
        Ok(())
    }

    fn connection(&mut self, slot: usize) -> Option<&mut Connection> {
        self.connections.get_mut(slot).and_then(Option::as_mut)
    }

    fn touch(&mut self, slot: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(slot)
            && !connection.out.is_empty()
            && !connection.is_touched
        {
            connection.is_touched = true;
            self.touched.push(slot);
        }
    }

    /// Writes to each touched connection once what has gathered; the rest waits until the socket takes more.
    fn flush(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for slot in touched.drain(..) {
            let Some(connection) = self.connection(slot) else {
                continue;
            };
            connection.is_touched = false;
            if let Err(error) = connection.write() {
                say(&format!("probe: closed a connection: {error:#}"));
                self.hang_up(slot);
            }
        }
        // For its memory.
        self.touched = touched;
    }

    fn hang_up(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::take) else {
            return;
        };
        for filter in &connection.filters {
            self.filters.unsubscribe(filter, slot);
        }
        self.topic.clear();
        self.free.push(slot);
    }
}

impl Connection {
    const fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            is_greeted: false,
            is_touched: false,
            partial: Vec::new(),
            out: Vec::new(),
            packet_id: PacketId::FIRST,
            unacknowledged: 0,
            filters: Vec::new(),
        }
    }

    /// Gives the message that was appended last, with a payload of that length, the next packet id.
    fn number(&mut self, payload_len: usize) {
        let place = self.out.len() - payload_len - 2;
        if let Some(id) = self.out.get_mut(place..place + 2) {
            id.copy_from_slice(&self.packet_id.get().to_be_bytes());
        }
        self.packet_id = self.packet_id.next();
        self.unacknowledged += 1;
    }

    /// One write.
    fn write(&mut self) -> Result<()> {
        match self.socket.write(&self.out) {
            Ok(count) => drop(self.out.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot write"),
        }
        ensure!(self.out.len() <= BACKLOG_BYTES_MAX, "it does not read");
        ensure!(
            self.unacknowledged <= UNACKNOWLEDGED_MAX,
            "it does not acknowledge"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
