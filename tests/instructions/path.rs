//! Path: what a message, or a change of a twin, goes through.

use std::hint::black_box;

use mqtt_wire::{QoS, Version, decode};

use crate::{
    broker::{Broker, MESSAGES, PACKET_BYTES_MAX, TOPIC, frames},
    twin::Pair,
};

/// A hot path of pure rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Decode,
    Encode,
    DeliverQos0,
    DeliverQos1,
    DeliverKept,
    DeliverToFifty,
    Match,
    Merge,
    Delta,
    Report,
}

impl Path {
    pub(crate) const ALL: [Self; 10] = [
        Self::Decode,
        Self::Encode,
        Self::DeliverQos0,
        Self::DeliverQos1,
        Self::DeliverKept,
        Self::DeliverToFifty,
        Self::Match,
        Self::Merge,
        Self::Delta,
        Self::Report,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode a PUBLISH of 64 bytes",
            Self::Encode => "encode a PUBLISH of 64 bytes",
            Self::DeliverQos0 => "deliver a message at QoS 0",
            Self::DeliverQos1 => "deliver a message at QoS 1, acknowledgements and all",
            Self::DeliverKept => "deliver a message at QoS 1 that is kept for a session",
            Self::DeliverToFifty => "deliver a message at QoS 0 to one of fifty",
            Self::Match => "deliver a message at QoS 0 through one of 10,000 filters with +",
            Self::Merge => "merge a patch of one leaf into a document of twenty",
            Self::Delta => "find the one leaf of twenty that differs",
            Self::Report => "report one leaf of twenty",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.name() == name)
    }

    /// How many things are done in a turn.
    pub(crate) const fn things(self) -> u64 {
        match self {
            Self::DeliverToFifty => MESSAGES * 50,
            Self::Merge | Self::Delta | Self::Report => 10,
            _ => MESSAGES,
        }
    }

    /// Does it, for so many turns.
    pub(crate) fn play(self, turns: u64) {
        let mut turn: Box<dyn FnMut()> = match self {
            Self::Decode => {
                let frames = frames(&[TOPIC], QoS::AtLeastOnce);
                Box::new(move || decode_all(&frames))
            }
            Self::Encode => Box::new(|| {
                black_box(frames(&[TOPIC], QoS::AtLeastOnce));
            }),
            Self::DeliverQos0 => deliver(Broker::pair(QoS::AtMostOnce, false)),
            Self::DeliverQos1 => deliver(Broker::pair(QoS::AtLeastOnce, false)),
            Self::DeliverKept => deliver(Broker::pair(QoS::AtLeastOnce, true)),
            Self::DeliverToFifty => deliver(Broker::to_many(50)),
            Self::Match => deliver(Broker::with_filters(10_000)),
            Self::Merge => ten(Pair::merge),
            Self::Delta => ten(Pair::delta),
            Self::Report => ten(Pair::report),
        };
        for _ in 0..turns {
            turn();
        }
    }
}

fn decode_all(frames: &[u8]) {
    let mut left = frames;
    while let Some((packet, len)) = decode(left, Version::V311, PACKET_BYTES_MAX).unwrap() {
        black_box(packet);
        left = &left[len..];
    }
}

fn deliver(mut broker: Broker) -> Box<dyn FnMut()> {
    Box::new(move || broker.turn())
}

fn ten(act: fn(&mut Pair)) -> Box<dyn FnMut()> {
    let mut pair = Pair::new();
    Box::new(move || (0..10).for_each(|_| act(&mut pair)))
}
