//! The group of a shared subscription: its members, whose turn it is, and what is under way at whom.
//!
//! A message belongs to the group until a member is done with it. What a member gives back is handed out again before
//! anything that waits behind it.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use mqtt_wire::{ClientId, QoS, RetainHandling, TopicFilter};

use crate::{ShardId, message::Message, record::Waiting, session::Entry, subscription::Options};

/// How a group chooses the member that gets a message. Only members that are connected are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SharedStrategy {
    /// One after the other; who has as much unacknowledged as it may is passed over.
    #[default]
    RoundRobin,
    /// Any that has room.
    Random,
    /// Always the same, until it leaves; while it has no room the group waits.
    Sticky,
    /// The one with the fewest messages unacknowledged.
    LeastInflight,
    /// The same for all messages of one publisher; while it has no room the group waits. A message that was read back
    /// from disk is chosen for by its topic.
    HashClient,
    /// The same for all messages on one topic; while it has no room the group waits.
    HashTopic,
}

/// Bytes under way at one member beyond which it gets nothing more above `QoS` 0.
const MEMBER_BYTES_MAX: u64 = 256 * 1024;

/// What client ids may not begin with: groups are found among the sessions by names that do.
const GROUP_PREFIX: &str = "$share/";

/// Whether a client id could be taken for a shared subscription's group, so that no client may have it.
#[must_use]
pub fn is_group_id(client_id: &str) -> bool {
    client_id.starts_with(GROUP_PREFIX)
}

/// Names a message that a group has handed to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Where the group lives.
    pub(crate) home: ShardId,
    /// The group's number among the sessions.
    pub(crate) group: u64,
    pub(crate) number: u64,
    /// Where the message stands on disk under the group, if it does.
    pub(crate) seq: Option<u64>,
    /// The stored body it refers to.
    pub(crate) body: Option<u64>,
}

/// What became of a message that a group had handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The member is done with it.
    Done,
    /// It is the member's own now, and so is its reference to a stored body.
    Taken,
    /// It is the group's again, and stands on disk where it stood. The member's client was sent it.
    Returned,
    /// The same, and the client was not.
    Unsent,
}

/// A message on its way from a group to a member.
#[derive(Debug)]
pub(crate) struct Handout {
    /// The number of the member's session.
    pub(crate) member: u64,
    /// The shared filter.
    pub(crate) filter: TopicFilter,
    /// What the group wants an answer for. `None` at `QoS` 0.
    pub(crate) share: Option<Share>,
    pub(crate) waiting: Waiting,
    pub(crate) message: Arc<Message>,
    pub(crate) dup: bool,
}

/// What a member's home tells the group's home of a member, new or known.
#[derive(Debug)]
pub(crate) struct Join {
    /// The shared filter.
    pub(crate) filter: TopicFilter,
    /// The number of the member's session.
    pub(crate) member: u64,
    pub(crate) qos: QoS,
    /// Whether its session outlives its connection.
    pub(crate) durable: bool,
    /// How many messages above `QoS` 0 its client takes at once; `None` while it is not connected.
    pub(crate) window: Option<u16>,
    /// Under which number it wants to be told that the subscription is live on every shard.
    pub(crate) answer: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) home: ShardId,
    pub(crate) qos: QoS,
    pub(crate) durable: bool,
    pub(crate) window: Option<u16>,
    under_way: usize,
    under_way_bytes: u64,
}

impl Member {
    pub(crate) const fn new(home: ShardId, qos: QoS, durable: bool, window: Option<u16>) -> Self {
        Self {
            home,
            qos,
            durable,
            window,
            under_way: 0,
            under_way_bytes: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.window
            .is_some_and(|window| self.under_way < usize::from(window))
            && self.under_way_bytes < MEMBER_BYTES_MAX
    }
}

/// A message that is with a member, or came back from it.
#[derive(Debug)]
struct Handed {
    /// The member that has it, or had it last.
    member: u64,
    /// The member whose client was sent it last.
    sent_to: Option<u64>,
    entry: Entry,
}

/// What a message is chosen for by: hashes of its publisher and its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    /// 0 if it is not known.
    pub(crate) publisher: u32,
    pub(crate) topic: &'a str,
}

