//! Documents: what the service says about a twin on its topics, as shadow clients know it. Times are whole seconds.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use twin_model::{ClientToken, Delta, Form, Refused, Timestamp, Twin, Update, Version};

/// What every document of one request shares.
#[derive(Debug, Clone)]
pub(crate) struct Stub {
    pub(crate) at: Timestamp,
    pub(crate) client_token: Option<ClientToken>,
}

impl Stub {
    fn finish(&self, mut document: Map<String, Value>) -> Map<String, Value> {
        document.insert("timestamp".to_owned(), self.at.seconds().into());
        if let Some(token) = &self.client_token {
            document.insert("clientToken".to_owned(), token.as_str().into());
        }
        document
    }
}

/// `get/accepted`, and what a `GET` of the shadow data plane is answered.
pub(crate) fn get_accepted(twin: &Twin, stub: &Stub) -> Bytes {
    write(
        stub,
        [
            ("state", twin.state_with_delta()),
            ("metadata", twin.metadata(Form::Seconds)),
            ("version", twin.version().number().into()),
        ],
    )
}

/// `update/accepted`: what the request said, and the times of what it named.
pub(crate) fn update_accepted(twin: &Twin, update: &Update, echo: &Value, stub: &Stub) -> Bytes {
    write(
        stub,
        [
            ("state", echo.clone()),
            ("metadata", twin.metadata_of(update, Form::Seconds)),
            ("version", twin.version().number().into()),
        ],
    )
}

/// `update/delta`: the leaves the device has to change.
pub(crate) fn delta(twin: &Twin, delta: &Delta, stub: &Stub) -> Bytes {
    write(
        stub,
        [
            ("version", twin.version().number().into()),
            ("state", delta.to_value()),
            ("metadata", twin.metadata_of_delta(delta, Form::Seconds)),
        ],
    )
}

/// `update/documents`: the twin before and after; nothing before when it has just come into being.
pub(crate) fn documents(previous: Option<&str>, current: &str, stub: &Stub) -> Bytes {
    let mut document = format!(
        r#"{{"previous":{},"current":{current}"#,
        previous.unwrap_or("null")
    );
    let rest = Value::Object(stub.finish(Map::new())).to_string();
    document.push_str(&rest.replacen('{', ",", 1));
    document.into()
}

/// A twin as one half of `update/documents`. It is the other half next time, so it is worth keeping.
pub(crate) fn snapshot(twin: &Twin) -> Arc<str> {
    let (state, metadata, version) = (twin.state(), twin.metadata(Form::Seconds), twin.version());
    format!(r#"{{"state":{state},"metadata":{metadata},"version":{version}}}"#).into()
}

/// `delete/accepted`: the version that was removed.
pub(crate) fn delete_accepted(last: Version, stub: &Stub) -> Bytes {
    write(stub, [("version", last.number().into())])
}

/// The error document of a refusal.
pub(crate) fn refused(refused: &Refused, stub: &Stub) -> Bytes {
    rejected(refused.code(), &refused.shadow_message(), stub)
}

/// An error document.
pub(crate) fn rejected(code: u16, message: &str, stub: &Stub) -> Bytes {
    write(stub, [("code", code.into()), ("message", message.into())])
}

/// The names of a device's named twins, one page of them.
pub(crate) fn named(names: &[String], next: Option<&str>, at: Timestamp) -> Value {
    let mut page = json!({ "results": names, "timestamp": at.seconds() });
    if let (Value::Object(page), Some(next)) = (&mut page, next) {
        page.insert("nextToken".to_owned(), next.into());
    }
    page
}

fn write<const N: usize>(stub: &Stub, parts: [(&str, Value); N]) -> Bytes {
    let document = parts
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Value::Object(stub.finish(document)).to_string().into()
}
