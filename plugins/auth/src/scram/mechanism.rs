//! The two kinds of SCRAM, and their hash functions.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use plugin_api::Secret;

/// A kind of SCRAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mechanism {
    Sha256,
    Sha512,
}

impl Mechanism {
    /// All there are.
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The one that an authentication method names.
    pub(crate) fn by_method(method: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.method() == method)
    }

    /// The one whose verifiers carry this tag.
    pub(crate) fn by_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.tag() == tag)
    }

    /// The authentication method.
    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// What stands before its verifiers in a password file.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Sha256 => "scram-sha-256",
            Self::Sha512 => "scram-sha-512",
        }
    }

    /// How many bytes a hash has.
    pub(crate) const fn hash_len(self) -> usize {
        match self {
            Self::Sha256 => digest::SHA256_OUTPUT_LEN,
            Self::Sha512 => digest::SHA512_OUTPUT_LEN,
        }
    }

    /// `H` of RFC 5802.
    pub(crate) fn hash(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    /// `HMAC` of RFC 5802.
    pub(crate) fn sign(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), bytes)
            .as_ref()
            .to_vec()
    }

    /// `Hi` of RFC 5802: the salted password.
    pub(crate) fn salted(self, password: &Secret, salt: &[u8], iterations: NonZeroU32) -> Secret {
        let algorithm = match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut salted = vec![0; self.hash_len()];
        pbkdf2::derive(algorithm, iterations, salt, password.expose(), &mut salted);
        Secret::new(salted)
    }
}
