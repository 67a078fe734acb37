//! Records: a twin and a device's presence as bytes and back, with a format version.
//!
//! A record is one byte of format, then JSON. A reader refuses a format it does not know, so a downgrade is told
//! and not guessed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use twin_model::{Twin, TwinId, TwinParts};

/// The only format so far.
const FORMAT: u8 = 1;

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damaged {
    #[error("the record is empty")]
    Empty,
    #[error("the record has format {0}, this version knows format {FORMAT}")]
    Format(u8),
    #[error("the record is not readable: {0}")]
    Content(#[from] serde_json::Error),
}

/// A twin as bytes. Its name is not among them: it is the key.
pub(crate) fn of_twin(twin: &Twin) -> Vec<u8> {
    to_bytes(&twin.parts())
}

/// The twin of these bytes.
///
/// # Errors
/// When they were not written by `of_twin`.
pub(crate) fn to_twin(id: TwinId, bytes: &[u8]) -> Result<Twin, Damaged> {
    from_bytes::<TwinParts>(bytes).map(|parts| Twin::from_parts(id, parts))
}

/// Any record as bytes.
pub(crate) fn to_bytes(record: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    serde_json::to_writer(&mut bytes, record)
        .expect("records are structs of strings and numbers, written to memory");
    bytes
}

/// The record of these bytes.
///
/// # Errors
/// When they were not written by `to_bytes`.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Damaged> {
    match bytes.split_first() {
        None => Err(Damaged::Empty),
        Some((&FORMAT, content)) => Ok(serde_json::from_slice(content)?),
        Some((&other, _)) => Err(Damaged::Format(other)),
    }
}
