//! A blunt MQTT client: sends what it is told, hears what comes, acknowledges nothing by itself.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use mqtt_wire::{
    Ack, ConnAck, Connect, Packet, PacketId, Properties, Publish, QoS, Subscribe, Subscription, TopicFilter,
    Version, decode_from_server,
};

use super::PATIENCE;

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) id: Option<PacketId>,
}

impl Message {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }
}

/// Something that came.
#[derive(Debug)]
pub(crate) enum Heard {
    Message(Message),
    Packet(Packet<'static>),
}

pub(crate) struct Mqtt {
    stream: TcpStream,
    version: Version,
    unread: Vec<u8>,
}

impl Mqtt {
    /// A connection on which CONNECT was answered.
    pub(crate) fn connect(to: SocketAddr, connect: Connect) -> io::Result<(Self, ConnAck)> {
        let mut client = Self::begin(to, connect)?;
        match client.hear(PATIENCE)? {
            Some(Heard::Packet(Packet::ConnAck(connack))) => Ok((client, connack)),
            other => Err(io::Error::other(format!("{other:?} instead of CONNACK"))),
        }
    }

    /// A connection on which CONNECT was sent.
    pub(crate) fn begin(to: SocketAddr, connect: Connect) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            version: connect.version,
            unread: Vec::new(),
        };
        client.send(&Packet::Connect(Box::new(connect)))?;
        Ok(client)
    }

    /// A client with a clean 3.1.1 session.
    pub(crate) fn clean(to: SocketAddr, client_id: &str) -> Self {
        Self::connect(to, Connect::new(Version::V311, client_id))
            .unwrap()
            .0
    }

    /// A client with a 3.1.1 session that is kept; and whether it was there.
    pub(crate) fn kept(to: SocketAddr, client_id: &str) -> (Self, bool) {
        let mut connect = Connect::new(Version::V311, client_id);
        connect.clean_start = false;
        let (client, connack) = Self::connect(to, connect).unwrap();
        (client, connack.session_present)
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        packet
            .encode(self.version, &mut bytes)
            .map_err(io::Error::other)?;
        self.stream.write_all(&bytes)
    }

    pub(crate) fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
        id: u16,
        retain: bool,
        dup: bool,
    ) -> io::Result<()> {
        let packet_id = PacketId::new(id).filter(|_| qos > QoS::AtMostOnce);
        let properties = Properties::EMPTY;
        self.send(&Packet::Publish(Publish {
            dup,
            qos,
            retain,
            topic,
            packet_id,
            properties,
            payload,
        }))
    }

    /// Publishes at QoS 1 and waits for the PUBACK.
    pub(crate) fn publish_acked(&mut self, topic: &str, payload: &[u8], retain: bool) {
        self.publish(topic, payload, QoS::AtLeastOnce, 1, retain, false)
            .unwrap();
        self.await_packet(|packet| matches!(packet, Packet::PubAck(_)));
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) {
        let filters = vec![Subscription::new(TopicFilter::parse(filter).unwrap(), qos)];
        let packet_id = PacketId::new(60_000).unwrap();
        let subscribe = Subscribe {
            packet_id,
            subscription_id: None,
            filters,
            user_properties: Vec::new(),
        };
        self.send(&Packet::Subscribe(subscribe)).unwrap();
        self.await_packet(|packet| matches!(packet, Packet::SubAck(suback) if !suback.reasons[0].is_error()));
    }

    /// Sends SUBSCRIBE at QoS 1 and leaves its answer, and what comes with it, to be heard.
    pub(crate) fn subscribe_and_keep(&mut self, filter: &str) {
        let filters = vec![Subscription::new(
            TopicFilter::parse(filter).unwrap(),
            QoS::AtLeastOnce,
        )];
        let packet_id = PacketId::new(60_001).unwrap();
        let subscribe = Subscribe {
            packet_id,
            subscription_id: None,
            filters,
            user_properties: Vec::new(),
        };
        // A connection that is gone is noticed when it is read.
        let _gone = self.send(&Packet::Subscribe(subscribe));
    }

    /// The next message, unless the connection is lost before.
    pub(crate) fn message_or_lost(&mut self) -> io::Result<Option<Message>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.hear(deadline.saturating_duration_since(Instant::now()))? {
                None => return Ok(None),
                Some(Heard::Message(message)) => {
                    if let Some(id) = message.id {
                        self.send(&Packet::PubAck(Ack::new(id)))?;
                    }
                    return Ok(Some(message));
                }
                Some(Heard::Packet(_)) => {}
            }
        }
    }

    /// Skips what comes until a packet is the one that is waited for. Messages on the way are lost to the test.
    pub(crate) fn await_packet(&mut self, wanted: impl Fn(&Packet<'static>) -> bool) -> Packet<'static> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(heard) = self
            .hear(deadline.saturating_duration_since(Instant::now()))
            .unwrap()
        {
            if let Heard::Packet(packet) = heard
                && wanted(&packet)
            {
                return packet;
            }
        }
        panic!("what was waited for did not come");
    }

    /// The next message; acknowledged, if it is to be.
    pub(crate) fn message(&mut self) -> Message {
        self.message_within(PATIENCE).expect("a message")
    }

    pub(crate) fn message_within(&mut self, time: Duration) -> Option<Message> {
        let deadline = Instant::now() + time;
        loop {
            match self
                .hear(deadline.saturating_duration_since(Instant::now()))
                .unwrap()?
            {
                Heard::Message(message) => {
                    match (message.id, message.qos) {
                        (Some(id), QoS::AtLeastOnce) => self.send(&Packet::PubAck(Ack::new(id))).unwrap(),
                        (Some(id), _) => self.send(&Packet::PubRec(Ack::new(id))).unwrap(),
                        (None, _) => {}
                    }
                    return Some(message);
                }
                Heard::Packet(Packet::PubRel(ack)) => {
                    self.send(&Packet::PubComp(Ack::new(ack.packet_id))).unwrap()
                }
                Heard::Packet(_) => {}
            }
        }
    }

    /// The next thing that comes; `None` when the time is over.
    pub(crate) fn hear(&mut self, time: Duration) -> io::Result<Option<Heard>> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(heard) = self.take_heard()? {
                return Ok(Some(heard));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take_heard(&mut self) -> io::Result<Option<Heard>> {
        let decoded = decode_from_server(&self.unread, self.version, u32::MAX).map_err(io::Error::other)?;
        let Some((packet, used)) = decoded else {
            return Ok(None);
        };
        let heard = match packet {
            Packet::Publish(publish) => Heard::Message(Message {
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_vec(),
                qos: publish.qos,
                retain: publish.retain,
                dup: publish.dup,
                id: publish.packet_id,
            }),
            Packet::ConnAck(connack) => Heard::Packet(Packet::ConnAck(connack)),
            Packet::PubAck(ack) => Heard::Packet(Packet::PubAck(ack)),
            Packet::PubRec(ack) => Heard::Packet(Packet::PubRec(ack)),
            Packet::PubRel(ack) => Heard::Packet(Packet::PubRel(ack)),
            Packet::PubComp(ack) => Heard::Packet(Packet::PubComp(ack)),
            Packet::SubAck(suback) => Heard::Packet(Packet::SubAck(suback)),
            Packet::UnsubAck(unsuback) => Heard::Packet(Packet::UnsubAck(unsuback)),
            Packet::Disconnect(disconnect) => Heard::Packet(Packet::Disconnect(disconnect)),
            Packet::Auth(auth) => Heard::Packet(Packet::Auth(auth)),
            Packet::PingResp => Heard::Packet(Packet::PingResp),
            other => {
                return Err(io::Error::other(format!(
                    "a server does not send {}",
                    other.name()
                )));
            }
        };
        self.unread.drain(..used);
        Ok(Some(heard))
    }
}
