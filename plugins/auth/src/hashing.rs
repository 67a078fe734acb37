//! Argon2 work: on threads of its own, a few at once, with a bounded queue before it.

use std::{fmt, sync::Arc};

use argon2::{Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier};
use plugin_api::{GateError, Secret};
use tokio::sync::Semaphore;

use crate::{AuthError, HashingLimits};

/// The costliest hash that is computed, so that a line in a file cannot make every login take the machine.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 32;
const LANES_MAX: u32 = 16;

/// Salt and result of a hash that no password is known for.
const NO_ONES: &str = "AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password as it is stored: an argon2id hash with its salt and cost, as a PHC string. Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StoredHash(Arc<str>);

impl StoredHash {
    /// Hashes a new password. Takes tens of milliseconds and 19 MiB.
    pub(crate) fn of(password: &Secret) -> Result<Self, AuthError> {
        let hash = Argon2::default().hash_password(password.expose());
        hash.map(|hash| Self(hash.to_string().into()))
            .map_err(|error| AuthError::Hash(error.to_string()))
    }

    /// Checks a PHC string.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with("$argon2id$") {
            return Err("a hash of another kind");
        }
        let hash = PasswordHash::new(text).map_err(|_| "a hash that is not in PHC format")?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err("a hash without its salt or its result");
        }
        let cost = Params::try_from(&hash).map_err(|_| "a hash with parameters that do not exist")?;
        if cost.m_cost() > MEMORY_KIB_MAX || cost.t_cost() > PASSES_MAX || cost.p_cost() > LANES_MAX {
            return Err("a hash that costs more than m=262144,t=32,p=16");
        }
        Ok(Self(text.into()))
    }

    /// A hash that costs as much and is nobody's.
    pub(crate) fn decoy(&self) -> Self {
        let cost = self.0.rsplitn(3, '$').nth(2).unwrap_or_default();
        Self(format!("{cost}${NO_ONES}").into())
    }

    /// The PHC string.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the password. Takes as long whether it is or not.
    pub(crate) fn is_of(&self, password: &Secret) -> bool {
        PasswordHash::new(&self.0).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.expose(), &hash)
                .is_ok()
        })
    }
}

/// Nobody's, at the cost of a hash that is made today.
impl Default for StoredHash {
    fn default() -> Self {
        Self(format!("$argon2id$v=19$m=19456,t=2,p=1${NO_ONES}").into())
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredHash(..)")
    }
}

/// Where passwords are checked, away from the threads that carry logins and messages.
#[derive(Debug)]
pub(crate) struct Hashing {
    /// One for each login that is being hashed or waits for it.
    places: Arc<Semaphore>,
    /// One for each login that is being hashed.
    workers: Arc<Semaphore>,
}

impl Hashing {
    pub(crate) fn new(limits: HashingLimits) -> Self {
        let at_once = limits.at_once.get();
        Self {
            places: Arc::new(Semaphore::new(at_once + limits.waiting_max)),
            workers: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Whether `password` is the one that was stored as `hash`.
    ///
    /// # Errors
    /// When the queue is full.
    pub(crate) async fn verify(&self, password: Secret, hash: StoredHash) -> Result<bool, GateError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| too_many())?;
        let worker = Arc::clone(&self.workers)
            .acquire_owned()
            .await
            .map_err(|_| too_many())?;
        // The work cannot be stopped: it keeps its places even if the one who asked is gone.
        let work = move || {
            let _held = (place, worker);
            hash.is_of(&password)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| GateError("hashing a password was cut short".into()))
    }
}

fn too_many() -> GateError {
    GateError(
        "too many logins at once wait for their password to be hashed (auth.hashing_waiting_max)".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unknown user must cost what a known one costs.
    #[test]
    fn a_decoy_is_hashed_with_the_cost_of_its_model() {
        for cost in ["m=8,t=1,p=1", "m=19456,t=2,p=1"] {
            let model = StoredHash::parse(&format!(
                "$argon2id$v=19${cost}$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
            ));
            let decoy = model.expect("a valid hash").decoy();
            assert!(decoy.as_str().contains(cost), "{}", decoy.as_str());
            assert_eq!(StoredHash::parse(decoy.as_str()), Ok(decoy));
        }
    }

    #[test]
    fn the_default_decoy_costs_what_a_new_hash_costs() {
        let decoy = StoredHash::default();
        assert_eq!(StoredHash::parse(decoy.as_str()), Ok(decoy.clone()));
        let new = StoredHash::of(&Secret::new(b"x".to_vec())).expect("a hash");
        assert_eq!(new.decoy(), decoy);
    }

    #[test]
    fn hashes_that_would_take_the_machine_are_refused() {
        for cost in ["m=262145,t=1,p=1", "m=64,t=33,p=1", "m=4096,t=1,p=17"] {
            let text = format!("$argon2id$v=19${cost}$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA");
            assert!(StoredHash::parse(&text).is_err(), "{cost}");
        }
    }
}
