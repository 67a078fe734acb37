//! A naive model of the specification: lists that are searched from end to end, and a sentence for each rule.
//!
//! It knows nothing of how the broker does it. What happens is told to it in verbs; what each client heard of it is held
//! against what it was due, clause by clause, once nothing more happens by itself. Where the specification leaves freedom
//! it asks for what the broker documents.

mod hearing;
mod session;
mod topic;

use std::fmt;

use mqtt_wire::{QoS, ReasonCode, RetainHandling, Version};

use super::operation::{Greeting, Wish};
use crate::{EntranceId, Settings};
use session::{Due, Expected, Flight, Group, Line, Message, Part, Reach, Session, Step, Subscription, Will};
use topic::{is_shared, matches};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The clause, or the chapter where no clause says it alone.
    pub clause: &'static str,
    /// What was seen, and what should have been.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.clause, self.what)
    }
}

/// A message that is about to be published.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    /// Its topic.
    pub topic: &'static str,
    /// Its payload.
    pub payload: &'a [u8],
    /// Its quality of service.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// How long it lives.
    pub expiry_secs: Option<u32>,
}

/// A message that a client has heard and not acknowledged to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Its packet id.
    pub id: u16,
    /// Its quality of service.
    pub qos: QoS,
    /// Whether it had PUBREC.
    pub released: bool,
}

/// What there should be, as far as can be told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    now: u64,
    inflight_max: usize,
    receive_maximum: u16,
    expiry_max_secs: u32,
    lines: Vec<Line>,
    sessions: Vec<Session>,
    groups: Vec<Group>,
    retained: Vec<Message>,
    /// How many messages were sent.
    sent: usize,
}

