//! Carries questions to the gates and verdicts back, with a time limit. What is not clearly allowed is refused.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use broker_core::Judge;
use plugin_api::{
    Access, Authenticate, Authorize, Decision, GateError, Login, Pending, Principal, QoS, Verdict,
};
use tokio::{runtime::Handle, time::timeout};
use tracing::{error, warn};

mod talk;

pub(crate) use talk::Said;

/// Those who decide. Both doors are usually chains of several gates.
#[derive(Debug, Clone)]
pub struct Gates {
    /// Finds out who connects.
    pub authenticator: Arc<dyn Authenticate>,
    /// Decides what they may do.
    pub authorizer: Arc<dyn Authorize>,
}

/// The gates, and where and how long they may think.
#[derive(Debug)]
pub(crate) struct Desk {
    gates: Gates,
    runtime: Handle,
    deadline: Duration,
}

/// What the gates have at hand about one principal. Whoever has left may do nothing.
#[derive(Debug)]
pub(crate) struct AtHand<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) principal: Option<&'a Arc<Principal>>,
}

impl Judge for AtHand<'_> {
    fn may_publish(&self, topic: &str, qos: QoS, retain: bool) -> Option<bool> {
        let principal = self.principal?;
        let authorizer = &self.desk.gates.authorizer;
        // One that panics is asked again where that is told of.
        let judged = || authorizer.publish_at_once(principal, topic, qos, retain);
        let decision = catch_unwind(AssertUnwindSafe(judged)).ok()??;
        Some(decision == Decision::Allow)
    }
}

/// Why nobody was let in.
#[derive(Debug)]
pub(crate) enum LoginRefused {
    /// The gates said no, or nobody said yes.
    Refused(String),
    /// A gate failed or took too long.
    Undecided(String),
}

/// A decision that was at hand, or that somebody has to wait for.
pub(crate) enum Asked {
    Now(bool),
    Later(Pending<'static, Result<Decision, GateError>>),
}

impl Desk {
    pub(crate) const fn new(gates: Gates, runtime: Handle, deadline: Duration) -> Self {
        Self {
            gates,
            runtime,
            deadline,
        }
    }

    /// Who somebody is.
    pub(crate) async fn log_in(&self, login: Login) -> Result<Arc<Principal>, LoginRefused> {
        match timeout(self.deadline, self.gates.authenticator.authenticate(login)).await {
            Ok(Ok(Verdict::Known(principal))) => Ok(principal),
            Ok(Ok(Verdict::Refused(why))) => Err(LoginRefused::Refused(why)),
            Ok(Ok(Verdict::Silent)) => Err(LoginRefused::Refused("no authenticator knows this login".into())),
            Ok(Err(error)) => Err(LoginRefused::Undecided(error.to_string())),
            Err(_) => Err(LoginRefused::Undecided("the authenticators took too long".into())),
        }
    }

    /// Whether somebody may do something; waits for the answer.
    pub(crate) async fn may(&self, principal: &Arc<Principal>, access: &Access) -> bool {
        self.decide(self.gates.authorizer.authorize(principal, access))
            .await
    }

    /// The same without waiting. Runs on a shard's thread, so the gate is given the other runtime to wait in.
    pub(crate) fn ask(&self, principal: &Arc<Principal>, access: &Access) -> Asked {
        let _other_runtime = self.runtime.enter();
        let ask = || {
            let mut decision = self.gates.authorizer.authorize(principal, access);
            match decision.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(decision) => Asked::Now(is_yes(decision)),
                Poll::Pending => Asked::Later(decision),
            }
        };
        catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|_| {
            error!("an authorizer has panicked, which is a bug in it; the access is denied");
            Asked::Now(false)
        })
    }

    /// Waits for a decision elsewhere and hands it on.
    pub(crate) fn wait_for(
        self: &Arc<Self>,
        decision: Pending<'static, Result<Decision, GateError>>,
        then: impl FnOnce(bool) + Send + 'static,
    ) {
        let desk = Arc::clone(self);
        let decide = async move { desk.decide(decision).await };
        self.beside(decide, |decided| then(decided.unwrap_or(false)));
    }

    /// Does something beside the shards and hands on what came of it: nothing if a gate panics in it.
    pub(crate) fn beside<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(Option<T>) + Send + 'static,
    ) {
        let done = self.runtime.spawn(work);
        // A task of its own, so that there is an answer even after a panic.
        self.runtime.spawn(async move { then(done.await.ok()) });
    }

    async fn decide(&self, decision: impl Future<Output = Result<Decision, GateError>>) -> bool {
        match timeout(self.deadline, pin!(decision)).await {
            Ok(decision) => is_yes(decision),
            Err(_) => {
                warn!("an authorizer took too long; the access is denied");
                false
            }
        }
    }
}

fn is_yes(decision: Result<Decision, GateError>) -> bool {
    match decision {
        Ok(Decision::Allow) => true,
        Ok(Decision::Deny | Decision::Silent) => false,
        Err(error) => {
            warn!(%error, "an authorizer failed; the access is denied");
            false
        }
    }
}
