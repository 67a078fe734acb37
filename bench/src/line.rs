//! One connection of the load: reads in bulk, writes answers and messages together, never blocks.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::client::{Client, ClientPlan, Speech};
use crate::desk::{Desk, Role};
use crate::scanner::Scanner;

/// A greeted connection whose readiness is watched, edge by edge.
#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    socket: TcpStream,
    scanner: Scanner,
    role: Role,
    /// Answers to be written.
    out: Vec<u8>,
}

impl Line {
    /// Connects, greets, subscribes, and registers the socket.
    pub(crate) fn open(
        poll: &Poll,
        token: Token,
        address: SocketAddr,
        speech: Speech,
        plan: &ClientPlan,
        role: Role,
    ) -> Result<Self> {
        let (mut socket, early) = Client::open(address, speech, plan)?.into_nonblocking()?;
        ensure!(
            early.is_empty(),
            "{} got messages before any was sent",
            plan.client_id
        );
        poll.registry()
            .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let scanner = Scanner::new(speech.version());
        Ok(Self {
            name: plan.client_id.clone(),
            socket,
            scanner,
            role,
            out: Vec::new(),
        })
    }

    /// The client id.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reads what there is and takes it to the desk; `moment` tells when a read was done. A read that does not fill
    /// the buffer has emptied the socket, so that the next edge is not missed.
    ///
    /// # Errors
    /// The broker closed the connection or sent what has no business here.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        desk: &mut Desk,
        moment: impl Fn() -> u64,
    ) -> Result<()> {
        let Self {
            socket,
            scanner,
            role,
            out,
            ..
        } = self;
        loop {
            let count = match socket.read(buffer) {
                Ok(0) => bail!("the broker closed the connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot read"),
            };
            let now = moment();
            let bytes = buffer.get(..count).unwrap_or_default();
            scanner.feed(bytes, &mut |frame| desk.take(*role, frame, now, out))?;
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Writes as much as the socket takes: answers first, but never inside a message.
    pub(crate) fn write(&mut self, desk: &mut Desk) -> std::io::Result<()> {
        let mut publisher = match self.role {
            Role::Publisher(index) => desk.publisher(index),
            Role::Receiver(_) => None,
        };
        loop {
            let (messages, mid_frame) = match &publisher {
                Some(publisher) => (publisher.unwritten(), publisher.is_mid_frame()),
                None => ([&[][..]; 2], false),
            };
            let answers = if mid_frame { &[] } else { self.out.as_slice() };
            let answers_len = answers.len();
            let [first, second] = messages;
            if answers_len + first.len() + second.len() == 0 {
                return Ok(());
            }
            let written = match self
                .socket
                .write_vectored(&[answers, first, second].map(IoSlice::new))
            {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let of_answers = written.min(answers_len);
            self.out.drain(..of_answers);
            if let Some(publisher) = &mut publisher {
                publisher.wrote(written - of_answers);
            }
        }
    }
}
