//! Requests: messages and HTTP asks become commands to twins, and their answers wait for the round.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{
    Answer, Delivery, LinkEvent, LinkPublish, Properties, Property, ReasonCode, Ticket, To, put_property,
};
use twin_model::{ClientToken, Command, Condition, NoChange, Refused, Twin, TwinId, UpdateRequest};

use super::delivery::arc;
use super::devices::device_of;
use super::round::{Asker, Outcome};
use super::writes::Written;
use super::{Worker, partition_of};
use crate::ask::{Ask, Failure, Told, Wish, Work};
use crate::clock::timestamp;
use crate::documents::{self, Stub};
use crate::metrics;
use crate::topics::{self, Prefix, Tail, Topic, Verb};

impl Worker {
    pub(super) fn event(&mut self, event: LinkEvent) {
        let limits = &self.shared.settings.limits;
        match event {
            LinkEvent::Message(delivery) => self.message(&delivery),
            LinkEvent::Connected {
                client_id,
                principal,
                peer,
                version,
                at,
            } => {
                if let Some(device) = device_of(&principal, limits) {
                    self.connected(&device, client_id, peer, version, timestamp(at));
                }
            }
            LinkEvent::Departed {
                client_id,
                principal,
                why,
                at,
            } => {
                if let Some(device) = device_of(&principal, limits) {
                    self.departed(&device, &client_id, why, timestamp(at));
                }
            }
            LinkEvent::Subscribed {
                client_id,
                principal,
                filter,
                ..
            } => {
                if let Some(device) = device_of(&principal, limits) {
                    self.subscribed(&device, &client_id, filter);
                }
            }
            LinkEvent::Settled { key, .. } if partition_of(key) == u64::from(self.number) => {
                self.settled(key)
            }
            _ => {}
        }
    }

    fn message(&mut self, delivery: &Delivery) {
        let own = delivery.principal.device.as_deref();
        let Some(Topic {
            tail: Tail::Request(verb),
            prefix,
            device,
            twin,
        }) = Topic::parse(&delivery.topic)
        else {
            return self.answer(delivery.ticket, Answer::Taken); // not a request, although the filter let it through
        };
        let device = match prefix {
            Prefix::Aws | Prefix::Native => device,
            Prefix::Me => match own {
                Some(own) => own,
                None => return self.answer(delivery.ticket, Answer::Refused(ReasonCode::NotAuthorized)),
            },
        };
        if own == Some(device)
            && let Ok(own) = topics::device_name(device, &self.shared.settings.limits)
        {
            self.shared.presences.heard(&own, self.now);
        }
        let mut asker = self.asker(delivery, verb);
        asker.is_counted = prefix == Prefix::Aws && self.count(&asker);
        if prefix == Prefix::Aws && !asker.is_counted {
            self.find_token(&mut asker, delivery);
            let rejected = asker.reject(429, "Too many requests");
            metrics::update("message", "throttled");
            return self.outcome(device.into(), vec![rejected], asker);
        }
        match topics::twin_id(device, twin, &self.shared.settings.limits) {
            Err(refused) => {
                self.find_token(&mut asker, delivery);
                self.failed(device.into(), asker, &refused.into());
            }
            Ok(id) => self.request(&id, verb, delivery, asker),
        }
    }

    fn request(&mut self, id: &TwinId, verb: Verb, delivery: &Delivery, mut asker: Asker) {
        let answer = match verb {
            Verb::Get => self.shown(id, &delivery.payload, &mut asker),
            Verb::Update => self.updated(id, delivery, &mut asker),
            Verb::Delete => self.deleted(id, delivery, &mut asker),
        };
        match answer {
            Ok(messages) => self.outcome(arc(&id.device), messages, asker),
            Err(failure) => {
                self.find_token(&mut asker, delivery);
                self.failed(arc(&id.device), asker, &failure);
            }
        }
    }

    fn shown(&mut self, id: &TwinId, payload: &[u8], asker: &mut Asker) -> Result<Vec<LinkPublish>, Failure> {
        asker.stub.client_token = ClientToken::parse(payload, &self.shared.settings.limits)?;
        let twin = self.existing(id)?;
        Ok(vec![asker.accept(documents::get_accepted(&twin, &asker.stub))])
    }

    fn updated(
        &mut self,
        id: &TwinId,
        delivery: &Delivery,
        asker: &mut Asker,
    ) -> Result<Vec<LinkPublish>, Failure> {
        let limits = &self.shared.settings.limits;
        let request = UpdateRequest::parse(&delivery.payload, limits)?;
        let UpdateRequest {
            update,
            echo,
            condition,
            client_token,
        } = request;
        asker.stub.client_token = client_token;
        let command = Command::Update(update);
        let write = self.write_by(
            id,
            &delivery.principal.name,
            command,
            condition,
            NoChange::BumpVersion,
        );
        let Written {
            after, mut messages, ..
        } = self.write(id, &write, &asker.stub)?;
        if let Command::Update(update) = &write.command {
            messages.push(asker.accept(documents::update_accepted(&after, update, &echo, &asker.stub)));
        }
        Ok(messages)
    }

