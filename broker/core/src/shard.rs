//! One shard: the clients, sessions and topics of its share of the client ids, and the door through which things happen.

pub(crate) mod distribute;
mod groups;
mod links;
mod overload;
pub(crate) mod post;
mod recalls;
mod retry;

use std::{collections::BTreeSet, sync::Arc};

use ahash::{HashMap, RandomState};
use mqtt_wire::{ClientId, DecodeError, Disconnect, Packet, QoS, ReasonCode};

use crate::{
    ConnectionId, Counters, Departure, Entrance, Input, Judge, Moment, MountPoint, Output, Outputs, Overload,
    Settings, ShardId, Shelf, WallTime,
    client::{Client, Pause, ask::Pending, connect::Arrival},
    hold::{Hold, HoldId, Holds, Line, Set, Upkeep, What},
    record,
    recover::Recovered,
    session::{Session, SessionId, Sessions},
    timers::{Timer, Timers},
    topics::{Topics, retained::Retained},
};
use links::{Handed, Links};
use post::Offered;
pub(crate) use recalls::Purge;

/// The owner of a share of the broker's state. See the crate's documentation for how it is driven.
#[derive(Debug)]
pub struct Shard {
    pub(crate) id: ShardId,
    pub(crate) shards: u16,
    pub(crate) settings: Arc<Settings>,
    pub(crate) now: Moment,
    pub(crate) wall: WallTime,
    /// The wall time that messages expire by: read once at the start, so that a clock that is set while the broker runs moves
    /// no expiry.
    pub(crate) steady: WallTime,
    pub(crate) counters: Counters,
    pub(crate) overload: Overload,
    /// Unsent bytes for one connection beyond which `QoS` 0 messages to it are dropped at present.
    pub(crate) lag_bytes_max: usize,
    pub(crate) clients: Vec<Option<Client>>,
    pub(crate) sessions: Sessions,
    pub(crate) topics: Topics,
    pub(crate) retained: Retained,
    /// When expired retained messages were last dropped.
    pub(crate) room_made_at: Moment,
    pub(crate) links: Links,
    pub(crate) timers: Timers,
    pub(crate) holds: Holds,
    /// Changes when remembered verdicts lose their worth.
    pub(crate) policy: u64,
    pub(crate) questions: HashMap<u64, Pending>,
    /// Messages handed to links and not answered.
    pub(crate) handed: HashMap<u64, Handed>,
    /// How often other shards have still to say that they know of this shard's interests.
    pub(crate) notes_due: usize,
    /// Sessions for which other shards were asked for retained messages.
    pub(crate) wanted: HashMap<u64, SessionId>,
    /// Sessions of connected clients with retained messages still to come.
    pub(crate) catching_up: Vec<SessionId>,
    pub(crate) offered: HashMap<HoldId, Offered>,
    /// Stored bodies this shard gave numbers to, with how many queue entries still refer to them.
    pub(crate) bodies: HashMap<u64, usize>,
    /// Ended sessions whose messages on disk are being looked through, by their numbers.
    pub(crate) purges: HashMap<u64, Purge>,
    /// What refused batches changed besides, until it is done again.
    pub(crate) refused: Upkeep,
    /// Sessions with outgoing steps in this round's batch, and what waits for it.
    pub(crate) outgoing_awaited: HashMap<SessionId, u64>,
    /// Groups that may have something to hand out when the step is over.
    pub(crate) groups_due: Vec<SessionId>,
    /// Sessions whose cursor moved in this round.
    pub(crate) cursors_moved: Vec<SessionId>,
    /// Sessions that have ended and whose wills are not in a batch yet; no more than there are held messages.
    pub(crate) ended_before_wills: BTreeSet<SessionId>,
    /// Connections whose answer waits until the will of an earlier one is in a batch, also of those that have
    /// gone meanwhile; no more than come while one message is held.
    pub(crate) opens_behind_wills: Vec<(SessionId, HoldId)>,
    pub(crate) slowed_by_store: Vec<ConnectionId>,
    pub(crate) last_serial: u64,
    pub(crate) last_session: u64,
    pub(crate) last_question: u64,
    pub(crate) last_handed: u64,
    pub(crate) last_wanted: u64,
    pub(crate) last_body: u64,
}

