//! Who is asking over HTTP: Basic credentials, a client certificate, or on a development machine nobody in particular.
//!
//! AWS signatures are not verified: an `AWS4-HMAC-SHA256` header says nothing here, and the principal comes from the rest.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use broker::Visitor;
use plugin_api::{Authenticate, Login, Secret, Transport, Verdict};

use super::problem;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    remote: plugin_api::Peer,
    /// Whether it came in over loopback.
    loopback: bool,
    /// The certificate it showed, verified by TLS.
    pub(super) certificate: Option<Vec<u8>>,
    /// The common name of one that it showed to a proxy.
    common_name: Option<String>,
}

impl Peer {
    /// One that has shown nothing yet.
    pub(super) fn of_socket(remote: SocketAddr, loopback: bool) -> Self {
        Self {
            remote: remote.into(),
            loopback,
            certificate: None,
            common_name: None,
        }
    }

    /// What an MQTT listener knows of it.
    pub(super) fn of_visitor(visitor: &Visitor) -> Self {
        Self {
            remote: visitor.peer,
            loopback: visitor.loopback,
            certificate: visitor.certificate.clone(),
            common_name: visitor.common_name.clone(),
        }
    }
}

/// The authenticators that judge who asks, where not all do.
#[derive(Debug, Clone)]
pub(super) struct Judges(pub(super) Option<Arc<[String]>>);

/// Finds out who asks, and lets the request on with that principal, or answers 401.
pub(super) async fn identify(
    State(gates): State<Arc<dyn Authenticate>>,
    Extension(peer): Extension<Peer>,
    Extension(judges): Extension<Judges>,
    mut request: Request,
    next: Next,
) -> Response {
    let credentials = match basic(request.headers()) {
        Ok(credentials) => credentials,
        Err(fault) => return problem(StatusCode::BAD_REQUEST, fault),
    };
    let bare = credentials.is_none() && peer.certificate.is_none() && peer.common_name.is_none();
    let mut login = Login::from_peer(Transport::Http, peer.remote);
    login.loopback = peer.loopback && (!bare || broker::is_local(request.headers()));
    login.certificate = peer.certificate;
    login.common_name = peer.common_name;
    login.authenticators = judges.0;
    if let Some((name, password)) = credentials {
        login.username = Some(name);
        login.password = Some(password);
    }
    match gates.authenticate(login).await {
        Ok(Verdict::Known(principal)) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Ok(Verdict::Refused(why)) => {
            tracing::info!(peer = %peer.remote, why, "an HTTP request was refused");
            unauthorized()
        }
        Ok(Verdict::Silent) => unauthorized(),
        Err(error) => {
            tracing::warn!(peer = %peer.remote, %error, "a gate could not decide about an HTTP request");
            problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "credentials cannot be checked at present; try again later",
            )
        }
    }
}

fn unauthorized() -> Response {
    let mut response = problem(
        StatusCode::UNAUTHORIZED,
        "valid credentials are needed: Basic, or a client certificate (without any, at most requests to and from localhost are served: Host and Origin are checked)",
    );
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Basic realm=\"twinmq\""),
    );
    response
}

/// The user name and password of a Basic header, if there is one.
fn basic(headers: &HeaderMap) -> Result<Option<(String, Secret)>, &'static str> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Err("the Authorization header cannot be read");
    };
    if scheme.eq_ignore_ascii_case("AWS4-HMAC-SHA256") {
        return Ok(None);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err("only Basic is understood in the Authorization header");
    }
    let decoded = STANDARD
        .decode(rest.trim())
        .map_err(|_| "the Basic credentials are not base64")?;
    let colon = decoded
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("the Basic credentials have no colon")?;
    let (name, password) = decoded.split_at(colon);
    let name = String::from_utf8(name.to_vec()).map_err(|_| "the user name is not UTF-8")?;
    Ok(Some((
        name,
        Secret::new(password.get(1..).unwrap_or_default().to_vec()),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value")))
            .collect()
    }

    #[test]
    fn basic_credentials_are_read_and_faults_named() {
        let read = |value| basic(&headers(&[(header::AUTHORIZATION, value)]));
        let (name, password) = read("Basic YW5uOmE6Yg==").expect("fine").expect("there");
        assert_eq!((name.as_str(), password.expose()), ("ann", &b"a:b"[..]));
        assert!(read("AWS4-HMAC-SHA256 Credential=x").expect("ignored").is_none());
        assert!(read("Bearer x").is_err() && read("Basic !").is_err() && read("Basic YW5u").is_err());
    }
}
