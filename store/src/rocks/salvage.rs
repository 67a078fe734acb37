//! When a table is damaged: everything of it that can be read is kept, and only then it is taken out.
//!
//! Two databases are compared within the table's range of keys: one as it was, with the damaged table, and the real
//! one without it. Where the first can be read it is right, and the real one is made the same; where it cannot, the
//! real one stays with what the other tables have, which may be nothing or an older state.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::Path;

use rocksdb::{DB, Error, LiveFile, WriteBatch};

use super::files::{self, Kind};
use super::open::{Opening, family_id};
use super::tolerant::{Gap, Tolerant};
use super::{manifest, rebuild, table_name};
use crate::error::OpenError;
use crate::quarantine::{Case, SetAside};

/// The database as it was, in the case's folder: links to its files.
const BEFORE: &str = "before";
/// The same when it is not needed any more.
const OVER: &str = "over";
/// Changes are written in batches of about this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// The most characters of a key in a report.
const KEY_CHARS_MAX: usize = 80;

/// What a restart has to know to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    table: u64,
    /// The links are complete.
    linked: bool,
}

impl Note {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stage, table) = text.trim_end().split_once(' ')?;
        let linked = match stage {
            "link" => false,
            "salvage" => true,
            _ => return None,
        };
        Some(Self {
            table: table.parse().ok()?,
            linked,
        })
    }

    fn text(&self) -> String {
        format!(
            "{} {}\n",
            if self.linked { "salvage" } else { "link" },
            self.table
        )
    }
}

/// Sets a damaged table aside and keeps what can be read of it.
pub(super) fn begin(opening: &Opening<'_>, table: u64, error: &Error) -> Result<(), OpenError> {
    let path = opening.db.join(files::table(table));
    let io = |error| OpenError::io(&path)(error);
    let damage = SetAside {
        file: table_name(table),
        reason: error.as_ref().to_owned(),
        may_have_held: "keys of one keyspace".into(),
    };
    if opening.look(&opening.db).is_err() {
        return rebuild::begin(opening, damage, &path);
    }
    let case = opening.quarantine.begin(damage, &path).map_err(io)?;
    let note = Note { table, linked: false };
    case.start(&note.text()).map_err(io)?;
    resume(opening, &case, &note)
}

/// Does what is left to do. Doing a step twice changes nothing.
pub(super) fn resume(opening: &Opening<'_>, case: &Case, note: &Note) -> Result<(), OpenError> {
    let io = |error| OpenError::io(&opening.db)(error);
    let before = case.path(BEFORE);
    if !note.linked {
        link_all(&opening.db, &before).map_err(io)?;
        let linked = Note {
            linked: true,
            ..*note
        };
        case.start(&linked.text()).map_err(io)?;
    } else if !before.exists() {
        return finish(case).map_err(io);
    }
    let old = opening
        .look(&before)
        .map_err(|error| opening.unreadable(&error))?;
    let Some(file) = find(&old, note.table) else {
        // The table is not in use, so nothing can be lost with it.
        return close(opening, case, note);
    };
    let in_use = opening
        .look(&opening.db)
        .is_ok_and(|db| find(&db, note.table).is_some());
    if in_use {
        let family = old
            .cf_handle(&file.column_family_name)
            .and_then(family_id)
            .unwrap_or_default();
        let level = u32::try_from(file.level).unwrap_or_default();
        manifest::drop_table(&opening.db, family, level, note.table).map_err(io)?;
    }
    let gaps = carry_over(opening, &old, &file)?;
    if let Some(damage) = case.report().map_err(io)? {
        let told = SetAside {
            may_have_held: describe(&file, &gaps),
            ..damage
        };
        case.tell(&told).map_err(io)?;
        opening.quarantine.replace(&told);
    }
    drop(old);
    close(opening, case, note)
}

