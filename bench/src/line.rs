//! One connection of the load: reads in bulk, writes answers and messages together, never blocks.

use std::io::{ErrorKind, IoSlice, Read, Write};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::client::{Client, ClientPlan, Speech};
use crate::desk::{Desk, Role};
use crate::scanner::Scanner;
use crate::tls::Tls;

/// A greeted connection whose readiness is watched, edge by edge.
#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    socket: TcpStream,
    tls: Option<Tls>,
    scanner: Scanner,
    role: Role,
    /// Answers to be written.
    out: Vec<u8>,
}

impl Line {
    /// Registers the socket of a client that has been greeted and has subscribed.
    pub(crate) fn of(
        client: Client,
        poll: &Poll,
        token: Token,
        speech: Speech,
        plan: &ClientPlan,
        role: Role,
    ) -> Result<Self> {
        let (mut socket, tls) = client
            .into_nonblocking()
            .with_context(|| format!("client {}", plan.client_id))?;
        poll.registry()
            .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let scanner = Scanner::new(speech.version());
        Ok(Self {
            name: plan.client_id.clone(),
            socket,
            tls,
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
            tls,
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
            let mut feed = |bytes: &[u8]| scanner.feed(bytes, &mut |frame| desk.take(*role, frame, now, out));
            match tls {
                None => feed(bytes)?,
                Some(tls) => tls.open(bytes, feed)?,
            }
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
            match self
                .tls
                .as_mut()
                .map_or(Ok(()), |tls| tls.flush(&mut self.socket))
            {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                flushed => flushed?,
            }
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
            let bytes = [answers, first, second].map(IoSlice::new);
            let written = match &mut self.tls {
                None => self.socket.write_vectored(&bytes),
                Some(tls) => tls.seal(&bytes),
            };
            let written = match written {
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
