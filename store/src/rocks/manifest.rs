//! CURRENT and MANIFEST: which tables there are. Mended where that loses nothing; otherwise the caller rebuilds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, Kind};
use super::log::{self, End, Piece};
use super::wal::relative;
use crate::batch::push_varint;
use crate::error::OpenError;
use crate::quarantine::{Quarantine, SetAside};

const CURRENT: &str = "CURRENT";

/// What the two files say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is no database yet.
    Fresh,
    /// They can be relied on.
    Sound,
    /// Which tables there are has to be found out from the tables themselves.
    Lost(SetAside, PathBuf),
}

/// Checks both files. A CURRENT that is damaged is written anew.
pub(super) fn check(db: &Path, quarantine: &Quarantine) -> Result<State, OpenError> {
    let list = |kind| files::list(db, kind).map_err(OpenError::io(db));
    let manifests = list(Kind::Manifest)?;
    let path = db.join(CURRENT);
    let current = fs::read(&path);
    let missing = matches!(&current, Err(error) if error.kind() == io::ErrorKind::NotFound);
    if missing && list(Kind::Table)?.is_empty() && list(Kind::Log)?.is_empty() {
        // The first start was interrupted before it came to anything.
        return Ok(State::Fresh);
    }
    let Some((_, newest)) = manifests.last() else {
        let damage = SetAside {
            file: relative(&path),
            reason: "there is no manifest".into(),
            may_have_held: "which tables are in use; it was found out from the tables".into(),
        };
        return Ok(State::Lost(damage, path));
    };
    let named = current.ok().and_then(|content| {
        let name = String::from_utf8(content).ok()?.strip_suffix('\n')?.to_owned();
        manifests
            .iter()
            .map(|(_, path)| path)
            .find(|path| path.ends_with(&name))
    });
    let manifest = match named {
        Some(manifest) => manifest,
        None => {
            mend_current(&path, newest, quarantine)?;
            newest
        }
    };
    check_manifest(manifest, quarantine)
}

fn mend_current(path: &Path, manifest: &Path, quarantine: &Quarantine) -> Result<(), OpenError> {
    let name = manifest
        .file_name()
        .unwrap_or(manifest.as_os_str())
        .to_string_lossy();
    let damage = SetAside {
        file: relative(path),
        reason: "it does not name a manifest".into(),
        may_have_held: format!("only the name of the manifest, which is {name}; nothing was lost"),
    };
    quarantine.begin(damage, path).map_err(OpenError::io(path))?;
    files::write_durably(path, format!("{name}\n").as_bytes()).map_err(OpenError::io(path))
}

fn check_manifest(path: &Path, quarantine: &Quarantine) -> Result<State, OpenError> {
    let bytes = fs::read(path).map_err(OpenError::io(path))?;
    let (mut sound, mut records, mut places, mut lost) = (Vec::new(), 0, Vec::new(), false);
    let end = log::read(&bytes, &mut |piece| match piece {
        Piece::Record(record) => {
            log::append(&mut sound, record);
            records += 1;
        }
        Piece::Damage { at, reason, remains } => {
            places.push(format!("at byte {at}: {reason}"));
            lost |= !remains.is_empty();
        }
    });
    if end == End::Foreign || (places.is_empty() && records > 0) {
        return Ok(State::Sound);
    }
    if places.is_empty() {
        places.push("it is empty".into());
        lost = true;
    }
    let held = if lost {
        "which tables are in use; it was found out from the tables"
    } else {
        "nothing was lost"
    };
    let damage = SetAside {
        file: relative(path),
        reason: places.join("; "),
        may_have_held: held.into(),
    };
    if lost {
        return Ok(State::Lost(damage, path.to_owned()));
    }
    quarantine.begin(damage, path).map_err(OpenError::io(path))?;
    files::write_durably(path, &sound).map_err(OpenError::io(path))?;
    Ok(State::Sound)
}

/// Takes a table off the list: appends the record that RocksDB itself writes when a table is no longer in use.
pub(super) fn drop_table(db: &Path, family: u32, level: u32, table: u64) -> io::Result<()> {
    const FAMILY: u64 = 200;
    const DELETED_FILE: u64 = 6;
    let mut edit = Vec::new();
    for number in [FAMILY, u64::from(family), DELETED_FILE, u64::from(level), table] {
        push_varint(&mut edit, number);
    }
    let name = fs::read_to_string(db.join(CURRENT))?;
    let path = db.join(name.trim_end());
    let mut log = Vec::new();
    log::read(&fs::read(&path)?, &mut |piece| {
        if let Piece::Record(record) = piece {
            log::append(&mut log, record);
        }
    });
    log::append(&mut log, &edit);
    files::write_durably(&path, &log)
}
