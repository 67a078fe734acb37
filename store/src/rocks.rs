//! The engine over RocksDB: one column family per keyspace, one write batch per group.

pub(crate) mod crc32c;
pub(crate) mod files;
mod log;
mod manifest;
mod open;
mod options;
mod ranges;
mod rebuild;
mod salvage;
mod seal;
mod sweep;
mod tolerant;
mod verify;
mod wal;

use std::fs::File;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use rocksdb::properties::{self, PropName};
use rocksdb::{ColumnFamily, DB, DBRawIterator, Error, ErrorKind, ReadOptions, WriteBatch, WriteOptions};

use crate::batch::{Batch, Change, Record, Records, push_record};
use crate::engine::{Direction, Engine, EngineMemory, KeyRange, View, Visit};
use crate::error::{CommitError, OpenError, ReadError};
use crate::keyspace::{Keyspace, KeyspaceId, Tuning};
use crate::options::Options;
use crate::quarantine::{Quarantine, SetAside};
use ranges::Fresh;

/// Where the engine's files are, in the data folder.
pub(crate) const FOLDER: &str = "db";

pub(crate) struct Rocks {
    // The order of the fields is the order of their end: verifier and sweeper use the database, the lock covers it.
    verifier: Option<verify::Verifier>,
    sweeper: sweep::Sweeper,
    database: Arc<Database>,
    _lock: File,
}

/// An open database and what is known about it.
struct Database {
    db: DB,
    spaces: Vec<Space>,
    quarantine: Quarantine,
    suspect: seal::Suspect,
}

/// A keyspace as the engine knows it.
struct Space {
    name: &'static str,
    /// Its number in the engine's logs.
    family: u32,
    tuning: Tuning,
}

impl Rocks {
    pub(crate) fn open(path: &Path, options: &Options, keyspaces: &[Keyspace]) -> Result<Self, OpenError> {
        let (database, lock, verified) = open::open(path, options, keyspaces)?;
        let database = Arc::new(database);
        let verifier = if verified {
            None
        } else {
            Some(verify::Verifier::start(&database).map_err(OpenError::io(path))?)
        };
        Ok(Self {
            verifier,
            sweeper: sweep::Sweeper::new(&database),
            database,
            _lock: lock,
        })
    }
}

impl Drop for Rocks {
    fn drop(&mut self) {
        drop(self.verifier.take());
    }
}

impl View for Rocks {
    fn read(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.database.read(keyspace, key, &ReadOptions::default())
    }

    fn walk(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange<'_>,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        self.database
            .walk(keyspace, range, direction, visit, ReadOptions::default())
    }
}

impl Engine for Rocks {
    fn write(&self, group: &[&Batch], sync: bool) -> Result<(), CommitError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        let batch = WriteBatch::from_data(&self.database.encode(group));
        self.database
            .db
            .write_opt(batch, &options)
            .map_err(|error| self.database.write_failed(error))
    }

    fn sync(&self) -> Result<(), CommitError> {
        self.database
            .db
            .flush_wal(true)
            .map_err(|error| self.database.write_failed(error))
    }

    fn freeze(&self) -> Box<dyn View + '_> {
        Box::new(Frozen {
            database: &self.database,
            snapshot: self.database.db.snapshot(),
        })
    }

    fn free_bytes(&self) -> Option<u64> {
        let system = rustix::fs::statvfs(self.database.db.path()).ok()?;
        // What is free for everybody: the rest is for root only.
        Some(system.f_bavail.saturating_mul(system.f_frsize))
    }

    fn memory(&self) -> Option<EngineMemory> {
        let of_all = |property: &PropName| -> Option<u64> {
            let of = |space: &Space| {
                let family = self.database.db.cf_handle(space.name)?;
                self.database.db.property_int_value_cf(family, property).ok()?
            };
            self.database.spaces.iter().map(of).sum()
        };
        Some(EngineMemory {
            write_buffers: of_all(properties::SIZE_ALL_MEM_TABLES)?,
            // One cache serves all keyspaces.
            block_cache: self
                .database
                .db
                .property_int_value(properties::BLOCK_CACHE_USAGE)
                .ok()??,
            tables: of_all(properties::ESTIMATE_TABLE_READERS_MEM)?,
        })
    }

    fn sweep(&self) -> bool {
        self.sweeper.begin()
    }

    fn set_aside(&self) -> Vec<SetAside> {
        self.database.quarantine.found()
    }
}

/// The database as it was.
struct Frozen<'a> {
    database: &'a Database,
    snapshot: rocksdb::Snapshot<'a>,
}

impl Frozen<'_> {
    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options
    }
}

impl View for Frozen<'_> {
    fn read(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.database.read(keyspace, key, &self.options())
    }

    fn walk(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange<'_>,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        self.database
            .walk(keyspace, range, direction, visit, self.options())
    }
}

impl Database {
    fn space(&self, keyspace: KeyspaceId) -> Result<(&Space, &ColumnFamily), ReadError> {
        let found = self.spaces.get(keyspace.index());
        let found = found.and_then(|space| Some((space, self.db.cf_handle(space.name)?)));
        found.ok_or(ReadError::UnknownKeyspace(keyspace.index()))
    }

    fn read(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        options: &ReadOptions,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let (space, family) = self.space(keyspace)?;
        self.db
            .get_cf_opt(family, key, options)
            .map_err(|error| self.read_failed(space.name, error))
    }

