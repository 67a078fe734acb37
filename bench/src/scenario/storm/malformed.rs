//! Bytes that no client should send: valid packets broken in many ways, and what never was MQTT.

use anyhow::Result;
use mqtt_wire::{
    Ack, Connect, Packet, PacketId, Properties, Publish, QoS, RetainHandling, Subscribe, Subscription,
    TopicFilter, Unsubscribe, Version, Will,
};

use crate::random::Random;

/// What one connection sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attack {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// Ways to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes without sense.
    Noise,
    /// Another protocol.
    Foreign,
    /// A CONNECT with some bits turned.
    BentConnect,
    /// A CONNECT that ends early.
    CutConnect,
    /// A CONNECT whose length is another one.
    WrongLength,
    /// A first packet that is no CONNECT.
    NoConnect,
    /// A second CONNECT.
    SecondConnect,
    /// A packet with some bits turned after a good CONNECT.
    BentPacket,
    /// A packet with bytes taken out, doubled or put in after a good CONNECT.
    SplicedPacket,
    /// Bytes without sense after a good CONNECT.
    LateNoise,
}

const KINDS: [Kind; 10] = [
    Kind::Noise,
    Kind::Foreign,
    Kind::BentConnect,
    Kind::CutConnect,
    Kind::WrongLength,
    Kind::NoConnect,
    Kind::SecondConnect,
    Kind::BentPacket,
    Kind::SplicedPacket,
    Kind::LateNoise,
];

const FOREIGN: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-client\r\n",
    b"AMQP\x00\x00\x09\x01",
];

/// Lengths that no CONNECT of ours has: endless, largest, none, five bytes long.
const LENGTHS: [&[u8]; 5] = [
    b"\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\x01",
    b"\x00",
    b"\x80\x80\x80\x00",
    b"\x01",
];

/// Longest noise in bytes.
const NOISE_BYTES_MAX: u32 = 600;

