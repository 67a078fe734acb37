//! The desk where every frame is looked at: it counts deliveries, finds faults, measures latency,
//! and knows which publishers may send. No IO.

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use mqtt_wire::QoS;

use crate::codec::Codec;
use crate::publisher::Publisher;
use crate::scanner::{Answer, AnswerKind, Frame, Publish};
use crate::sequence::{Arrival, Faults, Sequence};
use crate::stamp::Stamp;

/// Which side of the broker a connection is on, and its place in the desk's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Publisher(usize),
    Receiver(usize),
}

/// In which order a receiver may see one publisher's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    AsSent,
    /// Several clients divide the messages, each at its own speed.
    Any,
}

/// One subscriber and what it may expect.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// The number of the first publisher it hears.
    first: u32,
    /// One per publisher it hears.
    sequences: Vec<Sequence>,
    qos: QoS,
    order: Order,
}

impl Receiver {
    /// Hears the publishers with the numbers `hears`, each message at `qos`.
    pub(crate) fn new(hears: std::ops::Range<u32>, qos: QoS, order: Order) -> Self {
        let sequences = hears.clone().map(|_| Sequence::default()).collect();
        Self {
            first: hears.start,
            sequences,
            qos,
            order,
        }
    }
}

/// All publishers and receivers of a run.
#[derive(Debug)]
pub(crate) struct Desk {
    codec: Codec,
    publishers: Vec<Publisher>,
    receivers: Vec<Receiver>,
    delivered: u64,
    faults: Faults,
    /// PUBRECs of receivers that no PUBREL has answered.
    unreleased: u64,
    latency: Histogram<u64>,
    /// While set, publishers whose window is half empty are put on the list.
    refills: bool,
    due: Vec<usize>,
}

impl Desk {
    /// # Errors
    /// None that input could cause: the histogram's bounds are fixed.
    pub(crate) fn new(codec: Codec, publishers: Vec<Publisher>, receivers: Vec<Receiver>) -> Result<Self> {
        let latency = Histogram::new_with_max(60_000_000_000, 3)?;
        let (faults, due) = (Faults::default(), Vec::new());
        Ok(Self {
            codec,
            publishers,
            receivers,
            delivered: 0,
            faults,
            unreleased: 0,
            latency,
            refills: false,
            due,
        })
    }

    pub(crate) const fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(crate) fn publishers(&self) -> usize {
        self.publishers.len()
    }

    pub(crate) fn publisher(&mut self, index: usize) -> Option<&mut Publisher> {
        self.publishers.get_mut(index)
    }

    /// Lets publishers send whenever half their window is empty, beginning now; or no longer.
    pub(crate) fn set_refills(&mut self, refills: bool) {
        self.refills = refills;
        self.due.clear();
        for (index, publisher) in self.publishers.iter_mut().enumerate() {
            publisher.is_due = refills && publisher.wants_refill();
            if publisher.is_due {
                self.due.push(index);
            }
        }
    }