    fn walk(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange<'_>,
        direction: Direction,
        visit: Visit<'_>,
        mut options: ReadOptions,
    ) -> Result<(), ReadError> {
        let (space, family) = self.space(keyspace)?;
        if range.is_empty() {
            return Ok(());
        }
        // The engine's lower bound is inclusive and its upper bound exclusive; the key right after one is the key
        // with a zero behind it.
        match range.from {
            Bound::Included(key) => options.set_iterate_lower_bound(key),
            Bound::Excluded(key) => options.set_iterate_lower_bound(after(key)),
            Bound::Unbounded => (),
        }
        match range.to {
            Bound::Included(key) => options.set_iterate_upper_bound(after(key)),
            Bound::Excluded(key) => options.set_iterate_upper_bound(key),
            Bound::Unbounded => (),
        }
        let mut entries = self.db.raw_iterator_cf_opt(family, options);
        visit_all(&mut entries, direction, visit);
        entries
            .status()
            .map_err(|error| self.read_failed(space.name, error))
    }

    /// A group as the engine's write batch: a header, then all records with the numbers of their column families.
    fn encode(&self, group: &[&Batch]) -> Vec<u8> {
        let bytes: usize = group.iter().map(|batch| batch.len_bytes()).sum();
        let mut encoded = Encoded::with_capacity(bytes);
        let mut fresh = group
            .iter()
            .any(|batch| batch.deletes_ranges())
            .then(Fresh::default);
        for Record { map, change } in group.iter().flat_map(|batch| Records::new(batch.as_records())) {
            let Some(space) = self.spaces.get(map as usize) else {
                continue;
            };
            // A batch writes the number of a keyspace as one byte.
            let keyspace = KeyspaceId::at(map as u8);
            if let Some(fresh) = &mut fresh
                && space.tuning != Tuning::Queue
            {
                fresh.note(keyspace, change);
                if let Change::DeleteRange(from, to) = change
                    && let Some(keys) = ranges::few_keys(self, fresh, keyspace, from, to)
                {
                    for key in &keys {
                        encoded.push(space, Change::Delete(key));
                    }
                    continue;
                }
            }
            encoded.push(space, change);
        }
        encoded.finish()
    }

    fn write_failed(&self, error: Error) -> CommitError {
        if is_full(&error) {
            return CommitError::Full;
        }
        self.note_damage("all keyspaces", &error);
        CommitError::Failed(error.into_string())
    }

    fn read_failed(&self, keyspace: &str, error: Error) -> ReadError {
        match self.note_damage(keyspace, &error) {
            Some(file) => ReadError::Damaged {
                keyspace: keyspace.to_owned(),
                file,
                reason: error.into_string(),
            },
            None => ReadError::Failed(error.into_string()),
        }
    }

    /// Puts a damaged file on the list, so that it is seen now and set aside at the next start.
    fn note_damage(&self, keyspace: &str, error: &Error) -> Option<String> {
        if error.kind() != ErrorKind::Corruption {
            return None;
        }
        let message = error.as_ref();
        let file = files::table_in(message).map_or_else(|| FOLDER.to_owned(), table_name);
        self.quarantine.add(SetAside {
            file: file.clone(),
            reason: format!("{message}; it is set aside at the next start"),
            may_have_held: keyspace.to_owned(),
        });
        self.suspect.note();
        Some(file)
    }
}

/// A write batch of the engine that is being made.
struct Encoded {
    bytes: Vec<u8>,
    count: u32,
}

impl Encoded {
    fn with_capacity(bytes: usize) -> Self {
        let mut encoded = Vec::with_capacity(wal::GROUP_HEADER + bytes);
        encoded.resize(wal::GROUP_HEADER, 0);
        Self {
            bytes: encoded,
            count: 0,
        }
    }

    fn push(&mut self, space: &Space, change: Change<'_>) {
        let map = space.family;
        push_record(&mut self.bytes, Record { map, change });
        self.count = self.count.saturating_add(1);
    }

    /// The count stands at the end of the header; the engine itself sets the sequence number in front of it.
    fn finish(mut self) -> Vec<u8> {
        let count = self.bytes.get_mut(8..wal::GROUP_HEADER);
        if let Some(count) = count {
            count.copy_from_slice(&self.count.to_le_bytes());
        }
        self.bytes
    }
}

fn visit_all(entries: &mut DBRawIterator<'_>, direction: Direction, visit: Visit<'_>) {
    match direction {
        Direction::Ascending => entries.seek_to_first(),
        Direction::Descending => entries.seek_to_last(),
    }
    while let Some((key, value)) = entries.item() {
        if visit(key, value) == ControlFlow::Break(()) {
            return;
        }
        match direction {
            Direction::Ascending => entries.next(),
            Direction::Descending => entries.prev(),
        }
    }
}

/// The smallest key that is greater.
fn after(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// A table file as it is called in reports.
fn table_name(table: u64) -> String {
    format!("{FOLDER}/{}", files::table(table))
}

/// The engine has no code of its own for this in what the binding hands out; the system's word is part of the text.
fn is_full(error: &Error) -> bool {
    let message = error.as_ref();
    message.contains("No space left on device") || message.contains("Disk quota exceeded")
}
