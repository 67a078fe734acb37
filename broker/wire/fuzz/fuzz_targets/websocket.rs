//! Reading any bytes as WebSocket frames never panics, says the same in whatever pieces they come, and what another
//! implementation takes is what we take.

#![no_main]

use std::io::{self, Cursor, Read, Write};

use libfuzzer_sys::fuzz_target;
use mqtt_wire::websocket::{Fault, Frames, Kind, Said, put_frame};
use tungstenite::{
    Error, Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

/// The largest message that theirs puts together.
const MAX: usize = 1 << 20;

/// What was said: bytes, other things, and what was wrong in the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    bytes: Vec<u8>,
    said: Vec<Said>,
    fault: Option<Fault>,
}

fuzz_target!(|bytes: &[u8]| {
    let Some((seed, stream)) = bytes.split_first() else {
        return;
    };
    let heard = ours(stream, |rest| rest);
    for pieces in [1, 2, usize::from(*seed) + 1] {
        assert_eq!(ours(stream, |rest| rest.min(pieces)), heard);
    }
    compare(stream, &heard);
    come_back(stream);
});

/// Reads in pieces, as a socket gives them.
fn ours(stream: &[u8], piece: impl Fn(usize) -> usize) -> Heard {
    let (mut frames, mut heard, mut rest) = (Frames::new(), Heard::default(), stream);
    while !rest.is_empty() {
        let mut piece = rest[..piece(rest.len())].to_vec();
        match frames.read(&mut piece) {
            Ok((used, said)) => {
                assert!(0 < used && used <= piece.len(), "it goes on");
                match said {
                    Some(Said::Bytes { from }) => {
                        assert!(from < used, "bytes are some");
                        heard.bytes.extend(&piece[from..used]);
                    }
                    Some(said) => heard.said.push(said),
                    None => {}
                }
                rest = &rest[used..];
                // Nothing is read after a good-bye.
                if matches!(heard.said.last(), Some(Said::Close(_))) {
                    break;
                }
            }
            Err(fault) => {
                heard.fault = Some(fault);
                break;
            }
        }
    }
    heard
}

/// A socket that gives these bytes and takes any.
struct Socket<'a>(Cursor<&'a [u8]>);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            some => Ok(some),
        }
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(stream: &[u8], role: Role) -> (Vec<Message>, Option<Error>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(512)
        .max_message_size(Some(MAX))
        .max_frame_size(Some(MAX));
    let mut socket = WebSocket::from_raw_socket(Socket(Cursor::new(stream)), role, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => messages.push(message),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (messages, None),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return (messages, None),
            Err(error) => return (messages, Some(error)),
        }
    }
}

/// Theirs waits for whole messages and ours does not, so that ours may have heard more. Text, which theirs takes, is not
/// compared.
fn compare(stream: &[u8], heard: &Heard) {
    if heard.fault.is_some_and(|fault| fault.code == 1003) {
        return;
    }
    let (messages, error) = theirs(stream, Role::Server);
    let (mut bytes, mut pings) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Message::Binary(part) => bytes.extend(part),
            Message::Text(text) => panic!("{heard:?}, and they text: {text}"),
            Message::Ping(asked) => pings.push(asked.to_vec()),
            Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
    assert!(heard.bytes.starts_with(&bytes), "{heard:?}, and they {bytes:?}");
    let asked = heard.said.iter().filter_map(|said| match said {
        Said::Ping(asked) => Some(asked.clone()),
        Said::Bytes { .. } | Said::Pong | Said::Close(_) => None,
    });
    let asked: Vec<Vec<u8>> = asked.collect();
    assert!(asked.starts_with(&pings), "{heard:?}, and they {pings:?}");
    let refuses = matches!(error, Some(Error::Protocol(_) | Error::Utf8(_)));
    assert!(!refuses || heard.fault.is_some(), "{heard:?}, and they {error:?}");
}

/// What we write is read by them.
fn come_back(payload: &[u8]) {
    let mut written = Vec::new();
    put_frame(&mut written, Kind::Binary, payload);
    put_frame(&mut written, Kind::Pong, &payload[..payload.len().min(125)]);
    let (messages, error) = theirs(&written, Role::Client);
    assert!(error.is_none(), "{error:?}");
    let [Message::Binary(same), Message::Pong(_)] = &messages[..] else {
        panic!("they read {messages:?}");
    };
    assert_eq!(same, payload);
}
