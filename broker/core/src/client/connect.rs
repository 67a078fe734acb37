//! Accepting a client: resume or begin its session, take over its earlier connection, open it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mqtt_wire::{
    ClientId, ConnAck, Connect, Disconnect, MAX_TOPIC_LEN, Packet, Properties, QoS, ReasonCode, Version,
};

use super::{Allowance, Client, Method, OutgoingAliases, Pause, Verdicts};
use crate::{
    Badge, ConnectionId, Departure, EntranceId, MountPoint, Output, Outputs, Shard, Shelf,
    group::is_group_id,
    hold::{Line, What},
    message::Message,
    output::Told,
    record,
    session::{Session, SessionId, Will},
};

/// A CONNECT, and how it came here.
pub(crate) struct Arrival<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) connect: &'a Connect,
    /// Whether its client id was assigned by the outside.
    pub(crate) assigned: bool,
    pub(crate) entrance: EntranceId,
}

impl Shard {
    /// An authenticated connection has come home.
    pub(crate) fn take_connection(&mut self, arrival: &Arrival<'_>, badge: Badge, out: &mut Outputs) {
        let Arrival {
            connection, connect, ..
        } = *arrival;
        let client_id = ClientId::parse(&connect.client_id).ok();
        let Some(client_id) = client_id.filter(|id| !is_group_id(id.as_str())) else {
            out.duties.push(Output::Close { connection });
            return;
        };
        let mut connack = self.connack(arrival);
        if let Some(reason) = self.refusal_of_connect(arrival, &connack) {
            self.counters.protocol_errors += 1;
            return refuse(connection, connect, reason, out);
        }
        let mount_point = self.settings.entrance(arrival.entrance).mount_point.clone();
        let mut ended = false;
        // Whose will has to be in a batch before the answer.
        let mut will_held = None;
        if let Some(old) = self.sessions.of_client(&client_id) {
            // What waits for one principal is not for another who knows its client id, and what lies below one mount point
            // has no name below another.
            let is_strange = self.sessions.get(old).is_some_and(|session| {
                session.badge.name != badge.name || session.mount_point != mount_point
            });
            let takes_all = connect.clean_start || is_strange;
            (ended, will_held) = self.take_over(old, takes_all, out);
        }
        let resumed = self.sessions.of_client(&client_id);
        let id = resumed.unwrap_or_else(|| self.begin_session(&client_id, &badge, mount_point));
        self.counters.packets_received += 1;
        self.last_serial += 1;
        let line = Line {
            connection,
            serial: self.last_serial,
        };
        self.put_client(connection, self.new_client(line, id, arrival));
        self.watch_for_silence(line);
        self.attach(id, line, arrival, badge, out);
        // The end of a session that was kept has to be kept as well: it must not come back.
        let stored = self.record_session(id) || ended;
        connack.session_present = resumed.is_some();
        let packet = Packet::ConnAck(connack);
        let mut bytes = Vec::new();
        if packet.encode(connect.version, &mut bytes).is_err() {
            return self.expel(connection, ReasonCode::UnspecifiedError, out);
        }
        if stored {
            let hold = self.holds.begin(
                1 + usize::from(will_held.is_some()),
                What::Open {
                    line,
                    bytes,
                    resumed: resumed.is_some(),
                },
            );
            self.holds.await_batch(hold);
            self.opens_behind_wills
                .extend(will_held.map(|session| (session, hold)));
        } else {
            self.open(line, &bytes, resumed.is_some(), out);
        }
    }

    /// Why a CONNECT cannot be accepted though nothing is wrong with it [MQTT5-3.2.2-12], [MQTT5-3.2.2-13],
    /// [MQTT5-3.1.2-24].
    fn refusal_of_connect(&self, arrival: &Arrival<'_>, connack: &ConnAck) -> Option<ReasonCode> {
        let entrance = self.settings.entrance(arrival.entrance);
        let connect = arrival.connect;
        let will = connect.will.as_ref();
        if will.is_some_and(|will| will.qos > entrance.qos_max) {
            return Some(ReasonCode::QoSNotSupported);
        }
        if will.is_some_and(|will| will.retain) && !entrance.retain_available {
            return Some(ReasonCode::RetainNotSupported);
        }
        let mount = entrance.mount_point.as_ref();
        let can_be_published = |said: &mqtt_wire::Will| {
            let meant = will_meant(said, mount);
            meant.is_some_and(|will| self.settings.takes_topic(&will.message.topic))
        };
        if !will.is_none_or(can_be_published) {
            return Some(ReasonCode::TopicNameInvalid);
        }
        (!fits(connack, connect)).then_some(ReasonCode::PacketTooLarge)
    }

