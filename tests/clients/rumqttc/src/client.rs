//! One client: a task that drives rumqttc's event loop, and what it heard in queues.

use std::error::Error;
use std::fs;
use std::io;

use rumqttc::Transport;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::question::{Call, Message, Publish, Server, Subscribe};
use crate::{v5, v311};

/// More than any story leaves unread; beyond, the client reads no more from its socket.
const HEARD_MAX: usize = 1000;

/// What the event loops of both versions are asked to tell.
pub(crate) enum Heard {
    Message(Message),
    /// The QoS that was granted, or the code of a refusal.
    Granted(u8),
    Acknowledged,
}

/// How a connection ended: with the broker's reason code, if it gave one, and in rumqttc's words.
pub(crate) struct End {
    pub(crate) reason: Option<u8>,
    pub(crate) words: String,
}

/// A client's ends of the queues that its event loop fills.
pub(crate) struct Ears {
    messages: Receiver<Message>,
    grants: Receiver<u8>,
    acknowledgements: Receiver<()>,
    end: oneshot::Receiver<End>,
}

/// The event loop's ends.
pub(crate) struct Mouth {
    messages: Sender<Message>,
    grants: Sender<u8>,
    acknowledgements: Sender<()>,
}

impl Mouth {
    pub(crate) async fn tell(&self, heard: Heard) {
        // Who no longer listens has been cut off.
        let _gone = match heard {
            Heard::Message(message) => self.messages.send(message).await.is_err(),
            Heard::Granted(code) => self.grants.send(code).await.is_err(),
            Heard::Acknowledged => self.acknowledgements.send(()).await.is_err(),
        };
    }
}

pub(crate) enum Requests {
    V311(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

pub(crate) struct Client {
    requests: Requests,
    ears: Ears,
    task: JoinHandle<()>,
}

impl Client {
    /// Returns once CONNACK came, with whether a session was present.
    pub(crate) async fn connect(call: &Call) -> Result<(Self, bool), Box<dyn Error>> {
        let (messages, ear_messages) = channel(HEARD_MAX);
        let (grants, ear_grants) = channel(HEARD_MAX);
        let (acknowledgements, ear_acknowledgements) = channel(HEARD_MAX);
        let (ended, end) = oneshot::channel();
        let mouth = Mouth {
            messages,
            grants,
            acknowledgements,
        };
        let ears = Ears {
            messages: ear_messages,
            grants: ear_grants,
            acknowledgements: ear_acknowledgements,
            end,
        };
        let (requests, session_present, task) = if call.version == 5 {
            let (requests, mut events) = v5::open(call)?;
            let session_present = v5::connack(&mut events).await?;
            let task = tokio::spawn(async move {
                let _unheard = ended.send(v5::run(events, mouth).await).is_err();
            });
            (Requests::V5(requests), session_present, task)
        } else {
            let (requests, mut events) = v311::open(call)?;
            let session_present = v311::connack(&mut events).await?;
            let task = tokio::spawn(async move {
                let _unheard = ended.send(v311::run(events, mouth).await).is_err();
            });
            (Requests::V311(requests), session_present, task)
        };
        let client = Self { requests, ears, task };
        Ok((client, session_present))
    }

    pub(crate) async fn subscribe(&mut self, subscribe: Subscribe) -> Result<u8, Box<dyn Error>> {
        match &self.requests {
            Requests::V311(requests) => v311::subscribe(requests, subscribe).await?,
            Requests::V5(requests) => v5::subscribe(requests, subscribe).await?,
        }
        let granted = self.ears.grants.recv().await;
        Ok(granted.ok_or("the connection ended before SUBACK")?)
    }

    pub(crate) async fn publish(&mut self, publish: Publish) -> Result<(), Box<dyn Error>> {
        let awaited = if publish.qos == 0 {
            0
        } else {
            publish.payloads.len()
        };
        match &self.requests {
            Requests::V311(requests) => v311::publish(requests, publish).await?,
            Requests::V5(requests) => v5::publish(requests, publish).await?,
        }
        for _ in 0..awaited {
            let acknowledged = self.ears.acknowledgements.recv().await;
            acknowledged.ok_or("the connection ended before an acknowledgement")?;
        }
        Ok(())
    }

    pub(crate) async fn receive(&mut self) -> Result<Message, Box<dyn Error>> {
        let message = self.ears.messages.recv().await;
        Ok(message.ok_or("the connection ended before a message")?)
    }

    pub(crate) async fn ended(&mut self) -> Result<Option<u8>, Box<dyn Error>> {
        Ok((&mut self.ears.end).await?.reason)
    }

    pub(crate) async fn close(&mut self) -> Result<(), Box<dyn Error>> {
        match &self.requests {
            Requests::V311(requests) => requests.disconnect().await?,
            Requests::V5(requests) => requests.disconnect().await?,
        }
        let end = (&mut self.ears.end).await?;
        match end.reason {
            None => Ok(()),
            Some(reason) => Err(format!("DISCONNECT was answered with {reason:#04x}: {}", end.words).into()),
        }
    }

    /// Drops the event loop, and its socket with it, where it stands.
    pub(crate) async fn cut(&mut self) {
        self.task.abort();
        let _aborted = (&mut self.task).await.is_err();
    }
}

/// The address as rumqttc wants it: with WebSocket, it is a URL.
pub(crate) fn address(server: &Server) -> String {
    let Server { host, port, .. } = server;
    match (server.websocket, &server.authority) {
        (false, _) => host.clone(),
        (true, None) => format!("ws://{host}:{port}/mqtt"),
        (true, Some(_)) => format!("wss://{host}:{port}/mqtt"),
    }
}

pub(crate) fn transport(server: &Server) -> io::Result<Transport> {
    let Some(authority) = &server.authority else {
        return Ok(if server.websocket {
            Transport::Ws
        } else {
            Transport::Tcp
        });
    };
    let authority = fs::read(authority)?;
    let certificate = match (&server.certificate, &server.key) {
        (Some(certificate), Some(key)) => Some((fs::read(certificate)?, fs::read(key)?)),
        _ => None,
    };
    Ok(if server.websocket {
        Transport::wss(authority, certificate, None)
    } else {
        Transport::tls(authority, certificate, None)
    })
}
