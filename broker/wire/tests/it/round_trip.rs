//! What is written is read back the same, in one piece and only in one piece.

use mqtt_wire::Version;
use proptest::prelude::*;

use crate::strategies::{Owned, from_client, from_server, version};
use crate::vectors::{From, read};

fn survives(from: From, version: Version, owned: &Owned) -> Result<(), TestCaseError> {
    let packet = owned.packet();
    let mut out = vec![0xee; 3];
    packet.encode(version, &mut out).unwrap();
    let (before, bytes) = out.split_at(3);
    prop_assert_eq!(before, [0xee; 3], "what was in the buffer stays");
    prop_assert_eq!(packet.encoded_len(version), Ok(bytes.len()));
    prop_assert_eq!(
        read(from, version, bytes),
        Ok(Some((packet.clone(), bytes.len())))
    );
    prop_assert_eq!(mqtt_wire::frame_len(bytes, u32::MAX), Ok(Some(bytes.len())));
    for cut in 0..bytes.len() {
        prop_assert_eq!(read(from, version, &bytes[..cut]), Ok(None), "cut at {}", cut);
    }
    let longer = [bytes, &[0xff; 5]].concat();
    prop_assert_eq!(read(from, version, &longer), Ok(Some((packet, bytes.len()))));
    Ok(())
}

proptest! {
    #[test]
    fn what_a_client_writes_a_server_reads((version, owned) in version().prop_flat_map(|v| (Just(v), from_client(v)))) {
        survives(From::Client, version, &owned)?;
    }

    #[test]
    fn what_a_server_writes_a_client_reads((version, owned) in version().prop_flat_map(|v| (Just(v), from_server(v)))) {
        survives(From::Server, version, &owned)?;
    }

    #[test]
    fn packets_in_a_row_are_read_one_by_one(many in prop::collection::vec(from_client(Version::V5), 0..8)) {
        let mut bytes = Vec::new();
        for owned in &many {
            owned.packet().encode(Version::V5, &mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        for owned in &many {
            let (packet, len) = read(From::Client, Version::V5, rest).unwrap().unwrap();
            prop_assert_eq!(packet, owned.packet());
            rest = &rest[len..];
        }
        prop_assert!(rest.is_empty());
    }
}
