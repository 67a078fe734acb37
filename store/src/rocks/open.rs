//! Opening: check every kind of file before RocksDB does, set aside what is damaged, and try again.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rocksdb::{Cache, ColumnFamily, DB, Error, ErrorKind, WriteBatch};

use super::files::{self, Kind};
use super::manifest::{self, State};
use super::seal::{self, Suspect};
use super::{Database, FOLDER, Space, is_full, options, rebuild, salvage, verify, wal};
use crate::batch::Records;
use crate::error::OpenError;
use crate::format::{self, Format, Found};
use crate::keyspace::{KEYSPACES_MAX, Keyspace};
use crate::options::Options;
use crate::quarantine::{Quarantine, SetAside};

const LOCK: &str = "LOCK";

/// What opening and repairing work on.
pub(super) struct Opening<'a> {
    data: &'a Path,
    pub(super) db: PathBuf,
    options: &'a Options,
    keyspaces: &'a [Keyspace],
    cache: Cache,
    pub(super) quarantine: Quarantine,
    pub(super) format: Format,
}

/// Opens the database in a data folder. Also returns the lock on the folder, and whether all tables were verified.
pub(super) fn open(
    data: &Path,
    options: &Options,
    keyspaces: &[Keyspace],
) -> Result<(Database, File, bool), OpenError> {
    check_names(keyspaces)?;
    let found = inspect(data)?;
    let db = data.join(FOLDER);
    fs::create_dir_all(&db).map_err(OpenError::io(&db))?;
    let lock = lock(data)?;
    let quarantine = Quarantine::open(data).map_err(OpenError::io(data))?;
    let cache = options::cache(options);
    let mut opening = Opening {
        data,
        db,
        options,
        keyspaces,
        cache,
        quarantine,
        format: Format::default(),
    };
    opening.settle_format(found)?;
    let suspect = Suspect::of(data);
    let (opened, verified) = opening.open_at_last(&suspect)?;
    opening.record_keyspaces(&opened)?;
    seal::set(data, &opening.db).map_err(OpenError::io(data))?;
    let spaces = opening.spaces(&opened)?;
    Ok((
        Database {
            db: opened,
            spaces,
            quarantine: opening.quarantine,
            suspect,
        },
        lock,
        verified,
    ))
}

fn check_names(keyspaces: &[Keyspace]) -> Result<(), OpenError> {
    if keyspaces.len() > KEYSPACES_MAX {
        return Err(OpenError::Keyspaces(format!("{} were given", keyspaces.len())));
    }
    for (index, keyspace) in keyspaces.iter().enumerate() {
        let twice = keyspaces
            .iter()
            .take(index)
            .any(|other| other.name == keyspace.name);
        if twice
            || keyspace.name == options::DEFAULT
            || keyspace.name.is_empty()
            || keyspace.name.contains('\n')
        {
            return Err(OpenError::Keyspaces(format!(
                "the name {:?} cannot be used",
                keyspace.name
            )));
        }
    }
    Ok(())
}

/// Looks before anything is touched: is this ours, and do we know its format?
fn inspect(data: &Path) -> Result<Found, OpenError> {
    let strange = |reason: &str| OpenError::NotADataFolder {
        path: data.to_owned(),
        reason: reason.to_owned(),
    };
    let entries = match fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(strange("it is a file")),
        Err(error) => return Err(OpenError::io(data)(error)),
    };
    match Format::read(data).map_err(OpenError::io(data))? {
        Found::Newer(found) => Err(OpenError::NewerFormat {
            path: data.to_owned(),
            found,
            known: format::KNOWN,
        }),
        Found::Nothing => {
            let empty = entries.flatten().all(|entry| entry.file_name() == LOCK);
            if empty || data.join(FOLDER).is_dir() {
                Ok(Found::Nothing)
            } else {
                Err(strange("it holds files of something else and no file FORMAT"))
            }
        }
        known => Ok(known),
    }
}

fn lock(data: &Path) -> Result<File, OpenError> {
    let path = data.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(OpenError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: data.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&path)(error)),
    }
}

