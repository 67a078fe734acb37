//! What is kept, as bytes and back: keys and values of every shelf, both directions side by side.
//!
//! Numbers are big-endian, so that keys sort by session and then by sequence. Each value starts with a format byte.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_wire::{ClientId, PacketId, QoS, RetainHandling, TopicFilter};

use crate::{
    Badge, Batch, Expiry, MountPoint, Shelf, WallTime, message::Message, session::Will, subscription::Options,
};

const FORMAT: u8 = 1;
/// Of a session with a mount point, which stands at the end; one without is as those before there were any.
const FORMAT_MOUNTED: u8 = 2;

/// What is kept of a session besides its subscriptions and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    pub(crate) client_id: ClientId,
    pub(crate) badge: Badge,
    pub(crate) mount_point: Option<MountPoint>,
    /// How long it outlives its connection, in seconds.
    pub(crate) expiry_secs: u32,
    /// When its connection ended; `None` while connected.
    pub(crate) left: Option<WallTime>,
    /// Once the connection has ended: the messages in its queue before this number may have been sent.
    pub(crate) sent_before: u64,
    pub(crate) will: Option<Will>,
}

/// How one message waits for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// The identifiers of all matching subscriptions that have one.
    pub(crate) subscription_ids: Vec<u32>,
    /// The number of the stored body this entry refers to.
    pub(crate) body: Option<u64>,
}

/// Where a waiting message's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Inline(Message),
    Stored(u64),
}

/// What is kept of an outgoing `QoS` 2 message that was given a packet id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Its PUBLISH may have been sent; it still stands in the queue at this sequence number.
    Published(u64),
    /// Its PUBREC has come.
    Released,
}

// Keys

pub(crate) fn session_key(session: u64) -> [u8; 8] {
    session.to_be_bytes()
}

/// The first key after all keys of a session, on every shelf whose keys start with the session's number.
pub(crate) fn session_end(session: u64) -> [u8; 8] {
    session.saturating_add(1).to_be_bytes()
}

pub(crate) fn read_session_key(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|number| u64::from_be_bytes(*number))
}

pub(crate) fn queue_key(session: u64, seq: u64) -> [u8; 16] {
    ((u128::from(session) << 64) | u128::from(seq)).to_be_bytes()
}

pub(crate) fn read_queue_key(key: &[u8]) -> Option<(u64, u64)> {
    let both = u128::from_be_bytes(key.try_into().ok()?);
    Some(((both >> 64) as u64, both as u64))
}

pub(crate) fn body_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(crate) fn packet_key(session: u64, id: PacketId) -> [u8; 10] {
    let mut key = [0; 10];
    let (number, tail) = key.split_at_mut(8);
    number.copy_from_slice(&session.to_be_bytes());
    tail.copy_from_slice(&id.get().to_be_bytes());
    key
}

pub(crate) fn read_packet_key(key: &[u8]) -> Option<(u64, PacketId)> {
    let (number, id) = key.split_first_chunk()?;
    Some((
        u64::from_be_bytes(*number),
        PacketId::new(u16::from_be_bytes(id.try_into().ok()?))?,
    ))
}

pub(crate) fn subscription_key(session: u64, filter: &TopicFilter) -> Vec<u8> {
    [&session.to_be_bytes(), filter.as_str().as_bytes()].concat()
}

pub(crate) fn read_subscription_key(key: &[u8]) -> Option<(u64, TopicFilter)> {
    let (number, filter) = key.split_first_chunk()?;
    Some((
        u64::from_be_bytes(*number),
        TopicFilter::parse(std::str::from_utf8(filter).ok()?).ok()?,
    ))
}

/// No topic name holds a zero byte, so that all versions of one stand together.
pub(crate) fn retained_key(topic: &str, version: u64) -> Vec<u8> {
    [topic.as_bytes(), &[0], &version.to_be_bytes()].concat()
}

pub(crate) fn read_retained_key(key: &[u8]) -> Option<(&str, u64)> {
    let (topic, version) = key.split_last_chunk()?;
    let topic = topic.strip_suffix(&[0])?;
    Some((std::str::from_utf8(topic).ok()?, u64::from_be_bytes(*version)))
}

// Values

