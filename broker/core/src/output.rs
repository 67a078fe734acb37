//! What the outside must do: bytes to write, and the closed list of duties.

use std::sync::Arc;

use mqtt_wire::{ClientId, QoS, TopicFilter};

use crate::{Badge, Batch, ConnectionId, LinkId, ShardId, mail::Mail, message::Message, recall::Recall};

/// What a gate is asked about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// May it publish to this topic?
    Publish {
        /// The topic name.
        topic: Arc<str>,
        /// With this quality of service.
        qos: QoS,
        /// To be retained?
        retain: bool,
    },
    /// May it subscribe to this filter?
    Subscribe {
        /// The topic filter.
        filter: TopicFilter,
    },
}

/// Why a client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Departure {
    /// It sent DISCONNECT.
    Disconnected,
    /// The network connection ended without one.
    Lost,
    /// It was silent for longer than its keep alive allows.
    KeepAlive,
    /// Another connection took its client id over.
    TakenOver,
    /// It broke the protocol or a limit, or an operator wanted it gone.
    Expelled,
    /// The broker shuts down.
    Shutdown,
}

/// What a link is told besides messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A client connected.
    Connected {
        /// Its connection.
        connection: ConnectionId,
        /// The client.
        client_id: ClientId,
        /// Who it is.
        badge: Badge,
    },
    /// A client left.
    Departed {
        /// The client.
        client_id: ClientId,
        /// Who it was.
        badge: Badge,
        /// Why.
        why: Departure,
    },
    /// A connected client holds a watched subscription.
    Subscribed {
        /// The client.
        client_id: ClientId,
        /// Who it is.
        badge: Badge,
        /// Its filter.
        filter: TopicFilter,
        /// Whether it came with a resumed session.
        resumed: bool,
    },
    /// A client is done with a replaceable message.
    Settled {
        /// The client.
        client_id: ClientId,
        /// The message's key.
        key: u64,
    },
}

/// One duty of the outside. Duties are performed in order.
#[derive(Debug)]
pub enum Output {
    /// Write what is left in the outbox as far as the socket takes it at once, then close the connection. The slot is
    /// free afterwards.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// The connection may be read again: first what was read before and not yet handed in.
    Read {
        /// Which.
        connection: ConnectionId,
    },
    /// Ask the gate. Answered by `Input::Verdict`, always.
    Ask {
        /// To be named in the answer.
        ticket: u64,
        /// Who wants it.
        connection: ConnectionId,
        /// What.
        question: Question,
    },
    /// Hand the gate what a client said in a re-authentication. Answered by `Input::Authenticated`, always; if not by
    /// `Authentication::Continue`, the re-authentication is over, and it may be so before all that was handed in is answered.
    Authenticate {
        /// Names the re-authentication, the same in each of its steps.
        ticket: u64,
        /// Who said it.
        connection: ConnectionId,
        /// Whether it is the first step.
        begins: bool,
        /// What it said.
        data: Option<Vec<u8>>,
    },
    /// Keep this batch. Answered by `Input::Remembered` or `Input::Refused`; tickets grow by one.
    Remember {
        /// To be named in the answer.
        ticket: u64,
        /// What.
        batch: Batch,
    },
    /// Read from what is kept. Answered by `Input::Recalled`, always.
    Recall(Recall),
    /// Carry this to another shard. Mail between two shards arrives in order.
    Mail {
        /// To whom.
        to: ShardId,
        /// What.
        mail: Mail,
    },
    /// Hand a message to a link. Answered by `Input::LinkAnswered`, unless its deadline comes first.
    Deliver {
        /// To whom.
        link: LinkId,
        /// To be named in the answer.
        number: u64,
        /// The message.
        message: Arc<Message>,
        /// Who published it.
        client_id: ClientId,
        /// As whom.
        badge: Badge,
    },
    /// Tell a link something.
    Tell {
        /// Whom.
        link: LinkId,
        /// What.
        told: Told,
    },
}