    /// The publishers that should send now. Give the list back with [`Self::keep_due`].
    pub(crate) fn take_due(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.due)
    }

    /// Takes the list back to use its memory again.
    pub(crate) fn keep_due(&mut self, mut list: Vec<usize>) {
        list.clear();
        if self.due.is_empty() {
            self.due = list;
        }
    }

    /// Forgets the latencies so far.
    pub(crate) fn restart_latency(&mut self) {
        self.latency.reset();
    }

    pub(crate) const fn latency(&self) -> &Histogram<u64> {
        &self.latency
    }

    /// True when everything that was sent has arrived and is acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        let faults = self.faults();
        faults.lost + faults.unanswered == 0
            && self
                .publishers
                .iter()
                .all(|publisher| publisher.outstanding() == 0)
    }

    /// Everything that went wrong, with what is missing by now.
    pub(crate) fn faults(&self) -> Faults {
        let mut faults = self.faults;
        for receiver in &self.receivers {
            for (publisher, sequence) in (receiver.first..).zip(&receiver.sequences) {
                let sent = self.publishers.get(publisher as usize).map_or(0, Publisher::sent);
                faults.lost += sequence.missing(sent);
            }
        }
        faults.answers_out_of_order += self
            .publishers
            .iter()
            .map(Publisher::answers_out_of_order)
            .sum::<u64>();
        faults.unanswered = self.unreleased + self.publishers.iter().map(Publisher::unanswered).sum::<u64>();
        faults
    }

    /// Takes a frame that came in on a connection with this role at the moment `now`, in nanoseconds of the run;
    /// appends to `out` what must be answered.
    ///
    /// # Errors
    /// A frame that has no business there.
    #[inline]
    pub(crate) fn take(&mut self, role: Role, frame: Frame<'_>, now: u64, out: &mut Vec<u8>) -> Result<()> {
        match (role, frame) {
            (Role::Receiver(index), Frame::Publish(publish)) => self.take_message(index, &publish, now, out),
            (
                Role::Receiver(_),
                Frame::Answer(Answer {
                    kind: AnswerKind::PubRel,
                    packet_id,
                }),
            ) => {
                ensure!(self.unreleased > 0, "a PUBREL that answers nothing");
                self.unreleased -= 1;
                self.codec.write_answer(AnswerKind::PubComp, packet_id, out)
            }
            (Role::Publisher(index), Frame::Answer(answer)) => self.take_answer(index, answer, out),
            (role, frame) => bail!("{role:?} got an unexpected packet: {frame:?}"),
        }
    }

    #[inline]
    fn take_message(
        &mut self,
        index: usize,
        publish: &Publish<'_>,
        now: u64,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.codec.check_publish(publish)?;
        let stamp = Stamp::read(publish.payload).context("a message without a stamp: somebody else's?")?;
        let receiver = self.receivers.get_mut(index).context("no such receiver")?;
        ensure!(
            publish.qos == receiver.qos as u8,
            "a message came at QoS {} instead of {:?}",
            publish.qos,
            receiver.qos
        );
        let place = stamp.publisher.wrapping_sub(receiver.first) as usize;
        let sequence = receiver.sequences.get_mut(place);
        let sequence =
            sequence.with_context(|| format!("receiver {index} hears publisher {}", stamp.publisher))?;
        let publisher = self
            .publishers
            .get_mut(stamp.publisher as usize)
            .context("no such publisher")?;
        ensure!(
            stamp.number < publisher.sent(),
            "message {} arrived before it was sent",
            stamp.number
        );

        match sequence.take(stamp.number) {
            Arrival::Expected => publisher.arrived(stamp.number),
            Arrival::Ahead { skipped } => {
                (stamp.number - skipped..=stamp.number).for_each(|n| publisher.arrived(n))
            }
            Arrival::Late if receiver.order == Order::Any => {}
            Arrival::Late => self.faults.reordered += 1,
            Arrival::Again if publish.dup && publish.qos == 1 => self.faults.redelivered += 1,
            Arrival::Again => self.faults.repeated += 1,
        }
        self.delivered += 1;
        if stamp.sent_at > 0 {
            self.latency.saturating_record(now.saturating_sub(stamp.sent_at));
        }
        match publish.qos {
            1 => self
                .codec
                .write_answer(AnswerKind::PubAck, publish.packet_id, out)?,
            2 => {
                self.unreleased += 1;
                self.codec
                    .write_answer(AnswerKind::PubRec, publish.packet_id, out)?;
            }
            _ => {}
        }
        self.note_due(stamp.publisher as usize);
        Ok(())
    }

    fn take_answer(&mut self, index: usize, answer: Answer, out: &mut Vec<u8>) -> Result<()> {
        let publisher = self.publishers.get_mut(index).context("no such publisher")?;
        if let Some(reply) = publisher.answered(answer)? {
            self.codec.write_answer(reply.kind, reply.packet_id, out)?;
        }
        self.note_due(index);
        Ok(())
    }

    #[inline]
    fn note_due(&mut self, index: usize) {
        if let Some(publisher) = self.publishers.get_mut(index)
            && self.refills
            && !publisher.is_due
            && publisher.wants_refill()
        {
            publisher.is_due = true;
            self.due.push(index);
        }
    }
}

#[cfg(test)]
mod tests;