fn close(opening: &Opening<'_>, case: &Case, note: &Note) -> Result<(), OpenError> {
    let io = |error| OpenError::io(&opening.db)(error);
    let table = opening.db.join(files::table(note.table));
    if table.exists() {
        fs::remove_file(table).map_err(io)?;
    }
    // Half of it would look like damage after a kill, so it gets another name first.
    fs::rename(case.path(BEFORE), case.path(OVER)).map_err(io)?;
    finish(case).map_err(io)
}

fn finish(case: &Case) -> io::Result<()> {
    match fs::remove_dir_all(case.path(OVER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    case.finish()
}

fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let kinds = [Kind::Table, Kind::Log, Kind::Manifest];
    let mut paths = vec![from.join("CURRENT")];
    for kind in kinds {
        paths.extend(files::list(from, kind)?.into_iter().map(|(_, path)| path));
    }
    for path in paths {
        files::link_or_copy(&path, &to.join(path.file_name().unwrap_or(path.as_os_str())))?;
    }
    files::sync_folder(to)
}

fn find(db: &DB, table: u64) -> Option<LiveFile> {
    let name = files::table(table);
    db.live_files()
        .ok()?
        .into_iter()
        .find(|file| file.name.ends_with(&name))
}

/// Makes the real database the same as the old one wherever the old one can be read.
fn carry_over(opening: &Opening<'_>, old: &DB, file: &LiveFile) -> Result<Vec<Gap>, OpenError> {
    let new = opening.lenient()?;
    let name = &file.column_family_name;
    let (Some(old_family), Some(new_family)) = (old.cf_handle(name), new.cf_handle(name)) else {
        return Ok(Vec::new());
    };
    let (Some(from), Some(to)) = (&file.start_key, &file.end_key) else {
        return Ok(Vec::new());
    };
    let mut was = Tolerant::new(old, old_family, from, to);
    let mut is = Tolerant::new(&new, new_family, from, to);
    let mut batch = WriteBatch::default();
    loop {
        let order = match (was.item(), is.item()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((was, _)), Some((is, _))) => was.cmp(is),
        };
        match (order, was.item(), is.item()) {
            (Ordering::Less, Some((key, value)), _) => batch.put_cf(new_family, key, value),
            (Ordering::Equal, Some((key, value)), Some((_, other))) if value != other => {
                batch.put_cf(new_family, key, value);
            }
            (Ordering::Greater, _, Some((key, _))) if !was.gaps.iter().any(|gap| gap.holds(key)) => {
                batch.delete_cf(new_family, key);
            }
            _ => (),
        }
        if order != Ordering::Greater {
            was.next();
        }
        if order != Ordering::Less {
            is.next();
        }
        if batch.size_in_bytes() > BATCH_BYTES {
            new.write(std::mem::take(&mut batch))
                .map_err(|error| opening.unreadable(&error))?;
        }
    }
    new.write(batch).map_err(|error| opening.unreadable(&error))?;
    rebuild::flush(opening, &new, std::slice::from_ref(name))?;
    Ok(was.gaps)
}

impl Gap {
    fn holds(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && self.to.as_ref().is_none_or(|to| key < to.as_slice())
    }
}

fn describe(file: &LiveFile, gaps: &[Gap]) -> String {
    if gaps.is_empty() {
        return format!("keyspace {}; every key could be read", file.column_family_name);
    }
    let end = file.end_key.as_deref().unwrap_or_default();
    let ranges = gaps.iter().map(|gap| {
        let to = gap.to.as_deref().unwrap_or(end);
        format!("keys from {} to {}", shown(&gap.from), shown(to))
    });
    let ranges = ranges.collect::<Vec<_>>().join(", ");
    format!(
        "keyspace {}, {ranges}; an older state of them may be there instead",
        file.column_family_name
    )
}

fn shown(key: &[u8]) -> String {
    let text = key.escape_ascii().to_string();
    match text.char_indices().nth(KEY_CHARS_MAX) {
        Some((cut, _)) => format!("\"{}...\"", text.split_at(cut).0),
        None => format!("\"{text}\""),
    }
}