    fn deleted(
        &mut self,
        id: &TwinId,
        delivery: &Delivery,
        asker: &mut Asker,
    ) -> Result<Vec<LinkPublish>, Failure> {
        self.find_token(asker, delivery);
        let write = self.write_by(
            id,
            &delivery.principal.name,
            Command::Remove,
            Condition::None,
            NoChange::BumpVersion,
        );
        let Written {
            before, mut messages, ..
        } = self.write(id, &write, &asker.stub)?;
        messages.push(asker.accept(documents::delete_accepted(before, &asker.stub)));
        Ok(messages)
    }

    pub(super) fn ask(&mut self, ask: Ask) {
        let Ask { id, work, reply } = ask;
        let (told, messages) = match self.asked(&id, work) {
            Ok((told, messages)) => (Ok(told), messages),
            Err(failure) => (Err(failure), Vec::new()),
        };
        let outcome = Outcome {
            device: arc(&id.device),
            messages,
            asker: None,
            reply: Some((reply, told)),
        };
        self.round.outcomes.push(outcome);
    }

    fn asked(&mut self, id: &TwinId, work: Work) -> Result<(Told, Vec<LinkPublish>), Failure> {
        let at = self.now;
        match work {
            Work::Read => {
                let twin = self.existing(id)?;
                Ok((
                    Told {
                        before: twin.version(),
                        twin,
                        at,
                    },
                    Vec::new(),
                ))
            }
            Work::Write(wish) => {
                let Wish {
                    command,
                    condition,
                    no_change,
                    writer,
                    client_token,
                } = *wish;
                let write = self.write_by(id, &writer, command, condition, no_change);
                let Written {
                    before,
                    after,
                    messages,
                } = self.write(id, &write, &Stub { at, client_token })?;
                Ok((
                    Told {
                        before,
                        twin: after,
                        at,
                    },
                    messages,
                ))
            }
        }
    }

    fn existing(&mut self, id: &TwinId) -> Result<Arc<Twin>, Failure> {
        let twin = self.twin(id)?;
        if twin.exists() {
            Ok(twin)
        } else {
            Err(Refused::NotFound { id: id.clone() }.into())
        }
    }

    fn asker(&self, delivery: &Delivery, verb: Verb) -> Asker {
        let topic = |tail| Topic::parse(&delivery.topic).map(|topic| topic.with(tail).to_string().into());
        let (accepted, rejected) = (topic(Tail::Accepted(verb)), topic(Tail::Rejected(verb)));
        let by_me = matches!(
            Topic::parse(&delivery.topic),
            Some(Topic {
                prefix: Prefix::Me,
                ..
            })
        );
        let only = To::Only(delivery.client_id.clone());
        let to = if by_me { only.clone() } else { To::Everyone };
        let asker = Asker {
            ticket: delivery.ticket,
            client_id: delivery.client_id.clone(),
            is_counted: false,
            accepted: accepted.unwrap_or_else(|| Arc::clone(&delivery.topic)),
            rejected: rejected.unwrap_or_else(|| Arc::clone(&delivery.topic)),
            to,
            properties: Bytes::new(),
            stub: Stub {
                at: self.now,
                client_token: None,
            },
            refused: None,
        };
        match response(&delivery.properties) {
            None => asker,
            // To the requester alone: it may have no right to publish to the topic it names.
            Some((topic, properties)) => Asker {
                accepted: Arc::clone(&topic),
                rejected: topic,
                properties,
                to: only,
                ..asker
            },
        }
    }

    /// The mark of a request whose document was not read, so that its answer carries it too.
    fn find_token(&self, asker: &mut Asker, delivery: &Delivery) {
        if asker.stub.client_token.is_none() {
            asker.stub.client_token = ClientToken::find(&delivery.payload, &self.shared.settings.limits);
        }
    }

    /// Counts one more request of a client, unless it has too many under way.
    fn count(&mut self, asker: &Asker) -> bool {
        let count = self.under_way.entry(asker.client_id.clone()).or_default();
        let has_room = *count < self.shared.settings.in_flight_per_client_max;
        *count += usize::from(has_room);
        has_room
    }

    fn failed(&mut self, device: Arc<str>, mut asker: Asker, failure: &Failure) {
        let message = asker.fail(failure);
        match failure {
            Failure::Refused(_) | Failure::TooManyTwins(_) => {}
            // Not told of each: whoever has the store tells when this begins and ends.
            Failure::Commit(_) => asker.refused = Some(failure.reason()),
            _ => tracing::error!(%device, %failure, "a request could not be carried out"),
        }
        self.outcome(device, vec![message], asker);
    }

    fn outcome(&mut self, device: Arc<str>, messages: Vec<LinkPublish>, asker: Asker) {
        self.round.outcomes.push(Outcome {
            device,
            messages,
            asker: Some(asker),
            reply: None,
        });
    }

    fn answer(&self, ticket: Ticket, answer: Answer) {
        if let Some(broker) = self.shared.broker.get() {
            broker.answer(ticket, answer);
        }
    }
}

/// The response topic of a request, and the properties of its answer.
fn response(block: &[u8]) -> Option<(Arc<str>, Bytes)> {
    let properties = Properties::parse_publish(block).ok()?;
    let topic = properties.response_topic()?.into();
    let mut answer = Vec::new();
    if let Some(data) = properties.correlation_data() {
        put_property(&mut answer, &Property::CorrelationData(data)).ok()?;
    }
    Some((topic, answer.into()))
}
