//! What a client heard, held against what it had to hear, and what is left unsaid when nothing more happens.

use mqtt_wire::{Packet, Properties, QoS, ReasonCode, Version};

use super::{
    Broken, Model, is_alive,
    session::{Due, Expected, Flight, Line, Message, Part, Reach, Session, Step, Subscription},
};
use crate::testing::{Heard, Received};

/// A copy of a group's message, made for the member that heard it.
struct Handout {
    due: Due,
    filter: &'static str,
    part: usize,
    kept: bool,
}

impl Model {
    /// A client hears something. What may be the case then: more than one thing where it cannot be told.
    ///
    /// # Errors
    /// When it must not.
    pub fn hear(mut self, line: usize, heard: &Heard) -> Result<Vec<Self>, Broken> {
        let Some(listener) = self.lines.get(line) else {
            return Err(broken("MQTT-3.1.0-1", "a connection nobody made"));
        };
        let greets = matches!(heard, Heard::Packet(Packet::ConnAck(_)));
        if !listener.greeted && !greets && !listener.over {
            return Err(broken("MQTT-3.2.0-1", format!("before CONNACK: {heard:?}")));
        }
        match heard {
            Heard::Message(received) => self.hear_message(line, received),
            Heard::Packet(Packet::PubRel(ack)) if listener.automatic && !listener.over => {
                self.hear_expected(line, heard)?;
                self.finish(line, ack.packet_id.get());
                Ok(vec![self])
            }
            Heard::Packet(_) | Heard::Closed => {
                self.hear_expected(line, heard)?;
                Ok(vec![self])
            }
        }
    }

    fn hear_expected(&mut self, line: usize, heard: &Heard) -> Result<(), Broken> {
        let Some(line) = self.lines.get_mut(line) else {
            return Ok(());
        };
        let version = line.version;
        let at = line
            .expected
            .iter()
            .position(|expected| answers(expected, heard, version));
        let Some(at) = at else {
            let what = format!("{heard:?}, where {:?} was due", line.expected);
            return Err(broken("MQTT 3", what));
        };
        if line.expected.remove(at) == (Expected::Closed) && !line.expected.is_empty() {
            let what = format!("closed before {:?}", line.expected);
            return Err(broken("MQTT 3", what));
        }
        line.greeted |= matches!(heard, Heard::Packet(Packet::ConnAck(_)));
        Ok(())
    }

    fn hear_message(mut self, line: usize, received: &Received) -> Result<Vec<Self>, Broken> {
        let now = self.now;
        let listener = self.lines.get(line);
        let session = listener.and_then(|listener| {
            let of_client = |session: &&mut Session| session.client == listener.client;
            self.sessions.iter_mut().find(of_client)
        });
        let (Some(listener), Some(session)) =
            (listener, session.filter(|session| session.line == Some(line)))
        else {
            return Err(broken("MQTT5-3.14.4-1", format!("after the end: {received:?}")));
        };
        let id = received.id.map(mqtt_wire::PacketId::get);
        let again = session
            .flights
            .iter()
            .position(|flight| flight.step == Step::Again && Some(flight.id) == id);
        if let Some(at) = again {
            self.hear_again(line, at, received)?;
            return Ok(vec![self]);
        }
        if session.flights.iter().any(|flight| Some(flight.id) == id) {
            let what = format!("an id that is in use: {received:?}");
            return Err(broken("MQTT5-2.2.1-4", what));
        }
        // What cannot be told apart is followed each way.
        let (mut ways, mut why) = (Vec::new(), None);
        let own = candidates(&session.due, received, listener, now);
        let own = own.map(|at| at.and_then(|at| take_due(session, at, now)));
        let mut own: Vec<Result<(Due, Session), Broken>> = own.collect();
        own.dedup_by(|later, one| matches!((later, one), (Ok((later, _)), Ok((one, _))) if later == one));
        for way in own {
            match way {
                Ok((due, session)) => {
                    let mut other = self.clone();
                    let known = other.sessions.iter_mut().find(|known| known.line == Some(line));
                    if let Some(known) = known {
                        *known = session;
                    }
                    other.note_sent(line, id, due, None)?;
                    ways.push(other);
                }
                Err(broken) => why = Some(broken),
            }
        }
        for way in self.handouts(line, received) {
            match way {
                Ok(handout) => {
                    let mut other = self.clone();
                    other.note_sent(line, id, handout.due.clone(), Some(&handout))?;
                    ways.push(other);
                }
                Err(broken) => why = Some(broken),
            }
        }
        match why {
            _ if !ways.is_empty() => Ok(ways),
            Some(why) => Err(why),
            None => Err(broken("MQTT 4.3", format!("it was not due: {received:?}"))),
        }
    }

