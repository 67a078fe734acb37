//! A small blocking client: what it sends is written out in the story, what it hears is compared there.

use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use mqtt_wire::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Properties, Publish, QoS, ReasonCode, SubAck,
    Subscribe, Subscription, TopicFilter, Version, decode_from_server,
};

/// How long anything that must happen may take.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

pub(crate) struct Client {
    wire: Box<dyn Wire>,
    version: Version,
    heard: Vec<u8>,
}

/// A message, as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) id: Option<PacketId>,
}

/// What a server may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    ConnAck(ConnAck),
    Message(Message),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    SubAck(SubAck),
    Auth(Auth),
    PingResp,
    Disconnect(ReasonCode),
    Other(&'static str),
    /// The connection was closed.
    Closed,
}

pub(crate) fn connect(version: Version, client_id: &str) -> Connect {
    Connect::new(version, client_id)
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

impl Client {
    /// A connection that has not said anything.
    pub(crate) fn dial(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(Box::new(socket))
    }

    pub(crate) fn over(wire: Box<dyn Wire>) -> Self {
        Self {
            wire,
            version: Version::V5,
            heard: Vec::new(),
        }
    }

    /// Connects and is let in.
    pub(crate) fn enter(address: SocketAddr, connect: &Connect) -> Self {
        let mut client = Self::dial(address);
        let connack = client.introduce(connect);
        assert_eq!(connack.reason, ReasonCode::Success);
        client
    }

    /// Connects with a clean start.
    pub(crate) fn named(address: SocketAddr, version: Version, client_id: &str) -> Self {
        Self::enter(address, &connect(version, client_id))
    }

    /// Sends CONNECT and hears the answer.
    pub(crate) fn introduce(&mut self, connect: &Connect) -> ConnAck {
        self.version = connect.version;
        self.send(&Packet::Connect(Box::new(connect.clone())));
        match self.hear() {
            Heard::ConnAck(connack) => connack,
            other => panic!("instead of CONNACK: {other:?}"),
        }
    }

    /// Whether CONNECT is not answered by CONNACK.
    pub(crate) fn is_left_without_connack(&mut self, connect: &Connect) -> bool {
        let hello = bytes(connect.version, &Packet::Connect(Box::new(connect.clone())));
        let mut heard = [0; 1];
        let sent = self.wire.write_all(&hello).and_then(|()| self.wire.flush());
        sent.is_err() || !matches!(self.wire.read(&mut heard), Ok(1)) || heard[0] != 0x20
    }

    /// Reads from now on what a server says to a client of this version.
    pub(crate) fn speak(&mut self, version: Version) {
        self.version = version;
    }

    /// The end, whatever is said before.
    pub(crate) fn hear_end(&mut self) -> Heard {
        loop {
            if self.hear() == Heard::Closed {
                return Heard::Closed;
            }
        }
    }

    /// Reads to the end, whatever is said.
    pub(crate) fn drain(&mut self) {
        let mut bytes = Vec::new();
        // The end may be a reset.
        let _end = self.wire.read_to_end(&mut bytes);
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.wire.write_all(bytes).unwrap();
        self.wire.flush().unwrap();
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let bytes = bytes(self.version, packet);
        self.write(&bytes);
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str, qos: QoS, number: u16) {
        self.send(&publication(topic, payload, qos, number, false));
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) -> ReasonCode {
        self.begin_subscribe(filter, qos);
        self.end_subscribe()
    }

    pub(crate) fn begin_subscribe(&mut self, filter: &str, qos: QoS) {
        let subscription = Subscription::new(TopicFilter::parse(filter).unwrap(), qos);
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: id(999),
            subscription_id: None,
            filters: vec![subscription],
            user_properties: Vec::new(),
        }));
    }

    pub(crate) fn end_subscribe(&mut self) -> ReasonCode {
        match self.hear() {
            Heard::SubAck(suback) => suback.reasons[0],
            other => panic!("instead of SUBACK: {other:?}"),
        }
    }

    pub(crate) fn disconnect(&mut self) {
        self.send(&Packet::Disconnect(Disconnect::with(ReasonCode::Success)));
    }

    /// The answer to a PINGREQ comes next: nothing else was under way.
    pub(crate) fn hears_nothing(&mut self) {
        self.send(&Packet::PingReq);
        assert_eq!(self.hear(), Heard::PingResp);
    }

    pub(crate) fn message(&mut self) -> Message {
        match self.hear() {
            Heard::Message(message) => message,
            other => panic!("instead of PUBLISH: {other:?}"),
        }
    }

    /// The next packet, or the end.
    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            if let Some((heard, len)) = self.decoded() {
                self.heard.drain(..len);
                return heard;
            }
            let mut bytes = [0; 16 * 1024];
            match self.wire.read(&mut bytes) {
                Ok(0) => return Heard::Closed,
                Ok(count) => self.heard.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing was heard in time"),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Heard::Closed,
                Err(error) => panic!("cannot read: {error}"),
            }
        }
    }

    fn decoded(&self) -> Option<(Heard, usize)> {
        let (packet, len) = decode_from_server(&self.heard, self.version, u32::MAX).unwrap()?;
        let heard = match packet {
            Packet::ConnAck(connack) => Heard::ConnAck(connack),
            Packet::Publish(publish) => Heard::Message(Message {
                topic: publish.topic.into(),
                payload: String::from_utf8(publish.payload.into()).unwrap(),
                qos: publish.qos,
                retain: publish.retain,
                id: publish.packet_id,
            }),
            Packet::PubAck(ack) => Heard::PubAck(ack),
            Packet::PubRec(ack) => Heard::PubRec(ack),
            Packet::PubRel(ack) => Heard::PubRel(ack),
            Packet::PubComp(ack) => Heard::PubComp(ack),
            Packet::SubAck(suback) => Heard::SubAck(suback),
            Packet::Auth(auth) => Heard::Auth(auth),
            Packet::PingResp => Heard::PingResp,
            Packet::Disconnect(disconnect) => Heard::Disconnect(disconnect.reason),
            other => Heard::Other(other.name()),
        };
        Some((heard, len))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

pub(crate) fn publication<'a>(
    topic: &'a str,
    payload: &'a str,
    qos: QoS,
    number: u16,
    retain: bool,
) -> Packet<'a> {
    let packet_id = (qos > QoS::AtMostOnce).then(|| id(number));
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain,
        topic,
        packet_id,
        properties: Properties::EMPTY,
        payload: payload.as_bytes(),
    })
}

pub(crate) fn bytes(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes
}
