//! Two other codecs as oracles: what they accept beside us, they understand like us.
//!
//! An oracle reads the bytes and writes what it understood; we read that and compare it with our own
//! reading, so that every field takes part. Where an oracle is known to be wrong it is not asked.

use bytes::BytesMut;
use mqtt_wire::{Packet, Properties, Publish, Version};
use proptest::prelude::*;

use crate::broken::{changed, changes};
use crate::strategies::{from_client, from_server, version};
use crate::vectors::{From, read};

/// What mqttbytes 0.6 understood, written by itself.
fn mqttbytes(version: Version, bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut input, mut out) = (BytesMut::from(bytes), BytesMut::new());
    match version {
        Version::V311 => {
            use mqttbytes::v4::Packet;
            let written = match mqttbytes::v4::read(&mut input, usize::MAX).ok()? {
                Packet::Connect(packet) => packet.write(&mut out),
                Packet::ConnAck(packet) => packet.write(&mut out),
                Packet::Publish(packet) => packet.write(&mut out),
                Packet::PubAck(packet) => packet.write(&mut out),
                Packet::PubRec(packet) => packet.write(&mut out),
                Packet::PubRel(packet) => packet.write(&mut out),
                Packet::PubComp(packet) => packet.write(&mut out),
                Packet::Subscribe(packet) => packet.write(&mut out),
                Packet::SubAck(packet) => packet.write(&mut out),
                Packet::Unsubscribe(packet) => packet.write(&mut out),
                Packet::UnsubAck(packet) => packet.write(&mut out),
                Packet::PingReq => mqttbytes::v4::PingReq.write(&mut out),
                Packet::PingResp => mqttbytes::v4::PingResp.write(&mut out),
                Packet::Disconnect => mqttbytes::v4::Disconnect.write(&mut out),
            };
            written.ok()?;
        }
        Version::V5 => {
            use mqttbytes::v5::Packet;
            let written = match mqttbytes::v5::read(&mut input, usize::MAX).ok()? {
                Packet::Connect(packet) => packet.write(&mut out),
                Packet::ConnAck(packet) => packet.write(&mut out),
                Packet::Publish(packet) => packet.write(&mut out),
                Packet::PubAck(packet) => packet.write(&mut out),
                Packet::PubRec(packet) => packet.write(&mut out),
                Packet::PubRel(packet) => packet.write(&mut out),
                Packet::PubComp(packet) => packet.write(&mut out),
                Packet::Subscribe(packet) => packet.write(&mut out),
                Packet::SubAck(packet) => packet.write(&mut out),
                Packet::UnsubAck(packet) => packet.write(&mut out),
                _ => return None,
            };
            written.ok()?;
        }
    }
    Some(out.to_vec())
}

/// Where mqttbytes is known to read or write something else than stands there.
fn mqttbytes_is_wrong(version: Version, packet: &Packet<'_>) -> bool {
    match packet {
        // An empty user name or password reads as none.
        Packet::Connect(connect) => connect.username.as_deref() == Some("") || connect.password.is_some(),
        Packet::Publish(publish) => publish.properties.subscription_ids().count() > 1,
        // Prints to standard error, and reads no short form.
        Packet::Unsubscribe(_) | Packet::Disconnect(_) | Packet::Auth(_) => version == Version::V5,
        _ => false,
    }
}

/// What mqtt-proto 0.4 understood, written by itself.
fn mqtt_proto(version: Version, bytes: &[u8]) -> Option<Vec<u8>> {
    match version {
        Version::V311 => {
            let packet = mqtt_proto::v3::Packet::decode(bytes).ok()??;
            Some(packet.encode().ok()?.as_ref().to_vec())
        }
        Version::V5 => {
            let packet = mqtt_proto::v5::Packet::decode(bytes).ok()??;
            Some(packet.encode().ok()?.as_ref().to_vec())
        }
    }
}

