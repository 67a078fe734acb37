//! The null relay: copies bytes from sources to sinks of the same channel and knows no MQTT.
//! What it costs is what the kernel costs, so no broker can be cheaper.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Bytes that wait for one sink at most; with more the run is over, as windows are smaller than that.
const BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;

const LISTENER: Token = Token(usize::MAX);
const GREETING_BYTES: usize = 5;
const READ_BYTES: usize = 256 * 1024;

/// What a connection does in its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Source,
    Sink,
}

/// What a client sends first; the relay answers with one byte.
pub(crate) fn greeting(role: Role, channel: u32) -> [u8; GREETING_BYTES] {
    let [a, b, c, d] = channel.to_be_bytes();
    let role = match role {
        Role::Source => b'>',
        Role::Sink => b'<',
    };
    [role, a, b, c, d]
}

fn parse_greeting(greeting: [u8; GREETING_BYTES]) -> Result<(Role, u32)> {
    let [role, a, b, c, d] = greeting;
    let role = match role {
        b'>' => Role::Source,
        b'<' => Role::Sink,
        other => bail!("the relay was greeted with {other:#04x}"),
    };
    Ok((role, u32::from_be_bytes([a, b, c, d])))
}

/// Serves until the process is killed.
///
/// # Errors
/// The address is taken, or a client breaks the rules.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    let mut relay = Relay::new(mio::net::TcpListener::from_std(listener))?;
    let mut events = Events::with_capacity(1024);
    loop {
        match relay.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                LISTENER => relay.accept()?,
                Token(line) => relay.move_bytes(line)?,
            }
        }
        relay.flush()?;
    }
}

struct Relay {
    poll: Poll,
    listener: mio::net::TcpListener,
    lines: Vec<Option<Line>>,
    sinks: BTreeMap<u32, Vec<usize>>,
    /// Lines with bytes that were appended in this round.
    touched: Vec<usize>,
    buffer: Vec<u8>,
}

struct Line {
    socket: TcpStream,
    greeted: Option<(Role, u32)>,
    out: Vec<u8>,
    is_touched: bool,
}

impl Relay {
    fn new(mut listener: mio::net::TcpListener) -> Result<Self> {
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let (lines, touched) = (Vec::new(), Vec::new());
        Ok(Self {
            poll,
            listener,
            lines,
            sinks: BTreeMap::new(),
            touched,
            buffer: vec![0; READ_BYTES],
        })
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept"),
            };
            socket.set_nodelay(true)?;
            let token = Token(self.lines.len());
            self.poll
                .registry()
                .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            self.lines.push(Some(Line {
                socket,
                greeted: None,
                out: Vec::new(),
                is_touched: false,
            }));
        }
    }

    /// Reads all there is on one line and appends it to the sinks of its channel.
    fn move_bytes(&mut self, index: usize) -> Result<()> {
        loop {
            let Some(Some(line)) = self.lines.get_mut(index) else {
                return Ok(());
            };
            let count = match line.socket.read(&mut self.buffer) {
                Ok(0) => {
                    self.hang_up(index);
                    return Ok(());
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    self.hang_up(index);
                    return Ok(());
                }
                Err(error) => return Err(error).context("cannot read"),
            };
            self.pass_on(index, count)?;
            if count < READ_BYTES {
                break;
            }
        }
        self.touch(index);
        Ok(())
    }

    fn pass_on(&mut self, index: usize, count: usize) -> Result<()> {
        let Some(Some(line)) = self.lines.get_mut(index) else {
            return Ok(());
        };
        let bytes = self.buffer.get(..count).unwrap_or_default();
        let Some((_, channel)) = line.greeted else {
            let greeting = bytes.try_into().context("a greeting that is not 5 bytes")?;
            let (role, channel) = parse_greeting(greeting)?;
            line.greeted = Some((role, channel));
            line.out.push(b'!');
            if role == Role::Sink {
                self.sinks.entry(channel).or_default().push(index);
            }
            return Ok(());
        };
        for &sink in self.sinks.get(&channel).into_iter().flatten() {
            if let Some(Some(sink_line)) = self.lines.get_mut(sink) {
                ensure!(
                    sink_line.out.len() + count <= BACKLOG_BYTES_MAX,
                    "a sink does not read"
                );
                sink_line.out.extend_from_slice(bytes);
                if !sink_line.is_touched {
                    sink_line.is_touched = true;
                    self.touched.push(sink);
                }
            }
        }
        Ok(())
    }

    fn touch(&mut self, index: usize) {
        if let Some(Some(line)) = self.lines.get_mut(index)
            && !line.out.is_empty()
            && !line.is_touched
        {
            line.is_touched = true;
            self.touched.push(index);
        }
    }

    /// Writes to each touched line once what has gathered; the rest waits until the socket takes more.
    fn flush(&mut self) -> Result<()> {
        for index in std::mem::take(&mut self.touched) {
            let Some(Some(line)) = self.lines.get_mut(index) else {
                continue;
            };
            line.is_touched = false;
            match line.socket.write(&line.out) {
                Ok(count) => drop(line.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    self.hang_up(index);
                }
                Err(error) => return Err(error).context("cannot write"),
            }
        }
        Ok(())
    }

    fn hang_up(&mut self, index: usize) {
        if let Some(line) = self.lines.get_mut(index).and_then(Option::take)
            && let Some((Role::Sink, channel)) = line.greeted
            && let Some(sinks) = self.sinks.get_mut(&channel)
        {
            sinks.retain(|&sink| sink != index);
        }
    }
}