    /// The client id's session is wanted by a new connection: its old one goes, and the session too if a clean start is asked
    /// for [MQTT-3.1.4-3]. Answers whether a session has ended of which something was kept, and whose will is still to be put
    /// into a batch.
    fn take_over(
        &mut self,
        id: SessionId,
        clean_start: bool,
        out: &mut Outputs,
    ) -> (bool, Option<SessionId>) {
        let was_recorded = self.sessions.get(id).is_some_and(|session| session.recorded);
        if let Some(old) = self.sessions.get(id).and_then(|session| session.connection) {
            self.counters.takeovers += 1;
            self.send_disconnect(old, Disconnect::with(ReasonCode::SessionTakenOver), out);
            self.depart(old, Departure::TakenOver, out);
            out.duties.push(Output::Close { connection: old });
        }
        // One that was to end with its connection may have been read back from disk for the sake of its will.
        if clean_start || self.sessions.get(id).is_some_and(|session| !session.durable()) {
            self.end_session(id, out);
        }
        let will_held = match self.sessions.get(id) {
            Some(session) => session.will_held,
            None => self.ended_before_wills.contains(&id),
        };
        let ended = was_recorded && self.sessions.get(id).is_none();
        (ended, will_held.then_some(id))
    }

    fn begin_session(
        &mut self,
        client_id: &ClientId,
        badge: &Badge,
        mount_point: Option<MountPoint>,
    ) -> SessionId {
        let number = self.next_session_number();
        let mut session = Session::new(number, client_id.clone(), badge.clone());
        session.mount_point = mount_point;
        self.sessions.insert(session)
    }

    pub(crate) fn next_session_number(&mut self) -> u64 {
        self.last_session += 1;
        (self.last_session << SESSION_SHARD_BITS) | u64::from(self.id.0)
    }

    fn new_client(&self, line: Line, session: SessionId, arrival: &Arrival<'_>) -> Client {
        let entrance = self.settings.entrance(arrival.entrance);
        let connect = arrival.connect;
        let asked = connect
            .receive_maximum
            .map_or(u16::MAX, std::num::NonZeroU16::get);
        let aliases = OutgoingAliases::up_to(connect.topic_alias_maximum.min(entrance.topic_alias_max));
        let mut client = Client {
            serial: line.serial,
            session,
            version: connect.version,
            entrance: arrival.entrance,
            is_bridge: connect.is_bridge,
            open: false,
            pauses: 0,
            silence_max: silence_max(entrance.keep_alive_of(connect)),
            last_heard: self.now,
            silence_at: self.now,
            receive_maximum: asked.min(self.settings.inflight_max),
            packet_bytes_max: connect
                .max_packet_size
                .map_or(u32::MAX, std::num::NonZeroU32::get),
            unacknowledged: 0,
            owed: std::collections::VecDeque::new(),
            allowance: Allowance::of(entrance, self.now).map(Box::new),
            aliases: None,
            outgoing_aliases: aliases.map(Box::new),
            last_topic: None,
            verdicts: Verdicts::default(),
            asked: None,
            method: connect
                .authentication_method
                .as_deref()
                .map(|name| Box::new(Method::named(name))),
        };
        client.pause(Pause::Connecting);
        client
    }

    /// Binds a session to its new connection.
    fn attach(&mut self, id: SessionId, line: Line, arrival: &Arrival<'_>, badge: Badge, out: &mut Outputs) {
        self.unset_deadlines(id);
        let connect = arrival.connect;
        let entrance = self.settings.entrance(arrival.entrance);
        let expiry_secs = entrance.session_expiry_of(connect);
        let mount = entrance.mount_point.as_ref();
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let was_durable = session.durable();
        session.connection = Some(line.connection);
        session.badge = badge;
        session.expiry_secs = expiry_secs;
        session.was_durable |= session.durable();
        session.will = connect.will.as_ref().and_then(|said| will_meant(said, mount));
        session.left = None;
        if was_durable != session.durable() {
            self.change_durability(id, out);
        }
    }

