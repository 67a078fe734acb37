//! `World`: shards, clients, a disk and a clock in one place, driven by a seed. The only harness for these rules.
//!
//! Nothing happens by itself: a test lets things happen with [`World::settle`], which picks what comes next (mail, a
//! commit, a page read back) by the seed, so that another seed is another history. [`World::crash`] loses everything that
//! was not committed and starts again from the disk.

mod client;
mod disk;
mod gate;
pub mod model;
mod moves;
pub mod operation;
pub mod trial;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use mqtt_wire::{Connect, Packet, ReasonCode};

pub use client::{Client, ClientRef, Heard, Received};
pub use disk::Disk;
pub use moves::{clean, filter, message, persistent};

use gate::Gate;

use crate::{
    Answer, Authentication, Badge, Batch, ConnectionId, EntranceId, Input, LinkMessage, Mail, Moment, Output,
    Outputs, Overload, Question, Recall, Settings, Shard, ShardId, Told, WallTime, recover,
};

/// A small generator of numbers: the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as this seed says.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    /// A number below `bound`, which must not be zero.
    pub const fn below(&mut self, bound: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// Whether something that happens once in `n` times happens now.
    pub const fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A message a link was handed, or something it was told.
#[derive(Debug)]
pub enum LinkHeard {
    /// A message.
    Message {
        /// The shard that handed it over.
        shard: usize,
        /// Its number there, for the answer.
        number: u64,
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// Something else.
    Told(Told),
}

/// Answers what a client says in a re-authentication.
pub type Exchange = Box<dyn FnMut(Option<Vec<u8>>) -> Authentication>;

struct Home {
    shard: Shard,
    out: Outputs,
    /// Whether something happened in a round that has not ended.
    in_round: bool,
    slots: Vec<Option<ClientRef>>,
    unwritten: VecDeque<(u64, Batch)>,
    recalls: VecDeque<Recall>,
    mail: Vec<VecDeque<Mail>>,
}

/// Everything there is.
pub struct World {
    seed: u64,
    dice: Dice,
    /// How long the processes lived that are dead.
    lived: Duration,
    now: Moment,
    wall: WallTime,
    settings: Arc<Settings>,
    homes: Vec<Home>,
    /// What shards want done, in order.
    duties: VecDeque<(usize, Output)>,
    performs: bool,
    disk: Disk,
    clients: Vec<Client>,
    gate: Gate,
    exchange: Option<Exchange>,
    link: Option<LinkSpec>,
    /// What links heard, in order.
    pub link_heard: Vec<LinkHeard>,
    /// Whether the gate has its verdict on a message at hand. Else it is asked. As the seed says, until a story does.
    pub gate_answers_at_once: bool,
    /// Whether the store answers. While it does not, batches pile up.
    pub store_answers: bool,
    /// A shard whose batches the store leaves lying while it writes those of the others.
    pub store_stalls_for: Option<usize>,
    /// Whether the store refuses.
    pub store_full: bool,
    /// Whether links answer by themselves that they took a message.
    pub link_answers: bool,
    /// Whether what was kept can be read back.
    pub store_reads: bool,
    /// Whether several things may happen in one round of a shard, and not one in each.
    pub long_rounds: bool,
}

/// What an attached link wants: filters with responsibility, watched filters, presence.
#[derive(Debug, Clone, Default)]
pub struct LinkSpec {
    /// Which messages, and whether with responsibility.
    pub subscriptions: Vec<(String, bool)>,
    /// Messages on these topics reach links only.
    pub alone: Vec<String>,
    /// Which client subscriptions it hears of.
    pub watches: Vec<String>,
    /// Whether it hears of clients that come and go.
    pub presence: bool,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Drop for World {
    /// A story that fails says which history it was.
    #[expect(
        clippy::print_stderr,
        reason = "the seed of a failure is shown wherever it happens"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the story failed with seed {} and {} shards",
                self.seed,
                self.homes.len()
            );
        }
    }
}

