//! A small HTTP/1.1 client: one connection that is kept, one request at a time, bodies with a length.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Longest time that an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Longest head and longest body of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A kept connection.
#[derive(Debug)]
pub(crate) struct HttpClient {
    socket: TcpStream,
    address: SocketAddr,
    unread: Vec<u8>,
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl HttpClient {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let socket =
            TcpStream::connect_timeout(&address, ANSWER_WITHIN).context("cannot connect over HTTP")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.set_write_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self {
            socket,
            address,
            unread: Vec::new(),
        })
    }

    /// Sends a request and waits for its answer, whatever its status.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP/1.1 with a length.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: Option<(&str, &str)>) -> Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some((content_type, body)) = body {
            request.push_str(&format!(
                "Content-Type: {content_type}\r\nContent-Length: {}\r\n",
                body.len()
            ));
        }
        request.push_str("\r\n");
        request.push_str(body.map_or("", |(_, body)| body));
        self.socket
            .write_all(request.as_bytes())
            .context("cannot send an HTTP request")?;
        self.answer().with_context(|| format!("{method} {path}"))
    }

    fn answer(&mut self) -> Result<Answer> {
        let head_len = self.fill_head()?;
        let head = String::from_utf8(self.take(head_len)).context("an HTTP head that is not text")?;
        let (status, body_len) = parse_head(&head)?;
        while self.unread.len() < body_len {
            self.fill()?;
        }
        Ok(Answer {
            status,
            body: self.take(body_len),
        })
    }

    /// Reads until the head is whole; answers its length with the empty line.
    fn fill_head(&mut self) -> Result<usize> {
        loop {
            if let Some(position) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(position + 4);
            }
            ensure!(self.unread.len() <= HEAD_BYTES_MAX, "an HTTP head without end");
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<()> {
        let mut buffer = [0; 8192];
        let count = self.socket.read(&mut buffer).context("no HTTP answer")?;
        ensure!(count > 0, "the server closed the HTTP connection");
        self.unread
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let rest = self.unread.split_off(len);
        std::mem::replace(&mut self.unread, rest)
    }
}

/// Status and length of the body.
fn parse_head(head: &str) -> Result<(u16, usize)> {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.with_context(|| format!("not an HTTP/1.1 answer: {status_line}"))?;
    if matches!(status, 204 | 304) {
        return Ok((status, 0));
    }
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            let len = value
                .trim()
                .parse()
                .context("a Content-Length that is no number")?;
            ensure!(len <= BODY_BYTES_MAX, "an HTTP body of {len} bytes");
            return Ok((status, len));
        }
    }
    bail!("an HTTP answer without Content-Length");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_and_length() {
        let head = "HTTP/1.1 412 Precondition Failed\r\nETag: \"1\"\r\ncontent-LENGTH: 17\r\n\r\n";
        assert_eq!(parse_head(head).unwrap(), (412, 17));
        assert_eq!(parse_head("HTTP/1.1 204 No Content\r\n\r\n").unwrap(), (204, 0));
    }

    #[test]
    fn answers_that_are_no_http_are_errors() {
        for head in [
            "",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 2x0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert!(parse_head(head).is_err(), "{head}");
        }
        assert!(parse_head("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").is_err());
    }
}
