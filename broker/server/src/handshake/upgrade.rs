//! From HTTP to WebSocket: the request with which a connection asks for it, and the answer.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tungstenite::{
    handshake::{
        machine::TryParse as _,
        server::{Request, create_response, write_response},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
};

use super::Turned;
use crate::{origin, settings::WebSocket, stream::Stream};

/// Largest request; browsers send their cookies along.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// What clients call MQTT here, the preferred name first. [MQTT-6.0.0-3]
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// A connection that speaks WebSocket from now on.
pub(super) struct Upgraded {
    pub(super) stream: Stream,
    /// No page of another site asked for it.
    pub(super) local: bool,
}

/// What is answered to a request that is refused.
struct Refusal {
    status: StatusCode,
    why: String,
}

/// Reads the request and answers it. An error is the socket's; the stream comes back with what it is to be told.
pub(super) async fn upgrade(
    mut stream: Stream,
    settings: &WebSocket,
    connect_bytes_max: usize,
) -> io::Result<Result<Upgraded, (Stream, Turned)>> {
    let (request, begun) = match read_request(&mut stream).await? {
        Ok(read) => read,
        Err(refusal) => return Ok(Err((stream, refusal.into()))),
    };
    let answer = match answer(&request, settings) {
        Ok(answer) => answer,
        Err(refusal) => return Ok(Err((stream, refusal.into()))),
    };
    stream.write_all(&answer).await?;
    stream.flush().await?;
    Ok(Ok(Upgraded {
        stream: stream.into_frames(begun, connect_bytes_max),
        local: origin::is_local(request.headers()),
    }))
}

/// The request, and what came after it.
async fn read_request(stream: &mut Stream) -> io::Result<Result<(Request, Vec<u8>), Refusal>> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match Request::try_parse(&bytes) {
            Ok(Some((len, request))) => return Ok(Ok((request, bytes.split_off(len)))),
            Ok(None) if bytes.len() < REQUEST_BYTES_MAX => {}
            Ok(None) => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                return Ok(Err(refusal(status, "the request is too large")));
            }
            Err(why) => return Ok(Err(refusal(StatusCode::BAD_REQUEST, why.to_string()))),
        }
    }
}

fn answer(request: &Request, settings: &WebSocket) -> Result<Vec<u8>, Refusal> {
    if request.uri().path() != settings.path {
        let why = format!("MQTT is at {}", settings.path);
        return Err(refusal(StatusCode::NOT_FOUND, why));
    }
    let bad = |why: String| refusal(StatusCode::BAD_REQUEST, why);
    let mut response = create_response(request).map_err(|why| bad(why.to_string()))?;
    let protocol = protocol(request.headers())
        .ok_or_else(|| bad("the subprotocol `mqtt` is needed in Sec-WebSocket-Protocol".into()))?;
    if !origin::is_among(request.headers(), settings.origins.as_deref()) {
        let why = "pages of this origin may not connect (websocket.origins)";
        return Err(refusal(StatusCode::FORBIDDEN, why));
    }
    // [MQTT-6.0.0-4]
    response
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    let mut answer = Vec::new();
    write_response(&mut answer, &response).map_err(|why| bad(why.to_string()))?;
    Ok(answer)
}

fn protocol(headers: &HeaderMap) -> Option<&'static str> {
    let offers = |name: &&str| {
        headers
            .get_all(header::SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|offered| offered.trim() == *name)
    };
    PROTOCOLS.into_iter().find(offers)
}

fn refusal(status: StatusCode, why: impl Into<String>) -> Refusal {
    Refusal {
        status,
        why: why.into(),
    }
}

impl From<Refusal> for Turned {
    fn from(Refusal { status, why }: Refusal) -> Self {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}\n",
            why.len() + 1
        );
        Self::Back { answer, why }
    }
}
