//! What a client says in SCRAM (RFC 5802, section 7).

use base64::{Engine, engine::general_purpose::STANDARD};

/// Bytes of a message; the longest name has 768 when all of it is escaped.
const MESSAGE_BYTES_MAX: usize = 4096;

const NOT_SCRAM: &str = "it does not speak SCRAM";

/// The first message: a name and a nonce.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst<'a> {
    /// What stands before the message proper; it comes back in the last message.
    pub(super) header: &'a str,
    pub(super) bare: &'a str,
    /// As whom it comes in.
    pub(crate) name: String,
    pub(super) nonce: &'a str,
}

/// The last message: the proof.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    pub(super) without_proof: &'a str,
    pub(super) header: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
}

impl<'a> ClientFirst<'a> {
    /// Reads it.
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, &'static str> {
        let text = text(message)?;
        let (binding, rest) = text.split_once(',').ok_or(NOT_SCRAM)?;
        match binding {
            // It can bind channels, and has seen that we do not offer it: which is true.
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err("it wants channel binding, which is not offered"),
            _ => return Err(NOT_SCRAM),
        }
        let (other, bare) = rest.split_once(',').ok_or(NOT_SCRAM)?;
        let header = text.strip_suffix(bare).ok_or(NOT_SCRAM)?;
        let mut fields = bare.split(',');
        let name = fields.next().ok_or(NOT_SCRAM)?;
        if name.starts_with("m=") {
            return Err("it uses an extension of SCRAM that it takes for mandatory");
        }
        let name = plain_name(name.strip_prefix("n=").ok_or(NOT_SCRAM)?)?;
        let nonce = nonce(fields.next())?;
        if !fields.all(is_extension) {
            return Err(NOT_SCRAM);
        }
        if !other.is_empty() && plain_name(other.strip_prefix("a=").ok_or(NOT_SCRAM)?)? != name {
            return Err("it wants to act for somebody else");
        }
        Ok(Self {
            header,
            bare,
            name,
            nonce,
        })
    }
}

impl<'a> ClientFinal<'a> {
    /// Reads it.
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, &'static str> {
        let (without_proof, proof) = text(message)?.rsplit_once(",p=").ok_or(NOT_SCRAM)?;
        let mut fields = without_proof.split(',');
        let header = fields.next().and_then(|header| header.strip_prefix("c="));
        let header = STANDARD.decode(header.ok_or(NOT_SCRAM)?).map_err(|_| NOT_SCRAM)?;
        let nonce = nonce(fields.next())?;
        if !fields.all(is_extension) {
            return Err(NOT_SCRAM);
        }
        Ok(Self {
            without_proof,
            header,
            nonce,
            proof: STANDARD.decode(proof).map_err(|_| NOT_SCRAM)?,
        })
    }
}

fn text(message: &[u8]) -> Result<&str, &'static str> {
    let text = str::from_utf8(message).map_err(|_| NOT_SCRAM)?;
    if text.len() > MESSAGE_BYTES_MAX || text.contains('\0') {
        return Err(NOT_SCRAM);
    }
    Ok(text)
}

/// A name with its commas and equals signs back.
fn plain_name(escaped: &str) -> Result<String, &'static str> {
    let mut parts = escaped.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (char, rest) = match part.split_at_checked(2) {
            Some(("2C", rest)) => (',', rest),
            Some(("3D", rest)) => ('=', rest),
            _ => return Err("its name is not escaped as SCRAM wants it"),
        };
        name.push(char);
        name.push_str(rest);
    }
    if name.is_empty() {
        Err("it has no name")
    } else {
        Ok(name)
    }
}

fn nonce(field: Option<&str>) -> Result<&str, &'static str> {
    let nonce = field
        .and_then(|field| field.strip_prefix("r="))
        .ok_or(NOT_SCRAM)?;
    if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NOT_SCRAM);
    }
    Ok(nonce)
}

fn is_extension(field: &str) -> bool {
    let (letter, value) = field.split_once('=').unwrap_or_default();
    matches!(letter.as_bytes(), [letter] if letter.is_ascii_alphabetic()) && !value.is_empty()
}

#[cfg(test)]
mod tests;
