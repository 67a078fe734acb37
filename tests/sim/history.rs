//! One history: what happens, in the order its seed says, and what must be true at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use broker_core::{
    Answer, Entrance, Settings, SharedStrategy, Shelf, WallTime,
    testing::{Dice, LinkHeard, LinkSpec, World, clean},
};
use mqtt_wire::{QoS, Version};

use crate::{
    mortal::{Coming, Fate, Mortal},
    publisher::Publisher,
    sent::{Sent, number_in},
    subscriber::{Applied, Subscriber},
    tell,
};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const TOPICS: [&str; 3] = ["t/0", "t/1", "t/2"];

/// Things that happen in one history.
const EVENTS: usize = 400;

/// What messages are worth for, in seconds: some are outlived by nearly everybody.
const LIVES: [u32; 3] = [1, 3, 3600];

/// A message, who sent it and when, for the first time. A will is sent by a mortal.
#[derive(Debug)]
struct Written {
    publisher: usize,
    sent: Sent,
    at: Duration,
}

/// A world, those who live in it, and everything that was published.
#[derive(Debug)]
pub(crate) struct History {
    world: World,
    dice: Dice,
    tells: bool,
    /// Whether the store fills up at times. What it refuses is sent again after later messages that it took: order is
    /// promised only where it does not.
    fills: bool,
    /// Whether the clock jumps, and whether it has. After a jump and a crash nobody knows how long ago anything was.
    jumps: bool,
    jumped: bool,
    is_timeless: bool,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    /// Members of one shared subscription, whose sessions last.
    sharers: Vec<Subscriber>,
    /// Sees every will.
    watcher: Subscriber,
    mortals: Vec<Mortal>,
    written: Vec<Written>,
}

impl History {
    pub(crate) fn of(seed: u64, tells: bool) -> Self {
        let mut dice = Dice::seeded(seed);
        let shards = [1, 2, 3, 4][dice.below(4)];
        let settings = Settings {
            queue_memory_bytes: [0, 8, 64 * 1024][dice.below(3)],
            inflight_max: [1, 3, 32][dice.below(3)],
            queue_messages_max: 1_000_000,
            entrances: vec![Entrance {
                topic_alias_max: [0, 1, 16][dice.below(3)],
                ..Entrance::default()
            }],
            link_deadline: Duration::from_secs(3600),
            shared_strategy: [
                SharedStrategy::RoundRobin,
                SharedStrategy::LeastInflight,
                SharedStrategy::HashClient,
            ][dice.below(3)],
            ..Settings::default()
        };
        let fills = dice.one_in(3);
        let jumps = dice.one_in(2);
        let version = |dice: &mut Dice| [Version::V311, Version::V5][dice.below(2)];
        let publishers = (0..3)
            .map(|at| {
                Publisher::new(
                    &format!("publisher-{at}-{}", dice.below(100)),
                    version(&mut dice),
                    !dice.one_in(4),
                    tells,
                )
            })
            .collect();
        let subscribers = (0..4)
            .map(|at| {
                let level = LEVELS[1 + dice.below(2)];
                let filters: &[(&str, QoS)] = match dice.below(3) {
                    0 => &[("t/#", level)],
                    1 => &[("t/+", level), ("t/1", QoS::ExactlyOnce)],
                    _ => &[("t/0", level), ("+/2", level), ("#", QoS::AtLeastOnce)],
                };
                Subscriber::new(
                    &format!("subscriber-{at}-{}", dice.below(100)),
                    version(&mut dice),
                    !dice.one_in(4),
                    filters,
                    tells,
                )
                .with_life([None, Some(Duration::from_secs(4))][dice.below(2)])
            })
            .collect();
        let watcher = Subscriber::new("watcher", Version::V5, true, &[("w/#", QoS::ExactlyOnce)], tells);
        let mortals = (0..2)
            .map(|at| Mortal::new(&format!("mortal-{at}-{}", dice.below(100)), tells))
            .collect();
        let sharers = (0..2)
            .map(|at| {
                let name = format!("sharer-{at}-{}", dice.below(100));
                let level = LEVELS[1 + dice.below(2)];
                Subscriber::new(
                    &name,
                    version(&mut dice),
                    true,
                    &[("$share/sim/t/#", level)],
                    tells,
                )
            })
            .collect();
        let mut world = World::with(seed, shards, settings);
        world.long_rounds = dice.one_in(2);
        world.attach_link(LinkSpec {
            subscriptions: vec![(TOPICS[2].to_owned(), true)],
            ..LinkSpec::default()
        });
        Self {
            world,
            dice,
            tells,
            fills,
            jumps,
            jumped: false,
            is_timeless: false,
            publishers,
            subscribers,
            sharers,
            watcher,
            mortals,
            written: Vec::new(),
        }
    }

