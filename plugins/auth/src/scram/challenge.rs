//! The server's part between a client's first message and its last.

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{ClientFirst, Verifier, message::ClientFinal};

/// Bytes of our part of a nonce, before it is made text.
const NONCE_BYTES: usize = 24;

/// What a client was asked to prove.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) verifier: Verifier,
    /// What its last message must repeat.
    header: String,
    nonce: String,
    /// What its proof is about, but for its last message.
    said: String,
}

impl Challenge {
    /// Asks a client to prove that it knows the password of this verifier. Answers also what it is told. `None` if the
    /// operating system has no random numbers.
    pub(crate) fn pose(first: &ClientFirst<'_>, verifier: Verifier) -> Option<(Self, Vec<u8>)> {
        let mut ours = [0; NONCE_BYTES];
        rand::fill(&mut ours).ok()?;
        Some(Self::with_nonce(first, verifier, &STANDARD.encode(ours)))
    }

    fn with_nonce(first: &ClientFirst<'_>, verifier: Verifier, ours: &str) -> (Self, Vec<u8>) {
        let nonce = format!("{}{ours}", first.nonce);
        let (salt, iterations) = (STANDARD.encode(&verifier.salt), verifier.iterations);
        let message = format!("r={nonce},s={salt},i={iterations}");
        let challenge = Self {
            verifier,
            header: first.header.to_owned(),
            nonce,
            said: format!("{},{message}", first.bare),
        };
        (challenge, message.into_bytes())
    }

    /// Judges the client's last message. If its proof is right, answers what it is told last, so that it knows us as well.
    pub(crate) fn judge(&self, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        let last = ClientFinal::parse(message)?;
        if last.header != self.header.as_bytes() {
            return Err("it says another thing of channel binding than at first");
        }
        if last.nonce != self.nonce {
            return Err("its nonce is not that of this exchange");
        }
        let said = format!("{},{}", self.said, last.without_proof);
        if !self.verifier.is_proven(said.as_bytes(), &last.proof) {
            return Err("a wrong password");
        }
        let signature = STANDARD.encode(self.verifier.signature(said.as_bytes()));
        Ok(format!("v={signature}").into_bytes())
    }
}

#[cfg(test)]
mod tests;
