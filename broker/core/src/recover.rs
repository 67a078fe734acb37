//! Reading back what was kept when the process ends and another begins: each shard's share of it, checked.

mod restore;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use mqtt_wire::{ClientId, PacketId, QoS, TopicFilter};

use crate::{
    Batch, ShardId, Shelf, Shelves, WallTime,
    client::connect::SESSION_SHARD_BITS,
    group::{Group, Member, is_group_id},
    mail::Letter,
    message::Message,
    record::{self, Body, Outgoing, SessionRecord, Waiting},
    session::{Flight, Queue, Receipt, Stage},
    subscription::Options,
    topics::Interest,
};

/// What one shard gets of what was kept.
#[derive(Debug, Default)]
pub struct Recovered {
    pub(crate) wall: WallTime,
    sessions: Vec<RecoveredSession>,
    groups: Vec<RecoveredGroup>,
    retained: Vec<Versioned>,
    last_retained: u64,
    bodies: Vec<(u64, usize)>,
    interests: Vec<(TopicFilter, ShardId, Interest)>,
    last_session: u64,
    last_body: u64,
    /// Removes what nothing refers to any more.
    cleanup: Batch,
    damaged: u64,
}

/// A retained message and its version.
type Versioned = (u64, Arc<Message>);

#[derive(Debug)]
struct RecoveredSession {
    number: u64,
    record: SessionRecord,
    subscriptions: Vec<(TopicFilter, Options)>,
    queue: Queue,
    flights: Vec<Flight>,
    receipts: Vec<Receipt>,
}

impl RecoveredSession {
    /// One that is over but for its will.
    fn ended(number: u64, record: SessionRecord) -> Self {
        let left = record.left.or(Some(WallTime(0)));
        Self {
            number,
            record: SessionRecord {
                expiry_secs: 0,
                left,
                ..record
            },
            subscriptions: Vec::new(),
            queue: Queue::default(),
            flights: Vec::new(),
            receipts: Vec::new(),
        }
    }
}

/// A group with its members. Where its record was not kept, neither was anything in its name.
#[derive(Debug)]
struct RecoveredGroup {
    filter: TopicFilter,
    session: Option<RecoveredSession>,
    /// With the numbers of their sessions.
    members: Vec<(u64, Member)>,
}

impl Recovered {
    /// Nothing: the share of a shard that begins empty, at this wall time.
    #[must_use]
    pub fn nothing(wall: WallTime) -> Self {
        Self {
            wall,
            ..Self::default()
        }
    }

    /// How many records could not be read and were left out.
    #[must_use]
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// How many sessions and retained messages are in it.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.sessions.len(), self.retained.len())
    }
}

/// Reads everything back and divides it among so many shards.
///
/// # Errors
/// When the shelves cannot be read.
pub fn recover<S: Shelves>(shelves: &S, shards: u16, wall: WallTime) -> Result<Vec<Recovered>, S::Error> {
    let shards = shards.max(1);
    let mut reading = Reading {
        shelves,
        damaged: 0,
        cleanup: Batch::default(),
        references: BTreeMap::new(),
        ended: Vec::new(),
    };
    let found = reading.session_records()?;
    let mut sessions = reading.sessions(&found)?;
    let groups = reading.groups(&found, &sessions, shards)?;
    let (retained, last_retained) = reading.retained()?;
    // Nothing but the will is left of them. They stand first, so that their clients' later sessions are found.
    sessions.splice(..0, std::mem::take(&mut reading.ended));
    let last_orphan = reading.drop_orphans(&sessions, &groups)?;
    let last_body = reading.bodies()?;
    let Reading {
        damaged,
        cleanup,
        references,
        ..
    } = reading;

    let last_session = numbers(&sessions, &groups)
        .chain(last_orphan)
        .map(|number| number >> SESSION_SHARD_BITS)
        .max()
        .unwrap_or(0);
    let interests = interests(&sessions, &groups, shards);
    let mut shares: Vec<Recovered> = (0..shards)
        .map(|_| Recovered {
            wall,
            last_session,
            last_body,
            last_retained,
            interests: interests.clone(),
            ..Recovered::default()
        })
        .collect();
    for session in sessions {
        let home = ShardId::of(session.record.client_id.as_str(), shards);
        share(&mut shares, home).sessions.push(session);
    }
    for group in groups {
        let home = ShardId::of(group.filter.as_str(), shards);
        share(&mut shares, home).groups.push(group);
    }
    for (version, message) in retained {
        let keeper = ShardId::of(&message.topic, shards);
        share(&mut shares, keeper).retained.push((version, message));
    }
    for (body, count) in references {
        let owner = ShardId((body & ((1 << Letter::BODY_SHARD_BITS) - 1)) as u16 % shards);
        share(&mut shares, owner).bodies.push((body, count));
    }
    let first = share(&mut shares, ShardId(0));
    first.cleanup = cleanup;
    first.damaged = damaged;
    Ok(shares)
}

