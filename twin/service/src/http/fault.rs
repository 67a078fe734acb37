//! Fault: why a request was not carried out, told as problem details (RFC 9457) or as a shadow exception.

use std::time::Duration;

use axum::Json;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use twin_model::Refused;

use crate::ask::Failure;

/// A request that was not carried out, and whose fault it was.
#[derive(Debug, Clone)]
pub(crate) struct Fault(Box<Details>);

#[derive(Debug, Clone)]
struct Details {
    status: StatusCode,
    /// The last part of the problem's type.
    kind: &'static str,
    detail: String,
    /// JSON Pointers into the document, and what is wrong there.
    places: Vec<(String, String)>,
    /// What a shadow client reads.
    message: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Details {
            status,
            kind,
            detail: detail.into(),
            places: Vec::new(),
            message: None,
            header: None,
        }))
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail)
    }

    pub(crate) fn unauthorized() -> Self {
        let detail = "the request carries no valid credentials";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).saying("Unauthorized")
    }

    pub(crate) fn forbidden() -> Self {
        let detail = "the caller may not do this; a rule must allow it";
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail).saying("Forbidden")
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(crate) fn wrong_method(method: &Method, path: &str) -> Self {
        let detail = format!("{path} has no {method}; the header Allow says what it has");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).with(RETRY_AFTER, "1")
    }

    pub(crate) fn internal() -> Self {
        let detail = "the service failed; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).saying("Internal service failure")
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let detail = format!("the body has more than {bytes_max} bytes (request_bytes_max)");
        let fault = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail);
        fault.saying("The payload exceeds the maximum size allowed")
    }

    pub(crate) fn too_slow(patience: Duration) -> Self {
        let detail = format!("the body did not arrive within {} s", patience.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
    }

    pub(crate) fn unsupported(found: &str, wanted: &'static str) -> Self {
        let detail = format!("the body must be {wanted}, found {found:?}");
        let fault = Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            detail,
        );
        fault.with(ACCEPT, wanted)
    }

    /// A condition of the request's headers that does not hold.
    pub(crate) fn precondition(refused: &Refused) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            refused.to_string(),
        )
    }

    /// The same fault, in these words for shadow clients.
    fn saying(mut self, message: impl Into<String>) -> Self {
        self.0.message = Some(message.into());
        self
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.header = Some((name, HeaderValue::from_static(value)));
        self
    }

    fn title(&self) -> &'static str {
        match self.0.kind {
            "invalid-request" => "The request is not valid",
            "invalid-document" => "The document is not valid",
            "unauthorized" => "Credentials are needed",
            "forbidden" => "Not allowed",
            "not-found" => "Not found",
            "method-not-allowed" => "The method is not allowed here",
            "precondition-failed" => "The twin is not as the condition says",
            "conflict" => "The twin is not as the request expects",
            "gone" => "These changes are no longer kept",
            "too-large" => "Too large",
            "timeout" => "Too slow",
            "unsupported-media-type" => "The content type is not supported",
            "unavailable" => "Not available now",
            "too-many" => "Too many requests",
            _ => "The service failed",
        }
    }

    fn problem(&self) -> Value {
        let mut problem = json!({
            "type": format!("urn:twinmq:problem:{}", self.0.kind),
            "title": self.title(),
            "status": self.0.status.as_u16(),
            "detail": self.0.detail,
        });
        if let (Value::Object(problem), false) = (&mut problem, self.0.places.is_empty()) {
            let error =
                |(pointer, detail): &(String, String)| json!({ "pointer": pointer, "detail": detail });
            problem.insert("errors".to_owned(), self.0.places.iter().map(error).collect());
        }
        problem
    }

    /// The answer that a client of the shadow data plane understands.
    pub(crate) fn as_exception(&self) -> Response {
        let message = self.0.message.as_ref().unwrap_or(&self.0.detail);
        let body = Json(json!({ "message": message }));
        let exception = HeaderValue::from_static(exception(self.0.status));
        self.answer(([(HeaderName::from_static("x-amzn-errortype"), exception)], body).into_response())
    }

    fn answer(&self, mut response: Response) -> Response {
        *response.status_mut() = self.0.status;
        if let Some((name, value)) = &self.0.header {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/problem+json");
        self.answer(([(CONTENT_TYPE, kind)], self.problem().to_string()).into_response())
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let (status, kind) = match refused.code() {
            404 => (StatusCode::NOT_FOUND, "not-found"),
            409 => (StatusCode::CONFLICT, "conflict"),
            413 => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            415 => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
            _ if matches!(refused, Refused::InvalidName { .. }) => {
                (StatusCode::BAD_REQUEST, "invalid-request")
            }
            _ => (StatusCode::BAD_REQUEST, "invalid-document"),
        };
        let places = refused
            .at()
            .map(|at| (at.to_string(), refused.to_string()))
            .into_iter()
            .collect();
        let mut fault = Self::new(status, kind, refused.to_string()).saying(refused.shadow_message());
        fault.0.places = places;
        fault
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refused) => refused.into(),
            Failure::TooManyTwins(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", failure.to_string())
            }
            passing if passing.is_passing() => Self::unavailable(passing.to_string()),
            failure => {
                tracing::error!(%failure, "a request could not be carried out");
                Self::internal()
            }
        }
    }
}

impl From<store::ReadError> for Fault {
    fn from(error: store::ReadError) -> Self {
        Failure::Read(error).into()
    }
}

/// A fault on the paths of the shadow data plane.
#[derive(Debug)]
pub(crate) struct Exception(Fault);

impl<F: Into<Fault>> From<F> for Exception {
    fn from(fault: F) -> Self {
        Self(fault.into())
    }
}

impl IntoResponse for Exception {
    fn into_response(self) -> Response {
        self.0.as_exception()
    }
}

const fn exception(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UnauthorizedException",
        403 => "ForbiddenException",
        404 => "ResourceNotFoundException",
        405 => "MethodNotAllowedException",
        409 => "ConflictException",
        413 => "RequestEntityTooLargeException",
        415 => "UnsupportedDocumentEncodingException",
        429 => "ThrottlingException",
        500 => "InternalFailureException",
        503 => "ServiceUnavailableException",
        _ => "InvalidRequestException",
    }
}
