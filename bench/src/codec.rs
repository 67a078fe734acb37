//! The packets that set up and end a connection, written and read by one of two independent codecs.

mod wire;

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use clap::ValueEnum;
use mqtt_wire::{QoS, Version};
use mqttbytes::v4;
use serde::Serialize;

use crate::scanner::{AnswerKind, Publish};

/// Which library writes and reads the packets that are not prebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Codec {
    /// `mqtt-wire`, the codec of this project.
    Wire,
    /// `mqttbytes`, by other authors, for 3.1.1; it also checks each received PUBLISH and writes each answer, so
    /// this choice is for checking and not for measuring.
    Mqttbytes,
}

/// Largest packet that is read, in bytes.
const PACKET_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// Who connects.
#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    pub(crate) client_id: String,
    /// False asks for a session that outlives the connection.
    pub(crate) clean: bool,
    pub(crate) version: Version,
}

impl Codec {
    /// A CONNECT packet.
    pub(crate) fn connect(self, introduction: &Introduction) -> Result<Vec<u8>> {
        match self {
            Self::Wire => wire::connect(introduction),
            Self::Mqttbytes => {
                ensure!(
                    introduction.version == Version::V311,
                    "mqttbytes serves for 3.1.1 only"
                );
                let mut connect = v4::Connect::new(&introduction.client_id);
                connect.clean_session = introduction.clean;
                connect.keep_alive = 0;
                written(|buffer| connect.write(buffer))
            }
        }
    }

    /// A SUBSCRIBE packet with id 1.
    pub(crate) fn subscribe(self, version: Version, filters: &[String], qos: QoS) -> Result<Vec<u8>> {
        match self {
            Self::Wire => wire::subscribe(version, filters, qos),
            Self::Mqttbytes => {
                let qos = mqttbytes::qos(qos as u8).map_err(refused)?;
                let filters = filters
                    .iter()
                    .map(|filter| v4::SubscribeFilter::new(filter.clone(), qos));
                let mut subscribe = v4::Subscribe::new_many(filters);
                subscribe.pkid = 1;
                written(|buffer| subscribe.write(buffer))
            }
        }
    }

    /// A DISCONNECT packet.
    pub(crate) fn disconnect(self, version: Version) -> Result<Vec<u8>> {
        match self {
            Self::Wire => wire::disconnect(version),
            Self::Mqttbytes => written(|buffer| v4::Disconnect.write(buffer)),
        }
    }

    /// Refuses anything but a CONNACK that lets the client in to a new session.
    pub(crate) fn check_connack(self, version: Version, frame: &[u8]) -> Result<()> {
        let session_present = match self {
            Self::Wire => wire::check_connack(version, frame)?,
            Self::Mqttbytes => match read(frame)? {
                v4::Packet::ConnAck(connack) if connack.code == v4::ConnectReturnCode::Success => {
                    connack.session_present
                }
                other => bail!("the broker refused the connection: {other:?}"),
            },
        };
        ensure!(!session_present, "the broker has a session of an earlier run");
        Ok(())
    }

    /// Refuses anything but a SUBACK that grants `qos` to all of `filters`.
    pub(crate) fn check_suback(self, version: Version, frame: &[u8], filters: usize, qos: QoS) -> Result<()> {
        let granted = match self {
            Self::Wire => wire::granted(version, frame)?,
            Self::Mqttbytes => match read(frame)? {
                v4::Packet::SubAck(suback) => suback.return_codes.iter().copied().map(granted_qos).collect(),
                other => bail!("the broker answered SUBSCRIBE with {other:?}"),
            },
        };
        let wanted = vec![Some(qos); filters];
        ensure!(
            granted == wanted,
            "the broker granted {granted:?} where {wanted:?} was asked for"
        );
        Ok(())
    }

    /// Appends a packet that answers a PUBLISH or an answer.
    #[inline]
    pub(crate) fn write_answer(self, kind: AnswerKind, packet_id: u16, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Wire => {
                let [high, low] = packet_id.to_be_bytes();
                out.extend_from_slice(&[kind.first_byte(), 2, high, low]);
            }
            Self::Mqttbytes => out.extend(written(|buffer| match kind {
                AnswerKind::PubAck => v4::PubAck::new(packet_id).write(buffer),
                AnswerKind::PubRec => v4::PubRec::new(packet_id).write(buffer),
                AnswerKind::PubRel => v4::PubRel::new(packet_id).write(buffer),
                AnswerKind::PubComp => v4::PubComp::new(packet_id).write(buffer),
            })?),
        }
        Ok(())
    }

    /// Lets the other codec read a received PUBLISH and compares what both saw. With `wire` the scanner's
    /// reading stands alone.
    #[inline]
    pub(crate) fn check_publish(self, publish: &Publish<'_>) -> Result<()> {
        match self {
            Self::Wire => Ok(()),
            Self::Mqttbytes => check_publish_again(publish),
        }
    }
}

fn check_publish_again(seen: &Publish<'_>) -> Result<()> {
    let v4::Packet::Publish(read) = read(seen.whole)? else {
        bail!("mqttbytes reads a PUBLISH as another packet")
    };
    let same = read.qos as u8 == seen.qos
        && read.dup == seen.dup
        && read.pkid == seen.packet_id
        && read.payload == seen.payload;
    ensure!(
        same,
        "mqttbytes reads a PUBLISH as {read:?}, the scanner as {seen:?}"
    );
    Ok(())
}

fn granted_qos(code: v4::SubscribeReasonCode) -> Option<QoS> {
    match code {
        v4::SubscribeReasonCode::Success(qos) => QoS::try_from(qos as u8).ok(),
        v4::SubscribeReasonCode::Failure => None,
    }
}

fn written(write: impl FnOnce(&mut BytesMut) -> Result<usize, mqttbytes::Error>) -> Result<Vec<u8>> {
    let mut buffer = BytesMut::new();
    write(&mut buffer).map_err(refused)?;
    Ok(buffer.to_vec())
}

fn read(frame: &[u8]) -> Result<v4::Packet> {
    v4::read(&mut BytesMut::from(frame), PACKET_BYTES_MAX as usize)
        .map_err(refused)
        .context("the broker sent a bad packet")
}

/// mqttbytes' errors have no text of their own.
fn refused(error: mqttbytes::Error) -> anyhow::Error {
    anyhow::anyhow!("mqttbytes: {error:?}")
}
