//! How long one connection keeps its thread: frames that say nothing are read a turn at a time.

use std::future::poll_fn;

use tokio::{io::AsyncWriteExt, net::UnixStream, task::coop::unconstrained};

use super::*;
use crate::stream::{Movable, Socket};

/// A masked frame without content; the mask is zero.
fn empty(first: u8) -> [u8; 6] {
    [first, 0x80, 0, 0, 0, 0]
}

/// How often what lies ready is asked for until a byte comes out of it.
async fn polls(ready: &[u8]) -> usize {
    let (near, mut far) = UnixStream::pair().expect("a pair");
    let mut frames = WebSocket::new(Movable::new(Socket::Unix(near)), Vec::new(), 1024);
    frames.know();
    far.write_all(ready).await.expect("it fits into the socket");
    let (mut polls, mut byte) = (0, [0; 1]);
    let read = poll_fn(|cx| {
        polls += 1;
        Pin::new(&mut frames).poll_read(cx, &mut ReadBuf::new(&mut byte))
    });
    unconstrained(read).await.expect("frames");
    assert_eq!(byte, *b"x");
    polls
}

#[tokio::test]
async fn what_says_something_is_read_at_once() {
    let one = [0x82, 0x81, 0, 0, 0, 0, b'x'];
    assert!(polls(&one).await <= 2);
}

#[tokio::test]
async fn pings_are_answered_a_turn_at_a_time() {
    let mut pings = empty(0x89).repeat(320);
    pings.extend([0x82, 0x81, 0, 0, 0, 0, b'x']);
    assert!(polls(&pings).await >= 320 / IDLE_READS_MAX);
}

#[tokio::test]
async fn fragments_without_an_end_are_read_a_turn_at_a_time() {
    let mut fragments = empty(0x02).to_vec();
    fragments.extend(empty(0x00).repeat(10_000));
    fragments.extend([0x80, 0x81, 0, 0, 0, 0, b'x']);
    assert!(polls(&fragments).await >= fragments.len() / TURN_BYTES);
}
