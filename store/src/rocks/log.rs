//! RocksDB's log format, in which the write-ahead log and the manifest are kept: reading what is sound of it, and
//! writing it anew.
//!
//! ```text
//! file := blocks of 32 KiB, the last one shorter
//! block := fragments, then zeros where less than a header fits
//! fragment := checksum (4), length (2), type (1), payload
//!    type := 1 whole record | 2 first | 3 middle | 4 last fragment of a record
//! ```
//!
//! The checksum covers type and payload and not the length; so a damaged length can be found again, by trying which
//! one the checksum agrees with, and nothing is lost.
//!
//! A write that power loss or `kill -9` interrupted is told from damage like this: it is the last thing in the file,
//! and it is not all there. Either the file ends within it, or a whole sector of it is still zero. Bytes which are
//! all there and do not agree with their checksum are damage, wherever they are.

use super::crc32c::Crc32c;

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;
const SECTOR: usize = 512;

const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// A part of a log, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A sound record.
    Record(&'a [u8]),
    /// A place that cannot be read.
    Damage {
        /// Where in the file.
        at: usize,
        /// What is wrong.
        reason: &'static str,
        /// What is there instead of a record; empty if nothing was lost.
        remains: &'a [u8],
    },
}

/// How a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After a record, with or without zeros behind it.
    Clean,
    /// Within a record that was never completely written.
    Torn,
    /// At something sound that this version does not know.
    Foreign,
}

