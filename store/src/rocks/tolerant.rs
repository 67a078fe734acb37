//! Reading a keyspace that has damaged blocks: everything between them, and where they are.

use rocksdb::{ColumnFamily, DB, DBRawIterator, ReadOptions};

use super::after;

/// The most probes for the end of one damaged block; more would only find it more exactly.
const PROBES_MAX: usize = 2048;

/// A stretch of keys that cannot be read: from one key up to and without the next that can be read, if any can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: Vec<u8>,
    pub(super) to: Option<Vec<u8>>,
}

/// Walks from one key to another, both included, over everything that can be read.
pub(super) struct Tolerant<'a> {
    db: &'a DB,
    family: &'a ColumnFamily,
    end: Vec<u8>,
    entries: DBRawIterator<'a>,
    /// Damaged stretches passed so far.
    pub(super) gaps: Vec<Gap>,
}

impl<'a> Tolerant<'a> {
    pub(super) fn new(db: &'a DB, family: &'a ColumnFamily, from: &[u8], to: &[u8]) -> Self {
        let end = after(to);
        let entries = entries(db, family, &end);
        let mut walk = Self {
            db,
            family,
            end,
            entries,
            gaps: Vec::new(),
        };
        walk.entries.seek(from);
        walk.pass_damage(from);
        walk
    }

    /// The key and value it stands on; none at the end.
    pub(super) fn item(&self) -> Option<(&[u8], &[u8])> {
        self.entries.item()
    }

    pub(super) fn next(&mut self) {
        let Some(key) = self.entries.key().map(<[u8]>::to_vec) else {
            return;
        };
        self.entries.next();
        self.pass_damage(&after(&key));
    }

    /// If reading failed at `failed`, goes to the next key that can be read.
    fn pass_damage(&mut self, failed: &[u8]) {
        let mut failed = failed.to_vec();
        while self.entries.status().is_err() {
            let Some(resume) = self.first_readable(&failed) else {
                self.gaps.push(Gap {
                    from: failed,
                    to: None,
                });
                // Nothing up to the end can be read; at the end there is nothing.
                self.entries = entries(self.db, self.family, &[]);
                return;
            };
            self.entries = entries(self.db, self.family, &self.end);
            self.entries.seek(&resume);
            let to = self.entries.key().map(<[u8]>::to_vec);
            self.gaps.push(Gap { from: failed, to });
            failed = resume;
        }
    }

    /// The smallest key, nearly, from which reading works again. A block's end is not told by the engine, so it is
    /// looked for: first in growing steps, then by halving the last step.
    fn first_readable(&self, failed: &[u8]) -> Option<Vec<u8>> {
        let mut low = failed.to_vec();
        let mut high = None;
        for step in steps(failed).chain([self.end.clone()]) {
            if step > self.end {
                continue;
            }
            if self.works_from(&step) {
                high = Some(step);
                break;
            }
            low = step;
        }
        let mut high = high.filter(|high| *high < self.end || self.works_from(high))?;
        for _ in 0..PROBES_MAX {
            let Some(middle) = between(&low, &high) else { break };
            if self.works_from(&middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }

    fn works_from(&self, key: &[u8]) -> bool {
        let mut probe = entries(self.db, self.family, &self.end);
        probe.seek(key);
        probe.status().is_ok()
    }
}

fn entries<'a>(db: &'a DB, family: &ColumnFamily, end: &[u8]) -> DBRawIterator<'a> {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(end);
    options.fill_cache(false);
    db.raw_iterator_cf_opt(family, options)
}

/// Keys further and further away: the smallest that is greater than all with the same first n bytes, for every n.
fn steps(key: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (1..=key.len()).rev().filter_map(|length| {
        let (head, _) = key.split_at(length);
        let (last, rest) = head.split_last()?;
        let last = last.checked_add(1)?;
        Some([rest, &[last]].concat())
    })
}

/// A key halfway between two, as if they were digits behind a point. None if there is nothing between.
fn between(low: &[u8], high: &[u8]) -> Option<Vec<u8>> {
    let digits = low.len().max(high.len()) + 1;
    let digit = |key: &[u8], at| u32::from(key.get(at).copied().unwrap_or(0));
    let mut sum: Vec<u32> = (0..digits).map(|at| digit(low, at) + digit(high, at)).collect();
    let mut carry = 0;
    for place in sum.iter_mut().rev() {
        let total = *place + carry;
        (*place, carry) = (total & 0xff, total >> 8);
    }
    let mut middle = Vec::with_capacity(digits);
    for place in sum {
        let whole = (carry << 8) | place;
        middle.push((whole / 2) as u8);
        carry = whole % 2;
    }
    // Three more digits than the keys have are exact enough, and keep the numbers from growing with every step.
    while middle.last() == Some(&0) {
        middle.pop();
    }
    (middle.as_slice() > low && middle.as_slice() < high && middle.len() <= digits).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_ends_at_every_key() {
        let cases: [(&[u8], &[u8]); 4] = [
            (b"a", b"b"),
            (b"", b"\xff\xff"),
            (b"key-001", b"key-9"),
            (b"a\0", b"a\0\x01"),
        ];
        for (low, high) in cases {
            for target in [low.to_vec(), [low, b"\x01"].concat(), [low, b"zz"].concat()] {
                let (mut low, mut high) = (low.to_vec(), high.to_vec());
                let mut rounds = 0;
                while let Some(middle) = between(&low, &high).filter(|_| rounds < PROBES_MAX) {
                    assert!(low < middle && middle < high);
                    if middle > target {
                        high = middle
                    } else {
                        low = middle
                    }
                    rounds += 1;
                }
            }
        }
    }

    #[test]
    fn steps_grow() {
        let steps: Vec<_> = steps(b"a\xffc").collect();
        assert_eq!(steps, [b"a\xffd".to_vec(), b"b".to_vec()]);
    }
}
