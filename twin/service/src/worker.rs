//! Worker: one partition of the devices. Takes mail, changes twins in memory, hands rounds to the store, and says what
//! happened once the store has it.
//!
//! A round is committed without waiting for the one before; what it says waits for its own commit, so everything is
//! said in the order of the changes. Reads are said with the last round under way, because they may show its changes.
//! When a round fails, the partition takes nothing new until all rounds under way have ended, forgets what it has in
//! memory, and goes on from what the store has.

mod delivery;
mod deltas;
mod devices;
mod mailbox;
mod online;
mod requests;
mod round;
mod twins;
mod writes;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use plugin_api::{Answer, ClientId, LinkEvent, ReasonCode};
use store::{CommitError, Durability};
use twin_model::{DeviceName, Input, Moment, Output, Reconciler, StampClock, Timestamp};

use crate::cache::Cache;
use crate::keys::Meta;
use crate::shared::Shared;
use crate::{metrics, record};

use deltas::Deltas;
pub(crate) use deltas::partition_of;
pub(crate) use mailbox::{Mail, Mailbox};
use online::Online;
use round::{Outcome, Round};
pub(crate) use twins::{as_found, live};

/// How much mail one round takes.
const ROUND_MAIL_MAX: usize = 256;

/// How many bytes one round gathers before it is committed.
const ROUND_BYTES_MAX: usize = 512 << 10;

/// How many bytes may be under way to the store before a partition waits for it.
const UNDER_WAY_BYTES_MAX: usize = 4 << 20;

