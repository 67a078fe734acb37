//! A well-behaved pair whose round trips tell how responsive the broker is while others misbehave.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use mqtt_wire::{Packet, Properties, Publish, QoS, Version};

use crate::client::{Client, ClientPlan, Speech};
use crate::door::Door;
use crate::stamp::Stamp;

/// Between two round trips.
const PAUSE: Duration = Duration::from_millis(5);

/// A publisher and a subscriber.
#[derive(Debug)]
pub(crate) struct Pulse {
    publisher: Client,
    subscriber: Client,
    version: Version,
    number: u64,
}

impl Pulse {
    pub(crate) fn open(door: &Door, speech: Speech) -> Result<Self> {
        let mut subscriber = ClientPlan::publisher("bench-pulse-sub".to_owned());
        subscriber.filters = vec!["bench/pulse".to_owned()];
        let publisher = ClientPlan::publisher("bench-pulse-pub".to_owned());
        Ok(Self {
            subscriber: Client::open(door, speech, &subscriber)?,
            publisher: Client::open(door, speech, &publisher)?,
            version: speech.version(),
            number: 0,
        })
    }

    /// One message there.
    ///
    /// # Errors
    /// It did not come, or another one did.
    fn beat(&mut self) -> Result<Duration> {
        self.number += 1;
        let payload = Stamp {
            publisher: 0,
            number: self.number,
            sent_at: 0,
        }
        .bytes();
        let message = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "bench/pulse",
            packet_id: None,
            properties: Properties::EMPTY,
            payload: &payload,
        };
        let mut frame = Vec::new();
        Packet::Publish(message).encode(self.version, &mut frame)?;
        let begun = Instant::now();
        self.publisher.write(&frame)?;
        let arrived = self.subscriber.read_frame()?;
        let trip = begun.elapsed();
        ensure!(
            arrived == frame,
            "the message of a well-behaved pair came back changed"
        );
        Ok(trip)
    }

    /// Round trips for that long; nanoseconds.
    pub(crate) fn measure(&mut self, time: Duration) -> Result<Histogram<u64>> {
        let begun = Instant::now();
        self.measure_while(|| begun.elapsed() < time)
    }

    /// Round trips until `stop`; nanoseconds.
    pub(crate) fn measure_until(&mut self, stop: &AtomicBool) -> Result<Histogram<u64>> {
        self.measure_while(|| !stop.load(Ordering::Relaxed))
    }

    fn measure_while(&mut self, goes_on: impl Fn() -> bool) -> Result<Histogram<u64>> {
        let mut trips = Histogram::new_with_max(60_000_000_000, 3)?;
        while goes_on() {
            trips.saturating_record(self.beat()?.as_nanos() as u64);
            thread::sleep(PAUSE);
        }
        Ok(trips)
    }
}