impl Opening<'_> {
    /// Takes the format as found; one that is lost is found out from the database.
    fn settle_format(&mut self, found: Found) -> Result<(), OpenError> {
        let reason = match found {
            Found::Known(format) => {
                self.format = format;
                return Ok(());
            }
            Found::Nothing if manifest_is_missing(&self.db)? => return self.found_house(),
            Found::Nothing => "it is missing",
            Found::Damaged | Found::Newer(_) => "it does not agree with its checksum",
        };
        let path = self.data.join(format::FILE);
        let damage = SetAside {
            file: format::FILE.into(),
            reason: reason.into(),
            may_have_held:
                "the format and the numbers of the keyspaces, which were found out; nothing was lost".into(),
        };
        self.quarantine
            .begin(damage, &path)
            .map_err(OpenError::io(&path))?;
        Ok(())
    }

    /// A new folder: RocksDB numbers column families in the order of their creation, so they are known beforehand.
    fn found_house(&mut self) -> Result<(), OpenError> {
        let names = self.keyspaces.iter().map(|keyspace| keyspace.name.to_owned());
        self.format = Format {
            keyspaces: (1..).zip(names).collect(),
        };
        self.format.write(self.data).map_err(OpenError::io(self.data))
    }

    /// Checks, opens and verifies until nothing is found damaged. Every round but the last sets a file aside, so
    /// there are not more rounds than files.
    fn open_at_last(&self, suspect: &Suspect) -> Result<(DB, bool), OpenError> {
        wal::mend(&self.db, &self.format, &self.quarantine)?;
        seal::check(self.data, &self.db, &self.quarantine).map_err(OpenError::io(self.data))?;
        self.finish_repairs()?;
        if let State::Lost(damage, path) = manifest::check(&self.db, &self.quarantine)? {
            rebuild::begin(self, damage, &path)?;
        }
        let rounds = files::list(&self.db, Kind::Table)
            .map_err(OpenError::io(&self.db))?
            .len()
            + 2;
        let mut rebuilt = false;
        for _ in 0..rounds {
            let error = match self.strict() {
                Ok(db) => {
                    if !suspect.is_noted() && !verify::is_small(&db, self.options.verify_at_open_bytes_max) {
                        return Ok((db, false));
                    }
                    let names = self.names();
                    match verify::all(&db, &names, &|| true) {
                        Ok(()) => {
                            suspect.clear().map_err(OpenError::io(self.data))?;
                            return Ok((db, true));
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            match (damaged_table(&error), error.kind()) {
                (Some(table), _) => salvage::begin(self, table, &error)?,
                (None, ErrorKind::Corruption) if !rebuilt => {
                    rebuilt = true;
                    let damage = SetAside {
                        file: FOLDER.into(),
                        reason: error.as_ref().to_owned(),
                        may_have_held: "which tables are in use; it was found out from the tables".into(),
                    };
                    rebuild::begin(self, damage, &self.db.join("CURRENT"))?;
                }
                _ => return Err(self.unreadable(&error)),
            }
        }
        Err(OpenError::Unreadable {
            path: self.data.to_owned(),
            reason: "damage is found again and again".into(),
        })
    }

    /// Takes up the repairs that a kill interrupted.
    fn finish_repairs(&self) -> Result<(), OpenError> {
        while let Some((case, note)) = self.quarantine.unfinished().map_err(OpenError::io(self.data))? {
            match salvage::Note::parse(&note) {
                Some(note) => salvage::resume(self, &case, &note)?,
                None => rebuild::resume(self, &case, &note)?,
            }
        }
        Ok(())
    }

    /// Every keyspace on the disk or asked for, without the engine's own.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .keyspaces
            .iter()
            .map(|keyspace| keyspace.name.to_owned())
            .collect();
        names.extend(self.others());
        names
    }

    /// Keyspaces on the disk that were not asked for; an earlier version may have had them.
    fn others(&self) -> Vec<String> {
        let wanted = |name: &str| self.keyspaces.iter().any(|keyspace| keyspace.name == name);
        let known: Vec<String> = if self.format.keyspaces.is_empty() {
            // No format file, so the manifest is asked; where there is none either, nothing more is known.
            DB::list_cf(&rocksdb::Options::default(), &self.db).unwrap_or_default()
        } else {
            self.format
                .keyspaces
                .iter()
                .map(|(_, name)| name.clone())
                .collect()
        };
        known
            .into_iter()
            .filter(|name| !wanted(name) && name != options::DEFAULT)
            .collect()
    }

    fn families(&self) -> Vec<rocksdb::ColumnFamilyDescriptor> {
        options::keyspaces(self.options, &self.cache, self.keyspaces, &self.others())
    }

    pub(super) fn engine_options(&self) -> rocksdb::Options {
        options::engine(self.options)
    }

    /// Opens for use: any damage that opening meets is an error.
    fn strict(&self) -> Result<DB, Error> {
        DB::open_cf_descriptors(&self.engine_options(), &self.db, self.families())
    }

    /// Opens for repair: with what can be read, and without work in the background that could meet damage.
    pub(super) fn lenient(&self) -> Result<DB, OpenError> {
        let mut options = self.engine_options();
        options.set_paranoid_checks(false);
        let families = self.families().into_iter().map(|family| {
            let name = family.name().to_owned();
            let mut still = options::engine(self.options);
            still.set_disable_auto_compactions(true);
            rocksdb::ColumnFamilyDescriptor::new(name, still)
        });
        DB::open_cf_descriptors(&options, &self.db, families).map_err(|error| self.unreadable(&error))
    }

    /// Opens a database only to look at it.
    pub(super) fn look(&self, folder: &Path) -> Result<DB, Error> {
        let mut options = self.engine_options();
        options.set_paranoid_checks(false);
        options.create_if_missing(false);
        let names = DB::list_cf(&options, folder)?;
        DB::open_cf_for_read_only(&options, folder, names, false)
    }

    pub(super) fn unreadable(&self, error: &Error) -> OpenError {
        let reason = if is_full(error) {
            "the disk is full".to_owned()
        } else {
            error.as_ref().to_owned()
        };
        OpenError::Unreadable {
            path: self.data.to_owned(),
            reason,
        }
    }

    /// Writes down the numbers of keyspaces that are new.
    fn record_keyspaces(&mut self, db: &DB) -> Result<(), OpenError> {
        let names = self.names();
        let families = names
            .iter()
            .filter_map(|name| Some((family_id(db.cf_handle(name)?)?, name.clone())));
        let mut keyspaces: Vec<_> = families.collect();
        keyspaces.sort();
        let format = Format { keyspaces };
        if format != self.format || !self.data.join(format::FILE).exists() {
            format.write(self.data).map_err(OpenError::io(self.data))?;
            self.format = format;
        }
        Ok(())
    }

    fn spaces(&self, db: &DB) -> Result<Vec<Space>, OpenError> {
        let space = |keyspace: &Keyspace| {
            let family = db.cf_handle(keyspace.name).and_then(family_id);
            let space = family.map(|family| Space {
                name: keyspace.name,
                family,
                tuning: keyspace.tuning,
            });
            let reason = format!("keyspace {} was not made", keyspace.name);
            space.ok_or(OpenError::Unreadable {
                path: self.data.to_owned(),
                reason,
            })
        };
        self.keyspaces.iter().map(space).collect()
    }
}

fn manifest_is_missing(db: &Path) -> Result<bool, OpenError> {
    let mut entries = fs::read_dir(db).map_err(OpenError::io(db))?;
    Ok(entries.next().is_none())
}

/// The table that cannot be read, if that is what the error is about.
fn damaged_table(error: &Error) -> Option<u64> {
    let message = error.as_ref();
    let unreadable = error.kind() == ErrorKind::Corruption || message.contains("No such file or directory");
    files::table_in(message).filter(|_| unreadable)
}

/// The number of a column family, which the binding only tells as part of a batch.
pub(super) fn family_id(family: &ColumnFamily) -> Option<u32> {
    let mut batch = WriteBatch::default();
    batch.delete_cf(family, b"");
    let (_, records) = batch.data().split_at_checked(wal::GROUP_HEADER)?;
    Records::new(records).next().map(|record| record.map)
}
