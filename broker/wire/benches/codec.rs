//! What it costs to read and to write a packet; the PUBLISH of 64 bytes on a topic of 37 is the measure.

use bytes::BytesMut;
use divan::{Bencher, black_box};
use mqtt_wire::{Packet, PacketId, Properties, Property, Publish, QoS, TopicFilter, TopicName, Version};

const TOPIC: &str = "fleet/berlin/device-00042/telemetry/t";
const PAYLOAD: [u8; 1024] = [b'x'; 1024];
const MAX: u32 = 1 << 20;

fn main() {
    assert_eq!(TOPIC.len(), 37, "the measure is a topic of 37 bytes");
    divan::main();
}

/// Version, QoS, payload bytes, whether four properties come with it.
#[derive(Clone, Copy)]
struct Case(Version, QoS, usize, bool);

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(version, qos, payload, rich) = self;
        let properties = if *rich { ", 4 properties" } else { "" };
        write!(f, "{version:?} QoS {} {payload} B{properties}", *qos as u8)
    }
}

const CASES: [Case; 7] = [
    Case(Version::V311, QoS::AtMostOnce, 64, false),
    Case(Version::V311, QoS::AtLeastOnce, 64, false),
    Case(Version::V5, QoS::AtMostOnce, 64, false),
    Case(Version::V5, QoS::AtLeastOnce, 64, false),
    Case(Version::V5, QoS::AtLeastOnce, 64, true),
    Case(Version::V311, QoS::AtLeastOnce, 1024, false),
    Case(Version::V5, QoS::AtLeastOnce, 1024, false),
];

fn block(rich: bool) -> Vec<u8> {
    let mut block = Vec::new();
    let four = [
        Property::PayloadFormatIndicator(true),
        Property::MessageExpiryInterval(60),
        Property::ContentType("application/json"),
        Property::UserProperty("trace", "0123456789abcdef"),
    ];
    for property in four.iter().filter(|_| rich) {
        mqtt_wire::put_property(&mut block, property).expect("the property is valid");
    }
    block
}

fn publish(case: Case, block: &[u8]) -> Publish<'_> {
    let Case(_, qos, payload, _) = case;
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: TOPIC,
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::FIRST),
        properties: Properties::parse_publish(block).expect("the block is valid"),
        payload: PAYLOAD.split_at(payload).0,
    }
}

#[divan::bench(args = CASES)]
fn decode_publish(bencher: Bencher<'_, '_>, case: Case) {
    let block = block(case.3);
    let mut bytes = Vec::new();
    publish(case, &block)
        .encode(case.0, &mut bytes)
        .expect("the packet is valid");
    bencher.bench(|| match mqtt_wire::decode(black_box(&bytes), case.0, MAX) {
        Ok(Some((Packet::Publish(publish), _))) => black_box(publish).payload.len(),
        other => panic!("not a PUBLISH: {other:?}"),
    });
}

#[divan::bench(args = CASES)]
fn encode_publish(bencher: Bencher<'_, '_>, case: Case) {
    let block = block(case.3);
    let publish = publish(case, &block);
    let mut out = Vec::with_capacity(2048);
    bencher.bench_local(|| {
        out.clear();
        black_box(&publish)
            .encode(case.0, &mut out)
            .expect("the packet is valid");
        black_box(&out).len()
    });
}

/// The same packet through mqttbytes, for docs/decisions/0002-own-codec.md.
#[divan::bench(args = CASES)]
fn decode_publish_mqttbytes(bencher: Bencher<'_, '_>, case: Case) {
    let block = block(case.3);
    let mut bytes = Vec::new();
    publish(case, &block)
        .encode(case.0, &mut bytes)
        .expect("the packet is valid");
    let read = |mut input: BytesMut| match case.0 {
        Version::V311 => mqttbytes::v4::read(&mut input, MAX as usize).is_ok(),
        Version::V5 => mqttbytes::v5::read(&mut input, MAX as usize).is_ok(),
    };
    bencher
        .with_inputs(|| BytesMut::from(&bytes[..]))
        .bench_values(|input| assert!(read(black_box(input))));
}

#[divan::bench(args = [Version::V311, Version::V5], sample_size = 1000)]
fn decode_puback(bencher: Bencher<'_, '_>, version: Version) {
    bencher.bench(|| mqtt_wire::decode(black_box(&[0x40, 2, 0, 9]), version, MAX).is_ok());
}

#[divan::bench(args = [Version::V311, Version::V5], sample_size = 1000)]
fn encode_puback(bencher: Bencher<'_, '_>, version: Version) {
    let packet = Packet::PubAck(mqtt_wire::Ack::new(PacketId::FIRST));
    let mut out = Vec::with_capacity(64);
    bencher.bench_local(|| {
        out.clear();
        black_box(&packet).encode(version, &mut out).is_ok()
    });
}

#[divan::bench(args = ["fleet/berlin/device-00042/telemetry/t", "fleet/+/+/telemetry/+", "fleet/#"])]
fn matches(bencher: Bencher<'_, '_>, filter: &str) {
    let filter = TopicFilter::parse(filter).expect("the filter is valid");
    let topic = TopicName::parse(TOPIC).expect("the topic is valid");
    bencher.bench(|| black_box(&filter).matches(black_box(topic)));
}
