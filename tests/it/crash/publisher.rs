//! A publisher that keeps its side of the protocol across connections, and counts what was acknowledged.

use std::{collections::VecDeque, io, sync::atomic::Ordering, time::Duration};

use mqtt_wire::{Ack, Connect, Packet, PacketId, QoS, Version};

use super::Load;
use crate::support::{Heard, Mqtt};

const WINDOW: usize = 16;

struct Unfinished {
    id: u16,
    number: u64,
    released: bool,
}

pub(super) struct Publisher {
    name: usize,
    qos: QoS,
    next: u64,
    next_id: u16,
    /// Every number up to here is acknowledged.
    acked: u64,
    unfinished: VecDeque<Unfinished>,
    had_session: bool,
}

impl Publisher {
    pub(super) fn new(name: usize, qos: QoS) -> Self {
        Self {
            name,
            qos,
            next: 1,
            next_id: 1,
            acked: 0,
            unfinished: VecDeque::new(),
            had_session: false,
        }
    }

    /// Publishes until it is enough and everything is acknowledged. Answers how many that were.
    pub(super) fn run(mut self, load: &Load) -> u64 {
        while !(load.enough.load(Ordering::SeqCst) && self.unfinished.is_empty()) {
            // The broker is gone most of the time a connection fails: it is tried again.
            let _broken = self.one_connection(load);
        }
        self.acked
    }

    fn one_connection(&mut self, load: &Load) -> io::Result<()> {
        let mut connect = Connect::new(Version::V311, format!("publisher-{}", self.name));
        connect.clean_start = false;
        let (mut client, connack) = Mqtt::connect(load.mqtt, connect)?;
        assert!(
            connack.session_present || !self.had_session,
            "publisher {} lost its session",
            self.name
        );
        self.had_session = true;
        for unfinished in &self.unfinished {
            if unfinished.released {
                client.send(&Packet::PubRel(Ack::new(PacketId::new(unfinished.id).unwrap())))?;
            } else {
                self.publish(&mut client, unfinished, true)?;
            }
        }
        loop {
            let enough = load.enough.load(Ordering::SeqCst);
            while !enough && self.unfinished.len() < WINDOW {
                self.publish_next(&mut client)?;
            }
            if self.unfinished.is_empty() {
                return Ok(());
            }
            if let Some(Heard::Packet(packet)) = client.hear(Duration::from_secs(5))? {
                self.hear(&mut client, &packet)?;
            }
        }
    }

    fn publish_next(&mut self, client: &mut Mqtt) -> io::Result<()> {
        let unfinished = Unfinished {
            id: self.next_id,
            number: self.next,
            released: false,
        };
        self.next_id = self.next_id % 60_000 + 1;
        self.next += 1;
        let sent = self.publish(client, &unfinished, false);
        self.unfinished.push_back(unfinished);
        sent
    }

    fn publish(&self, client: &mut Mqtt, unfinished: &Unfinished, dup: bool) -> io::Result<()> {
        let payload = format!("{} {}", self.name, unfinished.number);
        client.publish(
            &format!("load/{}", self.name),
            payload.as_bytes(),
            self.qos,
            unfinished.id,
            false,
            dup,
        )
    }

    fn hear(&mut self, client: &mut Mqtt, packet: &Packet<'static>) -> io::Result<()> {
        match packet {
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                let at = self
                    .unfinished
                    .iter()
                    .position(|unfinished| unfinished.id == ack.packet_id.get());
                let done = self
                    .unfinished
                    .remove(at.expect("what is acknowledged was sent"))
                    .unwrap();
                // PUBACKs come in order; a PUBCOMP is preceded by a PUBREC that came in order.
                self.acked = self.acked.max(done.number);
                Ok(())
            }
            Packet::PubRec(ack) => {
                let id = ack.packet_id.get();
                if let Some(unfinished) = self.unfinished.iter_mut().find(|unfinished| unfinished.id == id) {
                    unfinished.released = true;
                    self.acked = self.acked.max(unfinished.number);
                }
                client.send(&Packet::PubRel(Ack::new(ack.packet_id)))
            }
            other => panic!("a publisher does not expect {}", other.name()),
        }
    }
}