fn share(shares: &mut [Recovered], shard: ShardId) -> &mut Recovered {
    let Some(share) = shares.get_mut(usize::from(shard.0)) else {
        unreachable!("a shard's id is below their number")
    };
    share
}

/// What each shard's sessions want, by filter.
fn interests(
    sessions: &[RecoveredSession],
    groups: &[RecoveredGroup],
    shards: u16,
) -> Vec<(TopicFilter, ShardId, Interest)> {
    let mut wanted: BTreeMap<(TopicFilter, ShardId), bool> = BTreeMap::new();
    for session in sessions {
        let home = ShardId::of(session.record.client_id.as_str(), shards);
        for (filter, _) in session
            .subscriptions
            .iter()
            .filter(|(filter, _)| filter.shared().is_none())
        {
            *wanted.entry((filter.clone(), home)).or_default() |= session.record.expiry_secs > 0;
        }
    }
    for group in groups.iter().filter(|group| group.session.is_some()) {
        let home = ShardId::of(group.filter.as_str(), shards);
        if let Some(Group { topics, .. }) = Group::of(&group.filter) {
            wanted.insert((topics, home), true);
        }
    }
    wanted
        .into_iter()
        .map(|((filter, shard), durable)| (filter, shard, Interest { any: true, durable }))
        .collect()
}

/// The numbers of all that was recovered.
fn numbers<'a>(
    sessions: &'a [RecoveredSession],
    groups: &'a [RecoveredGroup],
) -> impl Iterator<Item = u64> + 'a {
    let of_groups = groups.iter().filter_map(|group| group.session.as_ref());
    sessions.iter().chain(of_groups).map(|session| session.number)
}

/// A session's number and record, by its client id.
type Records = BTreeMap<ClientId, (u64, SessionRecord)>;

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

struct Reading<'a, S: Shelves> {
    shelves: &'a S,
    damaged: u64,
    cleanup: Batch,
    /// Stored bodies with how many queue entries refer to them.
    references: BTreeMap<u64, usize>,
    /// Sessions that gave way to others of their clients, and whose wills are not published yet.
    ended: Vec<RecoveredSession>,
}

