//! A client that comes and goes, whose session ends some time after it and whose will is published if it does not say
//! goodbye; and what must have become of each will.

use std::time::Duration;

use broker_core::testing::{ClientRef, World};
use mqtt_wire::{Connect, Disconnect, Packet, QoS, ReasonCode, Version, Will};

use crate::{absence::Absence, sent::Sent, tell};

/// What must have become of a will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is published, not earlier than this.
    Owed(Duration),
    /// Nobody ever sees it.
    Void,
    /// Its client cannot know.
    Open,
}

/// How a client comes.
#[derive(Debug, Clone)]
pub(crate) struct Coming {
    pub(crate) version: Version,
    pub(crate) clean_start: bool,
    pub(crate) expiry_secs: u32,
    pub(crate) will: Option<(Sent, u32)>,
}

impl Coming {
    /// For the last time: nothing stays of it.
    pub(crate) const fn last() -> Self {
        Self {
            version: Version::V5,
            clean_start: true,
            expiry_secs: 0,
            will: None,
        }
    }

    fn session_lasts(&self) -> Duration {
        match (self.version, self.clean_start) {
            (Version::V311, true) => Duration::ZERO,
            (Version::V311, false) => Duration::MAX,
            (Version::V5, _) => Duration::from_secs(self.expiry_secs.into()),
        }
    }
}

/// A connection that was acknowledged, and what came after it.
#[derive(Debug)]
struct Life {
    began: Duration,
    lasts: Duration,
    /// The will's number, and how long after the client's leaving it is due.
    will: Option<(usize, Duration)>,
    /// The number of a will that was given up by a goodbye, which a crash may undo.
    given_up: Option<usize>,
    /// The place of the fate of the will before, until everything is kept.
    before: Option<usize>,
    absence: Option<Absence>,
}

/// A connection that is not acknowledged yet.
#[derive(Debug)]
struct Attempt {
    /// What has become of the will before, if it is acknowledged.
    before: Option<(usize, Fate)>,
    /// Whether the session must be present; `None` if that cannot be told.
    present: Option<bool>,
    life: Life,
}

/// One such client.
#[derive(Debug)]
pub(crate) struct Mortal {
    pub(crate) name: String,
    tells: bool,
    connection: Option<ClientRef>,
    attempt: Option<Attempt>,
    life: Option<Life>,
    /// Whether nobody knows what the broker has of it.
    is_lost_sight_of: bool,
    pub(crate) fates: Vec<(usize, Fate)>,
}

impl Mortal {
    pub(crate) fn new(name: &str, tells: bool) -> Self {
        Self {
            name: name.to_owned(),
            tells,
            connection: None,
            attempt: None,
            life: None,
            is_lost_sight_of: false,
            fates: Vec::new(),
        }
    }

    pub(crate) fn is_connected(&self, world: &World) -> bool {
        self.connection
            .is_some_and(|connection| world.client(connection).is_connected())
    }

    pub(crate) fn connect(&mut self, world: &mut World, coming: &Coming) {
        tell(self.tells, format_args!("{} comes: {coming:?}", self.name));
        self.notice(world);
        self.lose_sight_of_attempt();
        let now = world.age();
        let (before, present) = match (&self.life, self.is_lost_sight_of) {
            (None, lost) => (None, (!lost || coming.clean_start).then_some(false)),
            (Some(life), _) => (
                life.will
                    .map(|(number, delay)| (number, life.fate(delay, now, coming.clean_start))),
                life.is_present(now, coming.clean_start),
            ),
        };
        let lasts = coming.session_lasts();
        let will = coming.will.as_ref();
        self.attempt = Some(Attempt {
            before,
            present,
            life: Life {
                began: now,
                lasts,
                will: will
                    .map(|(sent, delay)| (sent.number, Duration::from_secs((*delay).into()).min(lasts))),
                given_up: None,
                before: None,
                absence: None,
            },
        });
        self.connection = Some(world.begin_connect(Connect {
            clean_start: coming.clean_start,
            session_expiry_secs: (coming.version == Version::V5).then_some(coming.expiry_secs),
            will: will.map(|(sent, delay)| Will {
                topic: sent.topic.clone(),
                payload: sent.payload().into_bytes(),
                qos: sent.qos,
                retain: sent.retain,
                delay_secs: *delay,
                properties: Vec::new(),
            }),
            ..Connect::new(coming.version, &self.name)
        }));
        self.notice(world);
    }

    /// Subscribes, so that its session has something in it.
    pub(crate) fn subscribe(&self, world: &mut World, topics: &str) {
        if let Some(connection) = self.connection.filter(|_| self.is_connected(world)) {
            let subscription =
                mqtt_wire::Subscription::new(broker_core::testing::filter(topics), QoS::AtLeastOnce);
            world.begin_subscribe(connection, None, subscription);
        }
    }

    pub(crate) fn drop_connection(&mut self, world: &mut World) {
        let Some(connection) = self.connection.filter(|_| self.is_connected(world)) else {
            return;
        };
        tell(self.tells, format_args!("{} is lost", self.name));
        self.notice(world);
        world.begin_drop(connection);
        self.leave(world.age());
    }

