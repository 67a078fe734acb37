//! What the rules want kept on disk: batches of operations on named shelves, and how they are read back.

use std::ops::{ControlFlow, Range};

use crate::record;

/// A named part of what is kept. The journal maps each to a keyspace of its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Shelf {
    /// Session number to client id, expiry, will.
    Sessions = 0,
    /// Session number and filter to subscription options.
    Subscriptions = 1,
    /// Session number and sequence number to a waiting message, or a reference to its body.
    Queue = 2,
    /// Message number to the body that several queues refer to.
    Bodies = 3,
    /// Session number and packet id to the state of an outgoing message that was given that id.
    Inflight = 4,
    /// Session number and packet id of a QoS 2 message received but not yet released.
    Receipts = 5,
    /// Topic name and version to a retained message, or to its end; the highest version counts.
    Retained = 6,
    /// Session number to the first sequence number of its queue that is still needed.
    Cursors = 7,
}

impl Shelf {
    /// All shelves, each at the place its number says.
    pub const ALL: [Self; 8] = [
        Self::Sessions,
        Self::Subscriptions,
        Self::Queue,
        Self::Bodies,
        Self::Inflight,
        Self::Receipts,
        Self::Retained,
        Self::Cursors,
    ];

    /// The shelf's name, as operators see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Subscriptions => "subscriptions",
            Self::Queue => "queue",
            Self::Bodies => "bodies",
            Self::Inflight => "inflight",
            Self::Receipts => "receipts",
            Self::Retained => "retained",
            Self::Cursors => "cursors",
        }
    }
}

/// One operation of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Set a key.
    Put {
        /// Where.
        shelf: Shelf,
        /// The key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// Remove a key.
    Delete {
        /// Where.
        shelf: Shelf,
        /// The key.
        key: &'a [u8],
    },
    /// Remove all keys from `from` up to but without `to`.
    DeleteRange {
        /// Where.
        shelf: Shelf,
        /// The first key.
        from: &'a [u8],
        /// The first key that stays.
        to: &'a [u8],
    },
}

/// Operations that are kept all together or not at all, in order. One flat buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
}

/// The most messages that are removed one by one.
const FEW_MESSAGES: u64 = 64;

const PUT: u8 = 0;
const DELETE: u8 = 1;
const DELETE_RANGE: u8 = 2;

impl Batch {
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its size in memory, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Sets a key.
    pub fn put(&mut self, shelf: Shelf, key: &[u8], value: &[u8]) {
        self.write(PUT, shelf, key, value);
    }

    /// Removes a key.
    pub fn delete(&mut self, shelf: Shelf, key: &[u8]) {
        self.write(DELETE, shelf, key, &[]);
    }

    /// Removes all keys from `from` up to but without `to`.
    pub fn delete_range(&mut self, shelf: Shelf, from: &[u8], to: &[u8]) {
        self.write(DELETE_RANGE, shelf, from, to);
    }

    /// Removes messages of a session's queue: one by one if they are few, as a range that is removed costs the store more
    /// than that.
    pub(crate) fn delete_messages(&mut self, session: u64, seqs: Range<u64>) {
        if seqs.end.saturating_sub(seqs.start) > FEW_MESSAGES {
            let (from, to) = (
                record::queue_key(session, seqs.start),
                record::queue_key(session, seqs.end),
            );
            return self.delete_range(Shelf::Queue, &from, &to);
        }
        for seq in seqs {
            self.delete(Shelf::Queue, &record::queue_key(session, seq));
        }
    }

    /// Adds another batch's operations after these.
    pub fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// The operations, in order.
    pub fn ops(&self) -> impl Iterator<Item = Op<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (op, after) = read_op(rest)?;
            rest = after;
            Some(op)
        })
    }

    fn write(&mut self, kind: u8, shelf: Shelf, first: &[u8], second: &[u8]) {
        self.bytes.reserve(10 + first.len() + second.len());
        self.bytes.extend_from_slice(&[kind, shelf as u8]);
        for part in [first, second] {
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            self.bytes.extend_from_slice(&len.to_be_bytes());
            self.bytes.extend_from_slice(part);
        }
    }
}

fn read_op(bytes: &[u8]) -> Option<(Op<'_>, &[u8])> {
    let (&[kind, shelf], rest) = bytes.split_first_chunk()?;
    let shelf = Shelf::ALL.get(usize::from(shelf)).copied()?;
    let (first, rest) = read_part(rest)?;
    let (second, rest) = read_part(rest)?;
    let op = match kind {
        PUT => Op::Put {
            shelf,
            key: first,
            value: second,
        },
        DELETE => Op::Delete { shelf, key: first },
        _ => Op::DeleteRange {
            shelf,
            from: first,
            to: second,
        },
    };
    Some((op, rest))
}

fn read_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

/// Told of a key and its value; says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reading what was kept. Implemented by the journal over its store; only used at start and for recalls, never by a
/// shard itself.
pub trait Shelves {
    /// Why reading failed, in words for the log.
    type Error: std::fmt::Display;

    /// The value of a key.
    ///
    /// # Errors
    /// When the store cannot read it.
    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Visits keys in ascending order from `from` up to but without `to` (to the end, if `None`), until told to stop.
    ///
    /// # Errors
    /// When the store cannot read them.
    fn scan(
        &self,
        shelf: Shelf,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Self::Error>;
}
