//! A login by SCRAM, against the verifiers of the password file.

use std::{fmt, future::ready, sync::Arc};

use plugin_api::{Exchange, GateError, Login, Pending, Secret, Step};

use super::{users::Users, welcome};
use crate::{
    failures::Failures,
    login,
    remembered::Remembered,
    scram::{Challenge, ClientFirst, Mechanism},
    watched_file::WatchedFile,
};

/// One exchange. It never waits.
pub(super) struct ByScram {
    mechanism: Mechanism,
    login: Login,
    users: Arc<WatchedFile<Users>>,
    remembered: Arc<Remembered>,
    failures: Arc<Failures>,
    asked: Option<Asked>,
}

/// What the client has to prove.
struct Asked {
    name: String,
    /// Whether there is such a user.
    known: bool,
    challenge: Challenge,
}

impl ByScram {
    pub(super) const fn begin(
        mechanism: Mechanism,
        login: Login,
        users: Arc<WatchedFile<Users>>,
        remembered: Arc<Remembered>,
        failures: Arc<Failures>,
    ) -> Self {
        Self {
            mechanism,
            login,
            users,
            remembered,
            failures,
            asked: None,
        }
    }

    fn take(mut self: Box<Self>, data: Option<&Secret>) -> Result<Step, &'static str> {
        match (self.asked.take(), data.map(Secret::expose)) {
            (None, Some(first)) => self.ask(first),
            // A client that has not begun yet is asked to.
            (None, None) => Ok(Step::Continue {
                data: None,
                next: self,
            }),
            (Some(asked), last) => self.judge(&asked, last.unwrap_or_default()),
        }
    }

    /// Asks for a proof.
    fn ask(mut self: Box<Self>, message: &[u8]) -> Result<Step, &'static str> {
        let first = ClientFirst::parse(message)?;
        if self.login.password.is_some() {
            return Err("a password beside SCRAM, which is there so that none is sent");
        }
        if login::user_name(&self.login).is_some_and(|name| name != first.name) {
            return Err("another user name in CONNECT than in SCRAM");
        }
        let users = self.users.current();
        let verifier = users.verifier(self.mechanism, &first.name).cloned();
        let known = verifier.is_some();
        // Somebody unknown is asked like anybody else, so that names cannot be found.
        let decoy = users.verifier_decoy(self.mechanism, &first.name);
        let Some(verifier) = verifier.or(decoy) else {
            return Err("nobody has a verifier for this kind of SCRAM any more");
        };
        let posed = Challenge::pose(&first, verifier);
        let (challenge, message) = posed.ok_or("the operating system has no random numbers")?;
        self.asked = Some(Asked {
            name: first.name,
            known,
            challenge,
        });
        Ok(Step::Continue {
            data: Some(Secret::new(message)),
            next: self,
        })
    }

    fn judge(&self, asked: &Asked, message: &[u8]) -> Result<Step, &'static str> {
        let peer = login::address(&self.login);
        if self.failures.begin(&asked.name, peer).is_err() {
            return Err("too many failed logins lately");
        }
        let proven = asked.challenge.judge(message);
        if !asked.known {
            return Err("a user name without a verifier for this kind of SCRAM in the password file");
        }
        let stored = asked.challenge.verifier.text();
        let proven = proven?;
        self.failures.succeeded(&asked.name, peer);
        Ok(Step::Known {
            data: Some(Secret::new(proven)),
            principal: welcome(&self.remembered, &asked.name, &stored),
        })
    }
}

impl Exchange for ByScram {
    fn step(self: Box<Self>, data: Option<Secret>) -> Pending<'static, Result<Step, GateError>> {
        let step = self.take(data.as_ref());
        Box::pin(ready(Ok(step.unwrap_or_else(|why| Step::Refused(why.into())))))
    }
}

impl fmt::Debug for ByScram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByScram")
            .field("mechanism", &self.mechanism)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}
