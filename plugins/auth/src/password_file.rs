//! Users in a file: checking their passwords, and refusing those who were taken out of it.

mod by_scram;
mod edit;
mod users;

pub use edit::{remove_user, set_scram_user, set_user, verify_user};

use std::{future::ready, net::IpAddr, path::Path, sync::Arc};

use plugin_api::{
    Access, Authenticate, Authorize, Decision, Exchange, GateError, Login, Pending, Principal, Problem, QoS,
    Secret, Verdict,
};

use self::{by_scram::ByScram, users::Users};
use crate::{
    FailureLimits, HashingLimits,
    failures::Failures,
    hashing::Hashing,
    login,
    remembered::Remembered,
    scram::Mechanism,
    watched_file::{Reading, Refresh, WatchedFile},
};

/// About a million users.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// The attribute of a principal that came in by password or by SCRAM: a keyed hash of what it was checked against.
const BADGE: &str = "password_badge";

/// Knows users by their password.
///
/// As an authenticator it is silent about a login without user name and password, and offers those kinds of SCRAM that
/// it has verifiers for. As an authorizer it denies everything
/// to those whose user was removed, or got another password, since they came in; it is silent about everybody else.
#[derive(Debug)]
pub(crate) struct PasswordFile {
    users: Arc<WatchedFile<Users>>,
    hashing: Hashing,
    remembered: Arc<Remembered>,
    failures: Arc<Failures>,
}

impl PasswordFile {
    pub(crate) const NAME: &str = "password_file";

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
            remembered: Arc::new(remembered),
            failures: Arc::new(Failures::new(failures)),
        })
    }

    pub(crate) fn watched(&self) -> Arc<dyn Refresh> {
        Arc::clone(&self.users) as Arc<dyn Refresh>
    }

    async fn judge(&self, login: Login) -> Result<Verdict, GateError> {
        match (login::user_name(&login), &login.password) {
            (Some(name), Some(password)) => self.check(name, password, login::address(&login)).await,
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
            return Ok(Verdict::Known(welcome(&self.remembered, name, stored.as_str())));
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
                Ok(Verdict::Known(welcome(&self.remembered, name, stored.as_str())))
            }
            (Some(_), false) => Ok(Verdict::Refused("a wrong password".into())),
            (None, _) => Ok(Verdict::Refused(
                "a user name that is not in the password file".into(),
            )),
        }
    }
}

/// A user that was checked against what is stored of it.
fn welcome(remembered: &Remembered, name: &str, stored: &str) -> Arc<Principal> {
    let mut principal = Principal::named(name);
    principal
        .attributes
        .insert(BADGE, &remembered.badge(name, stored));
    Arc::new(principal)
}

impl PasswordFile {
    fn decide(&self, principal: &Principal) -> Decision {
        if self.is_revoked(principal) {
            Decision::Deny
        } else {
            Decision::Silent
        }
    }

    /// Whether the principal came in by a password that is not its user's any more.
    fn is_revoked(&self, principal: &Principal) -> bool {
        let Some(badge) = principal.attributes.get(BADGE) else {
            return false;
        };
        let users = self.users.current();
        let is_badge = |stored: String| badge == self.remembered.badge(&principal.name, &stored);
        !users.vouches(badge, || users.texts(&principal.name).any(is_badge))
    }
}

impl Authenticate for PasswordFile {
    fn authenticate(&self, login: Login) -> Pending<'_, Result<Verdict, GateError>> {
        Box::pin(self.judge(login))
    }

    fn exchange(&self, login: Login) -> Option<Box<dyn Exchange>> {
        let mechanism = Mechanism::by_method(login.method.as_deref()?)?;
        self.users.current().offers(mechanism).then(|| {
            let (users, remembered) = (Arc::clone(&self.users), Arc::clone(&self.remembered));
            let failures = Arc::clone(&self.failures);
            Box::new(ByScram::begin(mechanism, login, users, remembered, failures)) as Box<dyn Exchange>
        })
    }
}

impl Authorize for PasswordFile {
    fn authorize(
        &self,
        principal: &Arc<Principal>,
        _: &Access,
    ) -> Pending<'static, Result<Decision, GateError>> {
        Box::pin(ready(Ok(self.decide(principal))))
    }

    fn publish_at_once(&self, principal: &Principal, _: &str, _: QoS, _: bool) -> Option<Decision> {
        Some(self.decide(principal))
    }
}