/// Reads a log, calling `visit` with its pieces.
pub(crate) fn read(bytes: &[u8], visit: &mut dyn FnMut(Piece<'_>)) -> End {
    Reader {
        bytes,
        at: 0,
        record: Record::Outside,
        maybe_torn: None,
        visit,
    }
    .run()
}

/// Appends a record to a log.
pub(crate) fn append(log: &mut Vec<u8>, record: &[u8]) {
    let mut rest = record;
    let mut first = true;
    loop {
        let left = BLOCK - log.len() % BLOCK;
        if left < HEADER {
            log.resize(log.len() + left, 0);
            continue;
        }
        let (payload, after) = rest.split_at(rest.len().min(left - HEADER));
        let kind = match (first, after.is_empty()) {
            (true, true) => WHOLE,
            (true, false) => FIRST,
            (false, false) => MIDDLE,
            (false, true) => LAST,
        };
        log.extend_from_slice(&checksum(kind, payload).to_le_bytes());
        log.extend_from_slice(&(payload.len() as u16).to_le_bytes());
        log.push(kind);
        log.extend_from_slice(payload);
        if after.is_empty() {
            return;
        }
        (rest, first) = (after, false);
    }
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    Crc32c::new().extend(&[kind]).extend(payload).masked()
}

/// Where the reader is in a record.
enum Record {
    Outside,
    /// After its first fragments.
    Within(Vec<u8>),
    /// A fragment was damaged; the others are of no use.
    Damaged,
}

struct Header {
    crc: u32,
    length: usize,
    kind: u8,
}

struct Reader<'a, 'v> {
    bytes: &'a [u8],
    at: usize,
    record: Record,
    /// Damage that is a torn write unless something sound follows.
    maybe_torn: Option<(usize, &'a [u8])>,
    visit: &'v mut dyn FnMut(Piece<'_>),
}

impl<'a> Reader<'a, '_> {
    fn run(mut self) -> End {
        while self.at < self.bytes.len() {
            let block_end = (self.at / BLOCK + 1) * BLOCK;
            if block_end - self.at < HEADER {
                self.at = block_end;
                continue;
            }
            let rest = self.between(self.at, block_end);
            let Some(header) = header(rest) else {
                // Less than a header, and then the file ends.
                return End::Torn;
            };
            if header.kind == 0 && header.length == 0 && header.crc == 0 {
                if self.only_zeros_from(self.at) {
                    break;
                }
                self.lose("zeros between records", rest, true);
                self.at = block_end;
                continue;
            }
            match self.payload(&header, block_end) {
                Some(payload) if checksum(header.kind, payload) == header.crc => {
                    if !matches!(header.kind, WHOLE | FIRST | MIDDLE | LAST) {
                        return End::Foreign;
                    }
                    self.accept(header.kind, payload);
                }
                _ => self.mend(&header, rest, block_end),
            }
        }
        let unfinished = self.maybe_torn.is_some() || matches!(self.record, Record::Within(_));
        if unfinished { End::Torn } else { End::Clean }
    }

    fn between(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to.min(self.bytes.len())).unwrap_or_default()
    }

    fn only_zeros_from(&self, at: usize) -> bool {
        self.between(at, self.bytes.len()).iter().all(|byte| *byte == 0)
    }

    fn payload(&self, header: &Header, block_end: usize) -> Option<&'a [u8]> {
        let from = self.at + HEADER;
        self.bytes
            .get(from..from + header.length)
            .filter(|_| from + header.length <= block_end)
    }

    /// Takes a sound fragment.
    fn accept(&mut self, kind: u8, payload: &'a [u8]) {
        if let Some((at, remains)) = self.maybe_torn.take() {
            (self.visit)(Piece::Damage {
                at,
                reason: "a record is incomplete",
                remains,
            });
        }
        let at = self.at;
        self.at += HEADER + payload.len();
        let before = std::mem::replace(&mut self.record, Record::Outside);
        match (kind, before) {
            (WHOLE | FIRST, Record::Within(remains)) => {
                (self.visit)(Piece::Damage {
                    at,
                    reason: "a record has no end",
                    remains: &remains,
                });
                self.begin(kind, payload);
            }
            (WHOLE | FIRST, Record::Outside | Record::Damaged) => self.begin(kind, payload),
            (_, Record::Within(mut record)) => {
                record.extend_from_slice(payload);
                if kind == LAST {
                    (self.visit)(Piece::Record(&record));
                } else {
                    self.record = Record::Within(record);
                }
            }
            (_, Record::Outside) => {
                (self.visit)(Piece::Damage {
                    at,
                    reason: "a record has no start",
                    remains: payload,
                });
                self.record = Record::Damaged;
            }
            (_, Record::Damaged) => self.record = Record::Damaged,
        }
    }

    fn begin(&mut self, kind: u8, payload: &[u8]) {
        if kind == WHOLE {
            (self.visit)(Piece::Record(payload));
        } else {
            self.record = Record::Within(payload.to_vec());
        }
    }

    /// Finds the way past a fragment that does not agree with its checksum.
    fn mend(&mut self, header: &Header, rest: &'a [u8], block_end: usize) {
        if let Some(length) = true_length(header, rest) {
            let at = self.at;
            (self.visit)(Piece::Damage {
                at,
                reason: "the length of a record is damaged; it was restored",
                remains: &[],
            });
            let payload = self.between(at + HEADER, at + HEADER + length);
            self.accept(header.kind, payload);
            return;
        }
        let end = self.at + HEADER + header.length;
        if end > block_end.min(self.bytes.len()) {
            let file_ends = block_end >= self.bytes.len();
            self.lose("a record is longer than its place", rest, file_ends);
            self.at = block_end;
        } else if self.is_sound_at(end) {
            let fragment = self.between(self.at, end);
            let last = self.only_zeros_from(end);
            self.lose(
                "a record does not agree with its checksum",
                fragment,
                last && has_empty_sector(self.at, fragment),
            );
            self.at = end;
        } else {
            // The length cannot be trusted: what it points to could be any bytes, even bytes somebody chose.
            self.lose(
                "a record does not agree with its checksum",
                rest,
                has_empty_sector(self.at, rest),
            );
            self.at = block_end;
        }
    }

    /// True if a fragment can have ended here: nothing follows, or something sound does.
    fn is_sound_at(&self, at: usize) -> bool {
        let block_end = (at / BLOCK + 1) * BLOCK;
        if at.is_multiple_of(BLOCK) || block_end - at < HEADER || self.only_zeros_from(at) {
            return true;
        }
        header(self.between(at, block_end)).is_some_and(|next| {
            let from = at + HEADER;
            let payload = self
                .bytes
                .get(from..from + next.length)
                .filter(|_| from + next.length <= block_end);
            payload.is_some_and(|payload| checksum(next.kind, payload) == next.crc)
        })
    }

    fn lose(&mut self, reason: &'static str, remains: &'a [u8], maybe_torn: bool) {
        if let Some((at, remains)) = self.maybe_torn.take() {
            (self.visit)(Piece::Damage {
                at,
                reason: "a record is incomplete",
                remains,
            });
        }
        self.record = Record::Damaged;
        if maybe_torn {
            self.maybe_torn = Some((self.at, remains));
        } else {
            (self.visit)(Piece::Damage {
                at: self.at,
                reason,
                remains,
            });
        }
    }
}

fn header(bytes: &[u8]) -> Option<Header> {
    let ([a, b, c, d, low, high, kind], _) = bytes.split_first_chunk::<HEADER>()?;
    Some(Header {
        crc: u32::from_le_bytes([*a, *b, *c, *d]),
        length: usize::from(u16::from_le_bytes([*low, *high])),
        kind: *kind,
    })
}

/// The length with which the checksum of a fragment agrees.
fn true_length(header: &Header, rest: &[u8]) -> Option<usize> {
    let mut crc = Crc32c::new().extend(&[header.kind]);
    let (_, payload) = rest.split_at_checked(HEADER)?;
    if crc.masked() == header.crc {
        return Some(0);
    }
    payload.iter().enumerate().find_map(|(index, byte)| {
        crc = crc.extend(&[*byte]);
        (crc.masked() == header.crc).then_some(index + 1)
    })
}

/// True if a whole sector of these bytes, or what they have of their last one, is still zero.
fn has_empty_sector(at: usize, bytes: &[u8]) -> bool {
    let (_, aligned) = bytes
        .split_at_checked((SECTOR - at % SECTOR) % SECTOR)
        .unwrap_or((bytes, &[]));
    aligned
        .chunks(SECTOR)
        .any(|sector| sector.len() >= 16 && sector.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests;