    /// Lets everything happen, and holds it against what must be true.
    pub(crate) fn live(&mut self) {
        self.begin();
        for _ in 0..EVENTS {
            self.happen();
        }
        self.come_to_rest();
        self.last_wills_are_on_time();
        for subscriber in self.subscribers.iter().chain([&self.watcher]) {
            self.judge(subscriber);
        }
        self.judge_sharers();
        self.judge_wills();
        self.link_has_taken_all();
        self.last_retained_stands();
        self.world.crash();
        self.last_retained_stands();
        self.nothing_stays_behind();
    }

    /// Most are there and subscribed when it begins.
    fn begin(&mut self) {
        for publisher in &mut self.publishers {
            publisher.connect(&mut self.world);
        }
        for subscriber in everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher) {
            subscriber.connect(&mut self.world, 0, 0);
        }
        self.settle();
        for subscriber in everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher).skip(1) {
            subscriber.subscribe(&mut self.world);
        }
        self.settle();
    }

    fn happen(&mut self) {
        match self.dice.below(100) {
            0..35 => self.publish(),
            35..40 => self.be_mortal(),
            40..65 => {
                let steps = self.dice.below(12);
                tell(self.tells, format_args!("{steps} steps"));
                self.world.settle_partly(steps);
                self.listen();
            }
            65..75 => self.listen(),
            75..82 => self.connect(),
            82..85 => self.lose(),
            85..87 => self.subscribe(),
            87..89 => self.change_store(),
            89..93 => {
                let millis = [10, 500, 1500][self.dice.below(3)];
                tell(self.tells, format_args!("{millis} ms pass"));
                self.world.begin_pass(Duration::from_millis(millis));
            }
            93..95 => self.jump(),
            95..96 => self.start_anew(),
            96..98 => self.crash(),
            98 => self.rest(),
            _ => self.listen(),
        }
    }

    fn publish(&mut self) {
        let publisher = self.dice.below(self.publishers.len());
        if !self.publishers[publisher].is_ready(&self.world) {
            return;
        }
        let retain = self.dice.one_in(5);
        let secs = LIVES[self.dice.below(3)];
        let life = [None, Some(secs)][self.dice.below(2)];
        let sent = Sent {
            number: self.written.len(),
            expiry_secs: life.filter(|_| !retain && self.publishers[publisher].tells_expiry()),
            topic: if retain {
                format!("r/{publisher}")
            } else {
                TOPICS[self.dice.below(TOPICS.len())].to_owned()
            },
            // A message at QoS 1 that is sent again may pass one at QoS 2: retained ones of one topic have one level.
            qos: LEVELS[if retain {
                1 + publisher % 2
            } else {
                self.dice.below(3)
            }],
            retain,
        };
        self.write(publisher, &sent);
        self.publishers[publisher].publish(&mut self.world, sent);
    }

    fn write(&mut self, publisher: usize, sent: &Sent) {
        let (sent, at) = (sent.clone(), self.world.age());
        self.written.push(Written { publisher, sent, at });
    }

    /// A mortal comes, goes or says goodbye.
    fn be_mortal(&mut self) {
        let at = self.dice.below(self.mortals.len());
        if !self.mortals[at].is_connected(&self.world) || self.dice.one_in(4) {
            let coming = Coming {
                version: [Version::V311, Version::V5, Version::V5][self.dice.below(3)],
                clean_start: self.dice.one_in(3),
                expiry_secs: [0, 2, 5, 100][self.dice.below(4)],
                will: None,
            };
            let delay = [0, 1, 3, 20][self.dice.below(4)];
            let sent = Sent {
                number: self.written.len(),
                topic: format!("w/{at}"),
                qos: LEVELS[1 + self.dice.below(2)],
                retain: self.dice.one_in(2),
                expiry_secs: None,
            };
            let has_will = !self.dice.one_in(4);
            self.come(at, coming, has_will.then_some((sent, delay)));
            return;
        }
        match self.dice.below(6) {
            0 => self.mortals[at].say_goodbye(&mut self.world, false),
            1 => self.mortals[at].say_goodbye(&mut self.world, true),
            2 => self.mortals[at].subscribe(&mut self.world, "t/#"),
            _ => self.mortals[at].drop_connection(&mut self.world),
        }
    }

    fn come(&mut self, at: usize, coming: Coming, will: Option<(Sent, u32)>) {
        if let Some((sent, _)) = &will {
            self.write(self.publishers.len() + at, sent);
        }
        let delay = |(sent, delay)| (sent, if coming.version == Version::V5 { delay } else { 0 });
        let will = will.map(delay);
        self.mortals[at].connect(&mut self.world, &Coming { will, ..coming });
    }

    /// A quiet moment, in which everything is kept that was to be.
    fn rest(&mut self) {
        if !self.world.store_answers || self.world.store_full || self.world.store_stalls_for.is_some() {
            return;
        }
        tell(self.tells, format_args!("a rest"));
        self.settle();
        self.world.pass(Duration::from_secs(2));
        self.settle();
        for mortal in &mut self.mortals {
            mortal.settle(&self.world);
        }
    }

    /// Everybody takes in some of what came.
    fn listen(&mut self) {
        for publisher in &mut self.publishers {
            for _ in 0..self.dice.below(4) {
                publisher.hear(&mut self.world);
            }
        }
        for subscriber in everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher) {
            for _ in 0..self.dice.below(4) {
                let answers = !self.dice.one_in(8);
                subscriber.hear(&mut self.world, self.written.len(), answers);
            }
        }
    }

    fn living(&self) -> usize {
        self.publishers.len() + self.subscribers.len() + self.sharers.len() + 1
    }

    fn connect(&mut self) {
        let at = self.dice.below(self.living());
        let by_takeover = self.dice.one_in(8);
        if let Some(publisher) = self.publishers.get_mut(at) {
            if by_takeover || !publisher.is_connected(&self.world) {
                publisher.connect(&mut self.world);
            }
            return;
        }
        let at = at - self.publishers.len();
        let mut subscribers = everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher);
        let subscriber = subscribers.nth(at).unwrap();
        if by_takeover || !subscriber.is_connected(&self.world) {
            let window = [0, 1, 2, 5][self.dice.below(4)];
            let aliases_max = [0, 1, 2, 10][self.dice.below(4)];
            subscriber.connect(&mut self.world, window, aliases_max);
        }
    }

    fn lose(&mut self) {
        let at = self.dice.below(self.living());
        if let Some(publisher) = self.publishers.get_mut(at) {
            return publisher.drop_connection(&mut self.world);
        }
        let at = at - self.publishers.len();
        let mut subscribers = everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher);
        let subscriber = subscribers.nth(at).unwrap();
        subscriber.drop_connection(&mut self.world);
    }

    fn subscribe(&mut self) {
        let at = self.dice.below(self.subscribers.len());
        let subscriber = &mut self.subscribers[at];
        if subscriber.is_open(&self.world) {
            if self.dice.one_in(4) {
                subscriber.unsubscribe(&mut self.world);
            } else {
                subscriber.subscribe(&mut self.world);
            }
        }
    }

    fn start_anew(&mut self) {
        let at = self.dice.below(self.subscribers.len());
        let subscriber = &mut self.subscribers[at];
        subscriber.start_anew(&mut self.world);
    }

    fn change_store(&mut self) {
        match self.dice.below(9) {
            0 | 1 => self.world.store_answers = false,
            8 => {
                let shard = self.dice.below(usize::from(self.world.shards()));
                self.world.store_stalls_for = Some(shard);
            }
            2 | 3 => self.world.store_full = self.fills,
            4 => self.world.store_reads = false,
            5 => self.world.link_answers = false,
            _ => self.mend(),
        }
        let (answers, full) = (self.world.store_answers, self.world.store_full);
        tell(
            self.tells,
            format_args!("the store answers: {answers}, is full: {full}"),
        );
    }

    /// Store and link do what they are for.
    fn mend(&mut self) {
        self.world.store_answers = true;
        self.world.store_stalls_for = None;
        self.world.store_full = false;
        self.world.store_reads = true;
        self.world.link_answers = true;
        let handed = self.world.link_heard.iter().filter_map(|heard| match heard {
            LinkHeard::Message { shard, number, .. } => Some((*shard, *number)),
            LinkHeard::Told(_) => None,
        });
        for (shard, number) in handed.collect::<Vec<_>>() {
            if shard < usize::from(self.world.shards()) {
                self.world.begin_link_answer(shard, number, Answer::Taken);
            }
        }
    }

    fn jump(&mut self) {
        if !self.jumps {
            return;
        }
        self.jumped = true;
        let days = self.dice.below(800) as u64;
        tell(self.tells, format_args!("the clock says day {days}"));
        self.world
            .begin_set_wall(WallTime((20_000 + days) * 24 * 3_600_000));
    }

    fn crash(&mut self) {
        let shards = [1, 2, 3, 4][self.dice.below(4)];
        tell(
            self.tells,
            format_args!("the process is killed, and starts with {shards} shards"),
        );
        self.world.store_full &= self.dice.one_in(2);
        self.is_timeless |= self.jumped;
        for subscriber in everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher) {
            subscriber.meet_crash(&self.world, self.jumped);
        }
        for mortal in &mut self.mortals {
            mortal.meet_crash(&self.world, self.jumped);
        }
        self.world.begin_crash_into(shards);
    }

    /// Everybody connects, and everything that is owed is done.
    fn come_to_rest(&mut self) {
        tell(self.tells, format_args!("everything comes to rest"));
        self.mend();
        self.rest();
        for subscriber in self.subscribers.iter().filter(|subscriber| !subscriber.is_kept) {
            if subscriber.is_connected(&self.world) {
                self.judge(subscriber);
            }
        }
        for round in 0.. {
            for publisher in &mut self.publishers {
                if round == 0 || !publisher.is_connected(&self.world) {
                    publisher.connect(&mut self.world);
                }
            }
            for subscriber in everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher) {
                if round == 0 || !subscriber.is_connected(&self.world) {
                    subscriber.connect(&mut self.world, 0, 0);
                }
            }
            self.settle();
            if self.publishers.iter().all(Publisher::is_done) {
                return;
            }
            assert!(round < 10, "publishers are not answered: {:?}", self.publishers);
        }
    }

    /// Lets everything happen that can, and everybody take in all that came.
    fn settle(&mut self) {
        loop {
            self.world.settle();
            let mut busy = false;
            for publisher in &mut self.publishers {
                busy |= publisher.hear(&mut self.world);
            }
            for subscriber in everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher) {
                busy |= subscriber.hear(&mut self.world, self.written.len(), true);
            }
            if !busy {
                return;
            }
        }
    }

    /// All mortals come once more, are lost at one moment, and each will is published at its own.
    fn last_wills_are_on_time(&mut self) {
        let delay = |at| [3_u32, 4][at % 2];
        for at in 0..self.mortals.len() {
            let coming = Coming {
                version: Version::V5,
                clean_start: false,
                expiry_secs: 100,
                will: None,
            };
            let sent = Sent {
                number: self.written.len(),
                topic: format!("w/{at}"),
                qos: QoS::ExactlyOnce,
                retain: self.dice.one_in(2),
                expiry_secs: None,
            };
            self.come(at, coming, Some((sent, delay(at))));
        }
        self.settle();
        let lost = self.world.age();
        for mortal in &mut self.mortals {
            mortal.drop_connection(&mut self.world);
        }
        self.settle();
        for _ in 0..6_000 / 500 {
            self.world.pass(Duration::from_millis(500));
            self.settle();
        }
        for at in 0..self.mortals.len() {
            let number = self.written.len() - self.mortals.len() + at;
            let came = applied(&self.watcher, number).map(|applied| applied.at);
            let due = lost + Duration::from_secs(delay(at).into());
            assert_eq!(came, Some(due), "the will of {}", self.mortals[at].name);
        }
        for mortal in &mut self.mortals {
            mortal.connect(&mut self.world, &Coming::last());
            self.world.settle();
            mortal.settle(&self.world);
        }
    }

    /// A will is published exactly when it is owed.
    fn judge_wills(&self) {
        let owed_from = self.watcher.owed_from.unwrap();
        for (number, fate) in self.mortals.iter().flat_map(|mortal| &mortal.fates) {
            let sent = &self.written[*number].sent;
            let came = applied(&self.watcher, *number);
            match fate {
                Fate::Owed(earliest) => {
                    assert!(
                        came.is_some() || self.fills || *number < owed_from,
                        "nobody got the will {sent:?}"
                    );
                    assert!(
                        came.is_none_or(|came| came.at >= *earliest),
                        "the will {sent:?} came before {earliest:?}: {came:?}"
                    );
                }
                Fate::Void => {
                    let seen = self
                        .subscribers
                        .iter()
                        .find(|one| applied(one, *number).is_some());
                    assert!(
                        came.is_none() && seen.is_none(),
                        "the will {sent:?} is published, though its client came back or said goodbye"
                    );
                }
                Fate::Open => {}
            }
        }
    }

    fn judge(&self, subscriber: &Subscriber) {
        self.nothing_is_lost(subscriber);
        self.nothing_comes_too_late(subscriber);
        self.nothing_refused_came(subscriber);
        self.nothing_comes_twice(subscriber);
        self.order_is_kept(subscriber);
    }

    /// One of the sharers got what was acknowledged, and at QoS 2 nobody else too.
    fn judge_sharers(&self) {
        let owed_from = self.sharers.iter().filter_map(|sharer| sharer.owed_from).min();
        let mut came: BTreeMap<usize, usize> = BTreeMap::new();
        for sharer in &self.sharers {
            self.nothing_refused_came(sharer);
            for applied in &sharer.applied {
                *came.entry(applied.number).or_default() += 1;
            }
        }
        for number in self
            .publishers
            .iter()
            .flat_map(|publisher| &publisher.acknowledged)
        {
            let sent = &self.written[*number].sent;
            let is_owed = owed_from.is_some_and(|from| from <= *number)
                && self.lasts(*number)
                && sent.qos > QoS::AtMostOnce
                && sent.topic.starts_with("t/");
            assert!(!is_owed || came.contains_key(number), "no sharer got {sent:?}");
        }
        let all_exactly_once = self
            .sharers
            .iter()
            .all(|sharer| sharer.level_on(TOPICS[0]) == Some(QoS::ExactlyOnce));
        for (number, count) in came {
            let sent = &self.written[number].sent;
            let once = match sent.qos {
                QoS::AtMostOnce => true,
                QoS::AtLeastOnce => false,
                QoS::ExactlyOnce => all_exactly_once,
            };
            assert!(!once || count == 1, "sharers got {sent:?} {count} times");
        }
    }

    /// What was acknowledged on the link's topic was handed to it.
    fn link_has_taken_all(&self) {
        let handed = self.world.link_heard.iter().filter_map(|heard| match heard {
            LinkHeard::Message { payload, topic, .. } => Some(number_in(payload, topic)),
            LinkHeard::Told(_) => None,
        });
        let handed: BTreeSet<usize> = handed.collect();
        for number in self
            .publishers
            .iter()
            .flat_map(|publisher| &publisher.acknowledged)
        {
            let sent = &self.written[*number].sent;
            assert!(
                sent.topic != TOPICS[2] || handed.contains(number),
                "the link never got {sent:?}"
            );
        }
    }

    fn nothing_is_lost(&self, subscriber: &Subscriber) {
        let Some(owed_from) = subscriber.owed_from else {
            return;
        };
        for publisher in &self.publishers {
            for number in publisher
                .acknowledged
                .iter()
                .filter(|number| **number >= owed_from && self.lasts(**number))
            {
                let written = &self.written[*number];
                if subscriber
                    .level_on(&written.sent.topic)
                    .is_some_and(|level| level > QoS::AtMostOnce)
                {
                    assert!(
                        subscriber.applied.iter().any(|applied| applied.number == *number),
                        "{} never got {:?}, which was acknowledged to {}",
                        subscriber.name,
                        written.sent,
                        publisher.name,
                    );
                }
            }
        }
    }

    /// Whether a message that was acknowledged still is worth something to everybody.
    fn lasts(&self, number: usize) -> bool {
        let written = &self.written[number];
        let life = written.sent.life();
        life.is_none_or(|life| !self.is_timeless && self.world.age() < written.at + life)
    }

    /// What is worth nothing any more is not sent for the first time, and what is sent says for how long it is. At QoS 2 the
    /// delivery begins before, with the record of its id.
    fn nothing_comes_too_late(&self, subscriber: &Subscriber) {
        let begun = |applied: &&Applied| applied.dup || applied.qos == QoS::ExactlyOnce;
        for applied in subscriber.applied.iter().filter(|applied| !begun(applied)) {
            let Written { publisher, sent, .. } = &self.written[applied.number];
            let Some(publisher) = self.publishers.get(*publisher) else {
                continue;
            };
            let Some(life) = sent.life().filter(|_| !self.is_timeless) else {
                continue;
            };
            // Its time began when the broker took it, which was before the answer to it came.
            let Some(answered) = publisher.answered.get(&applied.number) else {
                continue;
            };
            assert!(
                applied.at < *answered + life,
                "{} got {sent:?} at {:?}, too late",
                subscriber.name,
                applied.at,
            );
            if let Some(left) = applied.expiry_secs {
                let left = Duration::from_secs(left.into());
                assert!(
                    left <= life && applied.at + left < *answered + life + Duration::from_secs(1),
                    "{} got {sent:?} at {:?} for {left:?}",
                    subscriber.name,
                    applied.at,
                );
            }
        }
    }

    fn nothing_refused_came(&self, subscriber: &Subscriber) {
        for publisher in &self.publishers {
            for number in &publisher.refused {
                let sent = &self.written[*number].sent;
                assert!(
                    sent.qos < QoS::ExactlyOnce
                        || subscriber.applied.iter().all(|applied| applied.number != *number),
                    "{} got {sent:?}, which was refused",
                    subscriber.name,
                );
            }
        }
    }

    fn nothing_comes_twice(&self, subscriber: &Subscriber) {
        let mut seen = BTreeMap::new();
        for applied in &subscriber.applied {
            let sent = &self.written[applied.number].sent;
            let count = seen.entry(applied.number).or_insert(0);
            *count += 1;
            if applied.qos == QoS::ExactlyOnce || sent.qos == QoS::AtMostOnce {
                assert_eq!(*count, 1, "{} got {sent:?} again", subscriber.name);
            }
        }
    }

    /// For each publisher, topic and level the first copies come in the order they were published, as far as they were
    /// published under the subscription: an older one that is sent again may be the first that meets it. So may one whose
    /// time is over before it is delivered.
    fn order_is_kept(&self, subscriber: &Subscriber) {
        let Some(owed_from) = subscriber.owed_from.filter(|_| !self.fills) else {
            return;
        };
        let mut last: BTreeMap<(usize, &str, QoS), usize> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let owed = subscriber
            .applied
            .iter()
            .filter(|applied| applied.number >= owed_from)
            .filter(|applied| self.written[applied.number].sent.life().is_none());
        for applied in owed.filter(|applied| seen.insert(applied.number)) {
            let Written { publisher, sent, .. } = &self.written[applied.number];
            let before = last.insert((*publisher, &sent.topic, sent.qos), applied.number);
            assert!(
                before < Some(applied.number),
                "{} got {} before {:?}",
                subscriber.name,
                before.unwrap_or_default(),
                sent,
            );
        }
    }

    /// Each publisher's retained topic shows its last acknowledged message, or a later one that was not answered; that of a
    /// mortal shows its last retained will.
    fn last_retained_stands(&mut self) {
        let client = self.world.connect(clean(Version::V5, "looks"));
        self.world.subscribe(client, "r/#", QoS::ExactlyOnce);
        self.world.subscribe(client, "w/#", QoS::ExactlyOnce);
        let standing: BTreeMap<String, usize> = self
            .world
            .client(client)
            .messages()
            .map(|message| (message.topic.clone(), number_in(&message.payload, &message.topic)))
            .collect();
        self.world.begin_drop(client);
        for at in 0..self.mortals.len() {
            let topic = format!("w/{at}");
            let seen = self.watcher.applied.iter().map(|applied| applied.number);
            let is_retained = |number: &usize| {
                let sent = &self.written[*number].sent;
                sent.retain && sent.topic == topic
            };
            let last = seen.filter(is_retained).max();
            let stands = standing.get(&topic).copied();
            assert!(
                self.fills || stands == last,
                "the retained will on {topic}: {stands:?}, not {last:?}"
            );
        }
        for (at, publisher) in self.publishers.iter().enumerate() {
            let retained = |number: &&usize| self.written[**number].sent.retain;
            let last = publisher.acknowledged.iter().filter(retained).max().copied();
            let stands = standing.get(&format!("r/{at}")).copied();
            if self.fills || !publisher.is_kept {
                assert!(
                    stands.is_some() || last.is_none(),
                    "a retained message of {}",
                    publisher.name
                );
                assert!(
                    self.fills || stands >= last,
                    "the retained message of {}: {stands:?}, not {last:?}",
                    publisher.name
                );
                continue;
            }
            assert_eq!(stands, last, "the retained message of {}", publisher.name);
        }
    }

    /// When everything is consumed, nothing but sessions and retained messages is kept; when they end, nothing is.
    fn nothing_stays_behind(&mut self) {
        self.come_to_rest();
        for shelf in [Shelf::Bodies, Shelf::Inflight, Shelf::Receipts] {
            assert_eq!(self.world.disk().len(shelf), 0, "{shelf:?}");
        }
        let cleaner = self.world.connect(clean(Version::V5, "cleaner"));
        for at in 0..self.publishers.len() {
            self.world
                .retain(cleaner, &format!("r/{at}"), "", QoS::AtLeastOnce);
        }
        for at in 0..self.mortals.len() {
            self.world
                .retain(cleaner, &format!("w/{at}"), "", QoS::AtLeastOnce);
        }
        for subscriber in everybody(&mut self.subscribers, &mut self.sharers, &mut self.watcher) {
            subscriber.end(&mut self.world);
        }
        for publisher in &self.publishers {
            self.world.begin_connect(clean(Version::V5, &publisher.name));
        }
        self.world.settle();
        assert!(self.world.disk().is_empty(), "{:?}", self.world.disk());
    }
}

/// All who subscribe.
fn everybody<'a>(
    subscribers: &'a mut [Subscriber],
    sharers: &'a mut [Subscriber],
    watcher: &'a mut Subscriber,
) -> impl Iterator<Item = &'a mut Subscriber> {
    subscribers.iter_mut().chain(sharers).chain([watcher])
}

/// How a message came to a subscriber for the first time.
fn applied(subscriber: &Subscriber, number: usize) -> Option<&Applied> {
    subscriber.applied.iter().find(|applied| applied.number == number)
}