/// A shared subscription's group. Part of the pseudo-session that its messages wait in.
#[derive(Debug)]
pub(crate) struct Group {
    /// The shared filter.
    pub(crate) filter: TopicFilter,
    /// What it subscribes to.
    pub(crate) topics: TopicFilter,
    /// By the numbers of their sessions.
    members: BTreeMap<u64, Member>,
    connected: usize,
    /// The member that was chosen last.
    last: u64,
    draws: u64,
    last_number: u64,
    /// By numbers that grow in the order of the queue; a message keeps its number when it comes back.
    under_way: BTreeMap<u64, Handed>,
    returned: BTreeMap<u64, Handed>,
    /// What other shards were told it wants.
    pub(crate) subscribed: Option<(QoS, bool)>,
    /// Whether its record is on its way to disk.
    pub(crate) founding: bool,
    /// Who wants to be told when the subscription is live.
    pub(crate) joining: Vec<(ShardId, u64)>,
    /// Whether it is noted that something can be handed out.
    pub(crate) due: bool,
}

impl Group {
    /// An empty group. `None` if the filter is not shared.
    pub(crate) fn of(filter: &TopicFilter) -> Option<Self> {
        let topics = TopicFilter::parse(filter.shared()?.filter).ok()?;
        Some(Self {
            filter: filter.clone(),
            topics,
            members: BTreeMap::new(),
            connected: 0,
            last: 0,
            draws: 0,
            last_number: 0,
            under_way: BTreeMap::new(),
            returned: BTreeMap::new(),
            subscribed: None,
            founding: false,
            joining: Vec::new(),
            due: false,
        })
    }

    /// The name it has among the sessions.
    pub(crate) fn client_id(filter: &TopicFilter) -> Option<ClientId> {
        ClientId::parse(filter.as_str()).ok()
    }

    /// Notes a member as it is now.
    pub(crate) fn join(&mut self, number: u64, mut member: Member) {
        let with_it = || self.under_way.values().filter(|handed| handed.member == number);
        match self.members.get(&number) {
            Some(known) => {
                (member.under_way, member.under_way_bytes) = (known.under_way, known.under_way_bytes);
            }
            None => {
                member.under_way = with_it().count();
                member.under_way_bytes = with_it().map(|handed| bytes_of(&handed.entry)).sum();
            }
        }
        self.connected += usize::from(member.window.is_some());
        let known = self.members.insert(number, member);
        self.connected -= usize::from(known.is_some_and(|known| known.window.is_some()));
    }

    pub(crate) fn leave(&mut self, number: u64) {
        let left = self.members.remove(&number);
        self.connected -= usize::from(left.is_some_and(|left| left.window.is_some()));
    }

    pub(crate) fn home_of(&self, member: u64) -> Option<ShardId> {
        self.members.get(&member).map(|member| member.home)
    }

    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether a member is connected.
    pub(crate) const fn is_connected(&self) -> bool {
        self.connected > 0
    }

    /// Whether a message is with a member or left with one that is gone.
    pub(crate) fn has_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether it has to outlive this process.
    pub(crate) fn wants_durable(&self) -> bool {
        self.members.values().any(|member| member.durable)
    }

    /// What it asks for with its own subscription: as much as the member that was granted most.
    pub(crate) fn options(&self) -> Option<Options> {
        let qos = self.members.values().map(|member| member.qos).max()?;
        Some(Options {
            qos,
            no_local: false,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
            subscription_id: None,
            retained_due: false,
        })
    }