impl<S: Shelves> Reading<'_, S> {
    fn scan(&self, shelf: Shelf, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), S::Error> {
        self.shelves.scan(shelf, &[], None, &mut |key, value| {
            visit(key, value);
            ControlFlow::Continue(())
        })
    }

    fn session_records(&mut self) -> Result<Records, S::Error> {
        let mut found = Records::new();
        let mut ended = Vec::new();
        let mut damaged = 0;
        self.scan(Shelf::Sessions, |key, value| {
            match (record::read_session_key(key), record::read_session(value)) {
                // A client's later session has the higher number. The record of an earlier one stays where the store refused
                // to remove it.
                (Some(number), Some(record)) => {
                    ended.extend(found.insert(record.client_id.clone(), (number, record)));
                }
                _ => damaged += 1,
            }
        })?;
        self.damaged += damaged;
        let ended = ended.into_iter().filter(|(_, record)| record.will.is_some());
        self.ended = ended
            .map(|(number, record)| RecoveredSession::ended(number, record))
            .collect();
        Ok(found)
    }

    fn sessions(&mut self, found: &Records) -> Result<Vec<RecoveredSession>, S::Error> {
        let of_clients = found.iter().filter(|(id, _)| !is_group_id(id.as_str()));
        of_clients
            .map(|(_, (number, record))| self.session(*number, record.clone()))
            .collect()
    }

    /// The groups of all who are members. What is kept of a group without any is not taken in.
    fn groups(
        &mut self,
        found: &Records,
        sessions: &[RecoveredSession],
        shards: u16,
    ) -> Result<Vec<RecoveredGroup>, S::Error> {
        let mut members: BTreeMap<TopicFilter, Vec<(u64, Member)>> = BTreeMap::new();
        for session in sessions {
            let home = ShardId::of(session.record.client_id.as_str(), shards);
            for (filter, options) in &session.subscriptions {
                if filter.shared().is_some() {
                    let member = Member::new(home, options.qos, session.record.expiry_secs > 0, None);
                    let members = members.entry(filter.clone()).or_default();
                    members.push((session.number, member));
                }
            }
        }
        let mut groups = Vec::new();
        for (filter, members) in members {
            let kept = Group::client_id(&filter).and_then(|id| found.get(&id));
            let session = match kept {
                Some((number, record)) => Some(self.session(*number, record.clone())?),
                None => None,
            };
            groups.push(RecoveredGroup {
                filter,
                session,
                members,
            });
        }
        Ok(groups)
    }

    fn session(&mut self, number: u64, record: SessionRecord) -> Result<RecoveredSession, S::Error> {
        let cursor = self.shelves.get(Shelf::Cursors, &record::session_key(number))?;
        let cursor = cursor
            .and_then(|bytes| record::read_session_key(&bytes))
            .unwrap_or(0);
        let flights = self.flights(number)?;
        let sent_before = match record.left {
            Some(_) => record.sent_before,
            None => u64::MAX, // It was connected: who knows.
        };
        let queue = self.queue(number, cursor, &flights, sent_before)?;
        Ok(RecoveredSession {
            number,
            subscriptions: self.subscriptions(number)?,
            receipts: self.receipts(number)?,
            record,
            queue,
            flights,
        })
    }

    /// Everything a shelf has of a session.
    fn of_session(&self, shelf: Shelf, number: u64) -> Result<Vec<Pair>, S::Error> {
        let mut found = Vec::new();
        let end = record::session_end(number);
        self.shelves.scan(
            shelf,
            &record::session_key(number),
            Some(&end),
            &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            },
        )?;
        Ok(found)
    }

    fn subscriptions(&mut self, number: u64) -> Result<Vec<(TopicFilter, Options)>, S::Error> {
        let found = self.of_session(Shelf::Subscriptions, number)?;
        let read = |(key, value): &Pair| {
            Some((
                record::read_subscription_key(key)?.1,
                record::read_options(value)?,
            ))
        };
        let subscriptions: Vec<_> = found.iter().filter_map(read).collect();
        self.damaged += (found.len() - subscriptions.len()) as u64;
        Ok(subscriptions)
    }

    fn receipts(&self, number: u64) -> Result<Vec<Receipt>, S::Error> {
        let found = self.of_session(Shelf::Receipts, number)?;
        let ids = found.iter().filter_map(|(key, _)| record::read_packet_key(key));
        Ok(ids.map(|(_, id)| Receipt { id, settled: true }).collect())
    }

    fn flights(&mut self, number: u64) -> Result<Vec<Flight>, S::Error> {
        let mut flights = Vec::new();
        for (key, value) in self.of_session(Shelf::Inflight, number)? {
            let (Some((_, id)), Some(outgoing)) =
                (record::read_packet_key(&key), record::read_outgoing(&value))
            else {
                self.damaged += 1;
                continue;
            };
            match outgoing {
                Outgoing::Released => flights.push(flight(id, Stage::Released, None, released(), None)),
                Outgoing::Published(seq) => match self.message(number, seq)? {
                    Some((waiting, message)) => {
                        flights.push(flight(
                            id,
                            Stage::Published,
                            Some(seq),
                            waiting,
                            Some(Arc::new(message)),
                        ));
                    }
                    // The client may hold the id: it is told to let go of it before it stands for another message.
                    None => {
                        self.damaged += 1;
                        flights.push(flight(id, Stage::Released, None, released(), None));
                    }
                },
            }
        }
        flights.sort_by_key(|flight| flight.seq);
        Ok(flights)
    }

    fn message(&self, number: u64, seq: u64) -> Result<Option<(Waiting, Message)>, S::Error> {
        let Some(value) = self.shelves.get(Shelf::Queue, &record::queue_key(number, seq))? else {
            return Ok(None);
        };
        Ok(match record::read_queue_entry(&value) {
            Some((waiting, Body::Inline(message))) => Some((waiting, message)),
            Some((waiting, Body::Stored(body))) => {
                let body = self.shelves.get(Shelf::Bodies, &record::body_key(body))?;
                body.and_then(|bytes| record::read_body(&bytes))
                    .map(|message| (waiting, message))
            }
            None => None,
        })
    }

    /// What waits for a session: counted, and left on disk until its turn comes.
    fn queue(
        &mut self,
        number: u64,
        cursor: u64,
        flights: &[Flight],
        sent_before: u64,
    ) -> Result<Queue, S::Error> {
        let (mut first, mut next, mut messages, mut bytes) = (None, cursor, 0, 0);
        let mut bodies = Vec::new();
        let (from, end) = (record::queue_key(number, cursor), record::session_end(number));
        self.shelves
            .scan(Shelf::Queue, &from, Some(&end), &mut |key, value| {
                let Some((_, seq)) = record::read_queue_key(key) else {
                    return ControlFlow::Continue(());
                };
                next = seq + 1;
                if let Some((body, len)) = record::peek_queue_entry(value) {
                    bodies.extend(body);
                    if !flights.iter().any(|flight| flight.seq == Some(seq)) {
                        first.get_or_insert(seq);
                        messages += 1;
                        bytes += len as u64;
                    }
                }
                ControlFlow::Continue(())
            })?;
        for body in bodies {
            *self.references.entry(body).or_default() += 1;
        }
        self.drop_consumed(number, cursor)?;
        let taken = flights.iter().filter_map(|flight| flight.seq).collect();
        Ok(Queue::recovered(
            cursor,
            first.unwrap_or(next),
            next,
            messages,
            bytes,
            taken,
            sent_before.min(next),
        ))
    }

    /// Messages before a session's cursor go.
    fn drop_consumed(&mut self, number: u64, cursor: u64) -> Result<(), S::Error> {
        let (start, end) = (record::session_key(number), record::queue_key(number, cursor));
        let mut first = None;
        self.shelves
            .scan(Shelf::Queue, &start, Some(&end), &mut |key, _| {
                first = record::read_queue_key(key).map(|(_, seq)| seq);
                ControlFlow::Break(())
            })?;
        if let Some(first) = first {
            self.cleanup.delete_messages(number, first..cursor);
        }
        Ok(())
    }

    /// Everything of sessions that are gone, or whose record cannot be read, goes. Answers the highest of their numbers.
    fn drop_orphans(
        &mut self,
        sessions: &[RecoveredSession],
        groups: &[RecoveredGroup],
    ) -> Result<Option<u64>, S::Error> {
        const OF_SESSIONS: [Shelf; 6] = [
            Shelf::Sessions,
            Shelf::Subscriptions,
            Shelf::Inflight,
            Shelf::Receipts,
            Shelf::Cursors,
            Shelf::Queue,
        ];
        let known: BTreeSet<u64> = numbers(sessions, groups).collect();
        let mut orphans = BTreeSet::new();
        for shelf in OF_SESSIONS {
            self.scan(shelf, |key, _| {
                orphans.extend(record::read_session_key(key).filter(|number| !known.contains(number)));
            })?;
        }
        for number in &orphans {
            for shelf in OF_SESSIONS {
                let (from, to) = (record::session_key(*number), record::session_end(*number));
                self.cleanup.delete_range(shelf, &from, &to);
            }
        }
        Ok(orphans.last().copied())
    }

    /// Bodies that nothing refers to go. Answers the highest number given out: an entry may be older than the removal of its
    /// body, and must never be taken to refer to another.
    fn bodies(&mut self) -> Result<u64, S::Error> {
        let referred = self.references.last_key_value();
        let mut last = referred.map_or(0, |(number, _)| number >> Letter::BODY_SHARD_BITS);
        let mut unused = Vec::new();
        self.scan(Shelf::Bodies, |key, _| {
            if let Some(number) = record::read_session_key(key) {
                last = last.max(number >> Letter::BODY_SHARD_BITS);
                if !self.references.contains_key(&number) {
                    unused.push(number);
                }
            }
        })?;
        for number in unused {
            self.cleanup.delete(Shelf::Bodies, &record::body_key(number));
        }
        Ok(last)
    }

    /// The highest version of each topic's retained message, and the highest of all.
    fn retained(&mut self) -> Result<(Vec<Versioned>, u64), S::Error> {
        let mut messages: BTreeMap<Arc<str>, Versioned> = BTreeMap::new();
        let (mut stale, mut damaged, mut last) = (Vec::new(), 0, 0);
        self.scan(Shelf::Retained, |key, value| {
            let version = record::read_retained_key(key).map(|(_, version)| version);
            let (Some(version), Some(message)) = (version, record::read_body(value)) else {
                damaged += 1;
                return;
            };
            last = last.max(version);
            // Versions of a topic come in rising order.
            let before = messages.insert(Arc::clone(&message.topic), (version, Arc::new(message)));
            stale.extend(before);
        })?;
        self.damaged += damaged;
        let (over, live): (Vec<_>, Vec<_>) = messages
            .into_values()
            .partition(|(_, message)| message.payload.is_empty());
        for (version, message) in stale.into_iter().chain(over) {
            let key = record::retained_key(&message.topic, version);
            self.cleanup.delete(Shelf::Retained, &key);
        }
        Ok((live, last))
    }
}

const fn flight(
    id: PacketId,
    stage: Stage,
    seq: Option<u64>,
    waiting: Waiting,
    message: Option<Arc<Message>>,
) -> Flight {
    Flight {
        id,
        stage,
        seq,
        waiting,
        message,
        replace: None,
        dup: true,
        unsent: false,
        share: None,
    }
}

const fn released() -> Waiting {
    Waiting {
        qos: QoS::ExactlyOnce,
        retain: false,
        subscription_ids: Vec::new(),
        body: None,
    }
}
