//! Stamp: which of two writes came later, also across brokers whose clocks disagree.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The identity of one broker among those that may ever write the same twins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

/// A hybrid logical clock reading. Stamps only order; what people are shown is the `Timestamp` beside them.
///
/// Compared by wall part, then counter, then node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Milliseconds; at or ahead of the clock of the node that made the stamp.
    pub wall_ms: u64,
    /// Tells apart what has the same wall part.
    pub counter: u32,
    /// Who made the stamp.
    pub node: NodeId,
}

/// Gives stamps for one node, each later than every one before, whatever the clock does.
///
/// Its mark belongs into the same batch as the write it stamped: restored after a restart, stamps keep growing
/// even when the clock went back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampClock {
    node: NodeId,
    mark: Option<Stamp>,
}

impl StampClock {
    /// A clock for this node that continues above `mark`, the last stamp it gave, if any.
    #[must_use]
    pub const fn new(node: NodeId, mark: Option<Stamp>) -> Self {
        Self { node, mark }
    }

    /// The last stamp given.
    #[must_use]
    pub const fn mark(&self) -> Option<Stamp> {
        self.mark
    }

    /// A stamp not before `now`, later than every stamp of this clock, and later than `above`.
    pub fn next(&mut self, now: Timestamp, above: Option<Stamp>) -> Stamp {
        let floor = self.mark.max(above);
        let (wall_ms, counter) = match floor {
            Some(floor) if floor.wall_ms >= now.millis() => match floor.counter.checked_add(1) {
                Some(counter) => (floor.wall_ms, counter),
                None => (floor.wall_ms.saturating_add(1), 0),
            },
            Some(_) | None => (now.millis(), 0),
        };
        let stamp = Stamp {
            wall_ms,
            counter,
            node: self.node,
        };
        self.mark = Some(stamp);
        stamp
    }
}
