//! Users in a file: checking their passwords, and refusing those who were taken out of it.

mod edit;
mod users;

pub use edit::{remove_user, set_user, verify_user};

use std::{
    future::ready,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
};

use plugin_api::{
    Access, Authenticate, Authorize, Decision, GateError, Login, Pending, Principal, Problem, Secret, Verdict,
};

use self::users::Users;
use crate::{
    FailureLimits, HashingLimits,
    failures::Failures,
    hashing::{Hashing, StoredHash},
    login,
    remembered::Remembered,
    watched_file::{Reading, Refresh, WatchedFile},
};

/// About a million users.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// The attribute of a principal that came in by password: a keyed hash of the stored hash it was checked against.
const BADGE: &str = "password_badge";

/// Knows users by their password.
///
/// As an authenticator it is silent about a login without user name and password. As an authorizer it denies everything
/// to those whose user was removed, or got another password, since they came in; it is silent about everybody else.
#[derive(Debug)]
pub(crate) struct PasswordFile {
    users: Arc<WatchedFile<Users>>,
    hashing: Hashing,
    remembered: Remembered,
    failures: Failures,
}

impl PasswordFile {
    /// Reads the file.
    pub(crate) fn open(
        path: &Path,
        limits: HashingLimits,
        remembered_max: usize,
        failures: Option<FailureLimits>,
    ) -> Result<Self, Vec<Problem>> {
        let users = WatchedFile::open(
            path,
            Reading {
                key: "auth.password_file",
                bytes_max: FILE_BYTES_MAX,
                advice: "a file that can be read; `twinmq passwd` makes one",
                parse: Users::parse,
            },
        )?;
        let remembered = Remembered::new(remembered_max).ok_or_else(|| {
            vec![Problem::new(
                "auth.password_file",
                "no random numbers",
                "an operating system that has some",
            )]
        })?;
        Ok(Self {
            users: Arc::new(users),
            hashing: Hashing::new(limits),
            remembered,
            failures: Failures::new(failures),
        })
    }

    pub(crate) fn watched(&self) -> Arc<dyn Refresh> {
        Arc::clone(&self.users) as Arc<dyn Refresh>
    }

    async fn judge(&self, login: Login) -> Result<Verdict, GateError> {
        match (login::user_name(&login), &login.password) {
            (Some(name), Some(password)) => {
                // Who comes by a Unix socket is on this machine.
                let peer = login.peer.ip().unwrap_or(Ipv4Addr::LOCALHOST.into());
                self.check(name, password, peer).await
            }
            // With a certificate the name is only a claim beside it.
            (Some(_), None) if !login::has_certificate(&login) => {
                Ok(Verdict::Refused("a user name without a password".into()))
            }
            _ => Ok(Verdict::Silent),
        }
    }

    async fn check(&self, name: &str, password: &Secret, peer: IpAddr) -> Result<Verdict, GateError> {
        let users = self.users.current();
        let known = users.stored(name);
        // Somebody unknown costs the same hashing as a wrong password, so that names cannot be found by the clock.
        let stored = known.unwrap_or_else(|| users.decoy());
        let mark = self.remembered.mark(name, password, stored);
        if known.is_some() && self.remembered.knows(name, &mark) {
            return Ok(self.welcome(name, stored));
        }
        // Whoever is remembered was not asked: nobody can keep them out by guessing in their name.
        if let Err(wait) = self.failures.begin(name, peer) {
            let why = format!("too many failed logins, for {} s more", wait.as_secs() + 1);
            return Ok(Verdict::Refused(why));
        }
        let right = self.hashing.verify(password.clone(), stored.clone()).await?;
        match (known, right) {
            (Some(stored), true) => {
                self.remembered.keep(name, mark);
                self.failures.succeeded(name, peer);
                Ok(self.welcome(name, stored))
            }
            (Some(_), false) => Ok(Verdict::Refused("a wrong password".into())),
            (None, _) => Ok(Verdict::Refused(
                "a user name that is not in the password file".into(),
            )),
        }
    }
}

impl PasswordFile {
    fn welcome(&self, name: &str, stored: &StoredHash) -> Verdict {
        let mut principal = Principal::named(name);
        principal
            .attributes
            .insert(BADGE, &self.remembered.badge(name, stored));
        Verdict::Known(Arc::new(principal))
    }

    /// Whether the principal came in by a password that is not its user's any more.
    fn is_revoked(&self, principal: &Principal) -> bool {
        let Some(badge) = principal.attributes.get(BADGE) else {
            return false;
        };
        let users = self.users.current();
        let stored = users.stored(&principal.name);
        stored.is_none_or(|stored| badge != self.remembered.badge(&principal.name, stored))
    }
}

impl Authenticate for PasswordFile {
    fn authenticate(&self, login: Login) -> Pending<'_, Result<Verdict, GateError>> {
        Box::pin(self.judge(login))
    }
}

impl Authorize for PasswordFile {
    fn authorize(
        &self,
        principal: &Arc<Principal>,
        _: &Access,
    ) -> Pending<'static, Result<Decision, GateError>> {
        let revoked = self.is_revoked(principal);
        Box::pin(ready(Ok(if revoked { Decision::Deny } else { Decision::Silent })))
    }
}
