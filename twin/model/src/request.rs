//! Request: the update document that devices and apps send.

use serde_json::{Map, Value};

use crate::command::Update;
use crate::document::{kind, not_an_object, read};
use crate::error::Node;
use crate::rejection::forbid;
use crate::section::SectionChange;
use crate::{Condition, Limits, Patch, Refused, Version};

/// The sender's mark on a request, returned in every answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientToken(String);

impl ClientToken {
    /// The token of a request that may be empty.
    ///
    /// # Errors
    /// `Refused` when the bytes are not a JSON object, or the token is not a string or too long.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<Self>, Refused> {
        if bytes.is_empty() {
            return Ok(None);
        }
        match read(bytes, limits)? {
            Value::Object(map) => map
                .get("clientToken")
                .map(|value| Self::of(value, limits))
                .transpose(),
            _ => Err(Refused::InvalidJson {
                problem: "an object is needed".to_owned(),
            }),
        }
    }

    /// The token of a request whatever else is wrong with it, so that a refusal can carry it too.
    #[must_use]
    pub fn find(bytes: &[u8], limits: &Limits) -> Option<Self> {
        Self::parse(bytes, limits).ok().flatten()
    }

    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let Value::String(text) = value else {
            return Err(Refused::InvalidClientToken {
                problem: "it must be a string".to_owned(),
            });
        };
        let (bytes, max) = (text.len(), limits.client_token_bytes_max);
        if bytes > max {
            let problem = format!("it has {bytes} bytes, at most {max} are allowed (client_token_bytes_max)");
            return Err(Refused::InvalidClientToken { problem });
        }
        Ok(Self(text.clone()))
    }
}

/// A checked update document: `state` with `desired` and `reported`, `version`, `clientToken`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRequest {
    /// What to change.
    pub update: Update,
    /// `state` as it was sent, reduced to desired and reported: what `accepted` returns.
    pub echo: Value,
    /// `IfVersion` when the document names a version.
    pub condition: Condition,
    /// The sender's mark.
    pub client_token: Option<ClientToken>,
}

impl UpdateRequest {
    /// Reads an update document. Keys beside `state`, `version` and `clientToken`, and beside `desired` and
    /// `reported` within `state`, are ignored. `"state": null` clears both sections, `"desired": null` one.
    ///
    /// # Errors
    /// `Refused` names the first fault, with its place counted from the top of the document.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Refused> {
        let Value::Object(mut document) = read(bytes, limits)? else {
            return Err(Refused::MissingState);
        };
        let client_token = document
            .get("clientToken")
            .map(|value| ClientToken::of(value, limits))
            .transpose()?;
        let condition = document.get("version").map_or(Ok(Condition::None), condition)?;
        let state = document.remove("state").ok_or(Refused::MissingState)?;
        let (update, echo) = match state {
            Value::Null => (
                Update {
                    desired: SectionChange::Clear,
                    reported: SectionChange::Clear,
                },
                Value::Null,
            ),
            Value::Object(state) => sections(state, limits)?,
            other => return Err(not_an_object(Node::State, &other).below(&["state"])),
        };
        Ok(Self {
            update,
            echo,
            condition,
            client_token,
        })
    }
}

fn condition(version: &Value) -> Result<Condition, Refused> {
    let number = version.as_u64().ok_or_else(|| Refused::InvalidVersion {
        problem: format!("it must be a whole number from 0 up, found {}", kind(version)),
    })?;
    Ok(Condition::IfVersion(Version::new(number)))
}

fn sections(mut state: Map<String, Value>, limits: &Limits) -> Result<(Update, Value), Refused> {
    state.retain(|key, _| key == "desired" || key == "reported");
    let change =
        |node, key| section(state.get(key), node, limits).map_err(|refused| refused.below(&["state", key]));
    let desired = change(Node::Desired, "desired")?;
    if let SectionChange::Merge(patch) = &desired {
        forbid(patch.as_map()).map_err(|refused| refused.below(&["state", "desired"]))?;
    }
    let reported = change(Node::Reported, "reported")?;
    Ok((Update { desired, reported }, Value::Object(state)))
}

fn section(value: Option<&Value>, node: Node, limits: &Limits) -> Result<SectionChange, Refused> {
    match value {
        None => Ok(SectionChange::Keep),
        Some(Value::Null) => Ok(SectionChange::Clear),
        Some(value) => Patch::of(value.clone(), node, limits).map(SectionChange::Merge),
    }
}
