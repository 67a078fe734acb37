//! A publisher: prebuilt frames in a ring, and the count of what is still on its way.

use anyhow::{Result, bail, ensure};
use mqtt_wire::{PacketId, Properties, Publish, QoS, Version};

use crate::scanner::{Answer, AnswerKind};
use crate::stamp::{STAMP_BYTES, Stamp};

/// Frames of a ring at most, so that wide windows cost little memory.
const RING_FRAMES_MAX: usize = 4096;

/// Where the changing bytes of a prebuilt frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Places {
    /// Of the packet id, if the QoS has one.
    packet_id: Option<usize>,
    stamp: usize,
}

/// What a publisher is and how far ahead of its receivers it may run.
#[derive(Debug, Clone)]
pub(crate) struct PublisherPlan {
    /// The number that marks its messages.
    pub(crate) number: u32,
    /// Topics, taken in turn; all of one length.
    pub(crate) topics: Vec<String>,
    pub(crate) version: Version,
    pub(crate) qos: QoS,
    pub(crate) payload_bytes: usize,
    /// Messages that may be on their way at once.
    pub(crate) window: u32,
    /// Receivers of each message.
    pub(crate) receivers: u32,
    /// Encoded properties of each PUBLISH; none for 3.1.1.
    pub(crate) properties: Vec<u8>,
}

/// Sends messages and counts them until they have arrived and are acknowledged.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: u32,
    qos: QoS,
    window: u64,
    receivers: u32,
    ring: Vec<u8>,
    frame_bytes: usize,
    slots: u64,
    places: Places,
    sent: u64,
    /// Position in the endless sequence of frames up to which the socket took the bytes.
    written_bytes: u64,
    /// Arrivals of the messages from `delivered` on, by number modulo length; empty with one receiver.
    arrivals: Vec<u32>,
    /// Every message below this number has reached all its receivers.
    delivered: u64,
    /// Messages answered by PUBREC (QoS 2), in order.
    received: u64,
    /// Messages answered finally: PUBACK or PUBCOMP, in order.
    acknowledged: u64,
    answers_out_of_order: u64,
    /// Set while the publisher stands in the list of those that should send.
    pub(crate) is_due: bool,
}