    /// [MQTT-4.4.0-1] [MQTT-3.3.1-1] What comes again is what it was, with DUP.
    fn hear_again(&mut self, line: usize, at: usize, received: &Received) -> Result<(), Broken> {
        let now = self.now;
        let Some(listener) = self.lines.get(line) else {
            return Ok(());
        };
        let session = self
            .sessions
            .iter_mut()
            .find(|session| session.line == Some(line));
        let Some(session) = session else {
            return Ok(());
        };
        let shared = session.flights.get(at).is_some_and(|flight| flight.due.shared);
        let before = session.flights.get(..at).unwrap_or_default();
        let skipped = |before: &&Flight| before.step == Step::Again && !before.due.shared;
        if let Some(before) = before.iter().find(skipped).filter(|_| !shared) {
            let what = format!("{received:?} again before {before:?}");
            return Err(broken("MQTT-4.6.0-1", what));
        }
        let Some(flight) = session.flights.get_mut(at) else {
            return Ok(());
        };
        if !received.dup {
            return Err(broken("MQTT-3.3.1-1", format!("again without DUP: {received:?}")));
        }
        check(&flight.due, received, listener, now)?;
        (flight.step, flight.counts) = (Step::Sent, true);
        self.settle_sent(line, received.id.map(mqtt_wire::PacketId::get))
    }

    /// What groups may have given this client: each that this message may be, or why it is not.
    fn handouts(&self, line: usize, received: &Received) -> Vec<Result<Handout, Broken>> {
        let mut ways: Vec<Result<Handout, Broken>> = Vec::new();
        let listener = self.lines.get(line);
        let session = listener.and_then(|listener| self.session(listener.client));
        let (Some(listener), Some(session)) = (listener, session) else {
            return ways;
        };
        let now = session.subscriptions.iter().map(|now| (*now, usize::MAX));
        for (subscription, before) in session.past.iter().copied().chain(now) {
            let filter = subscription.wish.filter;
            let group = self.groups.iter().find(|group| group.filter == filter);
            let parts = group.into_iter().flat_map(|group| group.parts.iter().enumerate());
            let parts = parts.filter(|(_, part)| !part.away && part.number <= before);
            for (at, part) in parts.filter(|(_, part)| is_message(&part.message, received)) {
                // [MQTT5-4.8.2-3] The level that was granted to the member, of the one the group has it at.
                let mut levels = vec![part.qos, part.qos_staying];
                levels
                    .iter_mut()
                    .for_each(|qos| *qos = subscription.wish.qos.min(*qos));
                levels.dedup();
                ways.extend(levels.into_iter().map(|qos| {
                    let due = Due {
                        message: part.message.clone(),
                        qos,
                        retain: part.message.retain && subscription.wish.retain_as_published,
                        ids: subscription.id.into_iter().collect(),
                        must: true,
                        maybe_sent: part.handed,
                        brought_by: None,
                        shared: true,
                    };
                    check_new(&due, received, listener, self.now).map(|()| Handout {
                        kept: part.kept && session.durable(),
                        due,
                        filter,
                        part: at,
                    })
                }));
            }
        }
        ways
    }

