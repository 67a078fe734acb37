//! The write-ahead log before RocksDB reads it: damaged records are taken out, so that the others are kept.
//!
//! A record is one group, so what is lost is always whole groups.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{self, Kind};
use super::log::{self, End, Piece};
use crate::batch::{Record, Records};
use crate::error::OpenError;
use crate::format::Format;
use crate::quarantine::{Quarantine, SetAside};

/// Sequence number and count in front of the changes of a group.
pub(super) const GROUP_HEADER: usize = 12;

/// Reads every log in the folder and rewrites those that are damaged.
pub(super) fn mend(db: &Path, format: &Format, quarantine: &Quarantine) -> Result<(), OpenError> {
    let logs = files::list(db, Kind::Log).map_err(OpenError::io(db))?;
    let mut something_follows = false;
    for (_, path) in logs.into_iter().rev() {
        let bytes = fs::read(&path).map_err(OpenError::io(&path))?;
        let reading = Reading::of(&bytes);
        // A log that another one follows was complete when that one was begun.
        let cut = reading.end == End::Torn && something_follows;
        if reading.end != End::Foreign && (cut || !reading.damage.is_empty()) {
            let damage = reading.report(&path, format, cut);
            quarantine.begin(damage, &path).map_err(OpenError::io(&path))?;
            files::write_durably(&path, &sound(&bytes)).map_err(OpenError::io(&path))?;
        } else if reading.end == End::Torn {
            // A write that was interrupted. If this start is killed once it has begun a log of its own, the next one must not
            // take this for a log that was cut.
            files::write_durably(&path, &sound(&bytes)).map_err(OpenError::io(&path))?;
        }
        something_follows |= reading.groups > 0;
    }
    Ok(())
}

/// Calls `visit` with the changes of each sound group of a log, in order.
pub(super) fn groups(path: &Path, visit: &mut dyn FnMut(&[u8])) -> Result<(), OpenError> {
    let bytes = fs::read(path).map_err(OpenError::io(path))?;
    log::read(&bytes, &mut |piece| {
        if let Piece::Record(record) = piece
            && let Some((_, changes)) = record.split_at_checked(GROUP_HEADER)
        {
            visit(changes);
        }
    });
    Ok(())
}

/// A log of the sound groups of another.
fn sound(bytes: &[u8]) -> Vec<u8> {
    let mut sound = Vec::new();
    log::read(bytes, &mut |piece| {
        if let Piece::Record(record) = piece {
            log::append(&mut sound, record);
        }
    });
    sound
}

/// What reading a log gave.
struct Reading {
    groups: usize,
    damage: Vec<Loss>,
    end: End,
}

/// A damaged place between sound groups.
struct Loss {
    at: usize,
    reason: &'static str,
    /// Sequence number behind the group before.
    after: Option<u64>,
    /// Sequence number of the group behind.
    before: Option<u64>,
    /// Ids of the column families in what remains of it.
    maps: BTreeSet<u32>,
    nothing: bool,
}

impl Reading {
    fn of(bytes: &[u8]) -> Self {
        let mut reading = Self {
            groups: 0,
            damage: Vec::new(),
            end: End::Clean,
        };
        let mut next = None;
        let mut open_losses = 0;
        reading.end = log::read(bytes, &mut |piece| match piece {
            Piece::Record(record) => {
                reading.groups += 1;
                let Some((sequence, count)) = group_header(record) else {
                    return;
                };
                let unknown = reading.damage.len() - open_losses;
                reading
                    .damage
                    .iter_mut()
                    .skip(unknown)
                    .for_each(|loss| loss.before = Some(sequence));
                open_losses = 0;
                next = Some(sequence + u64::from(count));
            }
            Piece::Damage { at, reason, remains } => {
                let maps = maps(remains);
                let nothing = remains.is_empty();
                reading.damage.push(Loss {
                    at,
                    reason,
                    after: next,
                    before: None,
                    maps,
                    nothing,
                });
                open_losses += 1;
            }
        });
        reading
    }

    fn report(&self, path: &Path, format: &Format, cut: bool) -> SetAside {
        let places = self
            .damage
            .iter()
            .map(|loss| format!("at byte {}: {}", loss.at, loss.reason));
        let cut_here = cut.then(|| "it ends within a record although a later log exists".to_owned());
        let losses = self
            .damage
            .iter()
            .filter(|loss| !loss.nothing)
            .map(|loss| loss.describe(format));
        let cut_lost = cut.then(|| "the end of this log".to_owned());
        let held: Vec<String> = losses.chain(cut_lost).collect();
        SetAside {
            file: relative(path),
            reason: places.chain(cut_here).collect::<Vec<_>>().join("; "),
            may_have_held: if held.is_empty() {
                "nothing was lost".into()
            } else {
                held.join("; ")
            },
        }
    }
}

impl Loss {
    fn describe(&self, format: &Format) -> String {
        let changes = match (self.after, self.before) {
            (Some(after), Some(before)) => {
                format!("{} changes committed together", before.saturating_sub(after))
            }
            _ => "one or more groups of changes".to_owned(),
        };
        if self.maps.is_empty() {
            return format!("{changes} in any keyspace");
        }
        let names = self
            .maps
            .iter()
            .filter_map(|map| format.name(*map))
            .collect::<Vec<_>>()
            .join(", ");
        format!("{changes}, among others in {names}")
    }
}

fn group_header(record: &[u8]) -> Option<(u64, u32)> {
    let (sequence, rest) = record.split_first_chunk::<8>()?;
    let (count, _) = rest.split_first_chunk::<4>()?;
    Some((u64::from_le_bytes(*sequence), u32::from_le_bytes(*count)))
}

/// The column families that what remains of a group still names. A fragment's own header may come first.
fn maps(remains: &[u8]) -> BTreeSet<u32> {
    let best = [GROUP_HEADER + 7, GROUP_HEADER].into_iter().map(|skip| {
        let changes = remains.get(skip..).unwrap_or_default();
        Records::new(changes)
            .map(|Record { map, .. }| map)
            .collect::<BTreeSet<_>>()
    });
    best.max_by_key(BTreeSet::len).unwrap_or_default()
}

/// A file of the engine as it is called in reports.
pub(super) fn relative(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    PathBuf::from(super::FOLDER).join(name).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::keyspace::KeyspaceId;

    /// A log with one group.
    fn log() -> Vec<u8> {
        let mut batch = Batch::new();
        batch.put(KeyspaceId::at(0), b"lamp", b"on");
        let mut group = vec![0; GROUP_HEADER];
        group.extend_from_slice(batch.as_records());
        let mut log = Vec::new();
        log::append(&mut log, &group);
        log
    }

    #[test]
    fn an_interrupted_write_is_no_damage_either_when_the_start_after_it_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = folder.path().join("db");
        fs::create_dir(&db).expect("made");
        let quarantine = Quarantine::open(folder.path()).expect("opened");
        let mend = || mend(&db, &Format::default(), &quarantine).expect("mended");
        let torn = [log(), log().split_at(9).0.to_vec()].concat();
        fs::write(db.join("000004.log"), &torn).expect("written");
        mend();
        fs::write(db.join("000009.log"), log()).expect("written");
        mend();
        assert_eq!(quarantine.found(), []);
        assert_eq!(fs::read(db.join("000004.log")).expect("read"), log());

        fs::write(db.join("000004.log"), &torn).expect("written");
        mend();
        assert_eq!(quarantine.found().len(), 1, "a log that was cut");
    }
}
