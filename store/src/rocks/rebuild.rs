//! When the manifest is lost: RocksDB makes a new one from the tables, and the log is replayed over it.
//!
//! RocksDB's own repair would read the log too, but it only knows the column families that have a table, so it would
//! drop what was never written out. The log is kept out of its way and replayed by name; all of it, in order, over
//! tables that may already have a part of it, gives what was there.

use std::fs;
use std::io;
use std::path::Path;

use rocksdb::{ColumnFamily, DB, WriteBatch};

use super::files::{self, Kind};
use super::open::{Opening, family_id};
use super::wal;
use crate::batch::{Change, Record, Records};
use crate::error::OpenError;
use crate::quarantine::{Case, SetAside};

/// The logs are being moved out of the way.
const MOVING: &str = "move logs\n";
/// The logs are out of the way; what is in the folder by now comes from replaying them.
const REPLAYING: &str = "replay logs\n";
/// Where RocksDB's repair puts what it does not use.
const LOST: &str = "lost";

/// Sets a damaged manifest aside and makes a new one.
pub(super) fn begin(opening: &Opening<'_>, damage: SetAside, damaged: &Path) -> Result<(), OpenError> {
    let case = opening
        .quarantine
        .begin(damage, damaged)
        .map_err(OpenError::io(damaged))?;
    case.start(MOVING).map_err(OpenError::io(damaged))?;
    resume(opening, &case, MOVING)
}

/// Does what is left to do. Doing a step twice changes nothing.
pub(super) fn resume(opening: &Opening<'_>, case: &Case, note: &str) -> Result<(), OpenError> {
    let db = &opening.db;
    let io = |error| OpenError::io(db)(error);
    for (_, log) in files::list(db, Kind::Log).map_err(io)? {
        let name = log.file_name().unwrap_or(log.as_os_str()).to_string_lossy();
        // A part of a replay must not be replayed itself: it would put older values over newer ones.
        let away = if note == REPLAYING {
            fs::remove_file(&log)
        } else {
            fs::rename(&log, case.path(&name))
        };
        away.map_err(OpenError::io(&log))?;
    }
    files::sync_folder(&case.path("")).map_err(io)?;
    case.start(REPLAYING).map_err(io)?;
    DB::repair(&opening.engine_options(), db).map_err(|error| opening.unreadable(&error))?;
    set_lost_tables_aside(opening).map_err(io)?;
    let logs = files::list(&case.path(""), Kind::Log).map_err(io)?;
    replay(opening, logs.iter().map(|(_, path)| path.as_path()))?;
    case.finish().map_err(io)?;
    for (_, path) in logs {
        fs::remove_file(&path).map_err(OpenError::io(&path))?;
    }
    Ok(())
}

/// Tables that RocksDB could not read either.
fn set_lost_tables_aside(opening: &Opening<'_>) -> io::Result<()> {
    let lost = opening.db.join(LOST);
    if !lost.exists() {
        return Ok(());
    }
    for (number, path) in files::list(&lost, Kind::Table)? {
        let damage = SetAside {
            file: super::table_name(number),
            reason: "it could not be read while the list of tables was rebuilt".into(),
            may_have_held: "any keys of one keyspace".into(),
        };
        opening.quarantine.begin(damage, &path)?;
        fs::remove_file(path)?;
    }
    fs::remove_dir_all(lost)
}

fn replay<'a>(opening: &Opening<'_>, logs: impl Iterator<Item = &'a Path>) -> Result<(), OpenError> {
    let db = opening.lenient()?;
    let names = opening.names();
    let by_id: Vec<(u32, &ColumnFamily)> = if opening.format.keyspaces.is_empty() {
        let families = names.iter().filter_map(|name| db.cf_handle(name));
        families
            .filter_map(|family| Some((family_id(family)?, family)))
            .collect()
    } else {
        let known = opening.format.keyspaces.iter();
        known
            .filter_map(|(id, name)| Some((*id, db.cf_handle(name)?)))
            .collect()
    };
    let mut result = Ok(());
    for log in logs {
        wal::groups(log, &mut |changes| {
            if result.is_ok() {
                result = db.write(translate(changes, &by_id));
            }
        })?;
    }
    result.map_err(|error| opening.unreadable(&error))?;
    flush(opening, &db, &names)
}

/// A group of the log as a batch for the column families as they are numbered now.
fn translate(changes: &[u8], by_id: &[(u32, &ColumnFamily)]) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for Record { map, change } in Records::new(changes) {
        let Some((_, family)) = by_id.iter().find(|(id, _)| *id == map) else {
            continue;
        };
        match change {
            Change::Put(key, value) => batch.put_cf(family, key, value),
            Change::Delete(key) => batch.delete_cf(family, key),
            Change::DeleteRange(from, to) => batch.delete_range_cf(family, from, to),
        }
    }
    batch
}

/// Brings everything into tables.
pub(super) fn flush(opening: &Opening<'_>, db: &DB, names: &[String]) -> Result<(), OpenError> {
    let families = names.iter().filter_map(|name| db.cf_handle(name));
    for family in families {
        db.flush_cf(family).map_err(|error| opening.unreadable(&error))?;
    }
    Ok(())
}
