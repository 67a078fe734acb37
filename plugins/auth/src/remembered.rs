//! Logins that succeeded, so that a reconnect needs no hashing.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::{constant_time, hmac, rand::SystemRandom};
use plugin_api::Secret;

use crate::hashing::StoredHash;

/// What is kept of a login: a keyed hash over user, password and stored hash. It tells nothing without the key, which
/// never leaves this process, and does not match any more when the stored hash is another.
#[derive(Clone, Copy)]
pub(crate) struct Mark([u8; 32]);

impl Mark {
    fn matches(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

/// The last successful login of each user, up to a number of users. When full, an arbitrary user makes room, so that no
/// order of logins turns everybody out.
pub(crate) struct Remembered {
    key: hmac::Key,
    max: usize,
    marks: Mutex<HashMap<String, Mark>>,
}

impl Remembered {
    /// Remembers nobody yet. `None` if the operating system has no random numbers.
    pub(crate) fn new(max: usize) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        Some(Self {
            key,
            max,
            marks: Mutex::default(),
        })
    }

    /// The mark of a login.
    pub(crate) fn mark(&self, user: &str, password: &Secret, stored: &StoredHash) -> Mark {
        self.sign(&[
            b"login",
            user.as_bytes(),
            password.expose(),
            stored.as_str().as_bytes(),
        ])
    }

    /// Names what is stored of a user without telling anything of it: shows later whether it is still the user's.
    pub(crate) fn badge(&self, user: &str, stored: &str) -> String {
        let mark = self.sign(&[b"badge", user.as_bytes(), stored.as_bytes()]);
        let (halves, _) = mark.0.as_chunks();
        halves
            .iter()
            .map(|half| format!("{:032x}", u128::from_be_bytes(*half)))
            .collect()
    }

    fn sign(&self, parts: &[&[u8]]) -> Mark {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            // With its length, so that different parts never are the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        Mark(mark)
    }

    /// Whether this very login succeeded before.
    pub(crate) fn knows(&self, user: &str, mark: &Mark) -> bool {
        let remembered = self
            .marks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(user)
            .copied();
        remembered.is_some_and(|remembered| remembered.matches(mark))
    }

    /// Keeps a login that succeeded, in place of the user's last one.
    pub(crate) fn keep(&self, user: &str, mark: Mark) {
        if self.max == 0 {
            return;
        }
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() >= self.max && !marks.contains_key(user) {
            let leaving = marks.keys().next().cloned();
            leaving.and_then(|user| marks.remove(&user));
        }
        marks.insert(user.to_owned(), mark);
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered")
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}
