//! A disk in memory: what was committed, shelf by shelf.

use std::{collections::BTreeMap, convert::Infallible, ops::Bound};

use crate::{Batch, Op, Shelf, Shelves, Visit};

/// Shelves in memory.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    shelves: BTreeMap<Shelf, BTreeMap<Vec<u8>, Vec<u8>>>,
    ranges_removed: usize,
}

impl Disk {
    /// Commits a batch.
    pub fn write(&mut self, batch: &Batch) {
        for op in batch.ops() {
            match op {
                Op::Put { shelf, key, value } => {
                    self.shelves
                        .entry(shelf)
                        .or_default()
                        .insert(key.to_vec(), value.to_vec());
                }
                Op::Delete { shelf, key } => {
                    self.shelves.entry(shelf).or_default().remove(key);
                }
                Op::DeleteRange { shelf, from, to } => {
                    self.ranges_removed += 1;
                    self.shelves
                        .entry(shelf)
                        .or_default()
                        .retain(|key, _| !(from <= key.as_slice() && key.as_slice() < to));
                }
            }
        }
    }

    /// How many keys a shelf has.
    #[must_use]
    pub fn len(&self, shelf: Shelf) -> usize {
        self.shelves.get(&shelf).map_or(0, BTreeMap::len)
    }

    /// How many bytes the values of a shelf have.
    #[must_use]
    pub fn bytes(&self, shelf: Shelf) -> usize {
        let values = self.shelves.get(&shelf).into_iter().flat_map(BTreeMap::values);
        values.map(Vec::len).sum()
    }

    /// How many ranges were removed, with something in them or not.
    #[must_use]
    pub const fn ranges_removed(&self) -> usize {
        self.ranges_removed
    }

    /// Whether nothing at all is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shelves.values().all(BTreeMap::is_empty)
    }

    /// The values of a shelf, to damage them.
    pub fn values_mut(&mut self, shelf: Shelf) -> impl Iterator<Item = &mut Vec<u8>> {
        self.shelves.entry(shelf).or_default().values_mut()
    }
}

impl Shelves for Disk {
    type Error = Infallible;

    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.shelves.get(&shelf).and_then(|keys| keys.get(key)).cloned())
    }

    fn scan(
        &self,
        shelf: Shelf,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Infallible> {
        let Some(keys) = self.shelves.get(&shelf) else {
            return Ok(());
        };
        let to = to.map_or(Bound::Unbounded, |to| Bound::Excluded(to.to_vec()));
        if matches!(&to, Bound::Excluded(to) if to.as_slice() <= from) {
            return Ok(());
        }
        for (key, value) in keys.range((Bound::Included(from.to_vec()), to)) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Shelves that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable;

impl Shelves for Unreadable {
    type Error = &'static str;

    fn get(&self, _: Shelf, _: &[u8]) -> Result<Option<Vec<u8>>, Self::Error> {
        Err("cannot be read")
    }

    fn scan(&self, _: Shelf, _: &[u8], _: Option<&[u8]>, _: &mut Visit<'_>) -> Result<(), Self::Error> {
        Err("cannot be read")
    }
}