    /// Chooses the connected member that gets a message. `None` if it has to wait, as only one above `QoS` 0 does.
    pub(crate) fn choose(
        &mut self,
        strategy: SharedStrategy,
        origin: Origin<'_>,
        needs_room: bool,
    ) -> Option<u64> {
        let fits =
            |(_, member): &(&u64, &Member)| member.window.is_some() && (!needs_room || member.has_room());
        let is_connected = |(_, member): &(&u64, &Member)| member.window.is_some();
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let mut in_turn = self.members.range(after).chain(self.members.range(..=self.last));
        let chosen = match strategy {
            SharedStrategy::RoundRobin => in_turn.find(fits),
            SharedStrategy::Random => {
                let count = self.members.iter().filter(fits).count() as u64;
                self.draws += 1;
                let at = mix(self.draws ^ hash(self.filter.as_str())).checked_rem(count)?;
                self.members.iter().filter(fits).nth(at as usize)
            }
            SharedStrategy::Sticky => {
                let stays = self.members.get_key_value(&self.last).filter(is_connected);
                stays.or_else(|| in_turn.find(is_connected)).filter(fits)
            }
            SharedStrategy::LeastInflight => in_turn.filter(fits).min_by_key(|(_, member)| member.under_way),
            SharedStrategy::HashClient | SharedStrategy::HashTopic => {
                let by_client = strategy == SharedStrategy::HashClient && origin.publisher != 0;
                let key = if by_client {
                    u64::from(origin.publisher)
                } else {
                    hash(origin.topic)
                };
                // The highest of a number for each: when a member goes, only what was its own goes to others.
                let connected = self.members.iter().filter(is_connected);
                connected
                    .max_by_key(|(number, _)| mix(key ^ mix(**number)))
                    .filter(fits)
            }
        };
        let number = *chosen?.0;
        self.last = number;
        Some(number)
    }

    /// The first message that came back.
    pub(crate) fn first_returned(&self) -> Option<&Entry> {
        self.returned.first_key_value().map(|(_, handed)| &handed.entry)
    }

    pub(crate) fn has_returned(&self) -> bool {
        !self.returned.is_empty()
    }

    /// Takes out the first message that came back: its number, itself, and whose client was sent it last.
    pub(crate) fn pop_returned(&mut self) -> Option<(u64, Entry, Option<u64>)> {
        let (number, Handed { sent_to, entry, .. }) = self.returned.pop_first()?;
        Some((number, entry, sent_to))
    }

    /// The number of a message that is handed out for the first time.
    pub(crate) const fn take_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A message is with a member from now on.
    pub(crate) fn hand(&mut self, number: u64, member: u64, sent_to: Option<u64>, entry: Entry) {
        if let Some(member) = self.members.get_mut(&member) {
            member.under_way += 1;
            member.under_way_bytes += bytes_of(&entry);
        }
        let handed = Handed {
            member,
            sent_to,
            entry,
        };
        self.under_way.insert(number, handed);
    }

    /// A member has answered for a message: it is over, or the group's again. Answers where it stands on disk and what
    /// body it refers to, if the message was not answered for before.
    pub(crate) fn answered(&mut self, number: u64, fate: Fate) -> Option<(Option<u64>, Option<u64>)> {
        let mut handed = self.under_way.remove(&number)?;
        if let Some(member) = self.members.get_mut(&handed.member) {
            member.under_way = member.under_way.saturating_sub(1);
            member.under_way_bytes = member.under_way_bytes.saturating_sub(bytes_of(&handed.entry));
        }
        let stands = (handed.entry.seq, handed.entry.waiting.body);
        match fate {
            Fate::Done | Fate::Taken => {}
            Fate::Returned => {
                handed.sent_to = Some(handed.member);
                self.returned.insert(number, handed);
            }
            Fate::Unsent => {
                self.returned.insert(number, handed);
            }
        }
        Some(stands)
    }

    /// A message that came back.
    pub(crate) fn returned(&self) -> impl Iterator<Item = &Entry> {
        self.returned.values().map(|handed| &handed.entry)
    }

    /// Where the first of its messages stands on disk that is neither waiting in the queue nor over.
    pub(crate) fn first_seq(&self) -> Option<u64> {
        // Both are in the order of the queue.
        let under_way = self.under_way.values().find_map(|handed| handed.entry.seq);
        let returned = self.returned.values().find_map(|handed| handed.entry.seq);
        under_way.into_iter().chain(returned).min()
    }
}

fn bytes_of(entry: &Entry) -> u64 {
    entry.message.len_bytes() as u64
}

/// FNV-1a: spreads names well enough once it is mixed.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A publisher's client id, for [`Origin`]. Never 0.
pub(crate) fn publisher_hash(client_id: &ClientId) -> u32 {
    ((mix(hash(client_id.as_str())) >> 32) as u32).max(1)
}

/// The finish of splitmix64: every bit of the result depends on every bit of `x`.
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