/// Valid packets to be broken.
#[derive(Debug)]
pub(super) struct Malformed {
    /// By version: CONNECT, and what may come after it.
    templates: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl Malformed {
    pub(super) fn new() -> Result<Self> {
        let templates = [Version::V311, Version::V5].map(|version| -> Result<_> {
            let packets = packets()?.into_iter().map(|packet| encoded(version, &packet));
            Ok((connect(version)?, packets.collect::<Result<_>>()?))
        });
        Ok(Self {
            templates: templates.into_iter().collect::<Result<_>>()?,
        })
    }

    /// The next attack.
    pub(super) fn attack(&self, random: &mut Random) -> Attack {
        let kind = *random.pick(&KINDS).unwrap_or(&Kind::Noise);
        let empty = (Vec::new(), Vec::new());
        let (connect, packets) = random.pick(&self.templates).unwrap_or(&empty);
        let packet = random.pick(packets).cloned().unwrap_or_default();
        let after = |rest: Vec<u8>| [connect.clone(), rest].concat();
        let bytes = match kind {
            Kind::Noise => noise(random),
            Kind::Foreign => random
                .pick(&FOREIGN)
                .map_or_else(Vec::new, |bytes| bytes.to_vec()),
            Kind::BentConnect => bent(connect.clone(), random),
            Kind::CutConnect => cut(connect, random),
            Kind::WrongLength => wrong_length(connect, random),
            Kind::NoConnect => packet,
            Kind::SecondConnect => after(connect.clone()),
            Kind::BentPacket => after(bent(packet, random)),
            Kind::SplicedPacket => after(spliced(packet, random)),
            Kind::LateNoise => after(noise(random)),
        };
        Attack { kind, bytes }
    }
}

impl Kind {
    /// Whether bytes of this kind always break a rule, so that the broker has to close the connection.
    /// A bent packet may happen to be valid, and one that is cut may still be waited for.
    pub(super) const fn is_always_wrong(self) -> bool {
        match self {
            Self::Foreign | Self::NoConnect | Self::SecondConnect => true,
            Self::Noise
            | Self::BentConnect
            | Self::CutConnect
            | Self::WrongLength
            | Self::BentPacket
            | Self::SplicedPacket
            | Self::LateNoise => false,
        }
    }
}

fn noise(random: &mut Random) -> Vec<u8> {
    let len = 1 + random.below(NOISE_BYTES_MAX);
    (0..len).map(|_| random.below(256) as u8).collect()
}

/// Turns one to four bits.
fn bent(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..1 + random.below(4) {
        let index = random.below(bytes.len() as u32) as usize;
        if let Some(byte) = bytes.get_mut(index) {
            *byte ^= 1 << random.below(8);
        }
    }
    bytes
}

fn cut(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let len = 1 + random.below((bytes.len() as u32).saturating_sub(1)) as usize;
    bytes.get(..len).unwrap_or_default().to_vec()
}

fn wrong_length(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let length = random.pick(&LENGTHS).copied().unwrap_or_default();
    let (first, rest) = bytes.split_at_checked(1).unwrap_or_default();
    let body = rest.get(1..).unwrap_or_default();
    [first, length, body].concat()
}

/// Takes a piece out, doubles it, or puts noise into its place.
fn spliced(bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let from = random.below(bytes.len() as u32) as usize;
    let to = from + random.below((bytes.len() - from) as u32 + 1) as usize;
    let part = |range: std::ops::Range<usize>| bytes.get(range).unwrap_or_default();
    let (front, middle, back) = (part(0..from), part(from..to), part(to..bytes.len()));
    match random.below(3) {
        0 => [front, back].concat(),
        1 => [front, middle, middle, back].concat(),
        _ => {
            let noise = noise(random);
            [front, noise.as_slice(), back].concat()
        }
    }
}

fn connect(version: Version) -> Result<Vec<u8>> {
    let mut connect = Connect::new(version, "bench-storm");
    connect.keep_alive_secs = 60;
    connect.will = Some(Will {
        topic: "bench/storm/will".to_owned(),
        payload: b"gone".to_vec(),
        qos: QoS::AtMostOnce,
        retain: false,
        delay_secs: 0,
        properties: Vec::new(),
    });
    encoded(version, &Packet::Connect(Box::new(connect)))
}

fn packets() -> Result<Vec<Packet<'static>>> {
    let filter = TopicFilter::parse("bench/storm/+/#")?;
    let publish = |qos: QoS| {
        Packet::Publish(Publish {
            dup: false,
            qos,
            retain: false,
            topic: "bench/storm/a/b",
            packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::FIRST),
            properties: Properties::EMPTY,
            payload: b"what a well-behaved client might say",
        })
    };
    Ok(vec![
        publish(QoS::AtMostOnce),
        publish(QoS::AtLeastOnce),
        publish(QoS::ExactlyOnce),
        Packet::PubAck(Ack::new(PacketId::FIRST)),
        Packet::PubRel(Ack::new(PacketId::FIRST)),
        Packet::Subscribe(Subscribe {
            packet_id: PacketId::FIRST,
            subscription_id: None,
            filters: vec![Subscription {
                filter: filter.clone(),
                qos: QoS::AtLeastOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::SendAtSubscribe,
            }],
            user_properties: Vec::new(),
        }),
        Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::FIRST,
            filters: vec![filter],
            user_properties: Vec::new(),
        }),
        Packet::PingReq,
    ])
}

fn encoded(version: Version, packet: &Packet<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    packet.encode(version, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use mqtt_wire::decode;

    use super::*;

    #[test]
    fn a_seed_tells_the_attacks() {
        let attacks = |seed| {
            let (malformed, mut random) = (Malformed::new().unwrap(), Random::new(seed));
            (0..200)
                .map(|_| malformed.attack(&mut random))
                .collect::<Vec<_>>()
        };
        assert_eq!(attacks(3), attacks(3));
        assert_ne!(attacks(3), attacks(4));
    }

    #[test]
    fn every_kind_comes_and_sends_something() {
        let (malformed, mut random) = (Malformed::new().unwrap(), Random::new(1));
        let attacks: Vec<_> = (0..1000).map(|_| malformed.attack(&mut random)).collect();
        for kind in KINDS {
            assert!(
                attacks
                    .iter()
                    .any(|attack| attack.kind == kind && !attack.bytes.is_empty()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn the_templates_are_valid_and_what_is_bent_mostly_is_not() {
        let (malformed, mut random) = (Malformed::new().unwrap(), Random::new(1));
        let is_valid =
            |bytes: &[u8]| decode(bytes, Version::V5, 1 << 20).is_ok_and(|packet| packet.is_some());
        let (connect, _) = malformed.templates.last().unwrap();
        assert!(is_valid(connect));
        let valid = (0..1000)
            .filter(|_| is_valid(&bent(connect.clone(), &mut random)))
            .count();
        assert!(valid < 800, "{valid}");
    }
}