    /// Says goodbye, and wants its will or not.
    pub(crate) fn say_goodbye(&mut self, world: &mut World, with_will: bool) {
        self.notice(world);
        let open = self.attempt.is_none() && self.life.is_some();
        let Some(connection) = self.connection.filter(|_| open && self.is_connected(world)) else {
            return;
        };
        let with_will = with_will && world.client(connection).version == Version::V5;
        tell(
            self.tells,
            format_args!("{} says goodbye, will: {with_will}", self.name),
        );
        let reason = if with_will {
            ReasonCode::DisconnectWithWill
        } else {
            ReasonCode::Success
        };
        world.begin_send(connection, &Packet::Disconnect(Disconnect::with(reason)));
        // While the broker does not read, the goodbye may never be read.
        let is_heard = !world.client(connection).is_connected();
        world.begin_drop(connection);
        self.leave(world.age());
        let Some(life) = &mut self.life else { return };
        if with_will {
            return;
        }
        if let Some((number, _)) = life.will.take() {
            if is_heard {
                let earlier = life.given_up.replace(number);
                self.fates.extend(earlier.map(|number| (number, Fate::Open)));
            } else {
                self.fates.push((number, Fate::Open));
            }
        }
    }

    /// The process is about to be killed.
    pub(crate) fn meet_crash(&mut self, world: &World, jumped: bool) {
        self.notice(world);
        self.lose_sight_of_attempt();
        let now = world.age();
        let Some(life) = &mut self.life else { return };
        match &mut life.absence {
            Some(absence) => absence.outlasts_a_crash(now, jumped),
            None => life.absence = Some(Absence::since(now)),
        }
        let undone = life.given_up.take();
        self.fates.extend(undone.map(|number| (number, Fate::Open)));
        if life.lasts.is_zero() && life.will.is_none() {
            // Nothing was kept of it, so that an earlier session may be back whose end was not kept yet either.
            let before = life.before.and_then(|at| self.fates.get_mut(at));
            if let Some((_, fate)) = before {
                *fate = Fate::Open;
            }
            self.life = None;
            self.is_lost_sight_of = true;
        }
    }

    /// Everything is kept that was to be.
    pub(crate) fn settle(&mut self, world: &World) {
        self.notice(world);
        if let Some(life) = &mut self.life {
            let kept = life.given_up.take();
            self.fates.extend(kept.map(|number| (number, Fate::Void)));
            life.before = None;
        }
    }

    fn leave(&mut self, now: Duration) {
        self.lose_sight_of_attempt();
        if let Some(life) = &mut self.life {
            life.absence.get_or_insert(Absence::since(now));
        }
    }

    /// What was not acknowledged may have happened, and may not.
    fn lose_sight_of_attempt(&mut self) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        let wills = [
            attempt.before.map(|before| before.0),
            attempt.life.will.map(|will| will.0),
        ];
        self.fates
            .extend(wills.into_iter().flatten().map(|number| (number, Fate::Open)));
        if let Some(life) = self.life.take() {
            self.fates
                .extend(life.given_up.map(|number| (number, Fate::Open)));
            if let Some((_, fate)) = life.before.and_then(|at| self.fates.get_mut(at)) {
                *fate = Fate::Open;
            }
        }
        self.is_lost_sight_of = true;
    }

    /// Takes in whether it is acknowledged by now, and whether it is still there.
    fn notice(&mut self, world: &World) {
        let Some(connection) = self.connection else { return };
        let client = world.client(connection);
        if let Some((ReasonCode::Success, present)) = client.connack()
            && let Some(attempt) = self.attempt.take()
        {
            if let Some(expected) = attempt.present {
                assert_eq!(
                    present, expected,
                    "whether the session of {} is present",
                    self.name
                );
            }
            let given_up = self.life.take().and_then(|life| life.given_up);
            let before = attempt.before.map(|before| {
                self.fates.push(before);
                self.fates.len() - 1
            });
            self.life = Some(Life {
                before,
                given_up,
                ..attempt.life
            });
            self.is_lost_sight_of = false;
        }
        if let Some(life) = &mut self.life
            && self.attempt.is_none()
            && life.absence.is_none()
            && !client.is_connected()
        {
            life.absence = Some(Absence::between(life.began, world.age()));
        }
    }
}

impl Life {
    /// What becomes of its will when its client comes again.
    fn fate(&self, delay: Duration, now: Duration, clean_start: bool) -> Fate {
        let since = self.absence.unwrap_or(Absence::since(now));
        match since.has_lasted(delay, now) {
            Some(true) => Fate::Owed(since.end(delay)),
            // The end of a session does not wait for the delay.
            Some(false) if clean_start => Fate::Owed(now),
            Some(false) => Fate::Void,
            None if clean_start => Fate::Owed(since.end(Duration::ZERO)),
            None => Fate::Open,
        }
    }

    fn is_present(&self, now: Duration, clean_start: bool) -> Option<bool> {
        if clean_start || self.lasts.is_zero() {
            return Some(false);
        }
        match self.absence {
            None => Some(true),
            Some(absence) => absence.has_lasted(self.lasts, now).map(|over| !over),
        }
    }
}