pub(crate) fn write_session(record: &SessionRecord) -> Vec<u8> {
    let format = match record.mount_point {
        None => FORMAT,
        Some(_) => FORMAT_MOUNTED,
    };
    let mut out = vec![format];
    put_bytes(&mut out, record.client_id.as_str().as_bytes());
    put_badge(&mut out, &record.badge);
    out.extend_from_slice(&record.expiry_secs.to_be_bytes());
    put_time(&mut out, record.left);
    out.extend_from_slice(&record.sent_before.to_be_bytes());
    match &record.will {
        None => out.push(0),
        Some(will) => {
            out.push(1);
            out.extend_from_slice(&will.delay_secs.to_be_bytes());
            out.extend_from_slice(&will.expiry_secs.unwrap_or(u32::MAX).to_be_bytes());
            put_message(&mut out, &will.message);
        }
    }
    if let Some(mount_point) = &record.mount_point {
        put_bytes(&mut out, mount_point.as_str().as_bytes());
    }
    out
}

pub(crate) fn read_session(bytes: &[u8]) -> Option<SessionRecord> {
    let mut input = Reader(bytes);
    let mounted = match input.u8()? {
        FORMAT => false,
        FORMAT_MOUNTED => true,
        _ => return None,
    };
    let client_id = ClientId::parse(input.text()?).ok()?;
    let badge = input.badge()?;
    let expiry_secs = input.u32()?;
    let left = input.time()?;
    let sent_before = input.u64()?;
    let will = match input.u8()? {
        0 => None,
        _ => Some(Will {
            delay_secs: input.u32()?,
            expiry_secs: Some(input.u32()?).filter(|secs| *secs != u32::MAX),
            message: Arc::new(input.message()?),
        }),
    };
    let mount_point = match mounted {
        false => None,
        true => Some(MountPoint::parse(input.text()?).ok()?),
    };
    Some(SessionRecord {
        client_id,
        badge,
        mount_point,
        expiry_secs,
        left,
        sent_before,
        will,
    })
}

pub(crate) fn write_options(options: &Options) -> Vec<u8> {
    let mut out = vec![
        FORMAT,
        options.qos as u8,
        u8::from(options.no_local),
        u8::from(options.retain_as_published),
        options.retain_handling as u8,
        u8::from(options.retained_due),
    ];
    out.extend_from_slice(&options.subscription_id.unwrap_or(0).to_be_bytes());
    out
}

pub(crate) fn read_options(bytes: &[u8]) -> Option<Options> {
    let mut input = Reader(bytes);
    input.format()?;
    Some(Options {
        qos: input.qos()?,
        no_local: input.u8()? != 0,
        retain_as_published: input.u8()? != 0,
        retain_handling: match input.u8()? {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            _ => RetainHandling::DoNotSend,
        },
        retained_due: input.u8()? != 0,
        subscription_id: Some(input.u32()?).filter(|id| *id != 0),
    })
}

/// Appends the value of a queue entry to `out`.
pub(crate) fn write_queue_entry(out: &mut Vec<u8>, waiting: &Waiting, message: &Message) {
    out.extend_from_slice(&[FORMAT, waiting.qos as u8, u8::from(waiting.retain)]);
    let ids = u32::try_from(waiting.subscription_ids.len()).unwrap_or(0);
    out.extend_from_slice(&ids.to_be_bytes());
    for id in &waiting.subscription_ids {
        out.extend_from_slice(&id.to_be_bytes());
    }
    match waiting.body {
        Some(number) => {
            out.push(1);
            out.extend_from_slice(&number.to_be_bytes());
        }
        None => {
            out.push(0);
            put_message(out, message);
        }
    }
}

pub(crate) fn read_queue_entry(bytes: &[u8]) -> Option<(Waiting, Body)> {
    let mut input = Reader(bytes);
    input.format()?;
    let qos = input.qos()?;
    let retain = input.u8()? != 0;
    let ids = input.u32()?;
    let mut subscription_ids = Vec::new();
    for _ in 0..ids {
        subscription_ids.push(input.u32()?);
    }
    let waiting = |body| Waiting {
        qos,
        retain,
        subscription_ids,
        body,
    };
    match input.u8()? {
        0 => Some((waiting(None), Body::Inline(input.message()?))),
        _ => {
            let number = input.u64()?;
            Some((waiting(Some(number)), Body::Stored(number)))
        }
    }
}

