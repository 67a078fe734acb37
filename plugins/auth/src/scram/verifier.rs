//! What is stored of a password for SCRAM: it checks a proof, and cannot make one.

use std::{fmt, num::NonZeroU32, ops::RangeInclusive};

use aws_lc_rs::{constant_time, rand};
use base64::{Engine, engine::general_purpose::STANDARD};
use plugin_api::Secret;

use super::Mechanism;

/// Rounds of hashing for a new verifier. The client has to do them at each login, and it may be small.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(15_000).expect("15000 is not 0");
/// At least what RFC 7677 asks for, at most what a small client can bear.
const ITERATIONS_ALLOWED: RangeInclusive<u32> = 4096..=1_000_000;
/// Bytes of a new salt.
const SALT_BYTES: usize = 16;
/// Bytes of a salt.
const SALT_BYTES_ALLOWED: RangeInclusive<usize> = 8..=64;

/// A verifier of one mechanism.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    pub(crate) mechanism: Mechanism,
    pub(crate) iterations: NonZeroU32,
    pub(crate) salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// A verifier of a new password, with a new salt. `None` if the operating system has no random numbers.
    pub(crate) fn of(mechanism: Mechanism, password: &Secret) -> Option<Self> {
        let mut salt = vec![0; SALT_BYTES];
        rand::fill(&mut salt).ok()?;
        Some(Self::with(mechanism, password, salt, ITERATIONS))
    }

    /// A verifier with this salt and so many rounds.
    pub(super) fn with(
        mechanism: Mechanism,
        password: &Secret,
        salt: Vec<u8>,
        iterations: NonZeroU32,
    ) -> Self {
        let salted = mechanism.salted(password, &salt, iterations);
        let client_key = Secret::new(mechanism.sign(salted.expose(), b"Client Key"));
        Self {
            mechanism,
            iterations,
            salt,
            stored_key: mechanism.hash(client_key.expose()),
            server_key: mechanism.sign(salted.expose(), b"Server Key"),
        }
    }

    /// Nobody's, to look at like `self`: with as many rounds and as long a salt, which is the same for the same `seed`.
    pub(crate) fn decoy(&self, seed: &[u8]) -> Self {
        let mut salt = Mechanism::Sha512.sign(seed, self.mechanism.tag().as_bytes());
        salt.truncate(self.salt.len());
        Self {
            salt,
            stored_key: vec![0; self.mechanism.hash_len()],
            server_key: vec![0; self.mechanism.hash_len()],
            ..*self
        }
    }

    /// Whether the one who made this proof knows the password. Takes as long whether it does or not.
    pub(crate) fn is_proven(&self, auth_message: &[u8], proof: &[u8]) -> bool {
        let signature = self.mechanism.sign(&self.stored_key, auth_message);
        if proof.len() != signature.len() {
            return false;
        }
        let client_key: Vec<u8> = signature.iter().zip(proof).map(|(s, p)| s ^ p).collect();
        constant_time::verify_slices_are_equal(&self.mechanism.hash(&client_key), &self.stored_key).is_ok()
    }

    /// Shows the client that it is us who have the verifier.
    pub(crate) fn signature(&self, auth_message: &[u8]) -> Vec<u8> {
        self.mechanism.sign(&self.server_key, auth_message)
    }

    /// As it stands in a password file: `$scram-sha-256$i=15000$SALT$STOREDKEY$SERVERKEY`, the last three in base64.
    pub(crate) fn text(&self) -> String {
        let [salt, stored, server] =
            [&self.salt, &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        let (tag, iterations) = (self.mechanism.tag(), self.iterations);
        format!("${tag}$i={iterations}${salt}${stored}${server}")
    }

    /// Reads one. `None` if it is something else, and not even meant to be one.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, &'static str>> {
        let mut parts = text.split('$');
        let mechanism = match (parts.next(), parts.next()) {
            (Some(""), Some(tag)) => Mechanism::by_tag(tag)?,
            _ => return None,
        };
        let (Some(cost), Some(salt), Some(stored), Some(server), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Some(Err("a SCRAM verifier that has not all its parts"));
        };
        Some(Self::checked(mechanism, cost, [salt, stored, server]))
    }

    fn checked(mechanism: Mechanism, cost: &str, parts: [&str; 3]) -> Result<Self, &'static str> {
        let iterations = cost
            .strip_prefix("i=")
            .and_then(|iterations| iterations.parse().ok());
        let iterations = iterations
            .filter(|iterations: &NonZeroU32| ITERATIONS_ALLOWED.contains(&iterations.get()))
            .ok_or("a SCRAM verifier without 4096 to 1000000 iterations")?;
        let [salt, stored_key, server_key] = parts.map(|part| STANDARD.decode(part).unwrap_or_default());
        if !SALT_BYTES_ALLOWED.contains(&salt.len()) {
            return Err("a SCRAM verifier without a salt of 8 to 64 bytes in base64");
        }
        let len = mechanism.hash_len();
        if stored_key.len() != len || server_key.len() != len {
            return Err("a SCRAM verifier without its two keys in base64");
        }
        Ok(Self {
            mechanism,
            iterations,
            salt,
            stored_key,
            server_key,
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}
