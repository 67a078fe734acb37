//! Requests to the HTTP API, each on a connection of its own.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long an answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Asks for a page: its status and text.
pub(super) async fn get(to: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    ask(
        to,
        &format!("GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n"),
    )
    .await
}

/// Sends a merge patch: its status and the answer.
pub(super) async fn patch(to: SocketAddr, path: &str, body: &str) -> io::Result<(u16, String)> {
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\
         content-type: application/merge-patch+json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    ask(to, &(head + body)).await
}

async fn ask(to: SocketAddr, request: &str) -> io::Result<(u16, String)> {
    let answered = timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        Ok::<String, io::Error>(answer)
    });
    parse(&answered.await??).ok_or_else(|| io::Error::other("an answer that is not HTTP"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