/// One partition.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    number: u16,
    twins: Cache,
    stamps: StampClock,
    reconciler: Reconciler,
    deltas: Deltas,
    online: HashMap<DeviceName, Online>,
    /// Twins that exist because of this partition, less those that are gone; part of the sum over all partitions.
    live: i64,
    /// Requests of a client that are not answered yet.
    under_way: HashMap<ClientId, usize>,
    /// Mail that was taken and not dealt with.
    mail: VecDeque<Mail>,
    /// The wall time of this round.
    now: Timestamp,
    round: Round,
    rounds: VecDeque<Round>,
    next_round: u64,
    committed: u64,
    is_failed: bool,
    is_stopping: bool,
    duties: Vec<Output>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, number: u16, stamps: StampClock, live: i64, seed: u64) -> Self {
        let settings = &shared.settings;
        Self {
            number,
            twins: Cache::new(settings.cache_bytes_max / usize::from(settings.partitions.max(1))),
            stamps,
            reconciler: Reconciler::new(settings.retry.clone(), seed),
            deltas: Deltas::new(number, settings.retry.cap),
            online: HashMap::new(),
            live,
            under_way: HashMap::new(),
            mail: VecDeque::new(),
            now: shared.clock.wall(),
            round: Round::default(),
            rounds: VecDeque::new(),
            next_round: 1,
            committed: 0,
            is_failed: false,
            is_stopping: false,
            duties: Vec::new(),
            shared,
        }
    }

    /// Works until told to stop, and then until everything under way is said.
    pub(crate) async fn run(mut self) {
        while !(self.is_stopping && self.mail.is_empty() && self.rounds.is_empty()) {
            let room = if self.is_full() || !self.mail.is_empty() {
                0
            } else {
                ROUND_MAIL_MAX
            };
            let (commits, mail) = self.mailbox().take(room);
            self.mail.extend(mail);
            if commits.is_empty() && !self.is_due() && (self.mail.is_empty() || self.is_full()) {
                self.wait().await;
                continue;
            }
            commits
                .into_iter()
                .for_each(|(number, result)| self.ended(number, result));
            self.say().await;
            self.recover();
            self.now = self.shared.clock.wall();
            self.work();
            if !self.is_failed {
                self.tick();
            }
            self.submit();
            self.say().await;
        }
    }

    /// Does what the mail says, until much waits for the store.
    fn work(&mut self) {
        while !self.is_full()
            && let Some(mail) = self.mail.pop_front()
        {
            self.take(mail);
            self.perform();
            if self.round.batch.len_bytes() > ROUND_BYTES_MAX {
                self.submit();
            }
        }
    }

    /// Whether nothing new is taken: after a failure, and while much waits for the store.
    fn is_full(&self) -> bool {
        self.is_failed || self.rounds.iter().map(|round| round.bytes).sum::<usize>() > UNDER_WAY_BYTES_MAX
    }

    /// Refuses a message that came too late; whoever asked by HTTP learns it from the dropped reply.
    fn turn_away(&self, mail: Mail) {
        if let (Mail::Event(LinkEvent::Message(delivery)), Some(broker)) = (mail, self.shared.broker.get()) {
            broker.answer(delivery.ticket, Answer::Refused(ReasonCode::ServerShuttingDown));
        }
    }

    fn mailbox(&self) -> &Mailbox {
        self.shared.mailbox(usize::from(self.number))
    }

    async fn wait(&self) {
        let due = self.next_deadline().filter(|_| !self.is_full());
        let rung = self.shared.mailbox(usize::from(self.number)).rung();
        match due {
            None => rung.await,
            Some(due) => tokio::select! {
                () = rung => {}
                () = self.shared.clock.reach(Duration::from_millis(due.millis())) => {}
            },
        }
    }

    fn next_deadline(&self) -> Option<Moment> {
        [self.reconciler.next_deadline(), self.deltas.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_due(&self) -> bool {
        !self.is_full() && self.next_deadline().is_some_and(|due| due <= self.moment())
    }

    fn moment(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.shared.clock.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::Event(event) => self.event(event),
            Mail::Ask(ask) => self.ask(ask),
            Mail::Stop => self.is_stopping = true,
        }
    }

    fn tick(&mut self) {
        let now = self.moment();
        while let Some(twin) = self.deltas.overdue(now) {
            self.reconcile(Input::Finished(twin));
        }
        self.reconcile(Input::Tick);
        self.perform();
    }

    /// Does what the reconciler has asked for, which may make it ask for more.
    fn perform(&mut self) {
        while !self.duties.is_empty() {
            for duty in std::mem::take(&mut self.duties) {
                match duty {
                    Output::SendDelta(id) => self.send_delta(&id),
                    Output::Stalled(id) => self.stalled(&id),
                }
            }
        }
    }

    /// Tells the reconciler; what it asks for is done when the matter at hand is.
    fn reconcile(&mut self, input: Input) {
        let now = self.moment();
        self.reconciler.step(now, input, &mut self.duties);
    }

    /// Hands the round to the store; one that only reads joins the last one under way.
    fn submit(&mut self) {
        self.twins.trim(self.committed);
        if self.round.is_empty() {
            return;
        }
        let mut round = std::mem::take(&mut self.round);
        if round.batch.is_empty() {
            match self.rounds.back_mut() {
                Some(last) => last.outcomes.append(&mut round.outcomes),
                None => self.rounds.push_back(Round {
                    result: Some(Ok(())),
                    number: self.committed,
                    ..round
                }),
            }
            return;
        }
        round.number = self.next_round;
        round.bytes = round.batch.len_bytes() + round.changes.iter().map(Vec::len).sum::<usize>();
        self.next_round += 1;
        let durability = self.shared.settings.durability;
        let durability = if round.touched.is_empty() {
            durability.min(Durability::Os)
        } else {
            durability
        };
        if let Some(mark) = self.stamps.mark().filter(|_| !round.touched.is_empty()) {
            round.batch.put(
                self.shared.spaces.meta,
                &Meta::Mark(self.number).key(),
                &record::to_bytes(&mark),
            );
        }
        let (number, partition, shared) = (round.number, usize::from(self.number), Arc::clone(&self.shared));
        self.shared.feed.commit(
            std::mem::take(&mut round.batch),
            &round.changes,
            durability,
            move |result| {
                shared.mailbox(partition).committed((number, result));
            },
        );
        round.changes = Vec::new();
        self.rounds.push_back(round);
    }

    /// Notes how a round ended.
    fn ended(&mut self, number: u64, result: Result<(), CommitError>) {
        if let Some(round) = self
            .rounds
            .iter_mut()
            .find(|round| round.number == number && round.result.is_none())
        {
            round.result = Some(result);
        }
    }

    /// Says what rounds that have ended stand for, in their order.
    async fn say(&mut self) {
        while self.rounds.front().is_some_and(|round| round.result.is_some()) {
            let Some(Round {
                number,
                result: Some(result),
                outcomes,
                presences,
                moves,
                ..
            }) = self.rounds.pop_front()
            else {
                return;
            };
            match &result {
                Ok(()) => {
                    self.committed = self.committed.max(number);
                    metrics::committed(self.shared.feed.committed());
                    presences
                        .iter()
                        .for_each(|device| self.shared.presences.settled(device));
                }
                Err(error) => {
                    // Not told of each: whoever has the store tells when this begins and ends.
                    if !matches!(error, CommitError::Full | CommitError::Failed(_)) {
                        tracing::error!(partition = self.number, %error, "twins could not be stored");
                    }
                    moves
                        .iter()
                        .for_each(|(before, after)| metrics::moved(*after, *before));
                    self.is_failed = true;
                }
            }
            for outcome in outcomes {
                self.answered(&outcome);
                outcome.tell(&self.shared, &result).await;
            }
        }
    }

    fn answered(&mut self, outcome: &Outcome) {
        let Some(asker) = outcome.asker.as_ref().filter(|asker| asker.is_counted) else {
            return;
        };
        if let Some(count) = self.under_way.get_mut(&asker.client_id) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&asker.client_id);
            }
        }
    }

    /// After a failure, once nothing is under way: goes on from what the store has.
    fn recover(&mut self) {
        if !self.is_failed || !self.rounds.is_empty() {
            return;
        }
        self.twins.clear();
        match live(&self.shared.store, self.shared.spaces, self.number) {
            Ok(live) => self.live = live,
            Err(error) => tracing::error!(%error, "the number of twins cannot be read; the gauge may be off"),
        }
        self.is_failed = false;
    }
}

impl Drop for Worker {
    /// However a partition ends, nobody waits for it any longer.
    fn drop(&mut self) {
        let unread = self.mailbox().close();
        for mail in std::mem::take(&mut self.mail).into_iter().chain(unread) {
            self.turn_away(mail);
        }
    }
}