/// Bytes for one connection that its socket has not taken yet.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    touched: bool,
    high: bool,
}

impl Outbox {
    /// Above this many unsent bytes no further message from a session's queue is put in, until `Input::Drained`.
    pub const HIGH_WATER: usize = 128 * 1024;

    /// What is to be written.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// How many bytes are to be written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether all is written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Everything that followed from the steps of a round. Reused from round to round.
#[derive(Debug, Default)]
pub struct Outputs {
    outboxes: Vec<Outbox>,
    touched: Vec<ConnectionId>,
    spare: Vec<Vec<u8>>,
    unsent: usize,
    packets: u64,
    /// Duties, in order.
    pub duties: Vec<Output>,
}

/// A buffer that grew beyond this is not kept for reuse.
const SPARE_BYTES_MAX: usize = 256 * 1024;
/// How many empty buffers are kept for reuse.
const SPARE_MAX: usize = 256;

impl Outputs {
    /// How many bytes all outboxes hold together.
    #[must_use]
    pub const fn unsent_bytes(&self) -> usize {
        self.unsent
    }

    /// How many packets were ever put into them.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// The outbox of a connection.
    #[must_use]
    pub fn outbox(&self, connection: ConnectionId) -> Option<&Outbox> {
        self.outboxes.get(connection.0 as usize)
    }

    /// Lets `write` append the bytes of one packet for a connection.
    pub(crate) fn append<R>(&mut self, connection: ConnectionId, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let slot = connection.0 as usize;
        if slot >= self.outboxes.len() {
            self.outboxes.resize_with(slot + 1, Outbox::default);
        }
        let Some(outbox) = self.outboxes.get_mut(slot) else {
            unreachable!("just made")
        };
        if outbox.bytes.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            outbox.bytes = spare;
        }
        if !outbox.touched {
            outbox.touched = true;
            self.touched.push(connection);
        }
        self.packets += 1;
        let before = outbox.bytes.len();
        let result = write(&mut outbox.bytes);
        self.unsent += outbox.bytes.len() - before;
        outbox.high |= outbox.len() > Outbox::HIGH_WATER;
        result
    }

    /// The connections with bytes appended since the last call, moved into `into`, which is cleared first.
    pub fn take_touched(&mut self, into: &mut Vec<ConnectionId>) {
        into.clear();
        into.append(&mut self.touched);
        for connection in into.iter() {
            if let Some(outbox) = self.outboxes.get_mut(connection.0 as usize) {
                outbox.touched = false;
            }
        }
    }

    /// Notes that a socket took `count` bytes of an outbox. Whether `Input::Drained` is due for it now.
    pub fn sent(&mut self, connection: ConnectionId, count: usize) -> bool {
        let Some(outbox) = self.outboxes.get_mut(connection.0 as usize) else {
            return false;
        };
        let count = count.min(outbox.len());
        outbox.sent += count;
        self.unsent -= count;
        if outbox.is_empty() {
            outbox.sent = 0;
            outbox.bytes.clear();
            let spare = std::mem::take(&mut outbox.bytes);
            if spare.capacity() <= SPARE_BYTES_MAX && self.spare.len() < SPARE_MAX {
                self.spare.push(spare);
            }
        } else if outbox.sent > Outbox::HIGH_WATER {
            outbox.bytes.drain(..outbox.sent);
            outbox.sent = 0;
        }
        let drained = outbox.high && outbox.len() < Outbox::HIGH_WATER / 2;
        if drained {
            outbox.high = false;
        }
        drained
    }

    /// Drops what a closed connection had left.
    pub fn forget(&mut self, connection: ConnectionId) {
        if let Some(outbox) = self.outboxes.get_mut(connection.0 as usize) {
            self.unsent -= outbox.len();
            outbox.bytes = Vec::new();
            outbox.sent = 0;
            outbox.high = false;
        }
    }
}
