//! A subscriber that keeps its side of the protocol across connections, and writes down all it was given.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use mqtt_wire::{Ack, Connect, Packet, PacketId, QoS, Version};

use super::Load;
use crate::support::{Heard, Message, Mqtt};

/// The highest number that came from each publisher.
pub(super) type Seen = Arc<Mutex<Vec<u64>>>;

pub(super) struct Subscriber {
    name: usize,
    /// Numbers in the order they came, by publisher.
    came: Vec<Vec<u64>>,
    /// QoS 2 messages that were taken and not released: one that comes again with such an id is the same.
    unreleased: BTreeSet<PacketId>,
    pub(super) seen: Seen,
}

impl Subscriber {
    /// A subscriber whose subscription was acknowledged.
    pub(super) fn subscribed(load: &Load, name: usize, qos: QoS) -> Self {
        let (mut client, present) = Mqtt::kept(load.mqtt, &format!("subscriber-{name}"));
        assert!(!present);
        client.subscribe("load/+", qos);
        Self {
            name,
            came: vec![Vec::new(); 4],
            unreleased: BTreeSet::new(),
            seen: Arc::new(Mutex::new(vec![0; 4])),
        }
    }

    pub(super) fn run(mut self, load: &Load) -> Self {
        while !load.over.load(Ordering::SeqCst) {
            // The broker is gone most of the time a connection fails: it is tried again.
            let _broken = self.one_connection(load);
        }
        self
    }

    fn one_connection(&mut self, load: &Load) -> io::Result<()> {
        let mut connect = Connect::new(Version::V311, format!("subscriber-{}", self.name));
        connect.clean_start = false;
        let (mut client, connack) = Mqtt::connect(load.mqtt, connect)?;
        assert!(
            connack.session_present,
            "subscriber {} lost its session",
            self.name
        );
        while !load.over.load(Ordering::SeqCst) {
            match client.hear(Duration::from_millis(100))? {
                None => {}
                Some(Heard::Message(message)) => self.take(&mut client, &message)?,
                Some(Heard::Packet(Packet::PubRel(ack))) => {
                    self.unreleased.remove(&ack.packet_id);
                    client.send(&Packet::PubComp(Ack::new(ack.packet_id)))?;
                }
                Some(Heard::Packet(other)) => panic!("a subscriber does not expect {}", other.name()),
            }
        }
        Ok(())
    }

    fn take(&mut self, client: &mut Mqtt, message: &Message) -> io::Result<()> {
        let id = message.id.expect("both subscriptions are above QoS 0");
        let first = message.qos == QoS::AtLeastOnce || self.unreleased.insert(id);
        if first {
            let (publisher, number) = message.text().split_once(' ').unwrap();
            let (publisher, number): (usize, u64) = (publisher.parse().unwrap(), number.parse().unwrap());
            self.came[publisher].push(number);
            let mut seen = self.seen.lock().unwrap();
            seen[publisher] = seen[publisher].max(number);
        }
        match message.qos {
            QoS::AtLeastOnce => client.send(&Packet::PubAck(Ack::new(id))),
            _ => client.send(&Packet::PubRec(Ack::new(id))),
        }
    }

    /// Everything acknowledged came, first in order, and once where both sides are at QoS 2. Answers how many came again.
    pub(super) fn check(&self, publisher: usize, acked: u64, qos: QoS) -> u64 {
        let who = format!("subscriber {} (seed above), publisher {publisher}", self.name);
        let mut highest = 0;
        let mut again = 0;
        for number in &self.came[publisher] {
            if *number <= highest {
                again += 1;
                continue;
            }
            assert_eq!(
                *number,
                highest + 1,
                "{who}: a message is missing or out of order"
            );
            highest = *number;
        }
        assert!(
            highest >= acked,
            "{who}: {acked} acknowledged, but only {highest} came"
        );
        let exactly_once = qos == QoS::ExactlyOnce && publisher % 2 == 1;
        assert!(
            !(exactly_once && again > 0),
            "{who}: {again} QoS 2 messages came twice"
        );
        again
    }
}
