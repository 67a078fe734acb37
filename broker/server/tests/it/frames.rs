//! WebSocket frames by hand: what a story sends is written out, what it hears is compared there.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::client::{Client, SOON, Wire};

pub(crate) const MORE: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;
/// The frame is the last one of its message.
pub(crate) const FIN: u8 = 0x80;

/// A connection that has been upgraded. Read and written, it is the stream of bytes inside binary frames.
pub(crate) struct Frames {
    wire: Box<dyn Wire>,
    unread: Vec<u8>,
}

/// A request as any WebSocket client sends it, with a header line more.
pub(crate) fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

pub(crate) fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// What is answered to a request, up to the empty line.
pub(crate) fn ask(wire: &mut dyn Wire, request: &str) -> String {
    wire.write_all(request.as_bytes()).unwrap();
    wire.flush().unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && wire.read(&mut byte).unwrap() > 0 {
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// A frame as clients send them: masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = header(first, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The head of a frame without its mask.
pub(crate) fn header(first: u8, len: usize, masked: u8) -> Vec<u8> {
    let mut header = vec![first];
    match len {
        0..=125 => header.push(masked | u8::try_from(len).unwrap()),
        126..=65_535 => {
            header.push(masked | 126);
            header.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend((len as u64).to_be_bytes());
        }
    }
    header
}

impl Frames {
    pub(crate) fn dial(address: SocketAddr) -> Self {
        Self::over(Box::new(socket(address)))
    }

    /// Upgrades a fresh connection.
    pub(crate) fn over(mut wire: Box<dyn Wire>) -> Self {
        let answer = ask(&mut *wire, &request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n"));
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        Self {
            wire,
            unread: Vec::new(),
        }
    }

    /// An MQTT client inside.
    pub(crate) fn client(self) -> Client {
        Client::over(Box::new(self))
    }

    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.send_raw(&frame(first, payload));
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.wire.write_all(bytes).unwrap();
        self.wire.flush().unwrap();
    }

    /// Sends unless the broker has closed already.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.wire.write_all(bytes).is_ok()
    }

    /// The next frame: its first byte and what is in it. `None` at the end of the connection.
    pub(crate) fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, len] = self.bytes()?;
        assert_eq!(len & 0x80, 0, "a server does not mask");
        let len = match len {
            126 => u16::from_be_bytes(self.bytes()?).into(),
            127 => usize::try_from(u64::from_be_bytes(self.bytes()?)).unwrap(),
            short => short.into(),
        };
        let mut payload = vec![0; len];
        self.fill(&mut payload)?;
        Some((first, payload))
    }

    /// The code of the close frame that comes next, or nothing if the connection just ends.
    pub(crate) fn hear_close(&mut self) -> Option<u16> {
        let (first, payload) = self.hear()?;
        assert_eq!(first, FIN | CLOSE);
        Some(u16::from_be_bytes([payload[0], payload[1]]))
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).map(|()| bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self.wire.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("nothing was heard in time"),
            // The connection has ended, in order or by a reset.
            Err(_) => None,
        }
    }
}

impl Read for Frames {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.hear() {
                Some((first, payload)) if first == FIN | BINARY => self.unread = payload,
                Some((first, _)) if first == FIN | CLOSE => return Ok(0),
                Some((first, _)) => panic!("a frame that begins with {first:#x}"),
                None => return Ok(0),
            }
        }
        let now = self.unread.len().min(buf.len());
        buf[..now].copy_from_slice(&self.unread[..now]);
        self.unread.drain(..now);
        Ok(now)
    }
}

impl Write for Frames {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.wire.write_all(&frame(FIN | BINARY, buf))?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}