impl Publisher {
    /// Builds the frames.
    ///
    /// # Errors
    /// A payload too small for the stamp, no topic, topics of several lengths, or a window that is 0 or beyond
    /// the number of packet ids.
    pub(crate) fn new(plan: &PublisherPlan) -> Result<Self> {
        ensure!(
            plan.payload_bytes >= STAMP_BYTES,
            "a payload needs at least {STAMP_BYTES} bytes for its stamp"
        );
        ensure!(
            (1..=30_000).contains(&plan.window),
            "a window is 1 to 30000, not {}",
            plan.window
        );
        let topic_len = plan.topics.first().map_or(0, String::len);
        ensure!(topic_len > 0, "a publisher needs a topic");
        ensure!(
            plan.topics.iter().all(|topic| topic.len() == topic_len),
            "topics must have one length"
        );

        let slots = RING_FRAMES_MAX
            .min(plan.window as usize)
            .next_multiple_of(plan.topics.len());
        let mut ring = Vec::new();
        for topic in plan.topics.iter().cycle().take(slots) {
            put_frame(plan, topic, &mut ring)?;
        }
        let frame_bytes = ring.len() / slots;
        let arrivals = if plan.receivers > 1 {
            vec![0; plan.window as usize]
        } else {
            Vec::new()
        };
        Ok(Self {
            number: plan.number,
            qos: plan.qos,
            window: u64::from(plan.window),
            receivers: plan.receivers,
            places: Places::of(plan, topic_len, ring.get(..frame_bytes).unwrap_or_default()),
            frame_bytes,
            ring,
            slots: slots as u64,
            sent: 0,
            written_bytes: 0,
            arrivals,
            delivered: 0,
            received: 0,
            acknowledged: 0,
            answers_out_of_order: 0,
            is_due: false,
        })
    }

    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) const fn answers_out_of_order(&self) -> u64 {
        self.answers_out_of_order
    }

    /// Messages on their way: not with every receiver yet, or not acknowledged.
    #[inline]
    pub(crate) fn outstanding(&self) -> u64 {
        let done = if self.qos == QoS::AtMostOnce {
            self.delivered
        } else {
            self.delivered.min(self.acknowledged)
        };
        self.sent - done
    }

    /// True when half the window is free, so that the next burst is worth a write.
    #[inline]
    pub(crate) fn wants_refill(&self) -> bool {
        self.outstanding() <= self.window / 2
    }

    /// How many messages may be sent now: what the window allows and the ring has place for.
    pub(crate) fn room(&self) -> u64 {
        let unwritten_frames = self.unwritten_bytes().div_ceil(self.frame_bytes as u64);
        (self.window - self.outstanding()).min(self.slots - unwritten_frames)
    }

    const fn unwritten_bytes(&self) -> u64 {
        self.sent * self.frame_bytes as u64 - self.written_bytes
    }

    /// Messages that were sent and are not acknowledged; none at QoS 0.
    pub(crate) fn unanswered(&self) -> u64 {
        if self.qos == QoS::AtMostOnce {
            0
        } else {
            self.sent - self.acknowledged
        }
    }

    /// Makes the next `count` messages ready to be written; `count` is at most [`Self::room`].
    pub(crate) fn send(&mut self, count: u64, sent_at: u64) {
        for _ in 0..count {
            let start = (self.sent % self.slots) as usize * self.frame_bytes;
            let frame = self
                .ring
                .get_mut(start..start + self.frame_bytes)
                .unwrap_or_default();
            let stamp = Stamp {
                publisher: self.number,
                number: self.sent,
                sent_at,
            };
            overwrite(frame, self.places.stamp, &stamp.bytes());
            if let Some(place) = self.places.packet_id {
                overwrite(frame, place, &packet_id(self.sent).to_be_bytes());
            }
            self.sent += 1;
        }
    }

    /// The bytes to write next; two slices where the ring ends in between.
    pub(crate) fn unwritten(&self) -> [&[u8]; 2] {
        let ring_len = self.ring.len();
        let len = self.unwritten_bytes() as usize;
        let start = (self.written_bytes % ring_len as u64) as usize;
        let first_len = len.min(ring_len - start);
        [
            self.ring.get(start..start + first_len).unwrap_or_default(),
            self.ring.get(..len - first_len).unwrap_or_default(),
        ]
    }

    /// True in the middle of a frame, where no other packet may be written.
    pub(crate) const fn is_mid_frame(&self) -> bool {
        !self.written_bytes.is_multiple_of(self.frame_bytes as u64)
    }

    /// Notes that the socket took this many bytes of [`Self::unwritten`].
    pub(crate) const fn wrote(&mut self, bytes: usize) {
        self.written_bytes += bytes as u64;
    }

    /// One receiver has this message, or will never have it.
    #[inline]
    pub(crate) fn arrived(&mut self, number: u64) {
        if self.receivers <= 1 {
            self.delivered = self.delivered.max(number + 1);
        } else {
            self.arrived_at_one_of_many(number);
        }
    }

    fn arrived_at_one_of_many(&mut self, number: u64) {
        let len = self.arrivals.len() as u64;
        if let Some(count) = self.arrivals.get_mut((number % len) as usize) {
            *count += 1;
        }
        while self.delivered < self.sent {
            match self.arrivals.get_mut((self.delivered % len) as usize) {
                Some(count) if *count >= self.receivers => *count = 0,
                _ => break,
            }
            self.delivered += 1;
        }
    }

    /// Takes the broker's answer; returns what must be answered to it.
    ///
    /// # Errors
    /// An answer that fits nothing this publisher sent.
    pub(crate) fn answered(&mut self, answer: Answer) -> Result<Option<Answer>> {
        let counter = match (self.qos, answer.kind) {
            (QoS::AtLeastOnce, AnswerKind::PubAck) | (QoS::ExactlyOnce, AnswerKind::PubComp) => {
                &mut self.acknowledged
            }
            (QoS::ExactlyOnce, AnswerKind::PubRec) => &mut self.received,
            _ => bail!("publisher {} got {answer:?} at {:?}", self.number, self.qos),
        };
        ensure!(
            *counter < self.sent,
            "publisher {} got {answer:?} and waits for none",
            self.number
        );
        if answer.packet_id != packet_id(*counter) {
            self.answers_out_of_order += 1;
        }
        *counter += 1;
        let release = Answer {
            kind: AnswerKind::PubRel,
            packet_id: answer.packet_id,
        };
        Ok((answer.kind == AnswerKind::PubRec).then_some(release))
    }
}

/// The id of a message: 1 to 65535 in turn.
#[inline]
const fn packet_id(number: u64) -> u16 {
    (number % 65_535) as u16 + 1
}

fn overwrite(frame: &mut [u8], place: usize, bytes: &[u8]) {
    if let Some(target) = frame.get_mut(place..place + bytes.len()) {
        target.copy_from_slice(bytes);
    }
}

impl Places {
    fn of(plan: &PublisherPlan, topic_len: usize, frame: &[u8]) -> Self {
        let header_len = 2 + frame.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count();
        let packet_id = (plan.qos > QoS::AtMostOnce).then_some(header_len + 2 + topic_len);
        Self {
            packet_id,
            stamp: frame.len() - plan.payload_bytes,
        }
    }
}

/// Appends a frame whose id and stamp are not true yet.
fn put_frame(plan: &PublisherPlan, topic: &str, out: &mut Vec<u8>) -> Result<()> {
    let payload = vec![b'.'; plan.payload_bytes];
    let publish = Publish {
        dup: false,
        qos: plan.qos,
        retain: false,
        topic,
        packet_id: (plan.qos > QoS::AtMostOnce).then_some(PacketId::FIRST),
        properties: Properties::parse_publish(&plan.properties)?,
        payload: &payload,
    };
    publish.encode(plan.version, out)?;
    Ok(())
}

#[cfg(test)]
mod tests;
