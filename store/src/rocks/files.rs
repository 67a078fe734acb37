//! Files of a data folder: written so that a crash leaves the old or the new content, and found by kind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces a file by one with this content, on the disk when this returns.
pub(crate) fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Brings the names in a folder to the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A second name for a file that will not be written to any more, or a copy where the file system has no links.
pub(crate) fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// What a file in the engine's folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Part of the write-ahead log.
    Log,
    /// Sorted keys and values.
    Table,
    /// Which tables there are.
    Manifest,
    /// The options of the last start, for people to read.
    Settings,
}

/// The files of a kind with their numbers, oldest first.
pub(crate) fn list(folder: &Path, kind: Kind) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| number(name.to_str()?, kind));
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

fn number(name: &str, kind: Kind) -> Option<u64> {
    let digits = match kind {
        Kind::Log => name.strip_suffix(".log")?,
        Kind::Table => name.strip_suffix(".sst")?,
        Kind::Manifest => name.strip_prefix("MANIFEST-")?,
        Kind::Settings => name.strip_prefix("OPTIONS-")?,
    };
    digits.parse().ok()
}

/// The name of a table file.
pub(crate) fn table(number: u64) -> String {
    format!("{number:06}.sst")
}

/// The number of the table file that a message of the engine names.
pub(crate) fn table_in(message: &str) -> Option<u64> {
    let (before, _) = message.split_once(".sst")?;
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_found_in_a_message() {
        let message = "Corruption: block checksum mismatch: stored = 1, computed = 2  in /d/db/000017.sst offset 0 size 9";
        assert_eq!(table_in(message), Some(17));
        assert_eq!(table_in("IO error: something else"), None);
        assert_eq!(table_in("strange.sst"), None);
    }

    #[test]
    fn a_name_tells_the_kind() {
        assert_eq!(number("000012.log", Kind::Log), Some(12));
        assert_eq!(number("MANIFEST-000001", Kind::Manifest), Some(1));
        assert_eq!(number("000012.sst", Kind::Log), None);
        assert_eq!(number("LOG.old.12", Kind::Log), None);
    }
}