impl Shard {
    /// A shard with what was recovered of its share. `seed` makes its hash tables unpredictable to peers.
    #[must_use]
    pub fn new(id: ShardId, shards: u16, settings: Arc<Settings>, seed: u64, recovered: Recovered) -> Self {
        let hasher = RandomState::with_seeds(seed, !seed, seed.rotate_left(17), u64::from(id.0) + 1);
        let table = || HashMap::with_hasher(hasher.clone());
        let mut shard = Self {
            id,
            shards: shards.max(1),
            overload: Overload::Calm,
            lag_bytes_max: settings.unsent_bytes_max,
            settings,
            now: Moment::START,
            wall: recovered.wall,
            steady: recovered.wall,
            counters: Counters::default(),
            clients: Vec::new(),
            sessions: Sessions::new(&hasher),
            topics: Topics::new(&hasher),
            retained: Retained::default(),
            room_made_at: Moment::START,
            links: Links::default(),
            timers: Timers::default(),
            holds: Holds::new(id, &hasher),
            policy: 0,
            questions: table(),
            handed: HashMap::with_hasher(hasher.clone()),
            notes_due: 0,
            wanted: HashMap::with_hasher(hasher.clone()),
            catching_up: Vec::new(),
            offered: HashMap::with_hasher(hasher.clone()),
            bodies: HashMap::with_hasher(hasher.clone()),
            purges: HashMap::with_hasher(hasher.clone()),
            refused: Upkeep::default(),
            outgoing_awaited: HashMap::with_hasher(hasher.clone()),
            groups_due: Vec::new(),
            cursors_moved: Vec::new(),
            ended_before_wills: BTreeSet::new(),
            opens_behind_wills: Vec::new(),
            slowed_by_store: Vec::new(),
            last_serial: 0,
            last_session: 0,
            last_question: 0,
            last_handed: 0,
            last_wanted: 0,
            last_body: 0,
        };
        shard.restore(recovered);
        shard
    }

    /// Takes one thing that happened and leaves everything that follows from it in `out`.
    pub fn step(&mut self, now: Moment, input: Input<'_>, out: &mut Outputs) {
        self.pass(now);
        match input {
            Input::Connected {
                connection,
                connect,
                assigned,
                badge,
                entrance,
            } => {
                // Who comes back too late does not keep a will or a session's end from happening.
                self.tick(out);
                let arrival = Arrival {
                    connection,
                    connect: &connect,
                    assigned,
                    entrance,
                };
                self.take_connection(&arrival, badge, out);
            }
            Input::Packet {
                connection,
                packet,
                judge,
            } => self.take_packet(connection, packet, judge, out),
            Input::Malformed { connection, error } => self.take_malformed(connection, &error, out),
            Input::Lost { connection } => self.depart(connection, Departure::Lost, out),
            Input::Drained { connection } => {
                if let Some(client) = self.client(connection) {
                    self.pump(client.session, out);
                }
            }
            Input::Verdict { ticket, allow } => self.take_verdict(ticket, allow, out),
            Input::Authenticated { ticket, said } => self.take_authenticated(ticket, said, out),
            Input::Remembered { through } => self.remembered(through, None, out),
            Input::Refused { ticket, reason } => self.remembered(ticket, Some(reason), out),
            Input::Recalled { page } => self.take_page(page, out),
            Input::Mail { from, mail } => self.take_mail(from, mail, out),
            Input::LinkAttached {
                subscriptions,
                alone,
                watches,
                presence,
            } => {
                self.attach_link(&subscriptions, &alone, watches, presence);
            }
            Input::LinkPublished { message } => self.take_link_message(message, out),
            Input::LinkAnswered { number, answer } => self.take_answer(number, answer, out),
            Input::Expel { client_id, reason } => self.expel_client(&client_id, reason, out),
            Input::Room { enough } => self.holds.has_room = enough,
            Input::Overload(overload) => self.take_overload(overload, out),
            Input::PolicyChanged => self.policy += 1,
            Input::Wall { now } => self.wall = now,
            Input::Tick => self.tick(out),
            Input::ShutDown => self.shut_down(out),
        }
        self.hand_out_due(out);
    }