/// Where mqtt-proto is known to read or write something else than stands there.
fn mqtt_proto_is_wrong(version: Version, packet: &Packet<'_>) -> bool {
    match packet {
        // Keeps the last of several subscription identifiers.
        Packet::Publish(publish) => publish.properties.subscription_ids().count() > 1,
        // Writes the failure of 3.1.1 as 3.
        Packet::SubAck(suback) => {
            version == Version::V311 && suback.reasons.iter().any(|code| code.is_error())
        }
        _ => false,
    }
}

/// A packet with the properties of its message by number: oracles do not keep their order, except that of
/// user properties. The second half is that of a PUBLISH.
fn in_order<'a>(packet: &Packet<'a>) -> (Packet<'a>, Vec<u8>) {
    match packet.clone() {
        Packet::Publish(publish) => {
            let block = sorted(publish.properties.as_bytes());
            (
                Packet::Publish(Publish {
                    properties: Properties::EMPTY,
                    ..publish
                }),
                block,
            )
        }
        Packet::Connect(mut connect) => {
            if let Some(will) = &mut connect.will {
                will.properties = sorted(&will.properties);
            }
            (Packet::Connect(connect), Vec::new())
        }
        other => (other, Vec::new()),
    }
}

fn sorted(block: &[u8]) -> Vec<u8> {
    let mut properties: Vec<_> = Properties::parse_publish(block).unwrap().iter().collect();
    properties.sort_by_key(mqtt_wire::Property::id);
    let mut out = Vec::new();
    for property in &properties {
        mqtt_wire::put_property(&mut out, property).unwrap();
    }
    out
}

/// How often an oracle took part, so that a test that compares nothing fails.
#[derive(Default)]
struct Asked {
    mqttbytes: usize,
    mqtt_proto: usize,
}

fn compare(from: From, version: Version, bytes: &[u8], asked: &mut Asked) -> Result<(), TestCaseError> {
    let Ok(Some((packet, len))) = read(from, version, bytes) else {
        return Ok(());
    };
    // A CONNECT may have changed its version; the oracles have a reader for each.
    let version = match &packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let same = |oracle: &str, theirs: &[u8]| {
        let Ok(Some((understood, _))) = read(from, version, theirs) else {
            return Err(TestCaseError::fail(format!(
                "{oracle} made {theirs:02x?} of {bytes:02x?}"
            )));
        };
        prop_assert_eq!(
            in_order(&understood),
            in_order(&packet),
            "{} and {:02x?}",
            oracle,
            bytes
        );
        Ok(())
    };
    let bytes = &bytes[..len];
    if !mqttbytes_is_wrong(version, &packet)
        && let Some(theirs) = mqttbytes(version, bytes)
    {
        asked.mqttbytes += 1;
        same("mqttbytes", &theirs)?;
    }
    if !mqtt_proto_is_wrong(version, &packet)
        && let Some(theirs) = mqtt_proto(version, bytes)
    {
        asked.mqtt_proto += 1;
        same("mqtt-proto", &theirs)?;
    }
    Ok(())
}

/// Packets that are right or nearly so, from one side.
fn cases(from: From) -> impl Strategy<Value = (Version, Vec<u8>)> {
    let owned = version().prop_flat_map(move |version| {
        let packets = match from {
            From::Client => from_client(version),
            From::Server => from_server(version),
        };
        (Just(version), packets, changes())
    });
    owned.prop_map(|(version, owned, changes)| {
        let mut bytes = Vec::new();
        owned.packet().encode(version, &mut bytes).unwrap();
        (version, changed(&bytes, &changes))
    })
}

fn both_understand_like_us(from: From) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let asked = std::cell::RefCell::new(Asked::default());
    let outcome = runner.run(&cases(from), |(version, bytes)| {
        compare(from, version, &bytes, &mut asked.borrow_mut())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let Asked {
        mqttbytes,
        mqtt_proto,
    } = asked.into_inner();
    assert!(
        mqttbytes > 300 && mqtt_proto > 300,
        "asked mqttbytes {mqttbytes}, mqtt-proto {mqtt_proto} times"
    );
}

#[test]
fn what_clients_send_means_the_same_to_others() {
    both_understand_like_us(From::Client);
}

#[test]
fn what_servers_send_means_the_same_to_others() {
    both_understand_like_us(From::Server);
}
