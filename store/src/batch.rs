//! A batch: changes to any number of keyspaces that happen together or not at all.
//!
//! The bytes are RocksDB's own write batch records (they are also what stands in its write-ahead log), so that
//! joining batches and handing them to the engine is copying:
//!
//! ```text
//! record := tag (1 byte), column family (varint), key, second
//!    tag := 5 put (second: value) | 4 delete (no second) | 14 delete range (key: from, second: to)
//!    key, second := length (varint), bytes
//! ```

use crate::keyspace::KeyspaceId;

const PUT: u8 = 5;
const DELETE: u8 = 4;
const DELETE_RANGE: u8 = 14;

/// Changes that happen together or not at all. Later changes win over earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    records: Vec<u8>,
    highest: Option<KeyspaceId>,
    deletes: bool,
    deletes_ranges: bool,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    pub fn put(&mut self, keyspace: KeyspaceId, key: &[u8], value: &[u8]) {
        self.records.reserve(key.len() + value.len() + 12);
        self.begin(PUT, keyspace, key);
        push_bytes(&mut self.records, value);
    }

    /// Removes a key; one that does not exist stays so.
    pub fn delete(&mut self, keyspace: KeyspaceId, key: &[u8]) {
        self.begin(DELETE, keyspace, key);
    }

    /// Removes the keys from `from` up to and without `to`.
    pub fn delete_range(&mut self, keyspace: KeyspaceId, from: &[u8], to: &[u8]) {
        if from < to {
            self.begin(DELETE_RANGE, keyspace, from);
            push_bytes(&mut self.records, to);
        }
    }

    /// Adds the changes of another batch behind the own ones.
    pub fn append(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        self.records.extend_from_slice(&other.records);
        self.highest = self.highest.max(other.highest);
        self.deletes |= other.deletes;
        self.deletes_ranges |= other.deletes_ranges;
    }

    /// Bytes this batch adds to the write-ahead log.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.records.len()
    }

    /// True if nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The keyspace with the highest index.
    pub(crate) fn highest(&self) -> Option<KeyspaceId> {
        self.highest
    }

    /// Whether anything is removed.
    pub(crate) fn deletes(&self) -> bool {
        self.deletes
    }

    /// Whether a range is removed.
    pub(crate) fn deletes_ranges(&self) -> bool {
        self.deletes_ranges
    }

    pub(crate) fn as_records(&self) -> &[u8] {
        &self.records
    }

    fn begin(&mut self, tag: u8, keyspace: KeyspaceId, key: &[u8]) {
        self.records.push(tag);
        self.records.push(keyspace.byte());
        push_bytes(&mut self.records, key);
        self.highest = self.highest.max(Some(keyspace));
        self.deletes |= tag != PUT;
        self.deletes_ranges |= tag == DELETE_RANGE;
    }
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Put(&'a [u8], &'a [u8]),
    Delete(&'a [u8]),
    DeleteRange(&'a [u8], &'a [u8]),
}

/// A change with the number of the map it is for: a keyspace's index in a batch, a column family's id in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) map: u32,
    pub(crate) change: Change<'a>,
}

/// Walks records; ends early, with `malformed` set, where bytes are no record.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    pub(crate) malformed: bool,
}

impl<'a> Records<'a> {
    pub(crate) fn new(records: &'a [u8]) -> Self {
        Self {
            rest: records,
            malformed: false,
        }
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let (&tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        let map = u32::try_from(self.varint()?).ok()?;
        let key = self.bytes()?;
        let change = match tag {
            PUT => Change::Put(key, self.bytes()?),
            DELETE => Change::Delete(key),
            DELETE_RANGE => Change::DeleteRange(key, self.bytes()?),
            _ => return None,
        };
        Some(Record { map, change })
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() || self.malformed {
            return None;
        }
        let record = self.record();
        self.malformed = record.is_none();
        record
    }
}

/// Appends a record whose map is a column family's id.
pub(crate) fn push_record(to: &mut Vec<u8>, record: Record<'_>) {
    let (tag, key, second) = match record.change {
        Change::Put(key, value) => (PUT, key, Some(value)),
        Change::Delete(key) => (DELETE, key, None),
        Change::DeleteRange(from, end) => (DELETE_RANGE, from, Some(end)),
    };
    to.push(tag);
    push_varint(to, u64::from(record.map));
    push_bytes(to, key);
    if let Some(second) = second {
        push_bytes(to, second);
    }
}

pub(crate) fn push_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn push_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    push_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: KeyspaceId = KeyspaceId::at(0);
    const SECOND: KeyspaceId = KeyspaceId::at(1);

    fn changes(batch: &Batch) -> Vec<(u32, Change<'_>)> {
        Records::new(batch.as_records())
            .map(|record| (record.map, record.change))
            .collect()
    }

    #[test]
    fn what_is_put_in_comes_out_in_order() {
        let long = vec![7; 300];
        let mut batch = Batch::new();
        batch.put(FIRST, b"key", &long);
        batch.delete(SECOND, b"");
        batch.delete_range(FIRST, b"a", b"b");
        assert_eq!(
            changes(&batch),
            [
                (0, Change::Put(b"key", &long)),
                (1, Change::Delete(b"")),
                (0, Change::DeleteRange(b"a", b"b"))
            ]
        );
        assert_eq!(batch.highest(), Some(SECOND));
        assert!(batch.deletes() && batch.deletes_ranges());
    }

    #[test]
    fn an_empty_range_is_no_change() {
        let mut batch = Batch::new();
        batch.delete_range(FIRST, b"b", b"b");
        batch.delete_range(FIRST, b"c", b"b");
        assert!(batch.is_empty());
    }

    #[test]
    fn append_keeps_both_in_order() {
        let (mut first, mut second) = (Batch::new(), Batch::new());
        first.append(Batch::new());
        first.put(FIRST, b"a", b"1");
        second.delete(SECOND, b"a");
        first.append(second);
        assert_eq!(
            changes(&first),
            [(0, Change::Put(b"a", b"1")), (1, Change::Delete(b"a"))]
        );
        assert_eq!(first.highest(), Some(SECOND));
        assert!(first.deletes() && !first.deletes_ranges());
    }

    #[test]
    fn bytes_that_are_no_record_end_the_walk() {
        let mut batch = Batch::new();
        batch.put(FIRST, b"key", b"value");
        for cut in 1..batch.len_bytes() {
            let mut records = Records::new(batch.as_records().split_at(cut).0);
            assert_eq!(records.next(), None, "cut at {cut}");
            assert!(records.malformed);
        }
    }
}