    /// Ends a round: what is to be kept of it goes into one batch.
    pub fn end_round(&mut self, now: Moment, out: &mut Outputs) {
        self.pass(now);
        self.refuse_declined(out);
        for id in std::mem::take(&mut self.cursors_moved) {
            let Some(session) = self.sessions.get_mut(id) else {
                continue;
            };
            session.cursor_moved = false;
            let cursor = session.cursor();
            self.holds.touch(id);
            self.holds.batch.put(
                Shelf::Cursors,
                &record::session_key(session.number),
                &cursor.to_be_bytes(),
            );
            if let Some(consumed) = session.queue.trim(cursor) {
                self.holds.remove_messages(session.number, consumed);
            }
        }
        self.outgoing_awaited.clear();
        if let Some((ticket, batch)) = self.holds.take_batch() {
            out.duties.push(Output::Remember { ticket, batch });
        }
    }

    /// The moment [`Input::Tick`] is wanted, if any.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Whether a connection's next packet may be handed in. If not, an `Output::Read` says when.
    #[must_use]
    pub fn reads(&self, connection: ConnectionId) -> bool {
        self.client(connection).is_some_and(Client::reads)
    }

    /// The largest packet that is taken from a connection. Nothing is taken from one that is not a client's.
    #[must_use]
    pub fn packet_bytes_max(&self, connection: ConnectionId) -> u32 {
        self.entrance_of(connection)
            .map_or(0, |entrance| entrance.packet_bytes_max)
    }

    /// What holds for a client by where it came in.
    pub(crate) fn entrance_of(&self, connection: ConnectionId) -> Option<&Entrance> {
        let client = self.client(connection)?;
        Some(self.settings.entrance(client.entrance))
    }

    /// Below which all topics of a client lie, if it is not to see others.
    pub(crate) fn mount_of(&self, connection: ConnectionId) -> Option<&MountPoint> {
        self.entrance_of(connection)?.mount_point.as_ref()
    }

