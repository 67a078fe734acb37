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

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use plugin_api::{Answer, Broker, ClientId, LinkEvent, LinkPublish, ReasonCode};
use store::{CommitError, Durability, Store};
use tokio::sync::watch;
use twin_model::{
    DeviceName, Event, Input, Moment, Output, Reconciler, StampClock, SyncStatus, Timestamp, Twin, TwinId,
};

use crate::ask::Failure;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::feed::Feed;
use crate::keys::{self, Meta, Spaces};
use crate::presence::Presences;
use crate::settings::Settings;
use crate::{metrics, record};

use deltas::Deltas;
pub(crate) use deltas::partition_of;
pub(crate) use mailbox::{Mail, Mailbox};
use online::Online;
use round::{Outcome, Round};

/// How long a broker may take for messages once the service stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How much mail one round takes.
const ROUND_MAIL_MAX: usize = 256;

/// How many bytes one round gathers before it is committed.
const ROUND_BYTES_MAX: usize = 512 << 10;

/// How many bytes may be under way to the store before a partition waits for it.
const UNDER_WAY_BYTES_MAX: usize = 4 << 20;

/// What all partitions and HTTP share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    pub(crate) spaces: Spaces,
    pub(crate) feed: Arc<Feed>,
    pub(crate) presences: Presences,
    pub(crate) broker: OnceLock<Arc<dyn Broker>>,
    /// One for each partition.
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) started: Timestamp,
    pub(crate) stage: watch::Sender<Stage>,
}

/// How far the service is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Serving,
    /// Streams of changes end, all else goes on.
    EndingStreams,
    /// The partitions finish what they have.
    Stopping,
}

impl Shared {
    /// Moves towards the end, never back.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.send_modify(|now| *now = stage.max(*now));
    }

    /// Publishes in the order of this device. A broker that has gone may never take the messages, so a service that
    /// stops does not wait for it for long.
    async fn publish(&self, broker: &Arc<dyn Broker>, device: &str, messages: Vec<LinkPublish>) {
        let mut stage = self.stage.subscribe();
        let given_up = async {
            // The sender lives as long as `self`, so this only ends by the stage.
            drop(stage.wait_for(|stage| *stage == Stage::Stopping).await);
            self.clock.reach(self.clock.elapsed() + LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            () = broker.publish(device, messages) => {}
            () = given_up => tracing::warn!(device, "the broker takes no more messages; a twin's are not published"),
        }
    }
}

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
        mailbox(&self.shared, usize::from(self.number))
    }

    async fn wait(&self) {
        let due = self.next_deadline().filter(|_| !self.is_full());
        let rung = mailbox(&self.shared, usize::from(self.number)).rung();
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

    /// The twin as it is in memory, which may be ahead of the store by the rounds under way.
    fn twin(&mut self, id: &TwinId) -> Result<Arc<Twin>, Failure> {
        if let Some(twin) = self.twins.get(id) {
            return Ok(twin);
        }
        let Some(bytes) = self.shared.store.get(self.shared.spaces.state, &keys::twin(id))? else {
            return Ok(Arc::new(Twin::never(id.clone())));
        };
        let twin = record::to_twin(id.clone(), &bytes).map_err(|damaged| Failure::Damaged {
            id: id.clone(),
            problem: damaged.to_string(),
        })?;
        let twin = Arc::new(as_found(
            twin,
            self.online.contains_key(&id.device),
            self.shared.started,
        ));
        self.twins.put(Arc::clone(&twin), bytes.len(), 0);
        Ok(twin)
    }

    /// Puts a changed twin, its pending entry and everything counted into the round.
    fn keep(&mut self, before: &Twin, after: Twin) -> Arc<Twin> {
        let (spaces, key, record) = (
            self.shared.spaces,
            keys::twin(after.id()),
            record::of_twin(&after),
        );
        let batch = &mut self.round.batch;
        batch.put(spaces.state, &key, &record);
        match (status(before), status(&after)) {
            (
                _,
                Some(
                    now @ (SyncStatus::Pending
                    | SyncStatus::Offline
                    | SyncStatus::Rejected
                    | SyncStatus::Stalled),
                ),
            ) => {
                batch.put(spaces.pending, &key, now.as_str().as_bytes());
            }
            (None | Some(SyncStatus::InSync), None | Some(SyncStatus::InSync)) => {}
            (Some(_), None | Some(SyncStatus::InSync)) => batch.delete(spaces.pending, &key),
        }
        let born = i64::from(after.exists()) - i64::from(before.exists());
        if born != 0 {
            self.live += born;
            batch.put(
                spaces.meta,
                &Meta::Live(self.number).key(),
                &record::to_bytes(&self.live),
            );
        }
        let moved = (status(before), status(&after));
        if moved.0 != moved.1 {
            metrics::moved(moved.0, moved.1);
            self.round.moves.push(moved);
        }
        self.round.touched.push(after.id().clone());
        let after = Arc::new(after);
        self.twins.put(Arc::clone(&after), record.len(), self.next_round);
        after
    }

    /// Notes a sync status that changed without a write.
    fn settle(&mut self, before: &Twin, reach: twin_model::Reach) {
        let mut after = before.clone();
        let Some(Event::SyncChanged { to, .. }) = after.settle(self.now, reach) else {
            return;
        };
        self.keep(before, after);
        self.round
            .changes
            .push(crate::change::of_sync(before.id(), to, self.now));
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
                mailbox(&shared, partition).committed((number, result));
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
                    tracing::error!(partition = self.number, %error, "twins could not be stored");
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

/// The mailbox of a partition. The number is taken modulo their count, so there always is one.
pub(crate) fn mailbox(shared: &Shared, partition: usize) -> &Mailbox {
    let count = shared.mailboxes.len().max(1);
    shared
        .mailboxes
        .get(partition % count)
        .expect("a service has at least one partition")
}

/// The number of twins that a partition has added to the sum.
pub(crate) fn live(store: &Store, spaces: Spaces, partition: u16) -> Result<i64, store::ReadError> {
    let bytes = store.get(spaces.meta, &Meta::Live(partition).key())?;
    Ok(bytes
        .and_then(|bytes| record::from_bytes(&bytes).ok())
        .unwrap_or(0))
}

/// The sync status of a twin that is there.
fn status(twin: &Twin) -> Option<SyncStatus> {
    twin.exists().then(|| twin.sync().status)
}

/// A twin as read from its record. What an earlier run of the broker said of a device that was connected then does
/// not hold any more.
pub(crate) fn as_found(mut twin: Twin, is_online: bool, started: Timestamp) -> Twin {
    if !is_online && matches!(twin.sync().status, SyncStatus::Pending | SyncStatus::Stalled) {
        twin.settle(started, twin_model::Reach::Offline);
    }
    twin
}