    /// A resumed session is kept from now on, or no longer: what is stored and routed for it follows.
    fn change_durability(&mut self, id: SessionId, out: &mut Outputs) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let (durable, number) = (session.durable(), session.number);
        for (filter, options) in session.subscriptions.clone() {
            let is_shared = filter.shared().is_some(); // Its group is told when the client is open.
            if !is_shared && let Some(interest) = self.topics.subscribe(&filter, id, options, durable) {
                self.tell_interest(&filter, interest, out);
            }
            if durable {
                let key = record::subscription_key(number, &filter);
                self.holds
                    .batch
                    .put(Shelf::Subscriptions, &key, &record::write_options(&options));
            }
        }
    }

    /// Puts a session's record into this round's batch, if anything of it has to outlast this process.
    pub(crate) fn record_session(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let kept = session.durable() || session.will.is_some() || session.recorded;
        if kept {
            session.recorded = true;
        }
        if kept && !session.will_held {
            self.holds.touch(id);
            let value = record::write_session(&session.record());
            self.holds
                .batch
                .put(Shelf::Sessions, &record::session_key(session.number), &value);
        }
        kept
    }

    /// The answer to a CONNECT that is accepted, for a session that begins.
    fn connack(&self, arrival: &Arrival<'_>) -> ConnAck {
        let entrance = self.settings.entrance(arrival.entrance);
        let connect = arrival.connect;
        let granted = entrance.session_expiry_of(connect);
        let keep_alive_secs = entrance.keep_alive_of(connect);
        ConnAck {
            session_expiry_secs: (granted != connect.session_expiry_secs.unwrap_or(0)).then_some(granted),
            receive_maximum: Some(entrance.receive_maximum),
            maximum_qos: (entrance.qos_max < QoS::ExactlyOnce).then_some(entrance.qos_max),
            retain_available: (!entrance.retain_available).then_some(false),
            max_packet_size: Some(entrance.packet_bytes_max),
            assigned_client_id: arrival.assigned.then(|| connect.client_id.clone()),
            topic_alias_maximum: Some(entrance.topic_alias_max).filter(|max| *max > 0),
            response_information: self
                .settings
                .response_information
                .as_ref()
                .filter(|_| connect.request_response_information)
                .map(|template| template.replace("%c", &connect.client_id)),
            authentication_method: connect.authentication_method.clone(),
            authentication_data: connect.authentication_data.clone(),
            server_keep_alive_secs: (keep_alive_secs != connect.keep_alive_secs).then_some(keep_alive_secs),
            ..ConnAck::default()
        }
    }

    /// CONNACK leaves; from here on the client is served.
    pub(crate) fn open(&mut self, line: Line, connack: &[u8], resumed: bool, out: &mut Outputs) {
        let Some(client) = self.client_on(line) else {
            return;
        };
        let id = client.session;
        client.open = true;
        client.resume(Pause::Connecting);
        out.append(line.connection, |bytes| bytes.extend_from_slice(connack));
        out.duties.push(Output::Read {
            connection: line.connection,
        });
        self.counters.clients_connected += 1;
        self.counters.connects += 1;
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let (client_id, badge) = (session.client_id.clone(), session.badge.clone());
        let filters: Vec<_> = session
            .subscriptions
            .iter()
            .map(|(filter, _)| filter.clone())
            .collect();
        self.tell_presence(
            &Told::Connected {
                connection: line.connection,
                client_id,
                badge,
            },
            out,
        );
        self.join_all(id, out);
        if resumed {
            self.note_catching_up(id);
            self.resume_flights(id, out);
            for filter in &filters {
                self.tell_subscribed(id, filter, true, out);
            }
        }
        self.pump(id, out);
    }
}

/// Answers a CONNECT that is not accepted, if its version has a word for the reason, and closes.
fn refuse(connection: ConnectionId, connect: &Connect, reason: ReasonCode, out: &mut Outputs) {
    let connack = ConnAck {
        reason,
        ..ConnAck::default()
    };
    if connect.version == Version::V5 && fits(&connack, connect) {
        let packet = Packet::ConnAck(connack);
        let written = out.append(connection, |bytes| packet.encode(connect.version, bytes));
        debug_assert!(written.is_ok(), "its length could be told");
    }
    out.duties.push(Output::Close { connection });
}

/// Whether a CONNACK is not larger than the client takes.
fn fits(connack: &ConnAck, connect: &Connect) -> bool {
    let Some(bytes_max) = connect.max_packet_size else {
        return true;
    };
    let len = Packet::ConnAck(connack.clone()).encoded_len(connect.version);
    len.is_ok_and(|len| len <= bytes_max.get() as usize)
}

/// The shard that gave out a session's number is in its low bits, so that no two give out the same.
pub(crate) const SESSION_SHARD_BITS: u32 = 10;

/// One and a half times the keep alive [MQTT-3.1.2-24].
fn silence_max(keep_alive_secs: u16) -> Duration {
    Duration::from_millis(u64::from(keep_alive_secs) * 1500)
}

/// The will that a client means. `None` if a topic in it is longer than MQTT lets it be below the mount point.
fn will_meant(will: &mqtt_wire::Will, mount: Option<&MountPoint>) -> Option<Will> {
    let properties = Properties::parse_publish(&will.properties).unwrap_or(Properties::EMPTY);
    let (topic, forwarded) = match mount {
        None => (will.topic.as_str().into(), properties.forwardable()),
        Some(mount) => (
            Some(mount.below(&will.topic)).filter(|topic| topic.len() <= MAX_TOPIC_LEN)?,
            mount.below_properties(properties.forwardable())?,
        ),
    };
    Some(Will {
        delay_secs: will.delay_secs,
        expiry_secs: properties.message_expiry_secs(),
        message: Arc::new(Message {
            topic,
            payload: Bytes::copy_from_slice(&will.payload),
            properties: Bytes::copy_from_slice(&forwarded),
            qos: will.qos,
            retain: will.retain,
            expires: None,
            publisher: 0,
        }),
    })
}