    /// What this shard has counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            sessions: self
                .sessions
                .iter()
                .filter(|session| session.group.is_none())
                .count() as u64,
            queued_messages: self.sessions.iter().map(Session::waiting).sum(),
            queued_bytes: self.sessions.iter().map(|session| session.queue.bytes()).sum(),
            retained_messages: self.retained.len() as u64,
            ..self.counters
        }
    }

    /// Whether nothing waits for the store, a link or another shard.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.holds.is_idle()
    }

    /// Time goes on; between two readings of the wall clock, wall time goes on with it.
    fn pass(&mut self, now: Moment) {
        if now > self.now {
            let elapsed = now.as_millis() - self.now.as_millis();
            self.wall.0 += elapsed;
            self.steady.0 += elapsed;
            self.now = now;
        }
    }

    fn take_packet(
        &mut self,
        connection: ConnectionId,
        packet: Packet<'_>,
        judge: &dyn Judge,
        out: &mut Outputs,
    ) {
        let now = self.now;
        match self.client_mut(connection) {
            Some(client) => client.last_heard = now,
            None => return,
        }
        self.counters.packets_received += 1;
        match packet {
            Packet::Publish(publish) => self.take_publish(connection, &publish, judge, out),
            Packet::PubAck(ack) => self.take_final_ack(connection, &ack, QoS::AtLeastOnce, out),
            Packet::PubRec(ack) => self.take_pubrec(connection, &ack, out),
            Packet::PubRel(ack) => self.take_pubrel(connection, &ack, out),
            Packet::PubComp(ack) => self.take_final_ack(connection, &ack, QoS::ExactlyOnce, out),
            Packet::Subscribe(subscribe) => self.take_subscribe(connection, subscribe, out),
            Packet::Unsubscribe(unsubscribe) => self.take_unsubscribe(connection, unsubscribe, out),
            Packet::PingReq => self.send(connection, &Packet::PingResp, out),
            Packet::Disconnect(disconnect) => self.take_disconnect(connection, &disconnect, out),
            Packet::Auth(auth) => self.take_auth(connection, auth, out),
            // A second CONNECT [MQTT-3.1.0-2], and what only servers send.
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => self.expel(connection, ReasonCode::ProtocolError, out),
        }
        self.slow_down(connection);
    }

    fn take_malformed(&mut self, connection: ConnectionId, error: &DecodeError, out: &mut Outputs) {
        let told = Disconnect {
            reason_string: Some(error.rule_broken()),
            ..Disconnect::with(error.reason)
        };
        self.expel_with(connection, told, out);
    }

    fn tick(&mut self, out: &mut Outputs) {
        while let Some(timer) = self.timers.take_due(self.now) {
            match timer {
                Timer::KeepAlive { connection, serial } => {
                    self.look_for_silence(Line { connection, serial }, out)
                }
                Timer::Allowance { connection, serial } => {
                    self.read_on(Line { connection, serial }, Pause::Allowance, out);
                }
                Timer::Overload { connection, serial } => {
                    self.read_on(Line { connection, serial }, Pause::Overload, out);
                }
                Timer::SessionExpiry { session } => self.session_due(session, out),
                Timer::Will { session } => self.will_due(session, out),
                Timer::LinkDeadline { number } => self.link_deadline(number, out),
                Timer::Retry => self.retry(),
            }
        }
    }

    fn look_for_silence(&mut self, line: Line, out: &mut Outputs) {
        let now = self.now;
        let Some(client) = self.client_on(line) else {
            return;
        };
        if !client.reads() {
            client.last_heard = now; // Whom we do not read we cannot hear.
        }
        if client.last_heard + client.silence_max > now {
            return self.watch_for_silence(line);
        }
        self.expel(line.connection, ReasonCode::KeepAliveTimeout, out);
    }

    /// Sets the moment to look whether a client was silent for too long, if it has promised not to be.
    pub(crate) fn watch_for_silence(&mut self, line: Line) {
        let Some(client) = self
            .client_on(line)
            .filter(|client| !client.silence_max.is_zero())
        else {
            return;
        };
        let at = client.last_heard + client.silence_max;
        client.silence_at = at;
        let Line { connection, serial } = line;
        self.timers.set(at, Timer::KeepAlive { connection, serial });
    }

    fn expel_client(&mut self, client_id: &ClientId, reason: ReasonCode, out: &mut Outputs) {
        let session = self
            .sessions
            .of_client(client_id)
            .and_then(|id| self.sessions.get(id));
        if let Some(connection) = session.and_then(|session| session.connection) {
            self.expel(connection, reason, out);
        }
    }

    fn shut_down(&mut self, out: &mut Outputs) {
        for slot in 0..self.clients.len() {
            let connection = ConnectionId(u32::try_from(slot).unwrap_or(u32::MAX));
            self.expel(connection, ReasonCode::ServerShuttingDown, out);
        }
    }

    // What waited for the store

    fn remembered(&mut self, through: u64, refused: Option<ReasonCode>, out: &mut Outputs) {
        let (numbers, upkeep) = self.holds.answered(through);
        if refused.is_some() {
            self.counters.batches_refused += 1;
            self.retry_all_later(upkeep);
        }
        for number in numbers {
            self.happened(number, refused, out);
        }
        if self.holds.unanswered_bytes() > self.settings.store_bytes_max / 2 {
            return;
        }
        for connection in std::mem::take(&mut self.slowed_by_store) {
            if self
                .client_mut(connection)
                .is_some_and(|client| client.resume(Pause::Store))
            {
                out.duties.push(Output::Read { connection });
            }
        }
    }

    /// Refuses what the store has no room for, as if the store had. Whoever is told may leave, and with a will.
    fn refuse_declined(&mut self, out: &mut Outputs) {
        loop {
            let declined = self.holds.take_declined();
            if declined.is_empty() {
                return;
            }
            self.counters.refused_no_room += declined.len() as u64;
            for number in declined {
                self.happened(number, Some(ReasonCode::QuotaExceeded), out);
            }
        }
    }

    /// One thing that a wait depends on has happened, or failed.
    pub(crate) fn happened(&mut self, number: u64, refused: Option<ReasonCode>, out: &mut Outputs) {
        let Some(Hold { refused, what, .. }) = self.holds.happened(number, refused) else {
            return;
        };
        match (what, refused) {
            (What::Message(held), refused) => self.settle_message(number, *held, refused, out),
            // Where it could not be kept it is shown all the same: nothing was promised.
            (What::Retain { message, set }, refused) => {
                let durable = refused.is_none();
                self.settle_retained(&message, Set { durable, ..set }, true);
            }
            (What::Acknowledge { due }, refused) => {
                self.settle_owed(due, refused, ReasonCode::Success, out);
            }
            (What::Decline { due, reason }, _) => self.reply_to(due, reason, out),
            (What::Send { line, bytes, then }, None) => self.send_and_then(line, &bytes, then, out),
            (What::Found { group }, refused) => self.founded(group, refused, out),
            (What::Join { home, number }, refused) => self.joined(home, number, refused, out),
            (What::GiveBack(back), None) => self.given_back(&back, out),
            (What::GiveBack(back), Some(_)) => self.retry_all_later(Upkeep {
                give_backs: vec![*back],
                ..Upkeep::default()
            }),
            (What::Complete { line, id }, None) => self.complete(line, id, out),
            (What::Open { line, bytes, resumed }, None) => self.open(line, &bytes, resumed, out),
            (What::Outgoing { session, steps }, None) => self.outgoing_recorded(session, &steps, out),
            (What::Outgoing { session, .. }, Some(_)) => self.retry_later(session),
            (
                What::Send { line, .. } | What::Complete { line, .. } | What::Open { line, .. },
                Some(reason),
            ) => {
                if self.client_on(line).is_some() {
                    self.expel(line.connection, reason, out);
                }
            }
        }
    }

    // Clients

    pub(crate) fn client(&self, connection: ConnectionId) -> Option<&Client> {
        self.clients.get(connection.0 as usize)?.as_ref()
    }

    pub(crate) fn client_mut(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        self.clients.get_mut(connection.0 as usize)?.as_mut()
    }

    /// The client a line was to, if it is still there.
    pub(crate) fn client_on(&mut self, line: Line) -> Option<&mut Client> {
        self.client_mut(line.connection)
            .filter(|client| client.serial == line.serial)
    }

    pub(crate) fn put_client(&mut self, connection: ConnectionId, client: Client) {
        let slot = connection.0 as usize;
        if slot >= self.clients.len() {
            self.clients.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.clients.get_mut(slot) {
            *place = Some(client);
        }
    }

    pub(crate) fn remove_client(&mut self, connection: ConnectionId) -> Option<Client> {
        let client = self.clients.get_mut(connection.0 as usize)?.take()?;
        let serial = client.serial;
        self.timers
            .unset(client.silence_at, Timer::KeepAlive { connection, serial });
        Some(client)
    }

    /// Sends a packet of ours. One that is larger than the client takes is not sent [MQTT-3.1.2-24].
    pub(crate) fn send(&self, connection: ConnectionId, packet: &Packet<'_>, out: &mut Outputs) {
        let Some(client) = self.client(connection) else {
            return;
        };
        let (version, bytes_max) = (client.version, client.packet_bytes_max as usize);
        if packet.encoded_len(version).is_ok_and(|len| len <= bytes_max) {
            let written = out.append(connection, |bytes| packet.encode(version, bytes));
            debug_assert!(written.is_ok(), "its length could be told");
        }
    }
}
