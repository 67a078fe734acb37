//! Finds the frames in a stream of bytes, however the stream was cut into reads.

use anyhow::{Result, bail, ensure};
use mqtt_wire::Version;

/// Longest frame that a broker may send to the load tool, in bytes.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One whole MQTT packet. PUBLISH and its answers are read here, as they are counted by the million;
/// every other packet goes to the codec.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Publish(Publish<'a>),
    Answer(Answer),
    Other(&'a [u8]),
}

/// A PUBLISH without its topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) qos: u8,
    pub(crate) dup: bool,
    /// 0 at QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
    /// The packet with its header, for a codec that wants to look itself.
    pub(crate) whole: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) kind: AnswerKind,
    pub(crate) packet_id: u16,
}

/// The four answers, by their packet type on the wire.
#[expect(clippy::enum_variant_names, reason = "these are the names in the standard")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum AnswerKind {
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
}

impl AnswerKind {
    /// The first byte of the packet; PUBREL has a flag set [MQTT-3.6.1-1].
    pub(crate) const fn first_byte(self) -> u8 {
        match self {
            Self::PubAck => 0x40,
            Self::PubRec => 0x50,
            Self::PubRel => 0x62,
            Self::PubComp => 0x70,
        }
    }
}

/// Cuts a stream into frames and keeps the frame that is not whole yet.
#[derive(Debug)]
pub(crate) struct Scanner {
    version: Version,
    partial: Vec<u8>,
}

impl Scanner {
    pub(crate) const fn new(version: Version) -> Self {
        Self {
            version,
            partial: Vec::new(),
        }
    }

    /// Hands every frame that is whole with `input` to `sink`; the rest waits for more input.
    ///
    /// # Errors
    /// A malformed or overlong frame, and what `sink` refuses. The stream is of no use afterwards.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        sink: &mut impl FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut rest = input;
        if !self.partial.is_empty() {
            let mut whole = std::mem::take(&mut self.partial);
            rest = complete(&mut whole, rest)?;
            match split_frame(&whole)? {
                Some((frame, body, _)) => sink(read(self.version, frame, body)?)?,
                None => {
                    self.partial = whole;
                    return Ok(());
                }
            }
            whole.clear();
            self.partial = whole;
        }
        while let Some((frame, body, after)) = split_frame(rest)? {
            sink(read(self.version, frame, body)?)?;
            rest = after;
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }
}

/// Moves what is missing of the first frame from `input` to `whole`; returns what is left of `input`.
fn complete<'a>(whole: &mut Vec<u8>, input: &'a [u8]) -> Result<&'a [u8]> {
    let mut rest = input;
    loop {
        let missing = match header(whole)? {
            Some((header_len, body_len)) => (header_len + body_len).saturating_sub(whole.len()),
            None => 1,
        };
        if missing == 0 || rest.is_empty() {
            return Ok(rest);
        }
        let (taken, after) = rest.split_at(missing.min(rest.len()));
        whole.extend_from_slice(taken);
        rest = after;
    }
}

/// The lengths of the fixed header and of what follows it, or `None` when the header is not whole.
#[inline]
fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut body_len = 0_usize;
    for (position, &byte) in bytes.iter().skip(1).take(4).enumerate() {
        body_len |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            ensure!(
                body_len <= FRAME_BYTES_MAX,
                "the broker sent a frame of {body_len} bytes"
            );
            return Ok(Some((position + 2, body_len)));
        }
    }
    ensure!(
        bytes.len() < 5,
        "the broker sent a remaining length of more than four bytes"
    );
    Ok(None)
}

/// The first frame, its body without the fixed header, and the bytes after it.
#[expect(
    clippy::type_complexity,
    reason = "three slices of one buffer need no name of their own"
)]
#[inline]
fn split_frame(bytes: &[u8]) -> Result<Option<(&[u8], &[u8], &[u8])>> {
    let Some((header_len, body_len)) = header(bytes)? else {
        return Ok(None);
    };
    let Some((frame, after)) = bytes.split_at_checked(header_len + body_len) else {
        return Ok(None);
    };
    let body = frame.get(header_len..).unwrap_or_default();
    Ok(Some((frame, body, after)))
}

#[inline]
fn read<'a>(version: Version, frame: &'a [u8], body: &'a [u8]) -> Result<Frame<'a>> {
    let first = frame.first().copied().unwrap_or_default();
    let kind = match first >> 4 {
        3 => return read_publish(version, first, frame, body),
        4 => AnswerKind::PubAck,
        5 => AnswerKind::PubRec,
        6 => AnswerKind::PubRel,
        7 => AnswerKind::PubComp,
        _ => return Ok(Frame::Other(frame)),
    };
    let Some((id, more)) = body.split_first_chunk() else {
        bail!("the broker sent {kind:?} without an id")
    };
    let reason = more.first().copied().unwrap_or_default();
    ensure!(
        reason < 0x80,
        "the broker sent {kind:?} with reason code {reason:#04x}"
    );
    Ok(Frame::Answer(Answer {
        kind,
        packet_id: u16::from_be_bytes(*id),
    }))
}