/// The body number a queue entry refers to and what it counts for, without reading the message.
pub(crate) fn peek_queue_entry(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let mut input = Reader(bytes);
    input.format()?;
    input.take(2)?;
    let ids = usize::try_from(input.u32()?).ok()?;
    input.take(ids.checked_mul(4)?)?;
    match input.u8()? {
        0 => Some((None, bytes.len())),
        _ => Some((Some(input.u64()?), bytes.len())),
    }
}

pub(crate) fn write_body(message: &Message) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_message(&mut out, message);
    out
}

pub(crate) fn read_body(bytes: &[u8]) -> Option<Message> {
    let mut input = Reader(bytes);
    input.format()?;
    input.message()
}

/// A version of a topic's retained message, or of its end.
pub(crate) fn put_retained(batch: &mut Batch, version: u64, message: &Message) {
    let key = retained_key(&message.topic, version);
    batch.put(Shelf::Retained, &key, &write_body(message));
}

pub(crate) fn write_outgoing(outgoing: Outgoing) -> Vec<u8> {
    let (state, seq) = match outgoing {
        Outgoing::Published(seq) => (0, seq),
        Outgoing::Released => (1, 0),
    };
    let mut out = vec![FORMAT, state];
    out.extend_from_slice(&seq.to_be_bytes());
    out
}

pub(crate) fn read_outgoing(bytes: &[u8]) -> Option<Outgoing> {
    let mut input = Reader(bytes);
    input.format()?;
    match input.u8()? {
        0 => Some(Outgoing::Published(input.u64()?)),
        _ => Some(Outgoing::Released),
    }
}

// Parts

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_badge(out: &mut Vec<u8>, badge: &Badge) {
    put_bytes(out, badge.name.as_bytes());
    out.push(u8::from(badge.device.is_some()));
    put_bytes(out, badge.device.as_deref().unwrap_or_default().as_bytes());
}

fn put_time(out: &mut Vec<u8>, time: Option<WallTime>) {
    out.extend_from_slice(&time.map_or(0, |time| time.0).to_be_bytes());
}

fn put_message(out: &mut Vec<u8>, message: &Message) {
    out.reserve(32 + message.len_bytes());
    out.extend_from_slice(&[message.qos as u8, u8::from(message.retain)]);
    put_time(out, message.expires.map(|expires| expires.at));
    out.extend_from_slice(&message.expires.map_or(0, |expires| expires.secs).to_be_bytes());
    put_bytes(out, message.topic.as_bytes());
    put_bytes(out, &message.properties);
    put_bytes(out, &message.payload);
}

/// Takes values off the front of a byte string; every method is `None` when it is too short or holds no such value.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn format(&mut self) -> Option<()> {
        (self.u8()? == FORMAT).then_some(())
    }

    fn u8(&mut self) -> Option<u8> {
        self.chunk().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_be_bytes)
    }

    fn qos(&mut self) -> Option<QoS> {
        QoS::try_from(self.u8()?).ok()
    }

    fn time(&mut self) -> Option<Option<WallTime>> {
        self.u64()
            .map(|millis| Some(WallTime(millis)).filter(|time| time.0 != 0))
    }

    fn expiry(&mut self) -> Option<Option<Expiry>> {
        let (at, secs) = (self.time()?, self.u32()?);
        Some(at.map(|at| Expiry { at, secs }))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn badge(&mut self) -> Option<Badge> {
        let name = self.text()?.into();
        let has_device = self.u8()? != 0;
        let device = self.text()?;
        Some(Badge {
            name,
            device: has_device.then(|| device.into()),
        })
    }

    fn message(&mut self) -> Option<Message> {
        Some(Message {
            qos: self.qos()?,
            retain: self.u8()? != 0,
            expires: self.expiry()?,
            topic: self.text()?.into(),
            properties: Bytes::copy_from_slice(self.bytes()?),
            payload: Bytes::copy_from_slice(self.bytes()?),
            publisher: 0,
        })
    }
}
