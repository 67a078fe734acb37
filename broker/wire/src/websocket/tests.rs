//! Frames of clients as they may and may not come, in pieces of any size.

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame of a client, with its length in so many bytes.
fn frame_with(first: u8, len_bytes: usize, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u64).to_be_bytes();
    let mut frame = vec![first];
    match len_bytes {
        0 => frame.push(MASKED | len[7]),
        2 => frame.push(MASKED | 126),
        _ => frame.push(MASKED | 127),
    }
    frame.extend(&len[8 - len_bytes..]);
    frame.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len_bytes = match payload.len() {
        0..=125 => 0,
        126..=65_535 => 2,
        _ => 8,
    };
    frame_with(first, len_bytes, payload)
}

/// Everything that was said besides bytes, and all bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    bytes: Vec<u8>,
    said: Vec<Said>,
    fault: Option<Fault>,
}

/// Reads it in pieces of this size.
fn hear(stream: &[u8], piece: usize) -> Heard {
    let (mut frames, mut heard) = (Frames::new(), Heard::default());
    for piece in stream.chunks(piece) {
        let mut rest = piece.to_vec();
        while !rest.is_empty() {
            match frames.read(&mut rest) {
                Ok((used, said)) => {
                    assert!(used > 0, "it goes on");
                    match said {
                        Some(Said::Bytes { from }) => heard.bytes.extend(&rest[from..used]),
                        Some(said) => heard.said.push(said),
                        None => {}
                    }
                    rest.drain(..used);
                }
                Err(fault) => {
                    heard.fault = Some(fault);
                    return heard;
                }
            }
        }
    }
    heard
}

/// The same in all pieces.
fn hear_anyhow(stream: &[u8]) -> Heard {
    let whole = hear(stream, stream.len());
    for piece in [1, 2, 3, 5, 7, 4096] {
        assert_eq!(hear(stream, piece), whole, "in pieces of {piece}");
    }
    whole
}

/// [MQTT-6.0.0-2] Where frames and reads end means nothing.
#[test]
fn bytes_come_through_whatever_they_are_cut_into() {
    let long: Vec<u8> = (0..70_000_u32).map(|at| (at % 251) as u8).collect();
    for len in [0, 1, 4, 125, 126, 65_535, 65_536, 70_000] {
        let heard = hear_anyhow(&frame(0x82, &long[..len]));
        assert_eq!((&heard.bytes[..], heard.fault), (&long[..len], None));
    }
    let parts = [
        frame(0x02, b"he"),
        frame(0x00, b""),
        frame(0x80, b"llo"),
        frame(0x82, b"!"),
    ]
    .concat();
    assert_eq!(hear_anyhow(&parts).bytes, b"hello!");
}

/// A length may be written with more bytes than it needs.
#[test]
fn lengths_are_read_in_all_forms() {
    for len_bytes in [0, 2, 8] {
        assert_eq!(hear_anyhow(&frame_with(0x82, len_bytes, b"on")).bytes, b"on");
    }
}

#[test]
fn pings_and_closes_come_between_the_parts_of_a_message() {
    let close = [&1000_u16.to_be_bytes()[..], b"bye"].concat();
    let stream = [
        frame(0x02, b"a"),
        frame(0x89, b"there?"),
        frame(0x8a, b""),
        frame(0x80, b"b"),
        frame(0x88, &close),
        frame(0x88, b""),
    ]
    .concat();
    let heard = hear_anyhow(&stream);
    assert_eq!(heard.bytes, b"ab");
    let ping = Said::Ping(b"there?".to_vec());
    assert_eq!(
        heard.said,
        [ping, Said::Pong, Said::Close(Some(1000)), Said::Close(None)]
    );
}

/// [MQTT-6.0.0-1] and RFC 6455: each mistake has its code.
#[test]
fn mistakes_have_their_codes() {
    let code = |code: u16| frame(0x88, &code.to_be_bytes());
    let inside = [frame(0x02, b""), frame(0x82, b"")].concat();
    for (stream, code) in [
        (frame(0x81, b"text"), 1003),
        (frame(0x01, b"text"), 1003),
        (vec![0x82, 2, 0xc0, 0], 1002),
        (frame(0xc2, b"reserved"), 1002),
        (frame(0x92, b"reserved"), 1002),
        (frame(0x83, b"unknown"), 1002),
        (frame(0x8b, b"unknown"), 1002),
        (frame(0x80, b"goes on"), 1002),
        (inside, 1002),
        (frame(0x09, b"in parts"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (frame(0x88, b"1"), 1002),
        (frame(0x88, &[3, 0xe8, 0xff]), 1002),
        (code(0), 1002),
        (code(999), 1002),
        (code(1005), 1002),
        (code(2000), 1002),
        (code(5000), 1002),
        (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1002),
    ] {
        let shown = &stream[..stream.len().min(16)];
        let fault = hear_anyhow(&stream).fault;
        assert_eq!(fault.map(|fault| fault.code), Some(code), "{shown:x?}");
    }
}

#[test]
fn heads_say_the_length() {
    for (len, head) in [
        (0, &[0x82, 0][..]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (65_535, &[0x82, 126, 255, 255]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut out = Vec::new();
        put_head(&mut out, Kind::Binary, len);
        assert_eq!(out, head);
    }
    let mut out = Vec::new();
    put_frame(&mut out, Kind::Pong, b"there?");
    assert_eq!(out, b"\x8a\x06there?");
}