    /// A message was sent for the first time on this connection.
    fn note_sent(
        &mut self,
        line: usize,
        id: Option<u16>,
        due: Due,
        share: Option<&Handout>,
    ) -> Result<(), Broken> {
        // At QoS 1 it is still the group's.
        let returns = due.qos == QoS::AtLeastOnce;
        let mut stays = None;
        if let Some(share) = share
            && let Some(group) = self.groups.iter_mut().find(|group| group.filter == share.filter)
        {
            if returns && let Some(part) = group.parts.get_mut(share.part) {
                (part.away, part.handed) = (true, true);
                stays = Some((share.filter, part.number));
            } else {
                group.parts.remove(share.part);
            }
        }
        let session = self
            .sessions
            .iter_mut()
            .find(|session| session.line == Some(line));
        if let (Some(session), Some(id)) = (session, id) {
            session.flights.push(Flight {
                id,
                step: Step::Sent,
                counts: true,
                kept: share.map_or(session.durable(), |share| share.kept),
                share: stays,
                due,
            });
        }
        self.settle_sent(line, id)
    }

    /// A client that acknowledges by itself does so; another has no more than it takes.
    fn settle_sent(&mut self, line: usize, id: Option<u16>) -> Result<(), Broken> {
        let (Some(listener), Some(id)) = (self.lines.get_mut(line), id) else {
            return Ok(());
        };
        let (automatic, window) = (listener.automatic, listener.window);
        let session = self
            .sessions
            .iter_mut()
            .find(|session| session.line == Some(line));
        let Some(session) = session else {
            return Ok(());
        };
        let counts = session.flights.iter().filter(|flight| flight.counts).count();
        if !automatic && counts > window {
            let what = format!("{counts} under way to a client that takes {window}");
            return Err(broken("MQTT5-3.3.4-9", what));
        }
        let flight = session.flights.iter_mut().find(|flight| flight.id == id);
        let Some(flight) = flight.filter(|_| automatic) else {
            return Ok(());
        };
        if flight.due.qos == QoS::AtLeastOnce {
            self.finish(line, id);
        } else {
            flight.step = Step::Released;
            listener.expected.push(Expected::PubRel(id, ReasonCode::Success));
        }
        Ok(())
    }

    /// Nothing more happens by itself: is anything left that should have?
    ///
    /// # Errors
    /// When a client was not sent what it is due and takes.
    pub fn rest(&mut self) -> Result<(), Broken> {
        self.nothing_is_left()?;
        // At QoS 0 it was handed over at once, or waits where it may be lost.
        let parts = self.groups.iter_mut().flat_map(|group| &mut group.parts);
        for part in parts.filter(|part| part.qos_staying == QoS::AtMostOnce) {
            part.must = false;
        }
        Ok(())
    }

    fn nothing_is_left(&self) -> Result<(), Broken> {
        for line in &self.lines {
            if !line.expected.is_empty() {
                let what = format!("{:?} did not come", line.expected);
                return Err(broken("MQTT 3", what));
            }
        }
        for session in &self.sessions {
            self.rest_of(session)?;
        }
        self.groups.iter().try_for_each(|group| {
            let waiting = group
                .parts
                .iter()
                .find(|part| part.must && !part.away && is_alive(&part.message, self.now));
            let members = self.members(group.filter);
            let mut connected = members
                .iter()
                .filter(|(session, _)| session.line.is_some())
                .peekable();
            let has_room = connected.peek().is_some() && connected.all(|(session, _)| self.has_room(session));
            // Who has left the group may have it, and has no room.
            let with_former = |part: &&Part| {
                let had = |(past, before): &(Subscription, usize)| {
                    past.wish.filter == group.filter && part.number <= *before
                };
                let mut sessions = self.sessions.iter().filter(|session| session.line.is_some());
                sessions.any(|session| session.past.iter().any(had) && !self.has_room(session))
            };
            match waiting.filter(|part| has_room && !with_former(part)) {
                Some(part) => Err(broken("MQTT5 4.8.2", format!("a group waits for {part:?}"))),
                None => Ok(()),
            }
        })
    }

    fn has_room(&self, session: &Session) -> bool {
        let line = session.line.and_then(|line| self.lines.get(line));
        line.is_some_and(|line| session.flights.len() < line.window)
    }

