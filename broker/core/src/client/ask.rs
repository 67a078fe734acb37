//! Asking a gate: a question is an output with a ticket, and the client is read no further until the verdict is in.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_wire::{PacketId, Properties, Publish, QoS, Subscribe};

use super::Pause;
use crate::{ConnectionId, Output, Outputs, Shard, hold::Line, output::Question};

/// What a client waits for a verdict on.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A message.
    Publish {
        topic: Arc<str>,
        dup: bool,
        qos: QoS,
        retain: bool,
        id: Option<PacketId>,
        properties: Bytes,
        payload: Bytes,
        /// Under which policy it was asked; none if the client has said anew since who it is.
        policy: Option<u64>,
    },
    /// Some filters, each with its verdict once that is in.
    Subscribe {
        subscribe: Subscribe,
        verdicts: Vec<Option<bool>>,
    },
}

/// What a verdict is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) line: Line,
    /// Which of several filters.
    pub(crate) index: usize,
}

/// Verdicts on publishing that are remembered for one connection, newest last.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    list: Vec<(Arc<str>, QoS, bool, bool)>,
    policy: u64,
}

impl Verdicts {
    fn find(&self, policy: u64, topic: &str, qos: QoS, retain: bool) -> Option<bool> {
        if self.policy != policy {
            return None;
        }
        let same = |(known, at, kept, _): &&(Arc<str>, QoS, bool, bool)| {
            **known == *topic && *at == qos && *kept == retain
        };
        self.list
            .iter()
            .rev()
            .find(same)
            .map(|(_, _, _, allowed)| *allowed)
    }

    fn remember(&mut self, policy: u64, max: usize, topic: Arc<str>, qos: QoS, retain: bool, allowed: bool) {
        if self.policy != policy || self.list.len() >= max {
            self.list.clear();
            self.policy = policy;
        }
        self.list.push((topic, qos, retain, allowed));
    }
}

impl Shard {
    pub(crate) fn remembered_verdict(
        &self,
        connection: ConnectionId,
        topic: &str,
        qos: QoS,
        retain: bool,
    ) -> Option<bool> {
        self.client(connection)?
            .verdicts
            .find(self.policy, topic, qos, retain)
    }

    pub(crate) fn ask_about_publish(
        &mut self,
        connection: ConnectionId,
        publish: &Publish<'_>,
        topic: Arc<str>,
        question: Question,
        out: &mut Outputs,
    ) {
        let asked = Asked::Publish {
            topic,
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            id: publish.packet_id,
            properties: Bytes::copy_from_slice(publish.properties.as_bytes()),
            payload: Bytes::copy_from_slice(publish.payload),
            policy: Some(self.policy),
        };
        self.ask(connection, asked, vec![(0, question)], out);
    }

    /// Asks the questions an operation depends on. The client is read no further until all are answered.
    pub(crate) fn ask(
        &mut self,
        connection: ConnectionId,
        asked: Asked,
        questions: Vec<(usize, Question)>,
        out: &mut Outputs,
    ) {
        let Some(client) = self.client_mut(connection) else {
            return;
        };
        client.pause(Pause::Asking);
        client.asked = Some(Box::new(asked));
        let line = Line {
            connection,
            serial: client.serial,
        };
        for (index, question) in questions {
            self.last_question += 1;
            let ticket = self.last_question;
            self.questions.insert(ticket, Pending { line, index });
            out.duties.push(Output::Ask {
                ticket,
                connection,
                question,
            });
        }
    }

    /// A gate has answered.
    pub(crate) fn take_verdict(&mut self, ticket: u64, allow: bool, out: &mut Outputs) {
        let Some(Pending { line, index }) = self.questions.remove(&ticket) else {
            return;
        };
        let Some(client) = self.client_on(line) else {
            return;
        };
        let Some(mut asked) = client.asked.take() else {
            return;
        };
        if let Asked::Subscribe { verdicts, .. } = &mut *asked {
            if let Some(verdict) = verdicts.get_mut(index) {
                *verdict = Some(allow);
            }
            if verdicts.contains(&None) {
                client.asked = Some(asked);
                return;
            }
        }
        let reads = client.resume(Pause::Asking);
        self.go_on(line.connection, *asked, allow, out);
        // What was asked about may have paused or ended the client in turn.
        if reads && self.reads(line.connection) {
            out.duties.push(Output::Read {
                connection: line.connection,
            });
        }
    }

    fn go_on(&mut self, connection: ConnectionId, asked: Asked, allow: bool, out: &mut Outputs) {
        match asked {
            Asked::Subscribe { subscribe, verdicts } => {
                let allowed: Vec<bool> = verdicts
                    .into_iter()
                    .map(|verdict| verdict == Some(true))
                    .collect();
                self.judged_subscribe(connection, subscribe, &allowed, out);
            }
            Asked::Publish {
                topic,
                dup,
                qos,
                retain,
                id,
                properties,
                payload,
                policy: asked_under,
            } => {
                let (policy, max) = (self.policy, self.settings.verdicts_max);
                let lasts = asked_under == Some(policy);
                if let Some(client) = self.client_mut(connection).filter(|_| lasts) {
                    client
                        .verdicts
                        .remember(policy, max, Arc::clone(&topic), qos, retain, allow);
                }
                let properties = Properties::parse_publish(&properties).unwrap_or(Properties::EMPTY);
                let publish = Publish {
                    dup,
                    qos,
                    retain,
                    topic: &topic,
                    packet_id: id,
                    properties,
                    payload: &payload,
                };
                self.judged_publish(connection, &publish, &topic, allow, out);
                if let Some(client) = self.client_mut(connection).filter(|_| !lasts) {
                    client.last_topic = None;
                }
            }
        }
    }
}