impl World {
    /// A world of one shard.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::with(seed, 1, Settings::default())
    }

    /// A world of several shards with these settings.
    #[must_use]
    pub fn with(seed: u64, shards: u16, settings: Settings) -> Self {
        let mut world = Self {
            seed,
            dice: Dice::seeded(seed),
            lived: Duration::ZERO,
            now: Moment::START,
            wall: WallTime(1_800_000_000_000),
            settings: Arc::new(settings),
            homes: Vec::new(),
            duties: VecDeque::new(),
            performs: false,
            disk: Disk::default(),
            clients: Vec::new(),
            gate: Gate::default(),
            exchange: None,
            link: None,
            link_heard: Vec::new(),
            store_answers: true,
            store_stalls_for: None,
            store_full: false,
            link_answers: true,
            gate_answers_at_once: seed.is_multiple_of(2),
            store_reads: true,
            long_rounds: false,
        };
        world.start(shards);
        world
    }

    /// Attaches a link to all shards, also after each restart.
    pub fn attach_link(&mut self, spec: LinkSpec) {
        self.link = Some(spec);
        self.tell_of_link();
    }

    /// Lets this decide what connections may do. Without it everything is allowed.
    pub fn set_gate(&mut self, gate: impl FnMut(&str, &Question) -> bool + 'static) {
        self.gate = Gate::of(gate);
    }

    /// Lets this answer in re-authentications. Without it all of them are refused.
    pub fn set_exchange(&mut self, exchange: impl FnMut(Option<Vec<u8>>) -> Authentication + 'static) {
        self.exchange = Some(Box::new(exchange));
    }

    /// The policy has changed.
    pub fn change_policy(&mut self) {
        for home in 0..self.homes.len() {
            self.step(home, Input::PolicyChanged);
        }
        self.settle();
    }

    /// Whether the store has room for what makes it grow. A store that starts has.
    pub fn tell_of_room(&mut self, enough: bool) {
        for home in 0..self.homes.len() {
            self.step(home, Input::Room { enough });
        }
        self.settle();
    }

    /// Memory is this near to its ceiling.
    pub fn tell_of_overload(&mut self, overload: Overload) {
        for home in 0..self.homes.len() {
            self.step(home, Input::Overload(overload));
        }
        self.settle();
    }

    fn start(&mut self, shards: u16) {
        let shares = match recover(&self.disk, shards, self.wall) {
            Ok(shares) => shares,
            Err(never) => match never {},
        };
        self.lived = self.age();
        self.now = Moment::START;
        self.homes = shares
            .into_iter()
            .zip(0..)
            .map(|(share, id)| Home {
                shard: Shard::new(ShardId(id), shards, Arc::clone(&self.settings), self.seed, share),
                out: Outputs::default(),
                in_round: false,
                slots: Vec::new(),
                unwritten: VecDeque::new(),
                recalls: VecDeque::new(),
                mail: (0..shards).map(|_| VecDeque::new()).collect(),
            })
            .collect();
        let wall = self.wall;
        for home in 0..self.homes.len() {
            self.step(home, Input::Wall { now: wall });
        }
        self.tell_of_link();
    }

    fn tell_of_link(&mut self) {
        let Some(spec) = self.link.clone() else { return };
        let parse = |filter: &String| {
            mqtt_wire::TopicFilter::parse(filter).unwrap_or_else(|_| unreachable!("{filter}"))
        };
        for home in 0..self.homes.len() {
            let subscriptions = spec
                .subscriptions
                .iter()
                .map(|(filter, takes)| (parse(filter), *takes))
                .collect();
            let alone = spec.alone.iter().map(parse).collect();
            let watches = spec.watches.iter().map(parse).collect();
            self.step(
                home,
                Input::LinkAttached {
                    subscriptions,
                    alone,
                    watches,
                    presence: spec.presence,
                },
            );
        }
    }

    /// The process dies: what was not committed is lost, and so are all connections. It starts again at once, with this many
    /// shards.
    pub fn crash_into(&mut self, shards: u16) {
        self.begin_crash_into(shards);
        self.settle();
    }

    /// The same, and nothing more happens yet: it may die again before it has come to rest.
    pub fn begin_crash_into(&mut self, shards: u16) {
        for client in &mut self.clients {
            client.cut();
        }
        self.start(shards);
    }

    /// The process dies and starts again.
    pub fn crash(&mut self) {
        let shards = self.shards();
        self.crash_into(shards);
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        u16::try_from(self.homes.len()).unwrap_or(1)
    }

    /// Dice that fall as the seed says, for what a story leaves open.
    pub const fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// What is on disk.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The disk, to damage it.
    pub const fn disk_mut(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// The sum of something all shards count.
    pub fn count(&self, what: impl Fn(&crate::Counters) -> u64) -> u64 {
        self.homes.iter().map(|home| what(&home.shard.counters())).sum()
    }

    /// How many bytes of waiting messages are in memory.
    #[must_use]
    pub fn queued_bytes_in_memory(&self) -> u64 {
        let sessions = self.homes.iter().flat_map(|home| home.shard.sessions.iter());
        sessions.map(|session| session.queue.loaded_bytes()).sum()
    }

    /// How many deadlines lie ahead.
    #[must_use]
    pub fn deadlines(&self) -> usize {
        self.homes.iter().map(|home| home.shard.timers.len()).sum()
    }

    /// Time passes; deadlines on the way are met in order, and all that follows from them happens.
    pub fn pass(&mut self, time: Duration) {
        self.pass_with(time, Self::settle);
    }

    /// Time passes; deadlines on the way are met in order.
    pub fn begin_pass(&mut self, time: Duration) {
        self.pass_with(time, |_| {});
    }

    fn pass_with(&mut self, time: Duration, after: fn(&mut Self)) {
        let until = self.now + time;
        while let Some(at) = self.next_deadline().filter(|at| *at <= until) {
            self.advance(at.max(self.now));
            for home in 0..self.homes.len() {
                self.step(home, Input::Tick);
            }
            after(self);
        }
        self.advance(until);
        after(self);
    }

    fn next_deadline(&self) -> Option<Moment> {
        let deadlines = self.homes.iter().filter_map(|home| home.shard.next_deadline());
        deadlines.min()
    }

    fn advance(&mut self, to: Moment) {
        // No round lasts so long that time passes in it.
        for home in 0..self.homes.len() {
            if self.home(home).in_round {
                self.carry_out(home);
            }
        }
        self.wall.0 += to.as_millis() - self.now.as_millis();
        self.now = to;
    }

    /// The wall clock is set, forwards or back.
    pub fn set_wall(&mut self, wall: WallTime) {
        self.begin_set_wall(wall);
        self.settle();
    }

    /// The same, and nothing more happens yet.
    pub fn begin_set_wall(&mut self, wall: WallTime) {
        self.wall = wall;
        for home in 0..self.homes.len() {
            self.step(home, Input::Wall { now: wall });
        }
    }

    /// How long the world has existed, over all its restarts.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.lived + self.now.since(Moment::START)
    }

    /// The wall clock.
    #[must_use]
    pub const fn wall(&self) -> WallTime {
        self.wall
    }

    // Clients

    /// Sends CONNECT on a new connection and lets everything settle.
    pub fn connect(&mut self, connect: Connect) -> ClientRef {
        let client = self.begin_connect(connect);
        self.settle();
        client
    }

    /// Sends CONNECT on a new connection.
    pub fn begin_connect(&mut self, connect: Connect) -> ClientRef {
        self.begin_connect_by(EntranceId::default(), connect)
    }

    /// Sends CONNECT on a new connection by this entrance and lets everything settle.
    pub fn connect_by(&mut self, entrance: EntranceId, connect: Connect) -> ClientRef {
        let client = self.begin_connect_by(entrance, connect);
        self.settle();
        client
    }

    /// Sends CONNECT on a new connection by this entrance. [`World::connect`] and [`World::begin_connect`] take the first.
    pub fn begin_connect_by(&mut self, entrance: EntranceId, connect: Connect) -> ClientRef {
        let shards = self.shards();
        let home = usize::from(ShardId::of(&connect.client_id, shards).0);
        self.carry_out(home); // A slot whose closing is still to be done is not free.
        let client = ClientRef(self.clients.len());
        let badge = Badge::named(connect.username.as_deref().unwrap_or(&connect.client_id));
        let slots = &mut self.home(home).slots;
        let slot = slots.iter().position(Option::is_none).unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        if let Some(place) = slots.get_mut(slot) {
            *place = Some(client);
        }
        let connection = ConnectionId(u32::try_from(slot).unwrap_or(u32::MAX));
        self.clients.push(Client::new(
            connect.version,
            badge.name.to_string(),
            home,
            connection,
        ));
        let connect = Box::new(connect);
        self.step(
            home,
            Input::Connected {
                connection,
                connect,
                assigned: false,
                badge,
                entrance,
            },
        );
        client
    }

    /// A client's side of a connection.
    #[must_use]
    pub fn client(&self, client: ClientRef) -> &Client {
        let Some(client) = self.clients.get(client.0) else {
            unreachable!("refs are made with their client")
        };
        client
    }

    /// A client's side of a connection, to change how it behaves.
    pub fn client_mut(&mut self, client: ClientRef) -> &mut Client {
        let Some(client) = self.clients.get_mut(client.0) else {
            unreachable!("refs are made with their client")
        };
        client
    }

    /// A client sends a packet, and everything settles.
    pub fn send(&mut self, client: ClientRef, packet: &Packet<'_>) {
        self.begin_send(client, packet);
        self.settle();
    }

    /// A client sends a packet: through bytes, as over a socket. It waits while the broker does not read.
    pub fn begin_send(&mut self, client: ClientRef, packet: &Packet<'_>) {
        let version = self.client(client).version;
        let mut bytes = Vec::new();
        if let Err(error) = packet.encode(version, &mut bytes) {
            unreachable!("a test sends what can be sent: {error}");
        }
        self.begin_send_bytes(client, &bytes);
    }

    /// A client sends bytes, whatever they are.
    pub fn begin_send_bytes(&mut self, client: ClientRef, bytes: &[u8]) {
        self.client_mut(client).unread.extend_from_slice(bytes);
        self.read(client);
    }

    /// A client's socket is gone without a word, and everything settles.
    pub fn drop_connection(&mut self, client: ClientRef) {
        self.begin_drop(client);
        self.settle();
    }

    /// A client's socket is gone without a word.
    pub fn begin_drop(&mut self, client: ClientRef) {
        let Some((home, connection)) = self.client_mut(client).cut() else {
            return;
        };
        if let Some(slot) = self.home(home).slots.get_mut(connection.0 as usize) {
            *slot = None;
        }
        self.step(home, Input::Lost { connection });
        self.home(home).out.forget(connection);
    }

    /// An operator wants a client gone.
    pub fn expel(&mut self, client_id: &str, reason: ReasonCode) {
        let shards = self.shards();
        let home = usize::from(ShardId::of(client_id, shards).0);
        if let Ok(client_id) = mqtt_wire::ClientId::parse(client_id) {
            self.step(home, Input::Expel { client_id, reason });
        }
        self.settle();
    }

    /// The broker shuts down in order.
    pub fn shut_down(&mut self) {
        for home in 0..self.homes.len() {
            self.step(home, Input::ShutDown);
        }
        self.settle();
    }

    // The link

    /// The link publishes on the shard that this name hashes to.
    pub fn link_publish(&mut self, order: &str, message: LinkMessage) {
        let shards = self.shards();
        let home = usize::from(ShardId::of(order, shards).0);
        self.step(home, Input::LinkPublished { message });
        self.settle();
    }

    /// The link answers a message it was handed by a shard.
    pub fn link_answer(&mut self, shard: usize, number: u64, answer: Answer) {
        self.begin_link_answer(shard, number, answer);
        self.settle();
    }

    /// The same, and nothing more happens yet.
    pub fn begin_link_answer(&mut self, shard: usize, number: u64, answer: Answer) {
        self.step(shard, Input::LinkAnswered { number, answer });
    }

    // How things happen

    /// Lets everything happen that can, in an order the seed decides.
    pub fn settle(&mut self) {
        loop {
            let mut possible = Vec::new();
            for (at, home) in self.homes.iter().enumerate() {
                if self.store_answers && self.store_stalls_for != Some(at) && !home.unwritten.is_empty() {
                    possible.push(Event::Commit(at));
                }
                if !home.recalls.is_empty() {
                    possible.push(Event::Recall(at));
                }
                if home.in_round {
                    possible.push(Event::EndOfRound(at));
                }
                let waiting = home.mail.iter().enumerate().filter(|(_, mail)| !mail.is_empty());
                possible.extend(waiting.map(|(to, _)| Event::Mail(at, to)));
            }
            possible.extend(self.clients_with_replies().map(Event::Reply));
            if possible.is_empty() {
                return;
            }
            let chosen = self.dice.below(possible.len());
            if let Some(event) = possible.get(chosen) {
                self.happen(*event);
            }
        }
    }

    /// Lets a few things happen, not all.
    pub fn settle_partly(&mut self, steps: usize) {
        for _ in 0..steps {
            let home = self.dice.below(self.homes.len());
            let to = self.dice.below(self.homes.len());
            match self.dice.below(5) {
                4 => self.happen(Event::EndOfRound(home)),
                0 if self.store_answers && self.store_stalls_for != Some(home) => {
                    self.happen(Event::Commit(home));
                }
                1 => self.happen(Event::Recall(home)),
                2 => self.happen(Event::Mail(home, to)),
                _ => {
                    let replying: Vec<ClientRef> = self.clients_with_replies().collect();
                    if !replying.is_empty() {
                        let at = self.dice.below(replying.len());
                        replying
                            .get(at)
                            .into_iter()
                            .for_each(|client| self.happen(Event::Reply(*client)));
                    }
                }
            }
        }
    }

    fn clients_with_replies(&self) -> impl Iterator<Item = ClientRef> {
        let replying = self
            .clients
            .iter()
            .enumerate()
            .filter(|(_, client)| client.has_reply());
        replying.map(|(at, _)| ClientRef(at))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Commit(home) => {
                let Some((ticket, batch)) = self.home(home).unwritten.pop_front() else {
                    return;
                };
                if self.store_full {
                    self.step(
                        home,
                        Input::Refused {
                            ticket,
                            reason: ReasonCode::QuotaExceeded,
                        },
                    );
                } else {
                    self.disk.write(&batch);
                    self.step(home, Input::Remembered { through: ticket });
                }
            }
            Event::Recall(home) => {
                let Some(recall) = self.home(home).recalls.pop_front() else {
                    return;
                };
                let (page, _) = if self.store_reads {
                    let (page, error) = recall.read(&self.disk);
                    (page, error.map(|never| match never {}))
                } else {
                    recall.read(&disk::Unreadable)
                };
                self.step(home, Input::Recalled { page });
            }
            Event::EndOfRound(home) => self.carry_out(home),
            Event::Mail(home, to) => {
                let mail = self.home(home).mail.get_mut(to).and_then(VecDeque::pop_front);
                let Some(mail) = mail else { return };
                let from = ShardId(u16::try_from(home).unwrap_or(0));
                self.step(to, Input::Mail { from, mail });
            }
            Event::Reply(client) => {
                if let Some(bytes) = self.client_mut(client).take_reply() {
                    self.begin_send_bytes(client, &bytes);
                }
            }
        }
    }

    fn home(&mut self, at: usize) -> &mut Home {
        let Some(home) = self.homes.get_mut(at) else {
            unreachable!("shards are counted")
        };
        home
    }

    /// One step, and the end of its round if it comes at once: then everything it asked for is done or noted.
    fn step(&mut self, at: usize, input: Input<'_>) {
        let now = self.now;
        let home = self.home(at);
        home.shard.step(now, input, &mut home.out);
        home.in_round = true;
        if !self.long_rounds || self.dice.one_in(4) {
            self.carry_out(at);
        }
    }

    fn carry_out(&mut self, at: usize) {
        let now = self.now;
        let home = self.home(at);
        home.in_round = false;
        home.shard.end_round(now, &mut home.out);
        let duties = std::mem::take(&mut home.out.duties);
        let mut touched = Vec::new();
        home.out.take_touched(&mut touched);
        for connection in touched {
            self.flush(at, connection);
        }
        self.duties.extend(duties.into_iter().map(|duty| (at, duty)));
        if std::mem::replace(&mut self.performs, true) {
            return; // What a duty brings about is done after those before it.
        }
        while let Some((at, duty)) = self.duties.pop_front() {
            self.perform(at, duty);
        }
        self.performs = false;
    }

    /// Moves what a shard wrote to the client it is for, unless that does not read.
    fn flush(&mut self, at: usize, connection: ConnectionId) {
        let home = self.home(at);
        let Some(client) = home.slots.get(connection.0 as usize).copied().flatten() else {
            return;
        };
        if !self.client(client).reads {
            return;
        }
        let home = self.home(at);
        let bytes = home
            .out
            .outbox(connection)
            .map(|outbox| outbox.unsent().to_vec())
            .unwrap_or_default();
        let drained = home.out.sent(connection, bytes.len());
        let age = self.age();
        self.client_mut(client).hear(&bytes, age);
        if drained {
            self.step(at, Input::Drained { connection });
        }
    }

    /// A client that did not read begins to.
    pub fn read_again(&mut self, client: ClientRef) {
        self.client_mut(client).reads = true;
        if let Some((home, connection)) = self.client(client).place {
            self.flush(home, connection);
        }
        self.settle();
    }

    fn perform(&mut self, at: usize, duty: Output) {
        match duty {
            Output::Close { connection } => {
                self.flush(at, connection);
                let home = self.home(at);
                home.out.forget(connection);
                let slot = home.slots.get_mut(connection.0 as usize).and_then(Option::take);
                if let Some(client) = slot {
                    self.client_mut(client).closed();
                }
            }
            Output::Read { connection } => {
                let client = self.home(at).slots.get(connection.0 as usize).copied().flatten();
                if let Some(client) = client {
                    self.read(client);
                }
            }
            Output::Ask {
                ticket,
                connection,
                question,
            } => {
                let client = self.home(at).slots.get(connection.0 as usize).copied().flatten();
                let name = client
                    .map(|client| self.client(client).name.clone())
                    .unwrap_or_default();
                let allow = self.gate.may(&name, &question);
                self.step(at, Input::Verdict { ticket, allow });
            }
            Output::Authenticate { ticket, data, .. } => {
                let said = match &mut self.exchange {
                    Some(exchange) => exchange(data),
                    None => Authentication::Refused,
                };
                self.step(at, Input::Authenticated { ticket, said });
            }
            Output::Remember { ticket, batch } => self.home(at).unwritten.push_back((ticket, batch)),
            Output::Recall(recall) => self.home(at).recalls.push_back(recall),
            Output::Mail { to, mail } => {
                if let Some(queue) = self.home(at).mail.get_mut(usize::from(to.0)) {
                    queue.push_back(mail);
                }
            }
            Output::Deliver { number, message, .. } => {
                self.link_heard.push(LinkHeard::Message {
                    shard: at,
                    number,
                    topic: message.topic.to_string(),
                    payload: message.payload.to_vec(),
                });
                if self.link_answers {
                    self.step(
                        at,
                        Input::LinkAnswered {
                            number,
                            answer: Answer::Taken,
                        },
                    );
                }
            }
            Output::Tell { told, .. } => self.link_heard.push(LinkHeard::Told(told)),
        }
    }

    /// Hands in what a client has sent, packet by packet, while its shard reads.
    fn read(&mut self, client: ClientRef) {
        let mut bytes = std::mem::take(&mut self.client_mut(client).unread);
        let mut used = 0;
        while let Some((home, connection)) = self.client(client).place {
            let version = self.client(client).version;
            let shard = &self.home(home).shard;
            if !shard.reads(connection) {
                break;
            }
            let packet_bytes_max = shard.packet_bytes_max(connection);
            match mqtt_wire::decode(bytes.get(used..).unwrap_or_default(), version, packet_bytes_max) {
                Ok(None) => break,
                Ok(Some((packet, len))) => {
                    used += len;
                    let name = self.client(client).name.clone();
                    let judge = self.gate.judge(name, self.gate_answers_at_once);
                    let input = Input::Packet {
                        connection,
                        packet,
                        judge: &judge,
                    };
                    self.step(home, input);
                }
                Err(error) => {
                    used = bytes.len();
                    self.step(home, Input::Malformed { connection, error });
                }
            }
        }
        bytes.drain(..used.min(bytes.len()));
        bytes.append(&mut self.client_mut(client).unread);
        self.client_mut(client).unread = bytes;
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Commit(usize),
    Recall(usize),
    EndOfRound(usize),
    Mail(usize, usize),
    Reply(ClientRef),
}