    fn rest_of(&self, session: &Session) -> Result<(), Broken> {
        if session.line.is_none() {
            return Ok(());
        }
        let has_room = self.has_room(session);
        let again = session.flights.iter().filter(|flight| flight.step == Step::Again);
        let line = session.line.and_then(|line| self.lines.get(line));
        let with_client = session.flights.len() - again.clone().count();
        if let Some(flight) = again.peekable().peek()
            && line.is_some_and(|line| with_client < line.window)
        {
            let what = format!("{flight:?} did not come again");
            return Err(broken("MQTT-4.4.0-1", what));
        }
        let next = session
            .due
            .iter()
            .find(|due| due.must && is_alive(&due.message, self.now));
        match next {
            Some(due) if has_room || due.qos == QoS::AtMostOnce && session.flights.is_empty() => {
                Err(broken("MQTT 4.3", format!("{due:?} did not come")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How many retained messages there are.
    #[must_use]
    pub fn retained_alive(&self) -> usize {
        let alive = self.retained.iter().filter(|message| is_alive(message, self.now));
        alive.count()
    }
}

fn broken(clause: &'static str, what: impl Into<String>) -> Broken {
    Broken {
        clause,
        what: what.into(),
    }
}

fn is_message(message: &Message, received: &Received) -> bool {
    message.topic == received.topic && message.payload == received.payload
}

/// Which of these messages it may be, or why it is not.
fn candidates(
    due: &[Due],
    received: &Received,
    line: &Line,
    now: u64,
) -> impl Iterator<Item = Result<usize, Broken>> {
    let alike = due
        .iter()
        .enumerate()
        .filter(|(_, due)| is_message(&due.message, received));
    alike.map(move |(at, due)| check_new(due, received, line, now).map(|()| at))
}

/// Takes a message out of what a session is due, if it is its turn: gives it, and the session without it.
fn take_due(session: &Session, at: usize, now: u64) -> Result<(Due, Session), Broken> {
    let mut session = session.clone();
    let due = session.due.remove(at);
    if let Some(before) = overtaken(session.due.get(..at).unwrap_or_default(), &due, now) {
        let what = format!("{due:?} before {before:?}");
        return Err(broken("MQTT311-4.6.0-6", what));
    }
    let again = session.flights.iter().filter(|flight| flight.step == Step::Again);
    let behind = again
        .map(|flight| &flight.due)
        .find(|before| is_before(before, &due));
    if let Some(before) = behind {
        let what = format!("{due:?} before {before:?}, which is to come again");
        return Err(broken("MQTT-4.6.0-1", what));
    }
    Ok((due, session))
}

/// One that should have come before, if there is one.
fn overtaken<'a>(before: &'a [Due], due: &Due, now: u64) -> Option<&'a Due> {
    let mut owed = before
        .iter()
        .filter(|before| before.must && is_alive(&before.message, now));
    owed.find(|before| is_before(before, due))
}

/// Whether one of two messages has to come before the other: the same client has published them on the same topic, and they
/// are sent at the same level. For shared subscriptions nothing is said of it.
fn is_before(before: &Due, due: &Due) -> bool {
    let ordered = !(before.shared || due.shared);
    let both_old = before.brought_by.is_some() && due.brought_by.is_some();
    ordered
        && !both_old
        && before.message.publisher == due.message.publisher
        && before.message.topic == due.message.topic
        && before.qos == due.qos
}

/// Whether a message is sent as it should be the first time.
fn check_new(due: &Due, received: &Received, line: &Line, now: u64) -> Result<(), Broken> {
    if received.dup && !due.maybe_sent {
        return Err(broken("MQTT-3.3.1-3", format!("DUP at first: {received:?}")));
    }
    if !is_alive(&due.message, now) && !due.maybe_sent {
        return Err(broken("MQTT5-3.3.2-5", format!("expired: {received:?}")));
    }
    if due.brought_by.is_some()
        && line
            .expected
            .iter()
            .any(|owed| matches!(owed, Expected::SubAck(..)))
    {
        let what = format!("a retained message before SUBACK: {received:?}");
        return Err(broken("MQTT-3.8.4-1", what));
    }
    check(due, received, line, now)
}

/// Whether a message is sent as it should be each time.
fn check(due: &Due, received: &Received, line: &Line, now: u64) -> Result<(), Broken> {
    if !is_message(&due.message, received) {
        return Err(broken(
            "MQTT-4.4.0-1",
            format!("{received:?} in place of {due:?}"),
        ));
    }
    if received.qos != due.qos {
        let what = format!("at {:?} and not {:?}: {received:?}", received.qos, due.qos);
        return Err(broken("MQTT5-3.3.4-2", what));
    }
    if received.retain != due.retain {
        return Err(broken("MQTT5-3.3.1-12", format!("RETAIN is wrong: {received:?}")));
    }
    if received.id.is_some() != (received.qos > QoS::AtMostOnce) {
        return Err(broken(
            "MQTT5-2.2.1-2",
            format!("a packet id or none: {received:?}"),
        ));
    }
    if line.version == Version::V311 {
        return if received.properties.is_empty() {
            Ok(())
        } else {
            Err(broken("MQTT311 3.3.2", format!("properties: {received:?}")))
        };
    }
    let properties = Properties::parse_publish(&received.properties).unwrap_or(Properties::EMPTY);
    let (mut ids, mut wanted): (Vec<u32>, _) = (properties.subscription_ids().collect(), due.ids.clone());
    ids.sort_unstable();
    wanted.sort_unstable();
    if ids != wanted {
        let what = format!("identifiers {ids:?} and not {wanted:?}: {received:?}");
        return Err(broken("MQTT5-3.3.4-3", what));
    }
    // [MQTT5-3.3.2-6] What is left of its life.
    let left = due
        .message
        .expires
        .map(|expires| expires.saturating_sub(now) / 1000);
    if properties.message_expiry_secs().map(u64::from) != left {
        let what = format!("it should live for {left:?}: {received:?}");
        return Err(broken("MQTT5-3.3.2-6", what));
    }
    Ok(())
}

/// Whether this is what was expected.
fn answers(expected: &Expected, heard: &Heard, version: Version) -> bool {
    let Heard::Packet(packet) = heard else {
        return *expected == Expected::Closed;
    };
    match (expected, packet) {
        (Expected::ConnAck { present }, Packet::ConnAck(connack)) => {
            connack.reason == ReasonCode::Success && connack.session_present == *present
        }
        (Expected::SubAck(id, reasons), Packet::SubAck(ack)) => {
            ack.packet_id.get() == *id && ack.reasons == *reasons
        }
        (Expected::UnsubAck(id, reasons), Packet::UnsubAck(ack)) => {
            ack.packet_id.get() == *id && (ack.reasons == *reasons || version == Version::V311)
        }
        (Expected::PubAck(id, reach), Packet::PubAck(ack))
        | (Expected::PubRec(id, reach), Packet::PubRec(ack)) => {
            ack.packet_id.get() == *id && tells(*reach, ack.reason, version)
        }
        (Expected::PubRel(id, reason), Packet::PubRel(ack)) => {
            ack.packet_id.get() == *id && ack.reason == *reason
        }
        (Expected::PubComp(id), Packet::PubComp(ack)) => {
            ack.packet_id.get() == *id && ack.reason == ReasonCode::Success
        }
        (Expected::Disconnect(reason), Packet::Disconnect(disconnect)) => disconnect.reason == *reason,
        _ => false,
    }
}

/// Whether a publisher may be told this of whom its message reached.
fn tells(reach: Reach, reason: ReasonCode, version: Version) -> bool {
    match (reason, version) {
        (ReasonCode::Success, Version::V311) => true,
        (ReasonCode::Success, Version::V5) => reach != Reach::Nobody,
        (ReasonCode::NoMatchingSubscribers, Version::V5) => reach != Reach::Somebody,
        _ => false,
    }
}
