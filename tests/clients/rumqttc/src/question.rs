//! What may be asked, and messages as they travel in questions and answers.

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(crate) struct Question {
    pub(crate) client: u64,
    #[serde(flatten)]
    pub(crate) deed: Deed,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Deed {
    Connect(Call),
    Subscribe(Subscribe),
    Publish(Publish),
    Receive,
    Ended,
    Close,
    Cut,
}

#[derive(Deserialize)]
pub(crate) struct Call {
    pub(crate) version: u8,
    pub(crate) server: Server,
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    pub(crate) expiry: u32,
    pub(crate) will: Option<Will>,
}

/// Files are PEM; without an authority there is no TLS.
#[derive(Deserialize)]
pub(crate) struct Server {
    pub(crate) websocket: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) key: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
}

#[derive(Deserialize)]
pub(crate) struct Subscribe {
    pub(crate) topic_filter: String,
    pub(crate) qos: u8,
    pub(crate) identifier: Option<usize>,
}

#[derive(Deserialize)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payloads: Vec<String>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Properties,
}

#[derive(Serialize)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Properties,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Properties {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) user_properties: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) subscription_identifiers: Vec<usize>,
}

/// The bytes of a string of Latin-1.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|char| char as u8).collect()
}

/// Any bytes as a string of Latin-1.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
