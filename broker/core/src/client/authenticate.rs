//! Re-authentication: a connected client says anew who it is, and goes on with everything else meanwhile.

use mqtt_wire::{Auth, Packet, ReasonCode};

use super::{Asked, Verdicts, ask::Pending};
use crate::{ConnectionId, Output, Outputs, Shard, hold::Line, input::Authentication};

/// What is known of a client that connected with an authentication method.
#[derive(Debug)]
pub(crate) struct Method {
    name: String,
    under_way: Option<UnderWay>,
}

/// A re-authentication under way.
#[derive(Debug)]
struct UnderWay {
    ticket: u64,
    /// Whether the client has to say something next, and not the gate.
    clients_turn: bool,
}

impl Method {
    /// The method that a client connected with.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            under_way: None,
        }
    }
}

impl Shard {
    /// AUTH has come. It is an error without a method in CONNECT [MQTT5-4.12.0-7], with another one [MQTT5-4.12.0-5]
    /// [MQTT5-4.12.1-1], and when it is not the client's turn [MQTT5-4.12.0-3].
    pub(crate) fn take_auth(&mut self, connection: ConnectionId, auth: Auth, out: &mut Outputs) {
        let ticket = self.last_question + 1;
        let Some(client) = self.client_mut(connection) else {
            return;
        };
        let line = Line {
            connection,
            serial: client.serial,
        };
        let method = client
            .method
            .as_deref_mut()
            .filter(|method| auth.method.as_ref() == Some(&method.name));
        let (ticket, begins) = match (auth.reason, method) {
            (ReasonCode::ReAuthenticate, Some(method)) if method.under_way.is_none() => {
                method.under_way = Some(UnderWay {
                    ticket,
                    clients_turn: false,
                });
                self.last_question = ticket;
                self.questions.insert(ticket, Pending { line, index: 0 });
                (ticket, true)
            }
            (
                ReasonCode::ContinueAuthentication,
                Some(Method {
                    under_way: Some(under_way),
                    ..
                }),
            ) if under_way.clients_turn => {
                under_way.clients_turn = false;
                (under_way.ticket, false)
            }
            _ => return self.expel(connection, ReasonCode::ProtocolError, out),
        };
        out.duties.push(Output::Authenticate {
            ticket,
            connection,
            begins,
            data: auth.data,
        });
    }

    /// A gate has said something in a re-authentication.
    pub(crate) fn take_authenticated(&mut self, ticket: u64, said: Authentication, out: &mut Outputs) {
        let pending = match said {
            Authentication::Continue(_) => self.questions.get(&ticket).copied(),
            Authentication::Known(_) | Authentication::Refused => self.questions.remove(&ticket),
        };
        let Some(Pending { line, .. }) = pending else {
            return;
        };
        let Some(client) = self.client_on(line) else {
            return;
        };
        let Some(method) = client.method.as_deref_mut() else {
            return;
        };
        let (reason, data) = match said {
            Authentication::Continue(data) => {
                if let Some(under_way) = &mut method.under_way {
                    under_way.clients_turn = true;
                }
                (ReasonCode::ContinueAuthentication, data)
            }
            Authentication::Known(data) => {
                method.under_way = None;
                (ReasonCode::Success, data)
            }
            Authentication::Refused => return self.expel(line.connection, ReasonCode::NotAuthorized, out),
        };
        let auth = Auth {
            reason,
            method: Some(method.name.clone()),
            data,
            ..Auth::default()
        };
        if reason == ReasonCode::Success {
            self.forget_verdicts(line.connection);
        }
        self.send_auth(line.connection, auth, out);
    }

    /// What a gate said of a client before does not count for what it is now, and neither does what it is still to say.
    fn forget_verdicts(&mut self, connection: ConnectionId) {
        let Some(client) = self.client_mut(connection) else {
            return;
        };
        client.verdicts = Verdicts::default();
        client.last_topic = None;
        if let Some(Asked::Publish { policy, .. }) = client.asked.as_deref_mut() {
            *policy = None;
        }
    }

    /// A step that the client cannot take would leave it waiting.
    fn send_auth(&mut self, connection: ConnectionId, auth: Auth, out: &mut Outputs) {
        let packet = Packet::Auth(auth);
        let fits = self.client(connection).is_some_and(|client| {
            let len = packet.encoded_len(client.version);
            len.is_ok_and(|len| len <= client.packet_bytes_max as usize)
        });
        if fits {
            self.send(connection, &packet, out);
        } else {
            self.expel(connection, ReasonCode::PacketTooLarge, out);
        }
    }
}
