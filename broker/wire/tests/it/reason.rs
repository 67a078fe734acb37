//! Reason codes and what 3.1.1 clients are told instead.

use mqtt_wire::{ReasonCode, connack_return_code};

#[test]
fn there_are_43_codes_and_each_is_its_own_byte() {
    assert_eq!(ReasonCode::ALL.len(), 43);
    let known = (0..=u8::MAX).filter_map(|byte| ReasonCode::try_from(byte).ok().map(|code| (byte, code)));
    let known: Vec<_> = known.collect();
    assert_eq!(known.len(), 43);
    for (at, (byte, code)) in known.into_iter().enumerate() {
        assert_eq!(code as u8, byte);
        assert_eq!(ReasonCode::ALL[at], code);
        assert_eq!(code.is_error(), byte >= 0x80);
    }
}

#[test]
fn a_code_says_its_name() {
    assert_eq!(ReasonCode::NotAuthorized.to_string(), "0x87 not authorized");
    assert_eq!(ReasonCode::default().name(), "success");
    let mut names: Vec<_> = ReasonCode::ALL.iter().map(|code| code.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 43);
}

#[test]
fn every_refusal_has_a_return_code_of_311() {
    for code in ReasonCode::ALL {
        let expected = match code {
            ReasonCode::Success => 0,
            ReasonCode::UnsupportedProtocolVersion => 1,
            ReasonCode::ClientIdentifierNotValid => 2,
            ReasonCode::BadUserNameOrPassword => 4,
            ReasonCode::NotAuthorized | ReasonCode::Banned | ReasonCode::BadAuthenticationMethod => 5,
            _ => 3,
        };
        assert_eq!(connack_return_code(*code), expected, "{code}");
    }
}
