//! Small notes beside the database: the checksum of the options file, which has none, and that damage was met.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::crc32c::crc32c;
use super::files::{self, Kind};
use super::wal::relative;
use crate::quarantine::{Quarantine, SetAside};

const SEAL: &str = "SEAL";
const SUSPECT: &str = "SUSPECT";

/// Notes the checksums of the options files RocksDB keeps. The note is not brought to the disk: one that is lost or
/// torn by power loss is no note.
pub(super) fn set(data: &Path, db: &Path) -> io::Result<()> {
    let mut body = String::new();
    for (_, path) in files::list(db, Kind::Settings)? {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        body.push_str(&format!("{name} {:08x}\n", crc32c(&fs::read(&path)?)));
    }
    fs::write(
        data.join(SEAL),
        format!("{body}crc {:08x}\n", crc32c(body.as_bytes())),
    )
}

/// Sets options files aside that are not what was sealed. RocksDB does not read them; they are for people.
pub(super) fn check(data: &Path, db: &Path, quarantine: &Quarantine) -> io::Result<()> {
    let text = fs::read_to_string(data.join(SEAL)).unwrap_or_default();
    for (name, crc) in parse(&text).unwrap_or_default() {
        let path = db.join(name);
        let Ok(content) = fs::read(&path) else { continue };
        if crc32c(&content) == crc {
            continue;
        }
        let damage = SetAside {
            file: relative(&path),
            reason: "it is not what was written when the store was opened".into(),
            may_have_held: "the engine's options, which are written anew at every start; nothing was lost"
                .into(),
        };
        quarantine.begin(damage, &path)?;
        fs::remove_file(path)?;
    }
    Ok(())
}

fn parse(text: &str) -> Option<Vec<(String, u32)>> {
    let (body, own) = text.split_at_checked(text.rfind("crc ")?)?;
    let own = u32::from_str_radix(own.strip_prefix("crc ")?.trim_end(), 16).ok()?;
    let line = |line: &str| {
        let (name, crc) = line.split_once(' ')?;
        Some((name.to_owned(), u32::from_str_radix(crc, 16).ok()?))
    };
    body.lines()
        .map(line)
        .collect::<Option<Vec<_>>>()
        .filter(|_| own == crc32c(body.as_bytes()))
}

/// The note that damage was met while the store was open, so that the next start reads everything.
#[derive(Debug)]
pub(super) struct Suspect(PathBuf);

impl Suspect {
    pub(super) fn of(data: &Path) -> Self {
        Self(data.join(SUSPECT))
    }

    pub(super) fn note(&self) {
        // Without the note the next start may verify later instead of at once; the damage itself is reported anyway.
        drop(fs::write(
            &self.0,
            "damage was met; the next start reads every table\n",
        ));
    }

    pub(super) fn is_noted(&self) -> bool {
        self.0.exists()
    }

    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
