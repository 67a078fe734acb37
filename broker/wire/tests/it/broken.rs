//! Hostile bytes: nothing panics, and what is accepted means the same when it is written again.

use mqtt_wire::{Packet, Version};
use proptest::prelude::*;

use crate::strategies::{from_client, from_server, version};
use crate::vectors::{From, read};

const SIDES: [From; 2] = [From::Client, From::Server];
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// Reads `bytes` in all four ways; whatever is accepted survives being written.
fn endure(bytes: &[u8]) -> Result<(), TestCaseError> {
    for (from, version) in SIDES
        .into_iter()
        .flat_map(|from| VERSIONS.map(|version| (from, version)))
    {
        let Ok(Some((packet, len))) = read(from, version, bytes) else {
            continue;
        };
        prop_assert!(len <= bytes.len());
        let version = match &packet {
            Packet::Connect(connect) => connect.version,
            _ => version,
        };
        let mut again = Vec::new();
        packet.encode(version, &mut again).unwrap();
        prop_assert_eq!(read(from, version, &again), Ok(Some((packet, again.len()))));
        for cut in 0..len {
            prop_assert_eq!(read(from, version, &bytes[..cut]), Ok(None), "cut at {}", cut);
        }
    }
    Ok(())
}

/// One change to some bytes.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    use prop::sample::Index;
    let change = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        any::<Index>().prop_map(Change::Remove),
    ];
    prop::collection::vec(change, 0..4)
}

/// Changes the body of a packet and makes its length right again, so that more than the length is tested.
pub(crate) fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let header = 1 + bytes[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let mut body = bytes[header..].to_vec();
    for change in changes {
        match change {
            Change::Insert(at, byte) => body.insert(at.index(body.len() + 1), *byte),
            _ if body.is_empty() => {}
            Change::Set(at, byte) => *at.get_mut(&mut body) = *byte,
            Change::Flip(at, bit) => *at.get_mut(&mut body) ^= 1 << bit,
            Change::Remove(at) => drop(body.remove(at.index(body.len()))),
        }
    }
    [vec![bytes[0]], crate::hex::length(body.len()), body].concat()
}

proptest! {
    #[test]
    fn random_bytes_are_endured(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        endure(&bytes)?;
    }

    #[test]
    fn random_bodies_are_endured(first in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..64)) {
        endure(&[vec![first], crate::hex::length(body.len()), body].concat())?;
    }

    #[test]
    fn changed_packets_are_endured(
        owned in version().prop_flat_map(|v| prop_oneof![from_client(v), from_server(v)].prop_map(move |p| (v, p))),
        changes in changes(),
    ) {
        let (version, owned) = owned;
        let mut bytes = Vec::new();
        owned.packet().encode(version, &mut bytes).unwrap();
        endure(&changed(&bytes, &changes))?;
    }
}
