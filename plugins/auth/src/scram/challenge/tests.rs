//! Exchanges of SCRAM, word by word.

use std::num::NonZeroU32;

use plugin_api::Secret;

use super::*;
use crate::scram::Mechanism;

const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const OURS: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=";
const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

fn verifier(mechanism: Mechanism) -> Verifier {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("a salt");
    let password = Secret::new(b"pencil".to_vec());
    Verifier::with(mechanism, &password, salt, NonZeroU32::new(4096).expect("not 0"))
}

fn posed(mechanism: Mechanism, ours: &str) -> (Challenge, Vec<u8>) {
    let first = ClientFirst::parse(FIRST).expect("a first message");
    Challenge::with_nonce(&first, verifier(mechanism), ours)
}

fn is_right(challenge: &Challenge, last: &str) -> bool {
    challenge.judge(last.as_bytes()).is_ok()
}

/// RFC 7677, section 3.
#[test]
fn the_exchange_of_the_specification_is_this_one() {
    let (challenge, asked) = posed(Mechanism::Sha256, OURS);
    assert_eq!(
        str::from_utf8(&asked),
        Ok("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    );
    let proven = challenge
        .judge(format!("{LAST}{PROOF}").as_bytes())
        .expect("a right proof");
    assert_eq!(
        str::from_utf8(&proven),
        Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    );
}

/// The same words, with what another implementation makes of them.
#[test]
fn the_longer_hash_is_used_in_the_same_way() {
    let (challenge, _) = posed(Mechanism::Sha512, OURS);
    let proof = "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    let proven = challenge
        .judge(format!("{LAST}{proof}").as_bytes())
        .expect("a right proof");
    assert_eq!(
        str::from_utf8(&proven),
        Ok("v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==")
    );
}

#[test]
fn a_wrong_proof_proves_nothing() {
    let (challenge, _) = posed(Mechanism::Sha256, OURS);
    assert!(is_right(&challenge, &format!("{LAST}{PROOF}")));
    let right = STANDARD.decode(PROOF).expect("base64");
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
        assert!(!is_right(
            &challenge,
            &format!("{LAST}{}", STANDARD.encode(&wrong))
        ));
        let part = STANDARD.encode(right.get(..at).unwrap_or_default());
        assert!(!is_right(&challenge, &format!("{LAST}{part}")));
    }
    let longer = STANDARD.encode([right.as_slice(), &[0]].concat());
    assert!(!is_right(&challenge, &format!("{LAST}{longer}")));
}

#[test]
fn a_proof_belongs_to_its_words() {
    let (challenge, _) = posed(Mechanism::Sha256, OURS);
    let last = format!("{LAST}{PROOF}");
    let (header, nonce) = (
        "it says another thing of channel binding than at first",
        "its nonce is not that of this exchange",
    );
    let changed = [
        (last.replace("c=biws", "c=eSws"), header),
        (last.replace("k0,p=", "k1,p="), nonce),
        (
            last.replace("r=rOprNGfwEbeRWgbNEkqO", "r=rOprNGfwEbeRWgbNEkqP"),
            nonce,
        ),
        (last.replace("r=rOprNGfwEbeRWgbNEkqO%", "r=%"), nonce),
        (last.replace(",p=", ",x=y,p="), "a wrong password"),
    ];
    for (changed, why) in changed {
        assert_eq!(challenge.judge(changed.as_bytes()), Err(why), "{changed}");
    }
}

#[test]
fn a_proof_that_was_overheard_is_of_no_use_in_another_exchange() {
    let last = format!("{LAST}{PROOF}");
    let (again, _) = posed(Mechanism::Sha256, "another");
    assert!(!is_right(&again, &last));
    assert!(!is_right(&again, &last.replace(OURS, "another")));
    let first = ClientFirst::parse(FIRST).expect("a first message");
    let pose = || Challenge::pose(&first, verifier(Mechanism::Sha256)).expect("random numbers");
    assert_ne!(pose().1, pose().1, "each exchange has a nonce of its own");
}

#[test]
fn a_decoy_looks_the_same_each_time_and_nothing_proves_it() {
    let model = verifier(Mechanism::Sha256);
    let decoy = model.decoy(b"seed");
    assert_eq!(
        (decoy.salt.len(), decoy.iterations),
        (model.salt.len(), model.iterations)
    );
    assert_eq!(decoy.salt, model.decoy(b"seed").salt);
    assert_ne!(decoy.salt, model.decoy(b"other").salt);
    assert_ne!(decoy.salt, verifier(Mechanism::Sha512).decoy(b"seed").salt);
    let first = ClientFirst::parse(FIRST).expect("a first message");
    let (challenge, _) = Challenge::with_nonce(&first, decoy, OURS);
    assert!(!is_right(&challenge, &format!("{LAST}{PROOF}")));
}

#[test]
fn a_verifier_is_read_as_it_was_written() {
    for mechanism in Mechanism::ALL {
        let verifier = Verifier::of(mechanism, &Secret::new(b"pencil".to_vec())).expect("random numbers");
        assert_eq!(Verifier::parse(&verifier.text()), Some(Ok(verifier.clone())));
        assert!(!format!("{verifier:?}").contains("15000"));
    }
    let text = verifier(Mechanism::Sha256).text();
    assert_eq!(
        text,
        "$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=\
         $wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    );
    let wrong = [
        text.replace("i=4096", "i=4095"),
        text.replace("i=4096", "i=1000001"),
        text.replace("i=4096", "4096"),
        text.replace("sha-256", "sha-512"),
        text.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0="),
        text.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY7soEsUEjb6gQ"),
        format!("{text}$"),
        text.trim_end_matches('=').to_owned(),
    ];
    for wrong in wrong {
        assert!(matches!(Verifier::parse(&wrong), Some(Err(_))), "{wrong}");
    }
    for other in ["", "$argon2id$v=19$m=8,t=1,p=1$x$y", "$scram-sha-1$i=4096$x$y$z"] {
        assert_eq!(Verifier::parse(other), None);
    }
}