impl Model {
    /// Nobody is there, and nothing is kept.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let entrance = settings.entrance(EntranceId::default());
        Self {
            now: 0,
            inflight_max: usize::from(settings.inflight_max),
            receive_maximum: entrance.receive_maximum,
            expiry_max_secs: u32::try_from(entrance.session_expiry_max.as_secs()).unwrap_or(u32::MAX),
            lines: Vec::new(),
            sessions: Vec::new(),
            groups: Vec::new(),
            retained: Vec::new(),
            sent: 0,
        }
    }

    // What happens

    /// A client connects: its connection has the next number, from 0 on.
    pub fn connect(&mut self, client: usize, greeting: &Greeting, will: Option<&[u8]>) {
        // [MQTT5-3.1.4-3] A connection with the same client id goes.
        if let Some(old) = self.line_of(client) {
            self.expel(old, ReasonCode::SessionTakenOver);
        }
        // [MQTT5-3.1.2-4] A clean start ends the session there was.
        if greeting.clean_start && self.session(client).is_some() {
            self.end_session(client);
        }
        let present = self.session(client).is_some();
        if !present {
            self.sessions.push(Session::of(client));
        }
        let expiry_secs = match greeting.version {
            Version::V5 => greeting.expiry_secs,
            Version::V311 if greeting.clean_start => 0,
            Version::V311 => u32::MAX,
        };
        let asked = greeting
            .receive_maximum
            .filter(|_| greeting.version == Version::V5);
        let asked = asked.map_or(usize::MAX, |asked| usize::from(asked.get()));
        let line = self.lines.len();
        self.lines.push(Line {
            client,
            version: greeting.version,
            window: asked.min(self.inflight_max),
            quota: self.receive_maximum,
            automatic: greeting.automatic,
            greeted: false,
            over: false,
            expected: vec![Expected::ConnAck { present }],
        });
        let will = greeting.will.zip(will).map(|(testament, payload)| Will {
            testament,
            payload: payload.to_vec(),
        });
        let expiry_secs = expiry_secs.min(self.expiry_max_secs);
        let mut released = Vec::new();
        if let Some(session) = self.session_mut(client) {
            session.line = Some(line);
            session.expiry_secs = expiry_secs;
            // [MQTT5-3.1.3-9] A will that waits is not sent when the session goes on.
            session.will = will;
            session.will_at = None;
            session.ends_at = None;
            // [MQTT-4.4.0-1] What was not acknowledged comes again.
            for flight in &mut session.flights {
                match flight.step {
                    Step::Again | Step::Sent => flight.step = Step::Again,
                    Step::Released => released.push(Expected::PubRel(flight.id, ReasonCode::Success)),
                }
                flight.counts = false;
            }
        }
        self.expect(line, released);
    }

    /// A client subscribes.
    pub fn subscribe(&mut self, line: usize, packet: u16, id: Option<u32>, wishes: &[Wish]) {
        let Some((client, version)) = self.speaker(line) else {
            return;
        };
        let (mut reasons, mut due) = (Vec::new(), Vec::new());
        for wish in wishes {
            // MQTT 3.1.1 has no options.
            let wish = match version {
                Version::V5 => *wish,
                Version::V311 => Wish {
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::SendAtSubscribe,
                    ..*wish
                },
            };
            let id = id.filter(|_| version == Version::V5);
            reasons.push(match wish.qos {
                QoS::AtMostOnce => ReasonCode::Success,
                QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
                QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
            });
            let sent = self.sent;
            let Some(session) = self.session_mut(client) else {
                return;
            };
            // [MQTT-3.8.4-3] The same filter is replaced.
            let new = session.subscription(wish.filter).is_none();
            session.forget(wish.filter, sent);
            session.subscriptions.push(Subscription { wish, id });
            // [MQTT5-3.3.1-9] [MQTT5-3.3.1-10] [MQTT5-3.3.1-11] Whether retained messages come.
            let wanted = match wish.retain_handling {
                RetainHandling::SendAtSubscribe => true,
                RetainHandling::SendIfNew => new,
                RetainHandling::DoNotSend => false,
            };
            if wanted && !is_shared(wish.filter) {
                // If they are still to come for it, they begin anew.
                let before = due.iter_mut();
                for before in before.filter(|before: &&mut Due| before.brought_by == Some(wish.filter)) {
                    before.must = false;
                }
                due.extend(self.retained_for(client, &wish, id));
            }
        }
        if let Some(session) = self.session_mut(client) {
            session.due.extend(due);
        }
        self.expect(line, [Expected::SubAck(packet, reasons)]);
    }

    fn retained_for(&self, client: usize, wish: &Wish, id: Option<u32>) -> Vec<Due> {
        let now = self.now;
        let found = self
            .retained
            .iter()
            .filter(|message| matches(wish.filter, message.topic) && is_alive(message, now));
        let due = found.map(|message| Due {
            message: message.clone(),
            qos: message.qos.min(wish.qos),
            // [MQTT311-3.3.1-8] It is sent because of a subscription.
            retain: true,
            ids: id.into_iter().collect(),
            // Whether No Local holds for them is not said.
            must: !(wish.no_local && message.publisher == client),
            maybe_sent: false,
            brought_by: Some(wish.filter),
            shared: false,
        });
        due.collect()
    }

    /// A client unsubscribes.
    pub fn unsubscribe(&mut self, line: usize, packet: u16, filter: &'static str) {
        let Some((client, version)) = self.speaker(line) else {
            return;
        };
        let sent = self.sent;
        let Some(session) = self.session_mut(client) else {
            return;
        };
        let had = session.subscription(filter).is_some();
        session.forget(filter, sent);
        // [MQTT-3.10.4-3] What waits may still come.
        let waiting = session.due.iter_mut();
        for due in waiting.filter(|due| matches(filter, due.message.topic)) {
            due.must = false;
        }
        self.look_after_groups();
        let reasons = match version {
            Version::V311 => Vec::new(),
            Version::V5 if had => vec![ReasonCode::Success],
            Version::V5 => vec![ReasonCode::NoSubscriptionExisted],
        };
        self.expect(line, [Expected::UnsubAck(packet, reasons)]);
    }

    /// A client publishes, at `QoS` 0 without a packet id.
    pub fn publish(&mut self, line: usize, packet: Option<u16>, news: News<'_>) {
        let Some((client, version)) = self.speaker(line) else {
            return;
        };
        if packet.is_some() && !self.spend(line) {
            return;
        }
        let expiry_secs = news.expiry_secs.filter(|_| version == Version::V5);
        let reach = self.send(Message {
            topic: news.topic,
            payload: news.payload.to_vec(),
            qos: news.qos,
            retain: news.retain,
            expires: expiry_secs.map(|secs| self.now + u64::from(secs) * 1000),
            publisher: client,
        });
        let Some(packet) = packet else { return };
        // [MQTT5-4.3.2-4] [MQTT5-4.3.3-8] It is answered by its level.
        if news.qos == QoS::AtLeastOnce {
            self.expect(line, [Expected::PubAck(packet, reach)]);
            return self.earn(line);
        }
        if let Some(session) = self.session_mut(client) {
            session.receipts.push(packet);
        }
        self.expect(line, [Expected::PubRec(packet, reach)]);
        self.release_if_automatic(line, packet);
    }

    /// A client sends a PUBLISH at `QoS` 2 again that it has not released.
    pub fn resend(&mut self, line: usize, packet: u16) {
        if !self.spend(line) {
            return;
        }
        // [MQTT5-4.3.3-10] It is answered and not delivered again.
        self.expect(line, [Expected::PubRec(packet, Reach::Perhaps)]);
        self.release_if_automatic(line, packet);
    }

    fn release_if_automatic(&mut self, line: usize, packet: u16) {
        if self.lines.get(line).is_some_and(|line| line.automatic) {
            self.release(line, packet);
        }
    }

    /// A client sends PUBREL.
    pub fn release(&mut self, line: usize, packet: u16) {
        let Some((client, _)) = self.speaker(line) else {
            return;
        };
        if let Some(session) = self.session_mut(client) {
            session.receipts.retain(|known| *known != packet);
        }
        // [MQTT5-4.3.3-11] It is answered by PUBCOMP, though it came before.
        self.expect(line, [Expected::PubComp(packet)]);
        self.earn(line);
    }

    /// [MQTT5-3.3.4-7] A client may send no more than the broker takes. Whether it did not.
    fn spend(&mut self, line: usize) -> bool {
        let Some(speaker) = self.lines.get_mut(line) else {
            return false;
        };
        if speaker.version == Version::V311 {
            return true; // It is read more slowly.
        }
        if speaker.quota == 0 {
            self.expel(line, ReasonCode::ReceiveMaximumExceeded);
            return false;
        }
        speaker.quota -= 1;
        true
    }

    fn earn(&mut self, line: usize) {
        let quota_max = self.receive_maximum;
        if let Some(line) = self.lines.get_mut(line) {
            line.quota = quota_max.min(line.quota + 1);
        }
    }

    /// A client acknowledges a message at `QoS` 1, or completes or refuses one at `QoS` 2.
    pub fn finish(&mut self, line: usize, packet: u16) {
        let Some((client, _)) = self.speaker(line) else {
            return;
        };
        let Some(session) = self.session_mut(client) else {
            return;
        };
        let at = session.flights.iter().position(|flight| flight.id == packet);
        let Some(flight) = at.map(|at| session.flights.remove(at)) else {
            return;
        };
        self.take_from_group(&flight);
    }

    /// A client sends PUBREC that is no refusal.
    pub fn receive(&mut self, line: usize, packet: u16) {
        let Some((client, version)) = self.speaker(line) else {
            return;
        };
        let Some(session) = self.session_mut(client) else {
            return;
        };
        let known = session.flights.iter_mut().find(|flight| flight.id == packet);
        // [MQTT5-4.3.3-4] [MQTT5-3.6.2-1] It is answered by PUBREL, which says whether its id is known.
        let reason = match (known, version) {
            (Some(flight), _) => {
                flight.step = Step::Released;
                ReasonCode::Success
            }
            (None, Version::V5) => ReasonCode::PacketIdentifierNotFound,
            (None, Version::V311) => ReasonCode::Success,
        };
        self.expect(line, [Expected::PubRel(packet, reason)]);
    }

    /// A client sends DISCONNECT.
    pub fn disconnect(&mut self, line: usize, with_will: bool, expiry_secs: Option<u32>) {
        let Some((client, version)) = self.speaker(line) else {
            return;
        };
        let expiry_secs = expiry_secs.filter(|_| version == Version::V5);
        let cap = self.expiry_max_secs;
        let Some(session) = self.session_mut(client) else {
            return;
        };
        match expiry_secs {
            // [MQTT5 3.14.2.2.2] A session that was to end cannot be kept after all.
            Some(1..) if session.expiry_secs == 0 => {
                return self.expel(line, ReasonCode::ProtocolError);
            }
            Some(secs) => session.expiry_secs = secs.min(cap),
            None => {}
        }
        // [MQTT5-3.14.4-3] Good-bye removes the will.
        if version == Version::V311 || !with_will {
            session.will = None;
        }
        self.depart(line);
        self.expect(line, [Expected::Closed]);
    }

    /// A client's connection is lost.
    pub fn lose(&mut self, line: usize) {
        self.depart(line);
    }

    /// The broker ends a connection.
    fn expel(&mut self, line: usize, reason: ReasonCode) {
        let version = self.lines.get(line).map(|line| line.version);
        if version == Some(Version::V5) {
            self.expect(line, [Expected::Disconnect(reason)]);
        }
        self.expect(line, [Expected::Closed]);
        self.depart(line);
    }

    /// A connection is over. Its will and its session's end lie ahead from now on, or are due.
    fn depart(&mut self, line: usize) {
        self.leave(line);
        self.meet_deadlines();
    }

    fn leave(&mut self, line: usize) {
        let now = self.now;
        let Some((client, _)) = self.speaker(line) else {
            return;
        };
        if let Some(line) = self.lines.get_mut(line) {
            line.over = true;
        }
        let Some(session) = self.session_mut(client) else {
            return;
        };
        session.line = None;
        // [MQTT5-3.1.3-9] The will is sent when its delay is over, or the session.
        session.will_at = session.will.as_ref().map(|will| {
            let secs = will.testament.delay_secs.min(session.expiry_secs);
            now + u64::from(secs) * 1000
        });
        session.ends_at = Some(now + u64::from(session.expiry_secs) * 1000);
        // Nothing at QoS 0 waits for who is away; what a subscription brings may go on when they are back.
        session
            .due
            .retain(|due| due.qos > QoS::AtMostOnce || due.brought_by.is_some());
        for due in session.due.iter_mut().filter(|due| due.qos == QoS::AtMostOnce) {
            due.must = false;
        }
        // [MQTT5-4.8.2-5] What it has at QoS 2 is its own; the rest is the group's again.
        let (mine, shared) = std::mem::take(&mut session.flights)
            .into_iter()
            .partition(|flight| flight.share.is_none());
        session.flights = mine;
        for flight in shared {
            self.give_back(&flight);
        }
        self.look_after_groups();
    }

    /// The process dies and starts again: all connections are lost, and what was not to outlive it.
    pub fn crash(&mut self) {
        let connected: Vec<usize> = self.sessions.iter().filter_map(|session| session.line).collect();
        for line in &connected {
            self.leave(*line);
        }
        for session in &mut self.sessions {
            let was_connected = session.ends_at == Some(self.now + u64::from(session.expiry_secs) * 1000);
            let (again, kept) = std::mem::take(&mut session.flights)
                .into_iter()
                .filter(|flight| flight.kept)
                .partition(|flight| flight.due.qos == QoS::AtLeastOnce);
            session.flights = kept;
            // At QoS 1 a packet id does not outlive the process.
            let again: Vec<Flight> = again;
            let again = again.into_iter().map(|flight| Due {
                maybe_sent: true,
                ..flight.due
            });
            let mut due: Vec<Due> = again.collect();
            due.append(&mut session.due);
            due.iter_mut().for_each(|due| due.maybe_sent |= was_connected);
            session.due = due;
        }
        for part in self.groups.iter_mut().flat_map(|group| &mut group.parts) {
            part.must &= part.kept;
            part.handed = true;
        }
        self.meet_deadlines();
    }

    /// Time passes up to the next deadline, but no further than this. How many milliseconds there are.
    #[must_use]
    pub fn until_deadline(&self, millis: u64) -> u64 {
        let of_session = |session: &Session| [session.will_at, session.ends_at];
        let ahead = self.sessions.iter().flat_map(of_session).flatten();
        ahead.map(|at| at - self.now).fold(millis, u64::min)
    }

    /// So many milliseconds pass.
    pub fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.meet_deadlines();
    }

    /// Sends the wills and ends the sessions whose time has come.
    fn meet_deadlines(&mut self) {
        let now = self.now;
        let is_due = |at: Option<u64>| at.is_some_and(|at| at <= now);
        while let Some(session) = self.sessions.iter().find(|session| is_due(session.will_at)) {
            self.send_will(session.client);
        }
        while let Some(session) = self.sessions.iter().find(|session| is_due(session.ends_at)) {
            self.end_session(session.client);
        }
    }

    /// [MQTT5-3.1.2-8] The will of a session goes out, once.
    fn send_will(&mut self, client: usize) {
        let now = self.now;
        let Some(session) = self.session_mut(client) else {
            return;
        };
        session.will_at = None;
        let Some(Will { testament, payload }) = session.will.take() else {
            return;
        };
        self.send(Message {
            topic: testament.topic,
            payload,
            qos: testament.qos,
            retain: testament.retain,
            expires: testament.expiry_secs.map(|secs| now + u64::from(secs) * 1000),
            publisher: client,
        });
    }

    fn end_session(&mut self, client: usize) {
        self.send_will(client);
        self.sessions.retain(|session| session.client != client);
        self.look_after_groups();
    }

    /// A message goes to all it concerns, and may be retained.
    fn send(&mut self, message: Message) -> Reach {
        self.sent += 1;
        // [MQTT5-3.3.1-5] [MQTT5-3.3.1-6] It takes the place of the one before it; an empty one ends it.
        if message.retain && !message.topic.starts_with('$') {
            self.retained.retain(|known| known.topic != message.topic);
            if !message.payload.is_empty() {
                self.retained.push(message.clone());
            }
        }
        let mut reach = Reach::Nobody;
        for session in &mut self.sessions {
            let matching: Vec<Subscription> = session
                .subscriptions
                .iter()
                .filter(|known| !is_shared(known.wish.filter) && matches(known.wish.filter, message.topic))
                .copied()
                .collect();
            if !matching.is_empty() && reach == Reach::Nobody {
                reach = Reach::Perhaps;
            }
            if session.line.is_none() && message.retain && !message.payload.is_empty() {
                session.may_find_retained(&message, &matching);
            }
            // [MQTT5-3.8.3-3] With No Local one's own do not come.
            let own = message.publisher == session.client;
            let bringing: Vec<&Subscription> = matching
                .iter()
                .filter(|known| !(own && known.wish.no_local))
                .collect();
            // [MQTT5-3.3.4-2] The highest level of all that match counts; we send one copy.
            let Some(granted) = bringing.iter().map(|known| known.wish.qos).max() else {
                continue;
            };
            let qos = message.qos.min(granted);
            if session.line.is_none() && qos == QoS::AtMostOnce {
                continue;
            }
            reach = Reach::Somebody;
            session.due.push(Due {
                qos,
                // [MQTT5-3.3.1-12] [MQTT5-3.3.1-13] RETAIN is as published for who asked for that.
                retain: message.retain && bringing.iter().any(|known| known.wish.retain_as_published),
                // [MQTT5-3.3.4-3] [MQTT5-3.3.4-4] With the identifiers of all.
                ids: bringing.iter().filter_map(|known| known.id).collect(),
                message: message.clone(),
                must: true,
                maybe_sent: false,
                brought_by: None,
                shared: false,
            });
        }
        reach.max_of(self.send_to_groups(&message))
    }

    /// [MQTT5 4.8.2] Each group gets it once.
    fn send_to_groups(&mut self, message: &Message) -> Reach {
        let mut reach = Reach::Nobody;
        for filter in self.shared_filters(message.topic) {
            let members = self.members(filter);
            let Some(granted) = members.iter().map(|(_, wish)| wish.qos).max() else {
                continue;
            };
            let connected = members.iter().any(|(session, _)| session.line.is_some());
            let durable = members.iter().any(|(session, _)| session.durable());
            let qos = message.qos.min(granted);
            let kept = durable && qos > QoS::AtMostOnce;
            // One that is about to end may be counted or not: whether its will goes before the session is not said.
            let staying = members
                .iter()
                .filter(|(session, _)| session.line.is_some() || session.durable());
            let staying = staying.map(|(_, wish)| wish.qos).max();
            let qos_staying = message.qos.min(staying.unwrap_or(QoS::AtMostOnce));
            let owed = connected || qos_staying > QoS::AtMostOnce;
            reach = reach.max_of(Reach::Perhaps);
            if !connected && !kept {
                continue;
            }
            if owed {
                reach = Reach::Somebody;
            }
            let part = Part {
                message: message.clone(),
                number: self.sent,
                qos,
                qos_staying,
                must: owed,
                kept,
                handed: false,
                away: false,
            };
            match self.groups.iter_mut().find(|group| group.filter == filter) {
                Some(group) => group.parts.push(part),
                None => self.groups.push(Group {
                    filter,
                    parts: vec![part],
                }),
            }
        }
        reach
    }

    /// The shared filters that somebody has and that match a topic.
    fn shared_filters(&self, topic: &str) -> Vec<&'static str> {
        let subscriptions = self.sessions.iter().flat_map(|session| &session.subscriptions);
        let mut filters: Vec<&'static str> = subscriptions
            .map(|subscription| subscription.wish.filter)
            .filter(|filter| is_shared(filter) && matches(filter, topic))
            .collect();
        filters.sort_unstable();
        filters.dedup();
        filters
    }

    fn members(&self, filter: &str) -> Vec<(&Session, &Wish)> {
        let member = |session: &'_ Session| session.subscription(filter).is_some();
        let sessions = self.sessions.iter().filter(|session| member(session));
        sessions
            .filter_map(|session| Some((session, &session.subscription(filter)?.wish)))
            .collect()
    }

    /// What a group without a connected member has in memory, or without any member at all, is not owed any more.
    fn look_after_groups(&mut self) {
        for at in 0..self.groups.len() {
            let Some(filter) = self.groups.get(at).map(|group| group.filter) else {
                return;
            };
            let members = self.members(filter);
            let (any, connected) = (
                !members.is_empty(),
                members.iter().any(|(session, _)| session.line.is_some()),
            );
            let parts = self
                .groups
                .get_mut(at)
                .into_iter()
                .flat_map(|group| &mut group.parts);
            for part in parts {
                part.must &= any && (connected || part.kept);
            }
        }
    }

    /// A member is gone with what it has not acknowledged.
    fn give_back(&mut self, flight: &Flight) {
        if let Some((group, at)) = self.part_of(flight)
            && let Some(part) = group.parts.get_mut(at)
        {
            part.away = false;
        }
    }

    /// A member is done with it.
    fn take_from_group(&mut self, flight: &Flight) {
        if let Some((group, at)) = self.part_of(flight) {
            group.parts.remove(at);
        }
    }

    /// The group that a message under way still belongs to, and its place there.
    fn part_of(&mut self, flight: &Flight) -> Option<(&mut Group, usize)> {
        let (filter, number) = flight.share?;
        let group = self.groups.iter_mut().find(|group| group.filter == filter)?;
        let at = group.parts.iter().position(|part| part.number == number)?;
        Some((group, at))
    }

    // What there is

    /// The connection of a client.
    #[must_use]
    pub fn line_of(&self, client: usize) -> Option<usize> {
        self.session(client)?.line
    }

    /// What a client has heard and not acknowledged to the end.
    #[must_use]
    pub fn open(&self, client: usize) -> Vec<Open> {
        let flights = self
            .session(client)
            .into_iter()
            .flat_map(|session| &session.flights);
        let heard = flights.filter(|flight| flight.step != Step::Again);
        heard
            .map(|flight| Open {
                id: flight.id,
                qos: flight.due.qos,
                released: flight.step == Step::Released,
            })
            .collect()
    }

    /// The ids of what a client has sent at `QoS` 2 and not released.
    #[must_use]
    pub fn unreleased(&self, client: usize) -> &[u16] {
        self.session(client).map_or(&[], |session| &session.receipts)
    }

    fn session(&self, client: usize) -> Option<&Session> {
        self.sessions.iter().find(|session| session.client == client)
    }

    fn session_mut(&mut self, client: usize) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.client == client)
    }

    /// Whose connection it is, and in which version.
    fn speaker(&self, line: usize) -> Option<(usize, Version)> {
        let line = self.lines.get(line)?;
        Some((line.client, line.version))
    }

    fn expect(&mut self, line: usize, expected: impl IntoIterator<Item = Expected>) {
        if let Some(line) = self.lines.get_mut(line) {
            line.expected.extend(expected);
        }
    }
}

impl Reach {
    const fn max_of(self, other: Self) -> Self {
        match (self, other) {
            (Self::Somebody, _) | (_, Self::Somebody) => Self::Somebody,
            (Self::Perhaps, _) | (_, Self::Perhaps) => Self::Perhaps,
            (Self::Nobody, Self::Nobody) => Self::Nobody,
        }
    }
}

/// [MQTT5-3.3.2-5] Whether it has not expired.
fn is_alive(message: &Message, now: u64) -> bool {
    message.expires.is_none_or(|expires| expires > now)
}
