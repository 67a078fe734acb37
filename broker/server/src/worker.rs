//! The thread of a shard: wait for a socket, a letter or a deadline; let the rules judge; do what they ask.
//!
//! Everything of one shard happens in rounds. A round takes what has come, from the mailbox and from every socket that
//! stirred, a bounded bite of each; hands it to the rules; performs the duties that follow; and writes once to every
//! socket that something was left for. There is one task and no lock that anybody contends for.

mod again;
mod backlog;
mod closing;
mod connections;
mod duties;
mod post;
mod sockets;
mod timer;

use std::{
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use broker_core::{Badge, ConnectionId, Input, Mail, Moment, Output, Outputs, Shard, ShardId};
use plugin_api::Principal;
use tokio::{
    runtime::Runtime,
    sync::oneshot,
    task::{coop::unconstrained, yield_now},
};
use tracing::{debug, error};

pub(crate) use self::again::Outcome;
use self::{
    again::Entry,
    backlog::Backlog,
    closing::Closing,
    connections::{Arrival, Connections},
    post::Post,
    sockets::READ_BUFFER_BYTES,
    timer::Timer,
};
use crate::{
    bell::Bell,
    clock::Clock,
    handshake::{Admitted, Newcomer},
    house::House,
    link::Attached,
    mailbox::{Letter, Mailbox, Tally},
};

/// How often the rules are told the wall time.
const WALL_INTERVAL: Duration = Duration::from_secs(5);

/// One shard and its sockets.
pub(crate) struct Worker {
    id: ShardId,
    house: Arc<House>,
    links: Arc<[Attached]>,
    shard: Shard,
    outputs: Outputs,
    now: Moment,
    next_wall: Moment,
    /// Whether the rules believe that the store has room.
    has_room: bool,
    connections: Connections,
    closing: Closing,
    backlog: Backlog,
    post: Post,
    timer: Timer,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
    under_way: UnderWay,
    tally: Tally,
    askers: Vec<oneshot::Sender<Tally>>,
    course: Course,
    // Reused from round to round.
    buffer: Vec<u8>,
    duties: Vec<Output>,
    touched: Vec<ConnectionId>,
    drained: Vec<ConnectionId>,
    letters: Vec<Letter>,
    mail: Vec<Mail>,
}

/// Answers that are still to come.
#[derive(Debug, Default)]
struct UnderWay {
    batches: u64,
    recalls: u64,
    questions: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Serving,
    /// No more clients.
    Leaving,
    Stopped,
}

/// The body of a shard's thread. Ends after [`Letter::Stop`].
///
/// A panic in here is a bug that leaves a part of the sessions without an owner: the process ends, so that whoever
/// watches it starts it again and everything acknowledged is recovered.
pub(crate) fn run(runtime: &Runtime, id: ShardId, shard: Shard, house: Arc<House>, links: Arc<[Attached]>) {
    let work = || runtime.block_on(unconstrained(Worker::serve(id, shard, house, links)));
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        error!(
            shard = id.0,
            "a shard has panicked, which is a bug; the process ends, a restart recovers its sessions"
        );
        std::process::abort();
    }
}

impl Worker {
    async fn serve(id: ShardId, shard: Shard, house: Arc<House>, links: Arc<[Attached]>) {
        poll_fn(|cx| {
            mailbox(&house, id).bell.attach(cx.waker());
            Poll::Ready(())
        })
        .await;
        let mut worker = Self::new(id, shard, house, links);
        worker.begin();
        loop {
            worker.round();
            if worker.course == Course::Stopped {
                return;
            }
            worker.rest().await;
        }
    }

