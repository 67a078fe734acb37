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

#[cfg(test)]
mod tests {
    use twin_model::{
        Command, Condition, DeviceName, Limits, NoChange, NodeId, Reach, StampClock, Timestamp,
        UpdateRequest, Write, Writer,
    };

    use super::*;

    /// What the first release wrote. It must be readable for ever; a new format adds a file.
    const V1: &[u8] = include_bytes!("../tests/fixtures/v1/twin.record");

    fn id() -> TwinId {
        TwinId::default_of(DeviceName::try_from("pump-7").expect("a name"))
    }

    /// A twin with something of everything: both sections, tags, a refusal, an empty object, an odd number.
    fn twin() -> Twin {
        let limits = Limits::default();
        let mut stamps = StampClock::new(NodeId(7), None);
        let mut twin = Twin::never(id());
        for document in [
            r#"{"state":{"desired":{"rpm":1.50,"net":{"ip":"192.0.2.1","extra":{}},"list":[1,{"a":2}]}}}"#,
            r#"{"state":{"reported":{"rpm":900,"$rejected":{"/net/ip":"not my subnet"}}}}"#,
        ] {
            let update = UpdateRequest::parse(document.as_bytes(), &limits)
                .expect("a request")
                .update;
            twin = twin
                .apply(&write(Command::Update(update)), &mut stamps, &limits)
                .expect("applies")
                .twin;
        }
        let tags = twin_model::Patch::parse(br#"{"plant":"north"}"#, &limits).expect("a patch");
        twin.apply(&write(Command::SetTags(tags)), &mut stamps, &limits)
            .expect("applies")
            .twin
    }

    fn write(command: Command) -> Write {
        Write {
            now: Timestamp::from_millis(1_790_000_000_123),
            writer: Writer::new("app"),
            reach: Reach::Offline,
            condition: Condition::None,
            no_change: NoChange::BumpVersion,
            command,
        }
    }

    #[test]
    fn a_twin_reads_back_as_it_was_written() {
        let twin = twin();
        assert_eq!(to_twin(id(), &of_twin(&twin)).expect("a record"), twin);
        let never = Twin::never(id());
        assert_eq!(to_twin(id(), &of_twin(&never)).expect("a record"), never);
    }

    #[test]
    fn the_record_of_the_first_release_is_still_read() {
        assert_eq!(to_twin(id(), V1).expect("a record"), twin());
    }

    #[test]
    fn bytes_that_are_no_record_are_told_apart() {
        assert!(matches!(to_twin(id(), b""), Err(Damaged::Empty)));
        assert!(matches!(to_twin(id(), b"\x02{}"), Err(Damaged::Format(2))));
        for cut in 1..V1.len() {
            let (part, _) = V1.split_at(cut);
            assert!(
                matches!(to_twin(id(), part), Err(Damaged::Content(_))),
                "cut at {cut}"
            );
        }
    }
}
