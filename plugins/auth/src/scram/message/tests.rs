//! What is a message of SCRAM, and what is none.

use proptest::prelude::*;

use super::*;

#[test]
fn a_first_message_is_taken_apart() {
    let first = ClientFirst::parse(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL").expect("a message");
    assert_eq!(first.header, "n,,");
    assert_eq!(first.bare, "n=user,r=fyko+d2lbbFgONRv9qkxdawL");
    assert_eq!(first.name, "user");
    assert_eq!(first.nonce, "fyko+d2lbbFgONRv9qkxdawL");
    let full = ClientFirst::parse(b"y,a=a=2Cb=3D,n=a=2Cb=3D,r=x,z=extension").expect("a message");
    assert_eq!((full.header, full.name.as_str()), ("y,a=a=2Cb=3D,", "a,b="));
}

#[test]
fn what_is_no_first_message_is_refused() {
    let wrong = [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,n=user,",
        "n,,n=user,r=",
        "n,,n=,r=x",
        "n,,r=x,n=user",
        "n,,n=user,r=x y",
        "n,,n=user,r=\u{fc}",
        "n,,n=us=er,r=x",
        "n,,n=user=,r=x",
        "n,,n=user=2c,r=x",
        "n,,n=user=\u{fc}\u{fc},r=x",
        "n,,n=user,r=x,",
        "n,,n=user,r=x,1=y",
        "n,,n=user,r=x,y=",
        "n,,n=user,r=x\0",
        "n,,m=must,n=user,r=x",
        "n,b=user,n=user,r=x",
        "n,user,n=user,r=x",
        "n,a=other,n=user,r=x",
        "x,,n=user,r=x",
        "p=tls-unique,,n=user,r=x",
        "p,,n=user,r=x",
    ];
    for message in wrong {
        assert!(ClientFirst::parse(message.as_bytes()).is_err(), "{message:?}");
    }
    assert!(ClientFirst::parse(b"n,,n=\xff,r=x").is_err());
    let long = format!("n,,n={},r=x", "u".repeat(MESSAGE_BYTES_MAX));
    assert!(ClientFirst::parse(long.as_bytes()).is_err());
}

#[test]
fn a_last_message_is_taken_apart() {
    let last = ClientFinal::parse(b"c=biws,r=xyz,e=extension,p=AAEC").expect("a message");
    assert_eq!(last.without_proof, "c=biws,r=xyz,e=extension");
    assert_eq!((last.header.as_slice(), last.nonce), (&b"n,,"[..], "xyz"));
    assert_eq!(last.proof, [0, 1, 2]);
}

#[test]
fn no_part_of_a_message_is_a_message() {
    let first = b"n,,n=u,r=x";
    let last = b"c=biws,r=xyz,p=AAEC";
    for len in 0..first.len() {
        assert!(
            ClientFirst::parse(first.get(..len).unwrap_or_default()).is_err(),
            "{len}"
        );
    }
    let whole = ClientFinal::parse(last).expect("a message");
    for len in 0..last.len() {
        // Without a proof it is still a message, and proves nothing.
        let part = ClientFinal::parse(last.get(..len).unwrap_or_default());
        assert!(
            part.is_err() || part.is_ok_and(|part| part.proof != whole.proof),
            "{len}"
        );
    }
}

#[test]
fn what_is_no_last_message_is_refused() {
    let wrong = [
        "",
        "c=biws",
        "c=biws,r=x",
        "c=biws,p=AAEC",
        "r=x,c=biws,p=AAEC",
        "c=b,r=x,p=AAEC",
        "c=biws,r=x,p=A",
        "c=biws,r=x,p=AAEC,e=after",
        "c=biws,r=x,=e,p=AAEC",
    ];
    for message in wrong {
        assert!(ClientFinal::parse(message.as_bytes()).is_err(), "{message:?}");
    }
}

proptest! {
    /// Whatever a peer sends is a message or is refused; and what is taken apart was there.
    #[test]
    fn no_bytes_break_a_message(bytes: Vec<u8>, text in "[nyp],(a=[a-c=,2CD3]*)?,n=[a-c=2CD3]*,r=[!-~]*(,p=[A-Za-z0-9+/=]*)?") {
        for message in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(first) = ClientFirst::parse(message) {
                prop_assert_eq!([first.header, first.bare].concat().into_bytes(), message);
                prop_assert!(!first.name.is_empty() && !first.nonce.contains(','));
            }
            if let Ok(last) = ClientFinal::parse(message) {
                prop_assert!(message.starts_with(last.without_proof.as_bytes()));
            }
        }
    }
}