    fn new(id: ShardId, shard: Shard, house: Arc<House>, links: Arc<[Attached]>) -> Self {
        let shards = usize::from(house.shards());
        let bell = Arc::clone(&mailbox(&house, id).bell);
        Self {
            id,
            links,
            shard,
            outputs: Outputs::default(),
            now: house.clock.now(),
            next_wall: Moment::START,
            has_room: true,
            connections: Connections::new(Arc::clone(&bell)),
            closing: Closing::default(),
            backlog: Backlog::new(
                house.settings.unsent_bytes_max / shards.max(1),
                house.settings.send_timeout,
            ),
            post: Post::new(id, shards),
            timer: Timer::new(house.clock),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            under_way: UnderWay::default(),
            tally: Tally::default(),
            askers: Vec::new(),
            course: Course::Serving,
            buffer: vec![0; READ_BUFFER_BYTES],
            duties: Vec::new(),
            touched: Vec::new(),
            drained: Vec::new(),
            letters: Vec::new(),
            mail: Vec::new(),
            house,
        }
    }

    /// The rules learn the time and the links before anything else.
    fn begin(&mut self) {
        self.tell_time();
        for attached in Arc::clone(&self.links).iter() {
            let spec = &attached.spec;
            self.step(Input::LinkAttached {
                subscriptions: spec
                    .subscriptions
                    .iter()
                    .map(|s| (s.filter.clone(), s.responsible))
                    .collect(),
                alone: spec.alone.clone(),
                watches: spec.watches.clone(),
                presence: spec.presence,
            });
        }
    }

    fn round(&mut self) {
        self.now = self.house.clock.now();
        self.tell_of_room();
        self.take_post();
        self.serve_sockets();
        self.keep_time();
        self.settle();
        self.write_touched();
        self.post.carry(&self.house);
        self.see_out();
        self.answer_askers();
    }

