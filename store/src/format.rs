//! The file `FORMAT`: which format a data folder has, and which number stands for which keyspace in its logs.
//!
//! ```text
//! twinmq store format 1
//! keyspace 1 sessions
//! crc 0123abcd
//! ```
//!
//! The first and the last line have this form in every format. The last one is the checksum of the bytes before it:
//! so a flipped byte is told from a later version.

use std::fs;
use std::io;
use std::path::Path;

use crate::rocks::crc32c::crc32c;
use crate::rocks::files::write_durably;

/// The format this version writes, and the newest it knows.
pub(crate) const KNOWN: u32 = 1;
/// Where it stands.
pub(crate) const FILE: &str = "FORMAT";
const HEAD: &str = "twinmq store format ";

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Format {
    /// Keyspaces by the id of their column family, in the order of their creation.
    pub(crate) keyspaces: Vec<(u32, String)>,
}

/// What reading the file gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Known(Format),
    Newer(u32),
    Damaged,
}

impl Format {
    pub(crate) fn read(folder: &Path) -> io::Result<Found> {
        match fs::read(folder.join(FILE)) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        write_durably(&folder.join(FILE), self.text().as_bytes())
    }

    /// The name of the keyspace with this column family id.
    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.keyspaces
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, name)| name.as_str())
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}{KNOWN}\n");
        for (id, name) in &self.keyspaces {
            text.push_str(&format!("keyspace {id} {name}\n"));
        }
        let crc = crc32c(text.as_bytes());
        text.push_str(&format!("crc {crc:08x}\n"));
        text
    }

    fn parse(bytes: &[u8]) -> Found {
        Self::parse_sound(bytes).unwrap_or(Found::Damaged)
    }

    fn parse_sound(bytes: &[u8]) -> Option<Found> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (body, crc) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let crc = u32::from_str_radix(crc.strip_prefix("crc ")?, 16).ok()?;
        let (body, _) = text.split_at_checked(body.len() + 1)?;
        if crc != crc32c(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines();
        let number: u32 = lines.next()?.strip_prefix(HEAD)?.parse().ok()?;
        if number > KNOWN {
            return Some(Found::Newer(number));
        }
        let keyspaces = lines.map(keyspace).collect::<Option<_>>()?;
        Some(Found::Known(Self { keyspaces }))
    }
}

fn keyspace(line: &str) -> Option<(u32, String)> {
    let (id, name) = line.strip_prefix("keyspace ")?.split_once(' ')?;
    Some((id.parse().ok()?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Format {
        Format {
            keyspaces: vec![(1, "sessions".into()), (2, "two words".into())],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Format::parse(sample().text().as_bytes()), Found::Known(sample()));
    }

    #[test]
    fn a_later_format_is_told_from_a_flipped_byte() {
        let body = "twinmq store format 7\nsomething new\n";
        let later = format!("{body}crc {:08x}\n", crc32c(body.as_bytes()));
        assert_eq!(Format::parse(later.as_bytes()), Found::Newer(7));
        let text = sample().text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x04;
            }
            assert_eq!(Format::parse(&bytes), Found::Damaged, "flipped at {at}");
        }
        assert_eq!(Format::parse(b""), Found::Damaged);
    }
}
