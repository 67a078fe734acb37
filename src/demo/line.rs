//! A device's connection to the broker.

use std::{io, net::SocketAddr, time::Duration};

use mqtt_wire::{
    Ack, Connect, Disconnect, Packet, PacketId, Properties, Publish, QoS, ReasonCode, Subscribe,
    Subscription, TopicFilter, Version, decode_from_server,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long the broker may take to let a device in, and a socket to take a packet.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest packet a device takes: a delta of a twin is much smaller.
const PACKET_BYTES_MAX: u32 = 256 * 1024;
/// Subscription and report have one each: there is never more than one of them under way.
const SUBSCRIBING: u16 = 1;
const REPORTING: u16 = 2;

/// What the broker says.
#[derive(Debug)]
pub(super) enum Heard {
    /// A delta document, to be acknowledged if there is an identifier.
    Delta(Vec<u8>, Option<PacketId>),
    /// The report is acknowledged.
    Acknowledged,
}

#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What a packet means to a device, without the buffer it was read from.
enum Said {
    LetIn { session: bool },
    Delta(Vec<u8>, Option<PacketId>),
    Acknowledged,
    Nothing,
    Refused(&'static str),
}

impl Line {
    /// Connects, and subscribes unless the session still holds the subscription.
    pub(super) async fn open(to: SocketAddr, hello: Connect, deltas: &str) -> io::Result<Self> {
        let opened = timeout(PATIENCE, async {
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            let mut line = Self {
                stream,
                unread: Vec::new(),
            };
            line.send(&Packet::Connect(Box::new(hello))).await?;
            match line.said().await? {
                Said::LetIn { session: true } => {}
                Said::LetIn { session: false } => line.subscribe(deltas).await?,
                _ => return Err(io::Error::other("the broker did not answer CONNECT")),
            }
            Ok(line)
        });
        opened.await?
    }

    async fn subscribe(&mut self, filter: &str) -> io::Result<()> {
        let filter = TopicFilter::parse(filter).map_err(io::Error::other)?;
        let subscribe = Subscribe {
            packet_id: id(SUBSCRIBING)?,
            subscription_id: None,
            filters: vec![Subscription::new(filter, QoS::AtLeastOnce)],
            user_properties: Vec::new(),
        };
        self.send(&Packet::Subscribe(subscribe)).await
    }

    /// Publishes a report; `Heard::Acknowledged` is the answer.
    pub(super) async fn report(&mut self, topic: &str, document: &str, again: bool) -> io::Result<()> {
        let publish = Publish {
            dup: again,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            packet_id: Some(id(REPORTING)?),
            properties: Properties::EMPTY,
            payload: document.as_bytes(),
        };
        self.send(&Packet::Publish(publish)).await
    }

    /// Waits for what the broker says. Nothing is lost if the wait is given up while it lasts.
    pub(super) async fn hear(&mut self) -> io::Result<Heard> {
        loop {
            match self.said().await? {
                Said::Delta(document, id) => return Ok(Heard::Delta(document, id)),
                Said::Acknowledged => return Ok(Heard::Acknowledged),
                Said::Nothing => {}
                Said::Refused(what) => return Err(io::Error::other(what)),
                Said::LetIn { .. } => return Err(io::Error::other("a second CONNACK")),
            }
        }
    }

    /// Acknowledges a delta.
    pub(super) async fn acknowledge(&mut self, id: PacketId) -> io::Result<()> {
        self.send(&Packet::PubAck(Ack::new(id))).await
    }

    /// Says goodbye: the broker forgets the will.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.send(&Packet::Disconnect(Disconnect::default())).await?;
        self.stream.shutdown().await
    }

    async fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        packet
            .encode(Version::V311, &mut bytes)
            .map_err(io::Error::other)?;
        timeout(PATIENCE, self.stream.write_all(&bytes)).await?
    }

    async fn said(&mut self) -> io::Result<Said> {
        loop {
            let decoded = decode_from_server(&self.unread, Version::V311, PACKET_BYTES_MAX);
            if let Some((packet, bytes)) = decoded.map_err(io::Error::other)? {
                let said = meaning(&packet);
                self.unread.drain(..bytes);
                return Ok(said);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn meaning(packet: &Packet<'_>) -> Said {
    match packet {
        Packet::ConnAck(connack) if connack.reason == ReasonCode::Success => Said::LetIn {
            session: connack.session_present,
        },
        Packet::ConnAck(_) => Said::Refused("the broker refused the connection"),
        Packet::Publish(publish) => Said::Delta(publish.payload.to_vec(), publish.packet_id),
        Packet::PubAck(ack) if ack.packet_id.get() == REPORTING => Said::Acknowledged,
        Packet::SubAck(suback) if suback.reasons.iter().any(|reason| reason.is_error()) => {
            Said::Refused("the broker refused the subscription")
        }
        _ => Said::Nothing,
    }
}

fn id(number: u16) -> io::Result<PacketId> {
    PacketId::new(number).ok_or_else(|| io::Error::other("0 is no packet identifier"))
}
