//! A device: reports a growing count and the level it was told, and waits until each report is accepted.

use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mqtt_wire::{Packet, PacketId, Properties, Publish, QoS, Version, decode_from_server};
use serde_json::Value;

use super::{Record, Signals};
use crate::client::{Client, ClientPlan, Speech};
use crate::door::Door;
use crate::scanner::AnswerKind;

/// Longest packet that is read, in bytes.
const PACKET_BYTES_MAX: u32 = 1024 * 1024;

struct Device {
    client: Client,
    speech: Speech,
    update: String,
    level: u64,
}

/// Reports until the signal to stop; the device's name is its client id.
pub(super) fn run(door: &Door, speech: Speech, name: &str, signals: &Signals) -> Result<Record> {
    let update = format!("$aws/things/{name}/shadow/update");
    let filters = ["accepted", "rejected", "delta"]
        .map(|verb| format!("{update}/{verb}"))
        .to_vec();
    let plan = ClientPlan {
        client_id: name.to_owned(),
        clean: true,
        filters,
        qos: QoS::AtLeastOnce,
        channel: 0,
    };
    let mut device = Device {
        client: Client::open(door, speech, &plan)?,
        speech,
        update,
        level: 0,
    };
    let mut record = Record::new()?;
    let mut last_version = 0;
    while !signals.stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let count = record.last_value + 1;
        device.report(count)?;
        let version = device
            .wait_until_accepted(count)
            .with_context(|| format!("device {name}"))?;
        record
            .latency
            .saturating_record(begun.elapsed().as_nanos() as u64);
        record.versions_back += u64::from(version <= last_version);
        (record.last_value, last_version) = (count, version);
        signals.confirmed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(record)
}

impl Device {
    fn report(&mut self, count: u64) -> Result<()> {
        let level = self.level;
        let payload = format!(
            r#"{{"state":{{"reported":{{"count":{count},"level":{level}}}}},"clientToken":"{count}"}}"#
        );
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: &self.update,
            packet_id: PacketId::new((count % 65_535) as u16 + 1),
            properties: Properties::EMPTY,
            payload: payload.as_bytes(),
        };
        let mut frame = Vec::new();
        publish.encode(self.speech.version(), &mut frame)?;
        self.client.write(&frame)
    }

    /// Reads until both the acknowledgement and the acceptance are there; answers the twin's version.
    fn wait_until_accepted(&mut self, count: u64) -> Result<u64> {
        let (mut acknowledged, mut accepted) = (false, None);
        loop {
            if let (true, Some(version)) = (acknowledged, accepted) {
                return Ok(version);
            }
            let frame = self.client.read_frame()?;
            match decoded(self.speech.version(), &frame)? {
                Packet::PubAck(_) => acknowledged = true,
                Packet::Publish(publish) => {
                    accepted = self.take(&publish, count)?.or(accepted);
                    self.acknowledge(&publish)?;
                }
                other => bail!("an unexpected packet: {other:?}"),
            }
        }
    }

    /// Answers the version when this is the acceptance of the report that is waited for.
    fn take(&mut self, publish: &Publish<'_>, count: u64) -> Result<Option<u64>> {
        let document: Value =
            serde_json::from_slice(publish.payload).context("a document that is no JSON")?;
        match publish.topic.rsplit('/').next() {
            Some("accepted")
                if document.pointer("/clientToken") == Some(&Value::String(count.to_string())) =>
            {
                Ok(Some(
                    document
                        .pointer("/version")
                        .and_then(Value::as_u64)
                        .context("no version in accepted")?,
                ))
            }
            Some("accepted") => Ok(None), // of a change over HTTP
            Some("delta") => {
                self.level = document
                    .pointer("/state/level")
                    .and_then(Value::as_u64)
                    .unwrap_or(self.level);
                Ok(None)
            }
            _ => bail!("{}: {document}", publish.topic),
        }
    }

    fn acknowledge(&mut self, publish: &Publish<'_>) -> Result<()> {
        let Some(packet_id) = publish.packet_id else {
            return Ok(());
        };
        let mut answer = Vec::new();
        self.speech
            .codec()
            .write_answer(AnswerKind::PubAck, packet_id.get(), &mut answer)?;
        self.client.write(&answer)
    }
}

fn decoded(version: Version, frame: &[u8]) -> Result<Packet<'_>> {
    let (packet, _) = decode_from_server(frame, version, PACKET_BYTES_MAX)?.context("half a packet")?;
    Ok(packet)
}