#[inline]
fn read_publish<'a>(version: Version, first: u8, whole: &'a [u8], body: &'a [u8]) -> Result<Frame<'a>> {
    const CUT: &str = "the broker sent a PUBLISH that ends early";
    let Some((topic_len, rest)) = body.split_first_chunk() else {
        bail!(CUT)
    };
    let Some(mut rest) = rest.get(usize::from(u16::from_be_bytes(*topic_len))..) else {
        bail!(CUT)
    };
    let qos = (first >> 1) & 3;
    let mut packet_id = 0;
    if qos > 0 {
        let Some((id, after)) = rest.split_first_chunk() else {
            bail!(CUT)
        };
        packet_id = u16::from_be_bytes(*id);
        rest = after;
    }
    let payload = match version {
        Version::V311 => rest,
        Version::V5 => match skip_properties(rest) {
            Some(payload) => payload,
            None => bail!(CUT),
        },
    };
    Ok(Frame::Publish(Publish {
        qos,
        dup: first & 8 != 0,
        packet_id,
        payload,
        whole,
    }))
}

/// What follows a property block, or `None` when the block is not whole.
fn skip_properties(bytes: &[u8]) -> Option<&[u8]> {
    let mut len = 0_usize;
    for (position, &byte) in bytes.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return bytes.get(position + 1 + len..);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISH_QOS1: &[u8] = &[0x3a, 9, 0, 3, b'a', b'/', b'b', 0, 7, b'h', b'i'];
    const PUBACK: &[u8] = &[0x40, 2, 0x12, 0x34];
    const SUBACK: &[u8] = &[0x90, 3, 0, 1, 0];

    fn long_publish() -> Vec<u8> {
        let payload = vec![b'x'; 300];
        let mut frame = vec![0x30, 0xaf, 0x02, 0, 1, b't'];
        frame.extend_from_slice(&payload);
        frame
    }

    fn stream() -> Vec<u8> {
        [PUBLISH_QOS1, PUBACK, &long_publish(), SUBACK].concat()
    }

    fn names(pieces: &[&[u8]]) -> Vec<String> {
        let mut scanner = Scanner::new(Version::V311);
        let mut seen = Vec::new();
        for piece in pieces {
            scanner
                .feed(piece, &mut |frame| {
                    seen.push(format!("{frame:?}"));
                    Ok(())
                })
                .unwrap();
        }
        seen
    }

    #[test]
    fn frames_are_the_same_wherever_the_stream_is_cut() {
        let stream = stream();
        let whole = names(&[&stream]);
        assert_eq!(whole.len(), 4);
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(names(&[head, tail]), whole, "cut at byte {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(names(&single), whole, "one byte per read");
    }

    #[test]
    fn a_publish_shows_its_id_flags_and_payload() {
        let mut scanner = Scanner::new(Version::V311);
        scanner
            .feed(PUBLISH_QOS1, &mut |frame| {
                let expected = Publish {
                    qos: 1,
                    dup: true,
                    packet_id: 7,
                    payload: b"hi",
                    whole: PUBLISH_QOS1,
                };
                assert_eq!(frame, Frame::Publish(expected));
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_publish_of_version_5_is_read_past_its_properties() {
        let frame = [0x30, 8, 0, 1, b't', 2, 0x01, 0x00, b'o', b'k'];
        let mut payload = Vec::new();
        Scanner::new(Version::V5)
            .feed(&frame, &mut |frame| {
                if let Frame::Publish(publish) = frame {
                    payload.extend_from_slice(publish.payload);
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(payload, b"ok");
    }

    #[test]
    fn malformed_frames_are_errors() {
        let malformed: [&[u8]; 5] = [
            &[0x30, 0xff, 0xff, 0xff, 0xff, 0x01], // five length bytes
            &[0x30, 0xff, 0xff, 0xff, 0x7f],       // 256 MiB
            &[0x30, 2, 0, 9],                      // topic longer than the frame
            &[0x32, 3, 0, 1, b't'],                // QoS 1 without an id
            &[0x40, 1, 0],                         // half an id
        ];
        for frame in malformed {
            assert!(
                Scanner::new(Version::V311).feed(frame, &mut |_| Ok(())).is_err(),
                "{frame:?}"
            );
        }
    }

    #[test]
    fn a_refusal_in_an_answer_is_an_error() {
        let quota_exceeded = [0x40, 3, 0, 1, 0x97];
        assert!(
            Scanner::new(Version::V5)
                .feed(&quota_exceeded, &mut |_| Ok(()))
                .is_err()
        );
    }

    #[test]
    fn first_bytes_carry_the_packet_type() {
        for kind in [
            AnswerKind::PubAck,
            AnswerKind::PubRec,
            AnswerKind::PubRel,
            AnswerKind::PubComp,
        ] {
            assert_eq!(kind.first_byte() >> 4, kind as u8);
        }
        assert_eq!(stream()[0] >> 4, 3);
    }
}