    /// Sleeps until there is something to do. If there is already, the event loop is asked for news all the same.
    async fn rest(&mut self) {
        if self.bell.is_rung() {
            yield_now().await;
            self.bell.heard();
            return;
        }
        self.set_timer();
        poll_fn(|cx| {
            let woken = self.bell.heard() | self.timer.poll(cx).is_ready();
            if woken { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn step(&mut self, input: Input<'_>) {
        self.shard.step(self.now, input, &mut self.outputs);
    }

    fn take_post(&mut self) {
        let house = Arc::clone(&self.house);
        let mailbox = mailbox(&house, self.id);
        for connection in mem::take(&mut self.drained) {
            self.step(Input::Drained { connection });
        }
        if mailbox.has_post() {
            let mut letters = mem::take(&mut self.letters);
            mailbox.take_letters(&mut letters);
            letters.drain(..).for_each(|letter| self.open(letter));
            self.letters = letters;
            // Nobody puts anything into a shard's lane to itself.
            for from in 0..house.shards() {
                self.take_mail(ShardId(from), mailbox, &house);
            }
        }
        self.perform_duties();
    }

    fn take_mail(&mut self, from: ShardId, mailbox: &Mailbox, house: &House) {
        let mut mails = mem::take(&mut self.mail);
        let sender_waits = mailbox.take_mail(from, &mut mails);
        for mail in mails.drain(..) {
            self.step(Input::Mail { from, mail });
        }
        self.mail = mails;
        if sender_waits && let Some(sender) = house.mailboxes.get(usize::from(from.0)) {
            sender.bell.ring();
        }
    }

    fn open(&mut self, letter: Letter) {
        match letter {
            Letter::Newcomer(newcomer) => self.welcome_home(*newcomer),
            Letter::Verdict { ticket, allow } => {
                self.under_way.questions -= 1;
                self.step(Input::Verdict { ticket, allow });
            }
            Letter::Authenticated {
                connection,
                ticket,
                outcome,
            } => self.take_outcome(connection, ticket, outcome),
            Letter::Remembered { ticket } => {
                self.under_way.batches -= 1;
                self.step(Input::Remembered { through: ticket });
            }
            Letter::Refused { ticket, reason } => {
                self.under_way.batches -= 1;
                self.step(Input::Refused { ticket, reason });
            }
            Letter::Recalled(page) => {
                self.under_way.recalls -= 1;
                self.step(Input::Recalled { page });
            }
            Letter::LinkPublished(messages) => {
                mailbox(&self.house, self.id)
                    .link_room
                    .add_permits(messages.len());
                for message in messages {
                    self.step(Input::LinkPublished { message });
                }
            }
            Letter::LinkAnswered { number, answer } => self.step(Input::LinkAnswered { number, answer }),
            Letter::Expel { client_id, reason } => self.step(Input::Expel { client_id, reason }),
            Letter::Overload(overload) => self.step(Input::Overload(overload)),
            Letter::PolicyChanged => self.step(Input::PolicyChanged),
            Letter::Count(asker) => self.askers.push(asker),
            Letter::ShutDown => {
                self.course = Course::Leaving;
                self.step(Input::ShutDown);
            }
            Letter::Stop => self.course = Course::Stopped,
        }
    }

    fn welcome_home(&mut self, newcomer: Newcomer) {
        if self.course != Course::Serving {
            return;
        }
        let Newcomer { parcel, admitted } = newcomer;
        let Admitted {
            connect,
            assigned,
            principal,
            login,
            peer,
            rest,
            seat,
            entrance,
        } = admitted;
        let version = connect.version;
        let badge = badge(&principal);
        let stream = match parcel.unpack() {
            Ok(stream) => stream,
            Err(error) => return debug!(%peer, %error, "connection lost on its way to its shard"),
        };
        if let Some(connection) = self.connections.insert(Arrival {
            stream,
            rest,
            principal,
            entry: login.map(|login| Box::new(Entry::by(*login))),
            peer,
            version,
            seat,
        }) {
            self.step(Input::Connected {
                connection,
                connect,
                assigned,
                badge,
                entrance,
            });
        }
    }

    fn keep_time(&mut self) {
        if self.now >= self.next_wall {
            self.tell_time();
        }
        if self
            .shard
            .next_deadline()
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.step(Input::Tick);
        }
        for connection in self.backlog.look(self.now, &mut self.connections, &self.outputs) {
            metrics::counter!("twinmq_receivers_given_up_total").increment(1);
            debug!(
                connection = connection.0,
                "a receiver has taken nothing for too long; its connection is closed"
            );
            self.lose(connection);
        }
    }

    fn tell_time(&mut self) {
        self.next_wall = self.now + WALL_INTERVAL;
        self.step(Input::Wall { now: Clock::wall() });
    }

    fn tell_of_room(&mut self) {
        let enough = self.house.journal.has_room();
        if self.has_room != enough {
            self.has_room = enough;
            self.step(Input::Room { enough });
        }
    }

    fn set_timer(&mut self) {
        let deadlines = [
            self.shard.next_deadline(),
            self.closing.next_deadline(),
            self.backlog.next_deadline(),
        ];
        let next = deadlines.into_iter().flatten().fold(self.next_wall, Moment::min);
        self.timer.set(next);
    }

    fn see_out(&mut self) {
        if !self.closing.is_empty() {
            self.closing
                .go_on(self.now, &mut Context::from_waker(&self.waker));
        }
    }

    fn answer_askers(&mut self) {
        for asker in mem::take(&mut self.askers) {
            // An error means that the asker has given up.
            let _gone = asker.send(self.count());
        }
    }

    fn count(&self) -> Tally {
        Tally {
            counters: self.shard.counters(),
            connections: self.connections.len() as u64,
            unsent_bytes: self.outputs.unsent_bytes() as u64,
            packets_sent: self.outputs.packets(),
            quiet: self.is_quiet(),
            ..self.tally
        }
    }

    fn is_quiet(&self) -> bool {
        let UnderWay {
            batches,
            recalls,
            questions,
        } = self.under_way;
        batches + recalls + questions == 0
            && self.connections.len() == 0
            && self.closing.is_empty()
            && self.post.is_empty()
            && self.outputs.duties.is_empty()
            && self.shard.is_idle()
    }
}

fn mailbox(house: &House, id: ShardId) -> &Mailbox {
    house
        .mailboxes
        .get(usize::from(id.0))
        .unwrap_or_else(|| unreachable!("every shard has a mailbox"))
}

fn badge(principal: &Principal) -> Badge {
    Badge {
        name: Arc::clone(&principal.name),
        device: principal.device.clone(),
    }
}
