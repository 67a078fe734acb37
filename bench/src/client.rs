//! Opens one connection: greets the broker, subscribes, and hands the socket over without blocking mode.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mqtt_wire::{QoS, Version, frame_len};

use crate::codec::{Codec, Introduction};
use crate::door::Door;
use crate::relay;
use crate::tls::Tls;

/// Longest time that a broker may take for any answer during set-up.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Longest packet that the broker may send during set-up, in bytes.
const FRAME_BYTES_MAX: u32 = 64 * 1024;

/// Filters of one SUBSCRIBE packet.
const FILTERS_PER_PACKET: usize = 64;

/// How to speak to the process under test.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speech {
    Mqtt(Codec, Version),
    /// The null relay knows channels and no MQTT.
    Relay,
}

impl Speech {
    /// The version spoken; the relay passes on what publishers write, which is 3.1.1.
    pub(crate) const fn version(self) -> Version {
        match self {
            Self::Mqtt(_, version) => version,
            Self::Relay => Version::V311,
        }
    }

    /// The codec of answers. Through the relay nothing is answered.
    pub(crate) const fn codec(self) -> Codec {
        match self {
            Self::Mqtt(codec, _) => codec,
            Self::Relay => Codec::Wire,
        }
    }
}

/// Who connects and what for.
#[derive(Debug, Clone)]
pub(crate) struct ClientPlan {
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    pub(crate) filters: Vec<String>,
    pub(crate) qos: QoS,
    /// The relay's channel.
    pub(crate) channel: u32,
}

impl ClientPlan {
    /// A clean client that subscribes to nothing.
    pub(crate) const fn publisher(client_id: String) -> Self {
        Self {
            client_id,
            clean: true,
            filters: Vec::new(),
            qos: QoS::AtMostOnce,
            channel: 0,
        }
    }
}

/// An open connection in blocking mode, greeted.
#[derive(Debug)]
pub(crate) struct Client {
    socket: TcpStream,
    tls: Option<Tls>,
    /// What came with the last answer and is not read yet.
    unread: Vec<u8>,
}

impl Client {
    /// Connects, greets and subscribes.
    ///
    /// # Errors
    /// As for [`Self::greet`] and [`Self::subscribe`].
    pub(crate) fn open(door: &Door, speech: Speech, plan: &ClientPlan) -> Result<Self> {
        let mut client = Self::greet(door, speech, plan)?;
        client.subscribe(speech, plan)?;
        Ok(client)
    }

    /// Connects and greets.
    ///
    /// # Errors
    /// The broker cannot be reached, refuses, or does not answer in time.
    pub(crate) fn greet(door: &Door, speech: Speech, plan: &ClientPlan) -> Result<Self> {
        Self::let_in(door, speech, plan)
            .with_context(|| format!("client {} at {}", plan.client_id, door.address))
    }

    fn let_in(door: &Door, speech: Speech, plan: &ClientPlan) -> Result<Self> {
        let mut client = Self::dial(door)?;
        match speech {
            Speech::Mqtt(codec, version) => {
                client.send_connect(codec, version, plan)?;
                client.receive_connack(codec, version)?;
            }
            Speech::Relay => {
                let role = if plan.filters.is_empty() {
                    relay::Role::Source
                } else {
                    relay::Role::Sink
                };
                client.write(&relay::greeting(role, plan.channel))?;
                client.read_exactly(1)?;
            }
        }
        Ok(client)
    }

    /// A connected socket, not greeted yet.
    pub(crate) fn dial(door: &Door) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&door.address, ANSWER_WITHIN).context("cannot connect")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.set_write_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self {
            socket,
            tls: door.tls.clone().map(Tls::new).transpose()?,
            unread: Vec::new(),
        })
    }

    /// Sends CONNECT.
    pub(crate) fn send_connect(&mut self, codec: Codec, version: Version, plan: &ClientPlan) -> Result<()> {
        let (client_id, clean) = (plan.client_id.clone(), plan.clean);
        self.write(&codec.connect(&Introduction {
            client_id,
            clean,
            version,
        })?)
    }

    /// Waits for a CONNACK that lets the client in.
    pub(crate) fn receive_connack(&mut self, codec: Codec, version: Version) -> Result<()> {
        let connack = self.read_frame()?;
        codec.check_connack(version, &connack)
    }

    /// Subscribes to the filters of the plan; the relay knows them by the greeting.
    ///
    /// # Errors
    /// The broker refuses one, or does not answer in time.
    pub(crate) fn subscribe(&mut self, speech: Speech, plan: &ClientPlan) -> Result<()> {
        let Speech::Mqtt(codec, version) = speech else {
            return Ok(());
        };
        self.subscribe_in_packets(codec, version, plan)
            .with_context(|| format!("client {} subscribes", plan.client_id))
    }

    fn subscribe_in_packets(&mut self, codec: Codec, version: Version, plan: &ClientPlan) -> Result<()> {
        for filters in plan.filters.chunks(FILTERS_PER_PACKET) {
            self.write(&codec.subscribe(version, filters, plan.qos)?)?;
            let suback = self.read_frame()?;
            codec.check_suback(version, &suback, filters.len(), plan.qos)?;
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.tls {
            None => self.socket.write_all(bytes),
            Some(tls) => tls.over(&mut self.socket).write_all(bytes),
        };
        written.context("cannot write to the broker")
    }

    /// The next whole frame.
    pub(crate) fn read_frame(&mut self) -> Result<Vec<u8>> {
        let mut known = 2;
        loop {
            self.fill(known)?;
            if let Some(len) = frame_len(&self.unread, FRAME_BYTES_MAX)? {
                return self.read_exactly(len);
            }
            known = self.unread.len() + 1;
        }
    }

    /// The next `len` bytes.
    fn read_exactly(&mut self, len: usize) -> Result<Vec<u8>> {
        self.fill(len)?;
        let rest = self.unread.split_off(len);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// Reads until `len` bytes are there.
    fn fill(&mut self, len: usize) -> Result<()> {
        let mut buffer = [0; 4096];
        while self.unread.len() < len {
            let count = self.read(&mut buffer).context("no answer from the broker")?;
            ensure!(count > 0, "the broker closed the connection");
            self.unread
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => tls.over(&mut self.socket).read(buffer),
        }
    }

    /// Waits until the broker has closed the connection.
    pub(crate) fn wait_for_the_end(mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // Inside TLS a broker may end the connection without a word.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
                    ) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error).context("the broker did not close the connection"),
            }
        }
    }

    /// The socket without blocking mode and the TLS inside it, when no bytes came early.
    pub(crate) fn into_nonblocking(self) -> Result<(mio::net::TcpStream, Option<Tls>)> {
        ensure!(self.unread.is_empty(), "messages came before any was sent");
        self.socket.set_nonblocking(true)?;
        Ok((mio::net::TcpStream::from_std(self.socket), self.tls))
    }
}
